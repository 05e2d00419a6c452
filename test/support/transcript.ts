/**
 * Reads and replays session transcripts in the notation of RFC 5321 Appendix D: `S:` is a line of the server, `C:` a line that the
 * client must say, `C*:` one that it must send as a secret, `!` an event or action besides (below), `=` the outcome. A line `plan:`
 * or `transaction:` changes a default, as JSON.
 *
 * Events for the client: `! secured`, `! insecure WHY`, `! lost`, `! timeout`, `! abort`, `! sent` (all content is written;
 * `! sent, next`: and the same transaction waits once more),
 * `! failed` (our input failed), `! lacking` (it cannot go without 8BITMIME), `! block N`, `! last N` (BDAT content at hand), `! transaction`, `! noop`, `! quit`.
 * Actions that it must take: `! startTls`, `! content`, `! next block`, `! next binary block`, `! flush`, `! commit` (the end of the last block, which was held),
 * `! ready`, `! next`, `! checked` (NOOP is answered; `! checked: FAILURE`), `! note …`, `! close`, `! destroy`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { printDetail } from '../../src/smtp/client/detail.ts';
import { Dialogue } from '../../src/smtp/client/dialogue.ts';
import type { SessionFailure, SessionOutcome } from '../../src/smtp/client/outcome.ts';
import type { Transaction } from '../../src/smtp/client/print.ts';
import type { Action, Plan } from '../../src/smtp/client/session.ts';
import { parsed, unparsed } from '../../src/smtp/parsed.ts';
import { parseMailbox, parseReversePath } from '../../src/smtp/path.ts';
import { printReply } from '../../src/smtp/reply.ts';
import { type Exchange, login, type Mechanism, plain } from '../../src/smtp/sasl/sasl.ts';
import { printable, utf8 } from '../../src/smtp/text.ts';

export interface Transcript {
  readonly file: string;
  readonly title: string;
  readonly plan: Plan;
  readonly transaction: Transaction;
  readonly lines: readonly string[];
  /** The server's lines arrive in one piece only, because octets that wait behind a reply are the point. */
  readonly whole: boolean;
  /** Only the pure machine replays it, because nobody can arrange it between two sockets. */
  readonly pure: boolean;
}

/** True for the line that ends the message; before it the message can still go to another host. */
export const isCommit = (line: string): boolean => line === 'C: .' || line === 'C: BDAT 0 LAST' || line === '! commit';

const GIVEN = /^! (secured|insecure|lost|timeout|abort|sent|failed|lacking|block \d+|last \d+|transaction|noop|quit)\b/;
export const isGiven = (line: string): boolean => line.startsWith('S:') || GIVEN.test(line);

const folder = new URL('../sessions/', import.meta.url);

export function readTranscripts(): Transcript[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.smtp'))
    .sort()
    .map((name) => parseTranscript(name, readFileSync(new URL(name, folder), 'utf8')));
}

interface Settings {
  plan?: Partial<Plan> & { auth?: string; pieces?: string; pure?: boolean };
  transaction?: Record<string, unknown> & { from?: string; to?: string[]; notify?: string[] };
}

/** Chooses among the mechanisms a transcript names, as the command does, with user "tim" and password "tanstaaftanstaaf". */
function authenticator(wanted: string | undefined): Plan['authenticate'] {
  if (wanted === undefined) return null;
  const known: Mechanism[] = [plain('tim', 'tanstaaftanstaaf'), login('tim', 'tanstaaftanstaaf'), stubborn];
  return (offered, secured) => {
    if (!secured && wanted !== 'CLEAR') return unparsed('credentials are not sent in clear text');
    const chosen = known.find(({ name }) => offered.has(name) && (wanted === 'CLEAR' || wanted === name));
    return chosen ? parsed(chosen) : unparsed('the server offers no mechanism that can be used');
  };
}

/** A mechanism that must hear a proof before 235 counts, and that answers every challenge. */
const stubborn: Mechanism = {
  name: 'X-PROOF',
  begin() {
    const next = (mayEnd: boolean, refusal = ''): Exchange => ({
      say: 'more',
      mayEnd,
      ...(refusal === '' ? {} : { refusal }),
      hear: (challenge: string) =>
        challenge === 'forged'
          ? { cancel: 'the proof is forged' }
          : next(challenge === 'proof', challenge === 'refused' ? 'status 401' : ''),
    });
    return { ...next(false), say: '' };
  },
};

export function parseTranscript(file: string, text: string): Transcript {
  const all = text.split('\n').filter((line) => line.trim() !== '');
  const title = (all[0] ?? '').replace(/^# /, '');
  const settings: Settings = {};
  for (const line of all) {
    const match = /^(plan|transaction): (.*)$/.exec(line);
    if (match) settings[match[1] as 'plan' | 'transaction'] = JSON.parse(match[2] as string);
  }
  const { auth, pieces, pure, ...plan } = settings.plan ?? {};
  const { from = 'Smith@bar.com', to = ['Jones@foo.com'], notify, original, ...rest } = settings.transaction ?? {};
  const reversePath = parseReversePath(from);
  if (!reversePath.ok) throw new Error(`${file}: ${reversePath.detail}`);
  const recipients = to.map((address) => {
    const path = parseMailbox(address);
    const first = typeof original === 'string' ? parseMailbox(original) : null;
    if (!path.ok || (first && !first.ok)) throw new Error(`${file}: ${address}`);
    return { path: path.value, ...(notify ? { notify } : {}), ...(first ? { original: first.value } : {}) };
  });
  const defaults = { size: null, estimate: null, eightBit: 'none', withoutEightBit: 'convert', smtputf8: false, dsn: 'drop' };
  return {
    file,
    title,
    plan: {
      protocol: 'smtp',
      hello: 'bar.com',
      tls: 'off',
      authenticate: authenticator(auth),
      transactions: 'one',
      framing: 'auto',
      partial: 'never',
      ...plan,
    },
    transaction: { ...defaults, ...rest, reversePath: reversePath.value, recipients } as Transaction,
    lines: all.filter((line) => /^([SC!=]|C\*):? /.test(line)),
    whole: pieces === 'whole',
    pure: pure === true,
  };
}

/** Prints an outcome as the last line of a transcript, without the words that differ between a machine and a real socket. */
export function printOutcome(outcome: SessionOutcome): string {
  if (outcome.kind === 'accepted') {
    const refused = outcome.refusals.map(({ command, reply }) => `; ${command}: ${printReply(reply)}`).join('');
    return `= accepted ${printReply(outcome.reply)}${refused}`;
  }
  return `= ${printFailed(outcome.failure)}`;
}

function printFailed(failure: SessionFailure): string {
  const where = `${failure.kind} at ${failure.at}, condemns ${failure.condemns}`;
  if (failure.kind === 'rejected')
    return `${where}: ${failure.refusals.map(({ command, reply }) => `${command}: ${printReply(reply)}`).join('; ')}`;
  return failure.kind === 'unsupported' ? `${where}: ${printable(utf8(printDetail(failure)))}` : where;
}

const PULLED = { data: 'content', bdat: 'next block', binary: 'next binary block' } as const;

export function printAction(action: Action): string[] {
  switch (action.do) {
    case 'send':
      return action.lines.map((line) => `${action.secret ? 'C*' : 'C'}: ${line}`);
    case 'commit':
      return [action.line === null ? '! commit' : `C: ${action.line}`, ...action.along.map((line) => `C: ${line}`)];
    case 'sendBlock':
      return [`C: ${action.line}`];
    case 'pull':
      return [`! ${PULLED[action.framing]}${action.eightBit === 'pass' ? '' : ` (${action.eightBit})`}`];
    case 'checked':
      return [action.failure ? `! checked: ${printFailed(action.failure)}` : '! checked'];
    case 'note':
      return [`! note ${action.note}`];
    case 'settle':
      return [printOutcome(action.outcome)];
    default:
      return [`! ${action.do}`];
  }
}

/**
 * Replays a transcript through the machine, the server's text cut into pieces of `size` characters; returns what the client
 * did, with what it was given in between. `settled` gets each outcome with all its fields, and `checked` why NOOP failed.
 */
export function replay(
  transcript: Transcript,
  size: number,
  settled: (outcome: SessionOutcome) => void = () => {},
  checked: (failure: SessionFailure | null) => void = () => {},
): string[] {
  const dialogue = new Dialogue(transcript.plan);
  const said: string[] = [];
  const perform = (actions: readonly Action[]): void => {
    for (const action of actions) {
      if (action.do === 'settle') settled(action.outcome);
      if (action.do === 'checked') checked(action.failure);
      // The first transaction is waiting for the session to be ready, as in a command; later ones are given by the transcript.
      if (action.do === 'ready' && !said.some((line) => line.startsWith('=')))
        perform(dialogue.on({ type: 'transaction', transaction: transcript.transaction }));
      else said.push(...printAction(action));
    }
  };
  perform(dialogue.begin());
  for (let i = 0; i < transcript.lines.length; i++) {
    const line = transcript.lines[i] as string;
    if (!isGiven(line)) continue;
    if (line.startsWith('S:')) {
      let text = '';
      let heard = i;
      for (; transcript.lines[heard]?.startsWith('S:'); heard++) {
        said.push(transcript.lines[heard] as string);
        text += serverText(transcript.lines[heard] as string);
      }
      i = heard - 1;
      for (let at = 0; at < text.length; at += size) perform(dialogue.receive(text.slice(at, at + size)));
      continue;
    }
    said.push(line);
    perform(give(dialogue, transcript, line.slice(2)));
  }
  return said;
}

/** `S: text` is a line; a text that ends in `\` is one without its line end; `\xHH` is an octet. */
export function serverText(line: string): string {
  const text = line.slice(3).replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return text.endsWith('\\') ? text.slice(0, -1) : `${text}\r\n`;
}

function give(dialogue: Dialogue, { transaction }: Transcript, event: string): readonly Action[] {
  const [word, rest] = [event.split(' ')[0], event.split(' ').slice(1).join(' ')];
  switch (word) {
    case 'secured':
    case 'timeout':
    case 'noop':
    case 'quit':
      return dialogue.on({ type: word });
    case 'insecure':
      return dialogue.on({ type: word, reason: 'handshake', detail: rest });
    case 'lost':
    case 'abort':
      return dialogue.on({ type: word, detail: rest });
    case 'sent':
      return dialogue.on({ type: 'contentSent' });
    case 'sent,':
      return dialogue.on({ type: 'contentSent', next: transaction });
    case 'failed':
      return dialogue.on({ type: 'contentFailed', detail: rest });
    case 'lacking':
      return dialogue.on({ type: 'contentFailed', detail: rest, lacks: '8bitmime' });
    case 'block':
    case 'last':
      return dialogue.on({ type: 'block', octets: Number(rest), last: word === 'last' });
    case 'transaction':
      return dialogue.on({ type: 'transaction', transaction });
    default:
      throw new Error(`no such event: ${event}`);
  }
}
