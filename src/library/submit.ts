/**
 * Submits one message that a program already has, with its envelope, to the first of several smart hosts, all recipients or none.
 * Adds no header field and reads no configuration.
 */

import { type Ended, type Source, sourceOf } from '../message/source.ts';
import type { Smarthost } from '../router/smarthost.ts';
import { type ContentScan, scanContent } from '../smtp/client/content.ts';
import type { Recipient, Transaction } from '../smtp/client/print.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { parseMailbox, parseReversePath } from '../smtp/path.ts';
import { isAscii } from '../smtp/text.ts';
import { type DeliveryOptions, deliver } from '../submit/delivery.ts';
import { asciiDomain } from '../submit/domain.ts';
import { failedWith, type Outcome } from '../submit/outcome.ts';
import { systemSecurity } from '../submit/security.ts';
import type { Timeouts } from '../submit/settings.ts';
import type { ContentOpener } from '../transport/driver.ts';
import type { Trace } from '../transport/observer.ts';

/** Addresses are atoms (`user@example.org`), never header text; `''` as `from` is the null reverse-path. */
export interface Envelope extends Partial<Omit<Transaction, 'reversePath' | 'recipients' | 'size' | 'estimate' | 'eightBit'>> {
  readonly from: string;
  readonly to: readonly (string | (Omit<Recipient, 'path' | 'original'> & { readonly address: string; readonly original?: string }))[];
}

/** Octets of a whole message (header section, empty line, body; any line ends). */
export type Message =
  | string
  | Uint8Array
  /** It is read once, so another smart host can be tried only as long as nothing was read from it. */
  | AsyncIterable<Uint8Array | string>
  /** It is opened anew for each smart host. */
  | { readonly open: () => AsyncIterable<Uint8Array | string> };

export interface SubmitOptions {
  /** Tried in order. */
  readonly hosts: readonly Smarthost[];
  /** EHLO argument; default, and where it is no domain: the address literal of the socket. */
  readonly hello?: string;
  readonly timeouts?: Partial<Timeouts>;
  readonly trace?: Trace;
  readonly note?: (note: string) => void;
  readonly progress?: (octets: number) => void;
  /** Ends the delivery; after the commit the verdict is still awaited, for `grace` milliseconds (default 30,000). */
  readonly signal?: AbortSignal;
  readonly grace?: number;
  /** 'data': never BDAT. */
  readonly framing?: DeliveryOptions['framing'];
  /** LMTP: allow a part of the recipients to be refused. */
  readonly partial?: boolean;
}

/** Milliseconds, from RFC 5321 §4.5.3.2, except for the connection, where five minutes are hopeless with several hosts. */
export const TIMEOUTS: Timeouts = {
  resolve: 30_000,
  connect: 30_000,
  handshake: 30_000,
  greeting: 300_000,
  command: 300_000,
  data: 120_000,
  block: 180_000,
  final: 600_000,
  input: 240_000,
  deadline: 7_200_000,
};

/** Submits one message. Never rejects: every failure is in the outcome, as `usage` if the arguments are impossible. */
export async function submit(envelope: Envelope, message: Message, options: SubmitOptions): Promise<Outcome> {
  const { scan, content } = messageOf(message);
  const transaction = transactionOf(envelope, scan);
  if (!transaction.ok) return failedWith({ kind: 'usage', detail: transaction.detail });
  const { hosts, hello = '', timeouts, partial = false, framing = 'auto', trace, note, progress, signal, grace } = options;
  return deliver(
    { hosts, transaction: transaction.value, content },
    {
      hello,
      partial: partial ? 'verdicts' : 'never',
      framing,
      timeouts: { ...TIMEOUTS, ...timeouts },
      security: systemSecurity(process.env),
      observer: { trace, note, progress },
      interrupts: signal && { signal, grace },
    },
  );
}

/** Scans a message, where it is known, and makes it a content that can be opened. */
export function messageOf(message: Message): {
  readonly scan: ContentScan | null;
  readonly content: ContentOpener & { readonly replayable: boolean };
} {
  const known = typeof message === 'string' ? new TextEncoder().encode(message) : message;
  if (!(known instanceof Uint8Array)) return { scan: null, content: streamed(known) };
  return { scan: scanContent(known), content: { replayable: true, open: () => sourceOf(known) } };
}

/** Makes the transaction of an envelope, with every address checked. */
export function transactionOf({ from, to, ...asked }: Envelope, scan: ContentScan | null): Parsed<Transaction> {
  const reversePath = parseReversePath(from);
  if (!reversePath.ok) return unparsed(`from "${from}": ${reversePath.detail}`);
  const recipients: Recipient[] = [];
  for (const entry of to) {
    const { address, original, ...parameters } = typeof entry === 'string' ? { address: entry } : entry;
    const path = parseMailbox(address);
    if (!path.ok) return unparsed(`to "${address}": ${path.detail}`);
    const first = original === undefined ? null : parseMailbox(original);
    if (first && !first.ok) return unparsed(`original "${original}": ${first.detail}`);
    recipients.push({ ...parameters, path: asciiDomain(path.value), original: first?.value });
  }
  if (recipients.length === 0) return unparsed('the envelope has no recipients');
  const paths = [...recipients.map(({ path }) => path), ...(reversePath.value ? [reversePath.value] : [])];
  return parsed({
    withoutEightBit: 'convert',
    dsn: 'drop',
    smtputf8: paths.some(({ localPart }) => !isAscii(localPart)),
    ...asked,
    reversePath: reversePath.value && asciiDomain(reversePath.value),
    recipients,
    size: scan?.size ?? null,
    estimate: null,
    eightBit: scan === null ? 'unknown' : scan.eightBit ? 'some' : 'none',
  });
}

function streamed(message: Exclude<Message, string | Uint8Array>): ContentOpener & { readonly replayable: boolean } {
  if ('open' in message) return { replayable: true, open: () => sourceOver(() => message.open()) };
  let opened = false;
  return {
    get replayable() {
      return !opened;
    },
    open() {
      if (opened) return null;
      opened = true;
      return sourceOver(() => message);
    },
  };
}

/** Turns an iterable into a source. Whatever it throws is a failed input, never an end; so is a part that is neither text nor octets. */
function sourceOver(open: () => AsyncIterable<Uint8Array | string>): Source {
  const encoder = new TextEncoder();
  let iterator: AsyncIterator<Uint8Array | string> | null = null;
  let ended: Ended | null = null;
  return {
    async read() {
      while (ended === null) {
        try {
          iterator ??= open()[Symbol.asyncIterator]();
          const { done, value } = await iterator.next();
          const chunk = done ? null : typeof value === 'string' ? encoder.encode(value) : value;
          if (chunk === null) ended = { end: 'clean' };
          else if (!(chunk instanceof Uint8Array)) throw new TypeError('a part of it is neither text nor octets');
          else if (chunk.length > 0) return chunk;
        } catch (error) {
          ended = { end: 'failed', detail: `the content failed: ${error instanceof Error ? error.message : String(error)}` };
        }
      }
      return ended;
    },
    close: () => void iterator?.return?.().catch(() => {}),
  };
}
