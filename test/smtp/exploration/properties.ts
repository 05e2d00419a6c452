/**
 * The properties of every session, whatever the server says and whatever happens: the promises of ARCHITECTURE.md as far as they
 * are the machine's. The explorer asks each of every action in every step, and of the end of the step, where `action` is null.
 */
import type { SessionFailure } from '../../../src/smtp/client/outcome.ts';
import type { Action, Event, Plan } from '../../../src/smtp/client/session.ts';
import { digit } from '../../../src/smtp/reply.ts';
import { fromBase64 } from '../../../src/smtp/text.ts';
import { type Letter, letterOf, type Seen, verdictsDue } from './witness.ts';

export interface Moment {
  readonly plan: Plan;
  readonly recipients: number;
  readonly event: Event | null;
  /** null at the end of the step. */
  readonly action: Action | null;
  /** The facts before the event, and up to here. */
  readonly before: Seen;
  readonly seen: Seen;
  /** The facts that the machine handed to the chooser of a mechanism, in this step. */
  readonly told: { readonly offered: ReadonlySet<string>; readonly secured: boolean } | null;
}

type Property = readonly [name: string, holds: (moment: Moment) => boolean];

export const PROPERTIES: readonly Property[] = [
  // The end of a message: P4, P7, P8.
  ['the end of a message leaves only when recipients enough and every block are accepted and the content ended cleanly', isEarned],
  ['an envelope is said once, and again only where the server would not hear it behind a content; then none goes there any more', isHeard],
  ['the end is a write apart: the line of the dot, or the last octets of the last block', isApart],
  ['no content begins before it can be for all recipients, or for one where one is enough', isForAll],
  // Its outcome: P5, P6, P8, P12.
  ['every transaction is settled, once', isSettledOnce],
  ['every recipient is asked, and every refusal is told', isWhole],
  ['an outcome is what the server said, and "uncertain" is only what was committed and not answered', isTrue],
  ['an outcome names those who do not have the message: whom RCPT or the verdict refused, nobody else', isTrueToEach],
  ['what was committed or refused goes to no other host, and what was neither may', isMovedRightly],
  ['every failure has its cause', hasCause],
  ['a failure names the command whose answer it was, or would have been', isOfCommand],
  ['no outcome holds a secret or a challenge, and a line that holds a secret is sent as one', isDiscreet],
  // The channel: P15.
  ['no secret and no MAIL in clear where TLS is required or was offered', isSecure],
  ['STARTTLS is said in clear, where it was offered and TLS is wanted, and no octet waits when TLS begins', isStartTlsDue],
  ['who chooses a mechanism is told what was announced over this channel, and whether it is TLS', isToldTheTruth],
  ['where credentials are configured, nothing begins before the mechanism is satisfied and the server has said so', isAuthenticated],
  ['an exchange is given up when it cannot go on', isGivenUp],
  // The order of things: RFC 5321 §4.1.4, RFC 2920 §3.1, RFC 3030 §2.
  ['nothing is used that was not announced over this channel, and BDAT is where it was', isAnnounced],
  ['a session is greeted as its protocol wants, and with HELO where EHLO is unknown and nothing of it is needed', isGreeted],
  ['a refusal or a loss ends what it concerns', isHeeded],
  ['a session goes on as long as it can', endsForAReason],
  ['a server that speaks out of turn gets no further transaction', isLeft],
  ['NOOP is answered once, and the session lives only after 2yz', isChecked],
  ['QUIT is said when nothing is left to settle', isQuitDue],
  ['a command waits until those before it are answered, unless both may be in one group; then what waits goes along', isInTurn],
  ['within a content nothing else is said', isContentAlone],
  ['after the end nothing is done; before it something is awaited', isAwaited],
];

/* ---- the end of a message ---- */

/** The server has accepted MAIL and those recipients without whom nobody gets the message, and has answered for all. */
const isEnough = ({ mail, recipients: { accepted, refused } }: Letter, { plan, recipients }: Moment): boolean =>
  mail === 'accepted' && accepted + refused === recipients && (plan.partial === 'any' ? accepted > 0 : refused === 0);

const isAccepted = (letter: Letter, moment: Moment): boolean =>
  isEnough(letter, moment) &&
  letter.recipients.said === moment.recipients &&
  letter.blocks.accepted === letter.blocks.said &&
  !letter.isAborted &&
  !letter.isRefusedEarly &&
  !letter.isCommitted &&
  !letter.isSettled;

function isEarned(moment: Moment): boolean {
  const { action, event, seen } = moment;
  const letter = letterOf(seen);
  const isBegun = action?.do === 'sendBlock' && action.line.endsWith('LAST');
  if (!isBegun && action?.do !== 'commit') return true;
  if (!isAccepted(letter, moment) || seen.unanswered.length > 0) return false;
  if (isBegun) return letter.last !== null;
  const isAtHand = letter.data === 'accepted' || (letter.last !== null && letter.data === 'unsaid');
  const hasEnded = event?.type === 'contentSent' && event.rest === '';
  return isAtHand && hasEnded;
}

function isApart({ action, seen }: Moment): boolean {
  const { data, last, held } = letterOf(seen);
  if (action?.do === 'sendBlock')
    return action.line.endsWith('LAST') ? action.held >= 1 && action.held <= 2 && action.held <= (last ?? 0) : action.held === 0;
  if (action?.do !== 'commit') return true;
  if (data === 'accepted') return action.line === '.';
  return last === 0 ? action.line === 'BDAT 0 LAST' && held === null : action.line === null && held !== null;
}

function isHeard({ action, seen }: Moment): boolean {
  if (action?.do === 'settle' && action.outcome.kind === 'failed' && letterOf(seen).mail === 'unheard')
    return isLoss(action.outcome.failure) || action.outcome.failure.kind === 'content';
  if (action?.do === 'commit') return action.along.length === 0 || !seen.refusesAlong;
  const isMail = action?.do === 'send' && action.lines.some((line) => line.startsWith('MAIL'));
  return !isMail || /^un(said|heard)$/.test(letterOf(seen).mail);
}

/**
 * DATA may fly along with one recipient, because then there is no part of them, and where any part is enough. With LMTP there is a
 * part, where `partial` is 'never'.
 */
function isForAll(moment: Moment): boolean {
  const { action, seen, plan, recipients } = moment;
  const letter = letterOf(seen);
  const isComplete = isEnough(letter, moment);
  if (action?.do === 'pull') return isComplete && (action.framing === 'bdat' || letter.data === 'accepted');
  if (action?.do === 'sendBlock') return isComplete;
  if (recipients === 1 || action === null) return true;
  const isSplit = plan.protocol === 'lmtp' && plan.partial === 'never' && linesOf(action).some((line) => line.startsWith('MAIL'));
  return !isSplit && (isComplete || plan.partial === 'any' || !linesOf(action).includes('DATA'));
}

/* ---- outcomes ---- */

/** The first message waits for the session to be open: what comes before is its outcome. */
const unsettled = ({ current, given, wasReady }: Seen): number => (wasReady ? given : 1) - current;

function isSettledOnce({ action, seen }: Moment): boolean {
  if (action?.do === 'settle') return unsettled(seen) > 0;
  return action !== null || !seen.isOver || unsettled(seen) <= 0;
}

function isTrue({ action, seen, plan }: Moment): boolean {
  if (action?.do !== 'settle') return true;
  const letter = letterOf(seen);
  const { isCommitted, verdicts } = letter;
  const isAnswered = isCommitted && verdicts.length === verdictsDue(plan, letter);
  const { outcome } = action;
  if (outcome.kind === 'accepted') return isAnswered && verdicts.includes('2') && digit(outcome.reply) === 2;
  if (isAnswered) return !verdicts.includes('2') && outcome.failure.kind === 'rejected';
  return (outcome.failure.kind === 'uncertain') === isCommitted;
}

/** Whom the server refused, by RCPT or by the verdict; null stands for a command that was no recipient's. */
function refusedOf(letter: Letter, moment: Moment): readonly (number | null)[] {
  const { mail, recipients, data, blocks, isRefusedEarly, verdicts } = letter;
  if (mail === 'refused') return [null];
  const indices = [...recipients.answers].map((answer, index) => ({ answer, index }));
  const refused = indices.filter(({ answer }) => answer === 'x').map(({ index }) => index);
  if (isEnvelopeRefused(letter, moment)) return refused;
  const accepted = indices.filter(({ answer }) => answer === '+').map(({ index }) => index);
  if (moment.plan.protocol === 'lmtp') refused.push(...accepted.filter((_, i) => verdicts[i] !== undefined && verdicts[i] !== '2'));
  refused.sort();
  const isUnasked = answered(moment) === '' && moment.event?.type === 'reply';
  const isContentRefused = data === 'refused' || blocks.refused > 0 || isRefusedEarly || isUnasked;
  return isContentRefused || (moment.plan.protocol === 'smtp' && /^[^2]/.test(verdicts)) ? [...refused, null] : refused;
}

function isTrueToEach(moment: Moment): boolean {
  const { action, seen } = moment;
  if (action?.do !== 'settle') return true;
  const letter = letterOf(seen);
  const { outcome } = action;
  if (outcome.kind === 'failed' && (outcome.failure.kind !== 'rejected' || letter.mail === 'unsaid')) return true;
  const refusals = outcome.kind === 'accepted' ? outcome.refusals : outcome.failure.kind === 'rejected' ? outcome.failure.refusals : [];
  const named = refusals.map(({ recipient }) => recipient);
  return named.join() === refusedOf(letter, moment).join() && (outcome.kind !== 'accepted' || named.length < moment.recipients);
}

/** The command that the reply answers, as the witness calls it; '' where there is none. */
const answered = ({ before }: Moment): string => before.unanswered[0]?.slice(1) ?? '';

/** A reply that comes when none is awaited, or with others behind it when no other is. */
const isOutOfTurn = (event: Event, { unanswered, tls }: Seen): boolean =>
  event.type === 'reply' && (unanswered.length === 0 || tls === 'shaking' || (event.rest !== '' && unanswered.length === 1));

/** A reply of a kind that cannot come there. */
function isOutOfPlace(moment: Moment): boolean {
  if (moment.event?.type !== 'reply') return false;
  const first = digit(moment.event.reply);
  const what = answered(moment);
  if (what === 'DATA' || what === 'cancel') return first === 2;
  return first === 3 && what !== 'AUTH' && what !== 'response';
}

/** EHLO is not known, and nothing that it announces is needed. RFC 5321 §3.2 */
const mayDoWithHelo = ({ plan, event }: Moment): boolean =>
  event?.type === 'reply' && digit(event.reply) === 5 && event.rest === '' && plan.authenticate === null && plan.tls !== 'required';

function hasCause(moment: Moment): boolean {
  const { action, event, seen, before, plan, recipients } = moment;
  if (action?.do !== 'settle' || action.outcome.kind === 'accepted' || event === null) return true;
  const code = event.type === 'reply' ? event.reply.code : 0;
  const letter = letterOf(seen);
  switch (action.outcome.failure.kind) {
    case 'rejected':
      return (
        isRefused(letter, moment) || (code >= 400 && answered(moment) !== 'RCPT' && !(answered(moment) === 'EHLO' && mayDoWithHelo(moment)))
      );
    case 'malformed':
      return (
        event.type === 'malformed' ||
        (event.type === 'contentSent' && event.rest !== '') ||
        isOutOfTurn(event, before) ||
        isOutOfPlace(moment) ||
        letter.mail === 'unheard'
      );
    case 'lost':
      return event.type === 'lost' || seen.isGoing;
    case 'timeout':
      return event.type === 'timeout';
    case 'connect':
      return event.type === 'insecure';
    case 'content':
      return event.type === 'abort' || (event.type === 'contentFailed' && !event.lacks);
    case 'uncertain':
      return letter.isCommitted;
    case 'unsupported':
      if (event.type === 'contentFailed') return event.lacks !== undefined;
      if (event.type === 'transaction') return plan.protocol === 'lmtp' && plan.partial === 'never' && recipients > 1;
      return /^(AUTH|response|cancel)$/.test(answered(moment)) || (/^([EL]HLO|HELO)$/.test(answered(moment)) && lacks(moment));
  }
}

/** Lines of an exchange belong to AUTH, and the replies to content to the command that began it. */
function isOfCommand({ action, before, seen, event }: Moment): boolean {
  const [awaited] = before.unanswered;
  // Of a letter behind this one nothing is answered yet.
  if (action?.do !== 'settle' || action.outcome.kind === 'accepted' || awaited === undefined || Number(awaited[0]) !== seen.current)
    return true;
  const { failure } = action.outcome;
  if (failure.kind === 'connect' || failure.kind === 'unsupported') return true;
  const what = awaited.slice(1);
  const content = letterOf(seen).data === 'accepted' ? 'DATA' : 'BDAT';
  const verb = what === 'greeting' ? undefined : /^(response|cancel)$/.test(what) ? 'AUTH' : what === 'verdict' ? content : what;
  const code = event?.type === 'reply' ? event.reply.code : 0;
  // A refusal of the envelope tells what was refused before.
  if (failure.kind === 'rejected')
    return failure.at === 'envelope' || code < 400 || code === 421 || failure.refusals.some((refusal) => refusal.verb === verb);
  if (failure.kind === 'lost' && code === 421 && failure.reply?.code !== code) return false;
  return failure.verb === verb;
}

/** TLS is required and cannot be had, or credentials are configured and cannot be used. */
function lacks({ plan, seen }: Moment): boolean {
  const isClear = seen.tls !== 'up';
  const lacksTls = plan.tls === 'required' && isClear && !seen.offered.includes('STARTTLS');
  return lacksTls || (plan.authenticate !== null && (isClear || mechanismsIn(seen.offered).length === 0));
}

/** A session for several messages goes on as long as it can. */
function endsForAReason(moment: Moment): boolean {
  const { action, event, seen, before, plan } = moment;
  if (action !== null || !seen.isOver || plan.transactions === 'one' || event?.type !== 'reply') return true;
  const what = answered(moment);
  if (seen.isGoing || what === 'QUIT' || isOutOfTurn(event, before) || isOutOfPlace(moment)) return true;
  // A content that must not be sent was asked for, and only the end of the connection is not taken for one.
  const letter = letterOf(before);
  if (digit(event.reply) === 3) return what === 'cancel' || letter.mail === 'unheard' || isRefused(letter, moment);
  const isAmongBlocks = what === 'BDAT' && before.unanswered.length > 1;
  return !before.wasReady || (digit(event.reply) >= 4 && (before.isOpen || what === 'RSET' || isAmongBlocks));
}

function isLeft({ action, event, before, seen }: Moment): boolean {
  return action !== null || event === null || !isOutOfTurn(event, before) || seen.isOver;
}

/** A session does not go on with what the server refused, at the latest when the replies to its group are in. */
function isHeeded(moment: Moment): boolean {
  const { action, event, before, seen } = moment;
  if (action !== null || event === null || before.isOver) return true;
  if (event.type !== 'reply') return ['transaction', 'block', 'contentSent', 'secured', 'noop', 'quit'].includes(event.type) || seen.isOver;
  if (before.tls === 'shaking') return seen.isOver;
  const what = answered(moment);
  if (event.reply.code === 421 && what !== 'verdict') return seen.isOver;
  if (digit(event.reply) < 4 || seen.isOver || seen.current > before.current) return true;
  if (letterOf(before).mail === 'unheard') return seen.unanswered.length > 0;
  return what === 'EHLO'
    ? mayDoWithHelo(moment)
    : ['MAIL', 'RCPT', 'verdict'].includes(what)
      ? seen.unanswered.length > 0 || (what === 'RCPT' && !isRefused(letterOf(seen), moment))
      : what === 'QUIT' || (what === 'NOOP' && seen.unanswered.some((command) => command.endsWith('QUIT')));
}

/** Where any recipient is enough, all of them have to be refused before the message is. */
const isEnvelopeRefused = ({ mail, recipients: { refused } }: Letter, { plan, recipients }: Moment): boolean =>
  mail === 'refused' || (plan.partial === 'any' ? refused === recipients : refused > 0);

const isRefused = (letter: Letter, moment: Moment): boolean =>
  isEnvelopeRefused(letter, moment) || letter.data === 'refused' || letter.blocks.refused > 0 || letter.isRefusedEarly;

/** The server said nothing of the message: its connection failed it. */
const isLoss = ({ kind }: SessionFailure): boolean => kind === 'lost' || kind === 'malformed' || kind === 'timeout' || kind === 'connect';

function isWhole({ action, event, seen, recipients }: Moment): boolean {
  const letter = letterOf(seen);
  if (action?.do === 'send' && letter.mail === 'refused') return !action.lines.some((line) => /^(RCPT|DATA)/.test(line));
  if (action?.do !== 'settle' || action.outcome.kind === 'accepted' || action.outcome.failure.kind !== 'rejected') return true;
  if (action.outcome.failure.at !== 'envelope') return true;
  const { refusals } = action.outcome.failure;
  if (letter.mail === 'refused') return refusals.length === 1;
  // A session that ends early tells what it has heard.
  const isCutShort = event?.type !== 'reply' || event.rest !== '' || event.reply.code === 421 || digit(event.reply) === 3;
  return refusals.length === letter.recipients.refused && (isCutShort || letter.recipients.said === recipients);
}

function isMovedRightly(moment: Moment): boolean {
  const { action, event, seen } = moment;
  if (action?.do !== 'settle' || action.outcome.kind === 'accepted') return true;
  const letter = letterOf(seen);
  const { failure } = action.outcome;
  if (event?.type === 'contentFailed' && event.lacks) return failure.condemns === 'host';
  const isHere = letter.isCommitted || letter.isAborted || isRefused(letter, moment);
  return isHere ? failure.condemns === 'message' && !isLoss(failure) : !isLoss(failure) || failure.condemns === 'address';
}

/* ---- the channel ---- */

const linesOf = (action: Action | null): readonly string[] =>
  action?.do === 'send' ? action.lines : action?.do === 'commit' ? action.along : [];

function isSecure({ action, seen, plan }: Moment): boolean {
  if (seen.tls === 'up') return true;
  if (action?.do === 'send' && (action.secret || action.lines.some((line) => line.startsWith('AUTH')))) return false;
  const mustBeSecure = plan.tls === 'required' || plan.tls === 'implicit' || (plan.tls === 'opportunistic' && seen.couldSecure);
  return !mustBeSecure || !linesOf(action).some((line) => line.startsWith('MAIL'));
}

function isStartTlsDue({ action, seen, plan }: Moment): boolean {
  if (action?.do === 'startTls') return !seen.isBehind;
  return !linesOf(action).includes('STARTTLS') || (seen.tls === 'clear' && plan.tls !== 'off' && seen.offered.includes('STARTTLS'));
}

const mechanismsIn = (offered: readonly string[]): readonly string[] =>
  offered.filter((word) => word.startsWith('AUTH ')).flatMap((word) => word.split(' ').slice(1));

function isToldTheTruth({ told, seen, action }: Moment): boolean {
  if (told === null || action !== null) return true;
  return told.secured === (seen.tls === 'up') && [...told.offered].join() === mechanismsIn(seen.offered).join();
}

function isAuthenticated({ action, seen, plan }: Moment): boolean {
  return action?.do !== 'ready' || plan.authenticate === null || seen.isAuthenticated;
}

function isAnnounced({ action, seen, plan }: Moment): boolean {
  if (action?.do === 'pull') return (action.framing === 'bdat') === (seen.offered.includes('CHUNKING') && plan.framing === 'auto');
  return linesOf(action).every((line) => {
    const [, mechanism] = /^AUTH (\S+)/.exec(line) ?? [];
    return mechanism === undefined || mechanismsIn(seen.offered).includes(mechanism);
  });
}

function isGreeted(moment: Moment): boolean {
  const { action, plan } = moment;
  return linesOf(action).every((line) => {
    const verb = line.split(' ')[0];
    if (verb === 'HELO') return answered(moment) === 'EHLO' && mayDoWithHelo(moment);
    return (verb !== 'EHLO' && verb !== 'LHLO') || (verb === 'EHLO') === (plan.protocol === 'smtp');
  });
}

/** Ten challenges are more than any mechanism has. */
function isGivenUp({ action, event, before }: Moment): boolean {
  if (!linesOf(action).includes('*')) return true;
  const { lines } = (event as Extract<Event, { type: 'reply' }>).reply;
  const challenge = lines.length === 1 ? fromBase64(lines[0] as string) : null;
  return before.challenges >= 10 || (before.needsProof ? challenge === null || challenge === 'forged' : before.challenges >= 1);
}

/* ---- the order of things ---- */

/** Commands that others may follow in a group. RFC 2920 §3.1, and RFC 3030 §2 for BDAT */
const mayBeFollowed = (command: string): boolean => /^\d?(MAIL|RCPT|RSET|BDAT|verdict)/.test(command);

function isInTurn({ action, event, seen }: Moment): boolean {
  const lines = action?.do === 'sendBlock' ? [action.line] : linesOf(action);
  if (action?.do === 'commit' && event?.type === 'contentSent' && event.next && lines.length === 0)
    return seen.refusesAlong || !seen.offered.includes('PIPELINING');
  if (lines.length === 0 || (action?.do === 'sendBlock' && action.line.endsWith('LAST'))) return true;
  const before = action?.do === 'commit' ? ['verdict'] : seen.unanswered;
  const isAlone = before.length === 0 && lines.length === 1;
  return isAlone || (seen.offered.includes('PIPELINING') && [...before, ...lines.slice(0, -1)].every(mayBeFollowed));
}

function isQuitDue({ action, seen }: Moment): boolean {
  return !linesOf(action).includes('QUIT') || unsettled(seen) <= 0;
}

function isChecked({ action, event, seen, before }: Moment): boolean {
  const isAlive = event?.type === 'reply' && digit(event.reply) === 2 && event.rest === '';
  if (action?.do === 'checked') return before.isChecking && seen.isChecking && (action.failure === null) === isAlive;
  return action !== null || seen.isChecking === (!seen.isOver && seen.unanswered.some((command) => command.endsWith('NOOP')));
}

function isContentAlone({ action, seen }: Moment): boolean {
  return action?.do !== 'send' && action?.do !== 'sendBlock' && action?.do !== 'close' ? true : !seen.isOpen;
}

function isAwaited({ action, seen }: Moment): boolean {
  if (action !== null) return !seen.isOver;
  return seen.isOver || seen.unanswered.length > 0 || seen.task !== null;
}

/** The secret of every mechanism here, in clear and as base64 has it at each offset. */
const SECRETS = /tanstaaf|dGFuc3RhYW|RhbnN0YWFm/;
const CHALLENGES = /cHJvb2Y|bW9yZQ/;

function isDiscreet({ action, plan }: Moment): boolean {
  if (action?.do === 'send') return action.secret || !action.lines.some((line) => SECRETS.test(line));
  return (
    action?.do !== 'settle' ||
    plan.authenticate === null ||
    !(SECRETS.test(JSON.stringify(action.outcome)) || CHALLENGES.test(JSON.stringify(action.outcome)))
  );
}
