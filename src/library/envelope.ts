/** Makes the transaction of an envelope that a program gives; every address is checked, and none is header text. Knows no server. */
import { isEnvid, type Notify, type Recipient, type Transaction } from '../smtp/client/print.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { parseMailbox, parseReversePath, type ReversePath } from '../smtp/path.ts';
import { isAscii, printable, utf8 } from '../smtp/text.ts';
import { asciiDomain } from '../submit/domain.ts';
import type { MeasuredFacts } from './content.ts';
import { unknownKey, unlessThrown } from './server.ts';

/** One recipient, with what is asked for it. */
export interface EnvelopeRecipient {
  /** `user@example.org` */
  readonly address: string;
  /** RFC 3461 §4.1 */
  readonly notify?: readonly Notify[] | undefined;
  /** The address before it was rewritten, for ORCPT. RFC 3461 §4.2 */
  readonly original?: string | undefined;
}

/** Who sends, and who gets the message. Addresses are bare (`user@example.org`), never header text. */
export interface Envelope {
  /** `''` is the null reverse-path. */
  readonly from: string;
  readonly to: string | readonly (string | EnvelopeRecipient)[];
  /** The fate of 8-bit content where the server does not offer 8BITMIME: 'convert' (default), 'send' it all the same, or 'refuse' to send. */
  readonly withoutEightBit?: Transaction['withoutEightBit'] | undefined;
  /** The content is binary, so that it needs BINARYMIME and CHUNKING, and goes out octet by octet as it is. RFC 3030 §3 */
  readonly binary?: boolean | undefined;
  /** The header section needs RFC 6531; addresses say it themselves. */
  readonly smtputf8?: boolean | undefined;
  /** RFC 3461 §4.3 */
  readonly ret?: 'FULL' | 'HDRS' | undefined;
  /** RFC 3461 §4.4 */
  readonly envid?: string | undefined;
  /** Without DSN at the server, 'drop' (default) leaves the parameters out, 'require' fails. */
  readonly dsn?: Transaction['dsn'] | undefined;
  /** RFC 8689 §4 */
  readonly requireTls?: boolean | undefined;
  /** -9 to 9. RFC 6710 §4 */
  readonly priority?: number | undefined;
  /** RFC 2852 §4 */
  readonly deliverBy?: NonNullable<Transaction['deliverBy']> | undefined;
  /** `{ for }` seconds, or `{ until }` an RFC 3339 date. RFC 4865 §5 */
  readonly hold?: NonNullable<Transaction['hold']> | undefined;
  /** Solicitation keywords. RFC 3865 §4 */
  readonly solicit?: readonly string[] | undefined;
  /** The authenticated submitter; `''` is `<>`. RFC 4954 §5 */
  readonly submitter?: string | undefined;
}

const KEYS: readonly (keyof Envelope)[] = [
  'from',
  'to',
  'withoutEightBit',
  'binary',
  'smtputf8',
  'ret',
  'envid',
  'dsn',
  'requireTls',
  'priority',
  'deliverBy',
  'hold',
  'solicit',
  'submitter',
];
const RECIPIENT_KEYS: readonly (keyof EnvelopeRecipient)[] = ['address', 'notify', 'original'];
const CHOICES: readonly (readonly [keyof Envelope, readonly unknown[]])[] = [
  ['withoutEightBit', ['convert', 'send', 'refuse']],
  ['dsn', ['drop', 'require']],
  ['ret', ['FULL', 'HDRS']],
];
const NOTIFY: readonly Notify[] = ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'];

/** The transaction, whose content is not known yet, and the addresses as they were given. */
export interface ParsedEnvelope {
  readonly transaction: Transaction;
  readonly addresses: readonly string[];
}

/** Copied only where they are given, so that the others have one shape and cost little. */
const EXTRAS = ['binary', 'ret', 'envid', 'requireTls', 'priority', 'deliverBy', 'hold', 'solicit'] as const;

/** Throws nothing, whatever is given. */
export const parseEnvelope = (envelope: Envelope): Parsed<ParsedEnvelope> => unlessThrown('the envelope', () => readEnvelope(envelope));

function readEnvelope(envelope: Envelope): Parsed<ParsedEnvelope> {
  if (typeof envelope !== 'object' || envelope === null) return unparsed('the envelope is an object with from and to');
  const mayHaveMore = hasMore(envelope);
  const strange = mayHaveMore ? strangeKey(envelope) : null;
  if (strange !== null) return unparsed(strange);
  const { from, to } = envelope;
  const reversePath =
    typeof from === 'string' ? withDomain(parseReversePath(from)) : unparsed('it is no text; "" is the null reverse-path');
  if (!reversePath.ok) return unparsed(`from ${quote(from)}: ${reversePath.detail}${adviceFor(from)}`);
  const given = typeof to === 'string' ? [to] : isIterable(to) ? to : [];
  const recipients: Recipient[] = [];
  const addresses: string[] = [];
  let isForeign = reversePath.value !== null && !isAscii(reversePath.value.localPart);
  for (let i = 0; i < given.length; i++) {
    const entry = given[i] as string | EnvelopeRecipient;
    const recipient = parseRecipient(entry);
    if (!recipient.ok) return recipient;
    recipients.push(recipient.value);
    addresses.push(typeof entry === 'string' ? entry : entry.address);
    isForeign ||= !isAscii(recipient.value.path.localPart);
  }
  if (recipients.length === 0) return unparsed('the envelope has no recipients: give to');
  const transaction: Transaction = {
    reversePath: reversePath.value && asciiDomain(reversePath.value),
    recipients,
    size: null,
    estimate: null,
    eightBit: 'unknown',
    withoutEightBit: envelope.withoutEightBit ?? 'convert',
    smtputf8: isForeign || envelope.smtputf8 === true,
    dsn: envelope.dsn ?? 'drop',
  };
  const fault = mayHaveMore ? takeExtras(envelope, transaction) : null;
  return fault === null ? parsed({ transaction, addresses }) : unparsed(fault);
}

/** True where there may be more than addresses. Most envelopes have nothing else, and pay for nothing else. */
function hasMore(envelope: Envelope): boolean {
  for (const key in envelope) if (key !== 'from' && key !== 'to') return true;
  // The loop finds no getter of a class and nothing that a proxy hides. Each is written out, because a table of keys is slow to read by.
  return (
    envelope.requireTls !== undefined ||
    envelope.withoutEightBit !== undefined ||
    envelope.binary !== undefined ||
    envelope.smtputf8 !== undefined ||
    envelope.ret !== undefined ||
    envelope.envid !== undefined ||
    envelope.dsn !== undefined ||
    envelope.priority !== undefined ||
    envelope.deliverBy !== undefined ||
    envelope.hold !== undefined ||
    envelope.solicit !== undefined ||
    envelope.submitter !== undefined
  );
}

function strangeKey(envelope: Envelope): string | null {
  const unknown = unknownKey(envelope, KEYS, 'envelope.');
  if (unknown !== null) return unknown;
  for (const [key, words] of CHOICES) {
    const value = envelope[key];
    if (value !== undefined && !words.includes(value)) return `envelope.${key} is one of ${words.map((word) => `"${word}"`).join(', ')}`;
  }
  return null;
}

/** Adds what most envelopes do not have; a sentence where something of it is wrong. */
function takeExtras(envelope: Envelope, transaction: Transaction): string | null {
  const fault = extraFault(envelope);
  if (fault !== null) return `envelope.${fault}`;
  const { submitter } = envelope;
  const by = submitter === undefined ? null : withDomain(parseReversePath(submitter));
  if (by && !by.ok) return `submitter ${quote(submitter)}: ${by.detail}`;
  // A copy, because the caller may change its own while the message waits.
  for (const key of EXTRAS) if (envelope[key] !== undefined) Object.assign(transaction, { [key]: copyOf(envelope[key]) });
  if (by) Object.assign(transaction, { submitter: by.value });
  return null;
}

const copyOf = (value: unknown): unknown => (Array.isArray(value) ? [...value] : typeof value === 'object' ? { ...value } : value);

const isFlag = (value: unknown): boolean => value === undefined || typeof value === 'boolean';
/** Text that can be a parameter: neither empty nor broken by a control character. */
const isWord = (value: unknown): value is string => typeof value === 'string' && value !== '' && !/\p{Cc}/u.test(value);
const isInteger = (value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): boolean =>
  Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;

/** Says what is wrong with what most envelopes do not have; it begins with the key. */
function extraFault(envelope: Envelope): string | null {
  const { binary, smtputf8, requireTls, envid, priority, deliverBy, hold, solicit, submitter } = envelope;
  for (const [key, flag] of Object.entries({ binary, smtputf8, requireTls })) if (!isFlag(flag)) return `${key} is true or false`;
  if (envid !== undefined && !(typeof envid === 'string' && isEnvid(envid)))
    return 'envid is a text of 1 to 100 printable characters of ASCII';
  if (priority !== undefined && !isInteger(priority, -9, 9)) return 'priority is a whole number from -9 to 9';
  if (submitter !== undefined && typeof submitter !== 'string') return 'submitter is an address, or "" for nobody';
  // RFC 3865 §4
  if (
    solicit !== undefined &&
    !(Array.isArray(solicit) && solicit.length > 0 && solicit.every((word) => isWord(word) && !/[\s,]/.test(word)))
  )
    return 'solicit is a list of keywords, such as "org.example:ADV"';
  return deliverByFault(deliverBy) ?? holdFault(hold) ?? (deliverBy && hold ? orderFault(deliverBy, hold) : null);
}

/** RFC 4865 §5.2.1 */
function orderFault({ seconds }: NonNullable<Envelope['deliverBy']>, hold: NonNullable<Envelope['hold']>): string | null {
  const held = 'for' in hold ? hold.for : (Date.parse(hold.until) - Date.now()) / 1000;
  return held < seconds ? null : 'hold ends before the time of deliverBy';
}

/** RFC 2852 §4: only mode N takes a time that has passed. */
function deliverByFault(deliverBy: unknown): string | null {
  if (deliverBy === undefined) return null;
  const { seconds, mode, trace } = (typeof deliverBy === 'object' && deliverBy !== null ? deliverBy : {}) as Record<string, unknown>;
  const isGood =
    isFlag(trace) &&
    ((mode === 'R' && isInteger(seconds, 1, 999_999_999)) || (mode === 'N' && isInteger(seconds, -999_999_999, 999_999_999)));
  return isGood ? null : 'deliverBy is { seconds, mode: "R" or "N" }, with whole seconds, above 0 in mode R';
}

/** RFC 4865 §5 */
function holdFault(hold: unknown): string | null {
  if (hold === undefined) return null;
  const { for: seconds, until } = (typeof hold === 'object' && hold !== null ? hold : {}) as Record<string, unknown>;
  const isDate = typeof until === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(until);
  const isGood = seconds === undefined ? isDate : until === undefined && isInteger(seconds, 1, 999_999_999);
  return isGood ? null : 'hold is { for: seconds } or { until: "2030-01-31T12:00:00Z" }';
}

/** The transaction with the facts of its content. */
export function withFacts(transaction: Transaction, { size, octets, estimate, eightBit }: MeasuredFacts): Transaction {
  // It goes field by field, because to assign a whole object is slow, and this is done for each message.
  const known: { -readonly [Key in keyof Transaction]: Transaction[Key] } = transaction;
  known.size = transaction.binary ? octets : size;
  known.estimate = estimate;
  // Binary content needs no 8BITMIME, and nothing converts it.
  known.eightBit = transaction.binary ? 'none' : eightBit;
  return known;
}

const isIterable = (value: unknown): value is readonly (string | EnvelopeRecipient)[] => Array.isArray(value);

function parseRecipient(entry: string | EnvelopeRecipient): Parsed<Recipient> {
  if (typeof entry === 'object' && entry !== null) {
    const unknown = unknownKey(entry, RECIPIENT_KEYS, 'to.');
    if (unknown !== null) return unparsed(unknown);
    if (entry.notify !== undefined && !(Array.isArray(entry.notify) && entry.notify.length > 0))
      return unparsed(`to.notify is a list of ${NOTIFY.join(', ')}`);
    // RFC 3461 §4.1
    if (entry.notify?.includes('NEVER') && entry.notify.length > 1) return unparsed('to.notify has NEVER, which stands alone');
    const wrong = entry.notify?.find((word) => !NOTIFY.includes(word));
    if (wrong !== undefined) return unparsed(`to.notify has ${quote(wrong)}, and knows ${NOTIFY.join(', ')}`);
  }
  const { address, original, notify } = typeof entry === 'object' && entry !== null ? entry : { address: entry };
  if (typeof address !== 'string') return unparsed(`to ${quote(address)}: it is no text`);
  const path = withDomain(parseMailbox(address));
  if (!path.ok) return unparsed(`to ${quote(address)}: ${path.detail}${adviceFor(address)}`);
  if (original !== undefined && typeof original !== 'string') return unparsed('to.original is an address');
  const first = original === undefined ? null : withDomain(parseMailbox(original));
  if (first && !first.ok) return unparsed(`original ${quote(original)}: ${first.detail}`);
  return parsed({ path: asciiDomain(path.value), ...(notify ? { notify: [...notify] } : {}), ...(first ? { original: first.value } : {}) });
}

/** No domain is added, because this host's own may not be the sender's. */
const withDomain = <Path extends ReversePath>(path: Parsed<Path>): Parsed<Path> =>
  path.ok && path.value?.domain === '' ? unparsed('it has no domain') : path;

/** Header text is what most programs have at hand. */
function adviceFor(given: unknown): string {
  if (typeof given !== 'string') return '';
  if (/[^\s<].*</s.test(given)) return '; an envelope has the bare address: "user@example.org"';
  return given.includes(',') ? '; several addresses are a list: ["ann@example.org", "bob@example.org"]' : '';
}

const quote = (value: unknown): string => (typeof value === 'string' ? `"${printable(utf8(value), 200)}"` : `(${kindOf(value)})`);
const kindOf = (value: unknown): string => (value === null || value === undefined ? String(value) : `a ${typeof value}`);
