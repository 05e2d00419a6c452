/** --from, as several commands take it. Knows no command. */
import { parseSender } from '../message/mailboxes.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import type { ReversePath } from '../smtp/path.ts';

/** --from as it was written; undefined when it was not. */
export function parseFromOption(from: string | null): Parsed<ReversePath | undefined> {
  if (from === null) return parsed(undefined);
  const path = parseSender(from);
  return path.ok ? path : unparsed(`--from "${from}": ${path.detail}`);
}
