/**
 * Prints the lines of the log: one line a fact, in the form of Exim's main log (so that exigrep and eximstats read it) or as JSON.
 * Knows the outcome, not how it came about, and no place where lines go.
 */
import { printStamp } from '../message/date.ts';
import type { RoutedRecipient } from '../router/route.ts';
import { jsonLine, type Line, lineOf } from '../smtp/line.ts';
import { printMailbox, type ReversePath } from '../smtp/path.ts';
import { printReply } from '../smtp/reply.ts';
import { printable, textOf } from '../smtp/text.ts';
import { minutesEast } from './local-time.ts';
import type { Severity } from './logfile.ts';
import { type Attempt, isMissingHere, type Outcome, printAttempt, printFailure, printOutcome, printServer } from './outcome.ts';
import type { Settings } from './settings.ts';

/** The facts that the log has of one message. */
export interface LogRecord {
  readonly time: Date;
  /** Exim's message id, which joins the lines of one message. */
  readonly id: string;
  readonly login: string;
  /** undefined = the submission ended before it was known. */
  readonly reversePath: ReversePath | undefined;
  readonly recipients: readonly RoutedRecipient[];
  /** Recipients that aliases discarded. */
  readonly discarded: readonly RoutedRecipient[];
  /** Octets sent or read, null when unknown. */
  readonly octets: number | null;
  readonly messageId: string;
  readonly outcome: Outcome;
  readonly notes: readonly string[];
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

export function base62(value: number, width: number): string {
  let out = '';
  for (let left = value, i = 0; i < width; i++, left = Math.floor(left / 62)) out = BASE62[left % 62] + out;
  return out;
}

/**
 * Makes an id of Exim's form `tttttt-pppppp-ss`: seconds, process, fraction of the second. Since 4.97 Exim has longer ones, but
 * every exigrep and eximstats reads these, and earlier versions read no others.
 */
export function logId(now: Date, process: number): string {
  // A host whose clock is before 1970 has no digits for it.
  const milliseconds = Math.max(0, now.getTime());
  return `${base62(Math.floor(milliseconds / 1000), 6)}-${base62(process, 6)}-${base62((milliseconds % 1000) * 2, 2)}`;
}

const printSender = (path: ReversePath): string => (path === null ? '<>' : printMailbox(path));

/** Prints the lines of one message, without line ends. */
export function printLog(record: LogRecord, format: Settings['logFormat']): readonly Line[] {
  return format === 'json' ? [printJsonRecord(record)] : printEximRecord(record);
}

function printEximRecord({
  time,
  id,
  login,
  reversePath,
  recipients,
  discarded,
  octets,
  messageId,
  outcome,
  notes,
}: LogRecord): readonly Line[] {
  const size = octets === null ? '' : ` S=${octets}`;
  const by = `U=${shorten(login)} P=local`;
  const lines =
    reversePath === undefined
      ? []
      : [`<= ${printSender(reversePath)} ${by}${size}${messageId === '' ? '' : ` id=${printable(messageId.replace(/^<|>$/g, ''))}`}`];
  for (const note of notes) lines.push(note);
  for (const { path, router } of discarded) lines.push(`=> :blackhole: <${printMailbox(path)}> R=${router}`);
  if (outcome.kind === 'accepted') {
    for (const line of outcome.attempts.flatMap(logAttempt)) lines.push(line);
    const { by } = outcome;
    const tls = by.tls === null ? '' : ` X=${by.tls.cipher} CV=${by.tls.verified ? 'yes' : 'no'}`;
    const auth = by.auth === null ? '' : ` A=${by.auth.mechanism.toLowerCase()}:${shorten(by.auth.user)}`;
    const facts = `T=smtp H=${printServer(by)}${tls}${auth} C="${printReply(by.reply).replaceAll('"', "'")}"`;
    const refusals = new Map(by.refusals.map((refusal) => [refusal.recipient, refusal]));
    recipients.forEach((recipient, i) => {
      const refusal = refusals.get(i);
      lines.push(
        refusal
          ? `** ${printRecipient(recipient)} T=smtp H=${printServer(by)}: ${refusal.command}: ${printReply(refusal.reply)}`
          : `${i === 0 ? '=>' : '->'} ${printRecipient(recipient)} ${facts}`,
      );
    });
    lines.push(by.refusals.length === 0 ? 'Completed' : 'Partial: some of the recipients have the message');
  } else if (outcome.kind === 'discarded') lines.push('Completed');
  else {
    for (const line of outcome.attempts.flatMap(logAttempt)) lines.push(line);
    const reasons = printOutcome(outcome, messageId).map(shorten);
    const others = reasons.length - MOST_REASONS;
    const why = [...reasons.slice(0, MOST_REASONS), ...(others > 0 ? [`and ${others} other reasons`] : [])].join('; ');
    const own = ownReasons(outcome);
    recipients.forEach((recipient, i) => {
      lines.push(`** ${printRecipient(recipient)} T=smtp: ${own.get(i) ?? why}`);
    });
    lines.push(
      recipients.length === 0
        ? `${reversePath === undefined ? `${by} ` : ''}not sent: ${reasons.join('; ')}`
        : outcome.failure.kind === 'uncertain'
          ? 'Uncertain: the smart host may have the message'
          : 'Failed: nobody has the message',
    );
  }
  const stamp = printStamp(time, minutesEast(time));
  return lines.map((line) => lineOf(`${stamp} ${id} ${line}`));
}

/** Characters of a text that stands in a line beside other texts. */
const SHORT_TEXT = 1000;
const shorten = (text: string): string => (text.length > SHORT_TEXT ? `${text.slice(0, SHORT_TEXT)}…` : text);

/** Reasons behind each address. More would make the log grow with the square of the recipients, and all have lines of their own before. */
const MOST_REASONS = 4;

/** The server's words about each recipient's own RCPT, by the recipient's index. */
function ownReasons({ failure, attempts }: Extract<Outcome, { kind: 'failed' }>): ReadonlyMap<number, string> {
  const last = attempts.at(-1);
  if (failure.kind !== 'rejected' || last?.failure !== failure) return new Map();
  const lines = printAttempt(last);
  return new Map(failure.refusals.flatMap(({ recipient }, i) => (recipient === null ? [] : [[recipient, lines[i] as string] as const])));
}

const logAttempt = (attempt: Attempt): readonly string[] =>
  printAttempt(attempt).map((line) => (isMissingHere(attempt.failure) ? line : `H=${line}`));

/** Names the router that gave the route, too, as Exim does. A configuration allows no blank in its name. */
function printRecipient({ path, router, original }: RoutedRecipient): string {
  const address = printMailbox(path);
  const first = printMailbox(original);
  return `${address === first ? address : `${address} <${first}>`} R=${router}`;
}

function verdictOf(outcome: Outcome): string {
  if (outcome.kind === 'failed') return outcome.failure.kind === 'uncertain' ? 'uncertain' : 'failed';
  return outcome.kind === 'accepted' && outcome.by.refusals.length > 0 ? 'partial' : outcome.kind;
}

/** An error where somebody does not have the message, or may not. */
export const severityOf = (outcome: Outcome): Severity => (['accepted', 'discarded'].includes(verdictOf(outcome)) ? 'info' : 'err');

function printJsonRecord({ time, id, login, reversePath, recipients, discarded, octets, messageId, outcome, notes }: LogRecord): Line {
  const verdict = verdictOf(outcome);
  return jsonLine({
    time: time.toISOString(),
    id,
    outcome: verdict,
    login,
    from: reversePath === undefined ? null : reversePath === null ? '' : printMailbox(reversePath),
    to: recipients.map(({ path }) => printMailbox(path)),
    discarded: discarded.map(({ path }) => printMailbox(path)),
    octets,
    message_id: textOf(messageId),
    server: outcome.kind === 'accepted' ? printServer(outcome.by) : null,
    reply: outcome.kind === 'accepted' ? printReply(outcome.by.reply) : null,
    tls: outcome.kind === 'accepted' ? (outcome.by.tls?.cipher ?? null) : null,
    reasons: printOutcome(outcome, messageId),
    attempts:
      outcome.kind === 'discarded'
        ? []
        : outcome.attempts.map((a) => ({
            server: printServer(a),
            kind: a.failure.kind,
            at: a.failure.at,
            reasons: printFailure(a.failure),
          })),
    notes,
  });
}
