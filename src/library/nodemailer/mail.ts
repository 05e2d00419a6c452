/**
 * The parts of nodemailer's objects that a transport meets, as types of our own, because who embeds this need not have nodemailer's;
 * and the envelope of a message as the library takes it. Knows no server.
 */
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Notify } from '../../smtp/client/print.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import type { Envelope } from '../envelope.ts';

/** A message as nodemailer's `MailMessage` has it. */
export interface MailLike {
  /** The object that composed it. */
  readonly mailer?: object | undefined;
  readonly data: object;
  readonly message: MessageLike | null;
}

/** The message itself, nodemailer's `MimeNode`. */
export interface MessageLike {
  getEnvelope(): object;
  messageId(): string;
  createReadStream(): Readable;
}

/** What a transport reads of the fields that were given to `sendMail`. */
export interface MailData {
  readonly signal?: AbortSignal | null | undefined;
  readonly dsn?: Dsn | undefined;
  readonly auth?: object | undefined;
  /** RFC 8689 */
  readonly requireTLSExtensionEnabled?: boolean | undefined;
}

/** Delivery status notifications as nodemailer writes them. RFC 3461 */
export interface Dsn {
  readonly ret?: string | null | undefined;
  readonly return?: string | undefined;
  readonly envid?: string | null | undefined;
  readonly id?: string | undefined;
  readonly notify?: string | readonly string[] | null | undefined;
  readonly recipient?: string | undefined;
  readonly orcpt?: string | null | undefined;
}

/** nodemailer's `Mail`, the object that `createTransport` returns. */
export interface MailerLike {
  readonly options: Record<string, unknown>;
  _defaults: Record<string, unknown>;
  /** The transport, or a copy of it. */
  readonly transporter?: { readonly getSocket?: GetSocket | undefined };
  readonly logger?: LoggerLike;
  get(key: string): unknown;
  emit(event: string, ...args: readonly unknown[]): boolean;
}

/** Writes one line; `message` may have places for `args`, as in `util.format`. */
export type LogMethod = (entry: object, message: string, ...args: readonly unknown[]) => void;
/** The part of a logger that is used; bunyan and pino have it. */
export type LoggerLike = Partial<Record<'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal', LogMethod>>;

/** Connects in place of this library; `options` are those of the transport, with host and port. */
export type GetSocket = {
  // A method, so that a function may have typed its options more narrowly.
  getSocket(options: object, callback: (error: Error | null, found?: GivenSocket | false) => void): void;
}['getSocket'];

/** The answer of a `getSocket`. */
export interface GivenSocket {
  readonly connection?: Socket | undefined;
  readonly secured?: boolean | undefined;
}

/** The addresses of an envelope, which `info.envelope` repeats. */
export interface MailEnvelope {
  /** nodemailer's type has it. */
  [key: string]: unknown;
  from: string | false;
  to: string[];
}

export interface ReadEnvelope {
  readonly addresses: MailEnvelope;
  readonly envelope: Envelope;
  /** Octets that the caller says the message has; null where it says nothing. */
  readonly size: number | null;
}

/** Reads what `getEnvelope` gives, and `dsn` of the message or else of the transport. */
export function readEnvelope(given: object, data: MailData, defaultDsn: Dsn | undefined): Parsed<ReadEnvelope> {
  const { from, to, size, dsn: own } = given as { from?: unknown; to?: unknown; size?: unknown; dsn?: Dsn };
  const sender = addressOf(from ?? '');
  const recipients = (Array.isArray(to) ? to : to === undefined || to === null ? [] : [to]).map(addressOf);
  if (recipients.length === 0) return unparsed('No recipients defined');
  const dsn = readDsn(own ?? data.dsn ?? defaultDsn ?? {});
  if (!dsn.ok) return dsn;
  const { ret, envid, notify, original } = dsn.value;
  const asked = { ...(notify === undefined ? {} : { notify }), ...(original === undefined ? {} : { original }) };
  const isPlain = notify === undefined && original === undefined;
  const octets = Number(size);
  return parsed({
    addresses: { from: sender, to: recipients },
    envelope: {
      from: sender,
      to: isPlain ? recipients : recipients.map((address) => ({ address, ...asked })),
      ...(ret === undefined ? {} : { ret }),
      ...(envid === undefined ? {} : { envid }),
      ...(data.requireTLSExtensionEnabled ? { requireTls: true } : {}),
    },
    size: Number.isSafeInteger(octets) && octets > 0 ? octets : null,
  });
}

const addressOf = (entry: unknown): string =>
  String((typeof entry === 'object' && entry !== null ? (entry as { address?: unknown }).address : entry) || '').trim();

interface ReadDsn {
  readonly ret?: 'FULL' | 'HDRS';
  readonly envid?: string;
  readonly notify?: readonly Notify[];
  readonly original?: string;
}

const RETURNS: Readonly<Record<string, 'FULL' | 'HDRS'>> = { FULL: 'FULL', BODY: 'FULL', HDRS: 'HDRS', HEADERS: 'HDRS' };
const NOTIFY: readonly string[] = ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'];

function readDsn(dsn: Dsn): Parsed<ReadDsn> {
  // Ids are numbers in many programs, and what is no text is told below.
  const ret = String(dsn.ret || dsn.return || '').toUpperCase();
  const found = Object.hasOwn(RETURNS, ret) ? RETURNS[ret] : undefined;
  if (ret !== '' && found === undefined) return unparsed(`Invalid DSN: ret is "full" or "headers"`);
  const listed = Array.isArray(dsn.notify) ? dsn.notify : dsn.notify ? String(dsn.notify).split(',') : [];
  const notify = listed.map((word) => String(word).trim().toUpperCase());
  if (notify.some((word) => !NOTIFY.includes(word)) || (notify.length > 1 && notify.includes('NEVER')))
    return unparsed('Invalid DSN: notify is "never" alone, or some of "success", "failure" and "delay"');
  const envid = String(dsn.envid || dsn.id || '');
  const original = String(dsn.recipient || dsn.orcpt || '');
  if (original.includes(';') && !/^rfc822;/i.test(original))
    return unparsed('Invalid DSN: recipient is an address, or rfc822; and an address');
  return parsed({
    ...(found === undefined ? {} : { ret: found }),
    ...(envid === '' ? {} : { envid }),
    ...(notify.length === 0 ? {} : { notify: notify as Notify[] }),
    ...(original === '' ? {} : { original: original.replace(/^rfc822;/i, '') }),
  });
}
