/**
 * Header fields that a route adds: their form, and the names in braces that stand for parts of the address. Knows nothing of
 * the message that they go into (`src/message`).
 */

import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type ForwardPath, printMailbox, printPath, type ReversePath } from '../smtp/path.ts';

/**
 * These are all names: `{local_part}` and `{domain}` of the final recipient, `{address}` for both, `{sender}` for the
 * reverse-path without brackets (empty for the null reverse-path). `{{` and `}}` stand for a brace.
 */
const PLACEHOLDERS = ['local_part', 'domain', 'address', 'sender'] as const;
type Name = (typeof PLACEHOLDERS)[number];
const BRACES = /\{\{|\}\}|\{([a-z_]+)\}/g;
/** RFC 5322 §2.2: printable US-ASCII except the colon. */
const FIELD_NAME = /^[!-9;-~]+$/;

/** Says in a sentence why an item of `headers_add` cannot be used; null if it can. */
export function whyNotAddable(field: string): string | null {
  const names = [...field.matchAll(BRACES)].flatMap(([, name]) => name ?? []);
  const unknown = names.find((name) => !isKnownName(name));
  if (unknown === undefined) return whyNoField(field);
  return `{${unknown}} is not known; there are ${PLACEHOLDERS.map((name) => `{${name}}`).join(', ')}, and {{ for a brace`;
}

function whyNoField(field: string): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(field)) return 'a header field may hold no line end, NUL or other control character';
  return FIELD_NAME.test(field.slice(0, Math.max(0, field.indexOf(':')))) ? null : `"${field}" is no header field: write "Name: value"`;
}

/** Says in a sentence why an item of `headers_remove` cannot be used; null if it can. */
export function whyNotRemovable(name: string): string | null {
  return FIELD_NAME.test(name) ? null : `"${name}" is no name of a header field`;
}

/** True if the field may differ from address to address. */
export function hasNames(field: string): boolean {
  return /\{[a-z_]+\}/.test(field);
}

/**
 * Puts the address into the field, local-parts in quotes where they need them. A parsed mailbox (`smtp/path.ts`) holds no
 * control character; the result is checked all the same, because it must be one header field.
 */
export function expandField(field: string, path: ForwardPath, reversePath: ReversePath): Parsed<string> {
  const values: Record<string, string> = {
    local_part: path.localPart,
    domain: path.domain,
    address: printMailbox(path),
    sender: printPath(reversePath).slice(1, -1),
  } satisfies Record<Name, string>;
  const bad = whyNotAddable(field);
  if (bad !== null) return unparsed(bad);
  const expanded = field.replace(BRACES, (text, name?: string) => (name === undefined ? (text[0] as string) : (values[name] as string)));
  const broken = whyNoField(expanded);
  return broken === null ? parsed(expanded) : unparsed(broken);
}

const isKnownName = (name: string): name is Name => (PLACEHOLDERS as readonly string[]).includes(name);
