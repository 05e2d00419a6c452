/** Sources of octets for readers under test. */
import type { Source } from '../../src/message/source.ts';
import { latin1 } from '../../src/smtp/text.ts';

export interface Taken {
  readonly text: string;
  /** null: it ended cleanly. */
  readonly failure: string | null;
}

/** All octets of a source, as an octet string. */
export async function readAll(source: Source): Promise<Taken> {
  let text = '';
  for (;;) {
    const got = await source.read();
    if (got instanceof Uint8Array) text += latin1(got);
    else return { text, failure: got.end === 'clean' ? null : got.detail };
  }
}
