/**
 * `nospool bench`: sends many messages to one smart host, and reports how fast it took them. They are real mail to real
 * recipients, so a host that is not loopback needs --anywhere. Reads no configuration and writes no log.
 */

import { parseSize } from '../../config/values.ts';
import { parseEnvelope } from '../../library/envelope.ts';
import { listenForSignals } from '../../process/signals.ts';
import { countColumns, failWith, writeJson, writeLines, writeOver } from '../../process/stderr.ts';
import { isWrittenAsLoopback } from '../../router/loopback.ts';
import { type AuthPolicy, DEFAULT_TLS, parseSmarthost, printSmarthost, type Smarthost, type TlsPolicy } from '../../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { type Mailbox, parseMailbox, printMailbox } from '../../smtp/path.ts';
import { parseFromOption } from '../from-option.ts';
import { progressLine } from '../progress-line.ts';
import { carry, type Load, type Measured } from './load.ts';

/** As on the command line; null = not given. */
export interface BenchOptions {
  readonly host: string | null;
  readonly anywhere: boolean;
  readonly messages: number | null;
  readonly connections: number | null;
  readonly size: string | null;
  /** The recipients of each message. */
  readonly recipients: number | null;
  readonly from: string | null;
  readonly to: string | null;
  readonly user: string | null;
  readonly passwordFile: string | null;
  readonly tls: string | null;
  readonly caFile: string | null;
  readonly json: boolean;
}

/** These names lead nowhere, so a server can neither deliver the messages nor return them. RFC 6761 §6.4 */
const FROM = 'sender@bench.invalid';
const TO = 'recipient@bench.invalid';
const CRLF = [13, 10];
/** Octets, with CRLF. RFC 5322 §2.1.1 */
const LINE_LENGTH = 80;
/** 1 GiB, because the content is held in memory. */
const LARGEST_MESSAGE = 2 ** 30;
/** More than servers take in one transaction, so a greater number is a digit too many. */
const MOST_RECIPIENTS = 50_000;

/** 0 when every message was accepted. */
export async function runBench(options: BenchOptions): Promise<number> {
  const load = parseLoad(options, new Date());
  if (!load.ok) return failWith(load.detail);
  const { messages, content } = load.value;
  const interrupts = listenForSignals(true);
  const progress = process.stderr.isTTY ? progressLine(messages * content.length, writeOver, countColumns) : null;
  const measured = await carry(load.value, {
    signal: interrupts.signal,
    urgent: interrupts.urgent,
    ...(progress ? { progress: (known) => progress.sent(known * content.length) } : {}),
  });
  progress?.end();
  if (options.json) writeJson(benchJson(load.value, measured));
  else writeLines(printBench(load.value, measured));
  if (measured.interrupted !== null) failWith(measured.interrupted);
  const missing = messages - measured.fates.accepted;
  return missing === 0 ? 0 : failWith(`${missing} of ${printCount(messages, 'message')} ${missing === 1 ? 'was' : 'were'} not accepted`);
}

/** The messages and where they go, from the options. */
export function parseLoad(options: BenchOptions, now: Date): Parsed<Load> {
  const { messages = 1000, connections = 1, recipients = 1 } = dropNulls(options);
  const host = parseHost(options);
  if (!host.ok) return host;
  if (messages < 1) return unparsed('--messages expects a number above 0');
  if (connections < 1 || connections > messages)
    return unparsed(`--connections expects a number from 1 to ${messages}, the number of messages`);
  if (recipients < 1 || recipients > MOST_RECIPIENTS) return unparsed(`--recipients expects a number from 1 to ${MOST_RECIPIENTS}`);
  const from = parseFromOption(options.from ?? FROM);
  if (!from.ok) return from;
  const to = parseMailbox(options.to ?? TO);
  if (!to.ok) return unparsed(`--to "${options.to}": ${to.detail}`);
  const reversePath = from.value ? printMailbox(from.value) : '';
  const size = parseSize(options.size ?? '2048', [0, LARGEST_MESSAGE]);
  if (!size.ok) return unparsed(`--size ${size.detail}`);
  const head = makeHead(reversePath || printMailbox(to.value), printMailbox(to.value), now);
  const least = head.length + CRLF.length;
  if (size.value < least) return unparsed(`--size expects at least ${least} octets: the header section and a line`);
  const content = makeContent(head, size.value);
  const envelope = parseEnvelope({
    from: reversePath,
    to: Array.from({ length: recipients }, (_, i) => numberAddress(to.value, recipients > 1 ? i + 1 : null)),
  });
  if (!envelope.ok) return envelope;
  return parsed({
    host: host.value,
    transaction: { ...envelope.value.transaction, size: content.length, estimate: null, eightBit: 'none' },
    content,
    messages,
    connections,
  });
}

const dropNulls = ({ messages, connections, recipients }: BenchOptions) => ({
  ...(messages === null ? {} : { messages }),
  ...(connections === null ? {} : { connections }),
  ...(recipients === null ? {} : { recipients }),
});

function parseHost({ host, anywhere, ...options }: BenchOptions): Parsed<Smarthost> {
  if (host === null || host === '')
    return unparsed('name the smart host that gets the messages: --host 127.0.0.1:2525, where "nospool sink --discard" takes them');
  const address = parseSmarthost(host);
  if (!address.ok) return unparsed(`--host: ${address.detail}`);
  const { scheme, host: name } = address.value;
  if (!isWrittenAsLoopback(address.value) && !anywhere)
    return unparsed(
      `${name} is not a loopback address, so a real server would get as much mail as it can take: give --anywhere if that is what you want`,
    );
  const tls = parseTls(options.tls, options.caFile, scheme === 'submissions');
  if (!tls.ok) return tls;
  const auth = parseAuth(options.user, options.passwordFile);
  return auth.ok ? parsed({ ...address.value, tls: tls.value, auth: auth.value }) : auth;
}

/** --ca-file means that the certificate is verified, so it requires TLS, on loopback, too. */
function parseTls(mode: string | null, caFile: string | null, implicit: boolean): Parsed<TlsPolicy> {
  const chosen = mode ?? (caFile === null ? 'default' : 'required');
  if (mode === 'default' || !isMode(chosen)) return unparsed(`--tls expects required, opportunistic or off, not "${mode}"`);
  if (chosen === 'off' && caFile !== null) return unparsed('--ca-file contradicts --tls off: leave out one of them');
  if (chosen === 'off' && implicit) return unparsed('--tls off contradicts the host, which is TLS from the first octet');
  return parsed({ ...DEFAULT_TLS, mode: chosen, caFile: caFile ?? '' });
}

const isMode = (word: string): word is TlsPolicy['mode'] => ['default', 'required', 'opportunistic', 'off'].includes(word);

function parseAuth(user: string | null, passwordFile: string | null): Parsed<AuthPolicy | null> {
  if (user === null && passwordFile === null) return parsed(null);
  if (user === null || passwordFile === null) return unparsed('--user and --password-file go together');
  return parsed({ user, mechanisms: [], allowPlaintext: false, secret: { from: 'file', path: passwordFile } });
}

/** Puts the number before the local-part, as Postfix's smtp-source does. */
function numberAddress(mailbox: Mailbox, number: number | null): string {
  const text = printMailbox(mailbox);
  if (number === null) return text;
  return text.startsWith('"') ? `"${number}${text.slice(1)}` : `${number}${text}`;
}

/** The header section and the empty line behind it. It has no Message-ID, because every message gets the same octets. */
function makeHead(from: string, to: string, now: Date): Uint8Array {
  const date = now.toUTCString().replace('GMT', '+0000');
  return new TextEncoder().encode(`From: ${from}\r\nTo: ${to}\r\nSubject: nospool bench\r\nDate: ${date}\r\n\r\n`);
}

/** The head, and lines of letters up to the size. It ends with CRLF, so that no line end is added on the way. */
function makeContent(head: Uint8Array, size: number): Uint8Array {
  const content = new Uint8Array(size).fill('x'.charCodeAt(0));
  content.set(head);
  for (let end = head.length + LINE_LENGTH; end <= size; end += LINE_LENGTH) content.set(CRLF, end - 2);
  // One octet alone cannot be a line: the line before becomes one octet shorter, and the last line is empty.
  if ((size - head.length) % LINE_LENGTH === 1) content.set(CRLF, size - 4);
  content.set(CRLF, size - 2);
  return content;
}

/* ---- for people ---- */

const printCount = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`;

/** Three figures, or all of those before the point. */
const printFigures = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
const printMs = (value: number | null): string => printFigures(value ?? 0);

export function printBench({ host, transaction, content, connections }: Load, measured: Measured): readonly string[] {
  const { fates, seconds, latencies, openings, unopened, reasons } = measured;
  const { messages, octets } = computeRates(content, measured);
  const rows: [string, string][] = [
    ['to', `${printSmarthost(host)}, ${printCount(connections, 'connection')}`],
    ['messages', `of ${content.length} octets, to ${printCount(transaction.recipients.length, 'recipient')} each`],
    ['accepted', String(fates.accepted)],
  ];
  for (const fate of ['rejected', 'uncertain', 'lost', 'unsent'] as const) if (fates[fate] > 0) rows.push([fate, String(fates[fate])]);
  for (const { reason, times } of reasons) rows.push(['  reason', `${reason} (${times} times)`.replace('(1 times)', '(once)')]);
  rows.push(['elapsed', `${seconds.toFixed(3)} s`]);
  if (fates.accepted > 0) {
    rows.push(['rate', `${printFigures(messages)} messages/s, ${printFigures(octets / 1e6)} MB/s`]);
    const parts = QUANTILES.map(([, title, part]) => `${title} ${printMs(latencies.quantile(part))}`);
    rows.push(['latency', `${parts.join(', ')} ms`]);
  }
  const opened = openings.count > 0 ? `, median ${printMs(openings.quantile(0.5))}, max ${printMs(openings.greatest)} ms to open` : '';
  rows.push(['sessions', `${openings.count}${opened}${unopened > 0 ? `; ${unopened} could not be opened` : ''}`]);
  return rows.map(([label, text]) => `${label.padEnd(12)}${text}`);
}

/** The name in JSON, the title for people, and the part of the messages. */
const QUANTILES: readonly (readonly [string, string, number])[] = [
  ['min', 'min', 0],
  ['p50', '50 %', 0.5],
  ['p90', '90 %', 0.9],
  ['p99', '99 %', 0.99],
  ['p99_9', '99.9 %', 0.999],
  ['max', 'max', 1],
];

/** Accepted messages, and octets of their content, a second. */
function computeRates(content: Uint8Array, { fates, seconds }: Measured): { readonly messages: number; readonly octets: number } {
  const messages = seconds > 0 ? fates.accepted / seconds : 0;
  return { messages, octets: messages * content.length };
}

/* ---- for programs ---- */

/** Times are milliseconds, except `seconds`; null where nothing was measured. */
function benchJson(load: Load, measured: Measured): Readonly<Record<string, unknown>> {
  const { fates, seconds, latencies, openings, unopened, reasons, interrupted } = measured;
  const rates = computeRates(load.content, measured);
  const round = (value: number | null) => (value === null ? null : Number(value.toFixed(3)));
  return {
    host: printSmarthost(load.host),
    messages: load.messages,
    connections: load.connections,
    size: load.content.length,
    recipients: load.transaction.recipients.length,
    ...fates,
    reasons,
    seconds: round(seconds),
    messages_per_second: round(rates.messages),
    octets_per_second: round(rates.octets),
    latency_ms: Object.fromEntries(QUANTILES.map(([name, , part]) => [name, round(latencies.quantile(part))])),
    sessions: { opened: openings.count, unopened, median_ms: round(openings.quantile(0.5)), max_ms: round(openings.greatest) },
    interrupted,
  };
}
