/**
 * A witness who listens to a session and to its driver: to the commands, the replies, and the driver's tasks. It knows nothing of
 * the machine's state, so that the machine's beliefs can be held against what happened.
 */
import type { Action, Event, Plan } from '../../../src/smtp/client/session.ts';
import { fromBase64 } from '../../../src/smtp/text.ts';

/** The challenge that proves a server. */
export const PROOF = 'proof';

/**
 * The server's answer to a command: nobody has said the command yet, it has no answer yet, the server accepted it, refused it, or
 * would not hear it, because it came behind a content.
 */
export type Answer = 'unsaid' | 'asked' | 'accepted' | 'refused' | 'unheard';

/** One character for each answer to RCPT. */
const ANSWERS: Readonly<Record<Answer, string>> = { unsaid: '', asked: '-', accepted: '+', refused: 'x', unheard: '' };

/** One transaction, as it looks from outside. */
export interface Letter {
  readonly mail: Answer;
  /** Its envelope went out behind the content before it. */
  readonly isAlong: boolean;
  /** How many RCPT the client said, the server accepted and refused; of each answer, in order, the kind. */
  readonly recipients: { readonly said: number; readonly accepted: number; readonly refused: number; readonly answers: string };
  readonly data: Answer;
  /** How many BDAT without LAST the client said, the server accepted and refused. */
  readonly blocks: { readonly said: number; readonly accepted: number; readonly refused: number };
  /**
   * The octets of the last block that the driver has at hand, and how many it held back when it began the block; null means not
   * yet.
   */
  readonly last: number | null;
  readonly held: number | null;
  /** The server refused the content before its end. */
  readonly isRefusedEarly: boolean;
  /** Our input failed, or a signal came. */
  readonly isAborted: boolean;
  readonly isCommitted: boolean;
  /** First digits of the verdicts. */
  readonly verdicts: string;
  readonly isSettled: boolean;
}

/** The task that the driver has not done yet. */
export type Task = 'handshake' | 'transaction' | 'content' | 'block' | 'flush';

export interface Seen {
  readonly tls: 'clear' | 'shaking' | 'up';
  /** Words of the last EHLO reply over this channel. */
  readonly offered: readonly string[];
  /** The server offered STARTTLS in clear. */
  readonly couldSecure: boolean;
  /**
   * Commands without their reply, each with its letter; a line of AUTH as `response` or `cancel`, content as `verdict`, once
   * for each reply that is due.
   */
  readonly unanswered: readonly string[];
  /** The mechanism is satisfied: it needs no proof, or the last challenge was one. */
  readonly needsProof: boolean;
  readonly challenges: number;
  readonly isProved: boolean;
  /** And then 2yz came. */
  readonly isAuthenticated: boolean;
  readonly task: Task | null;
  /** Octets wait behind the last reply. */
  readonly isBehind: boolean;
  /** The server said 421, so it is going. */
  readonly isGoing: boolean;
  /** A content is under way, and the server would take a command for a part of it. */
  readonly isOpen: boolean;
  readonly isOver: boolean;
  /** NOOP was said, and the driver does not know yet what came of it. */
  readonly isChecking: boolean;
  /** The server would not hear an envelope behind a content. */
  readonly refusesAlong: boolean;
  /** The session was open once, so that the driver could give a transaction. */
  readonly wasReady: boolean;
  /** The transaction that the machine settles next, and how many it got. */
  readonly current: number;
  readonly given: number;
  readonly letters: readonly Letter[];
}

const UNWRITTEN: Letter = {
  mail: 'unsaid',
  isAlong: false,
  recipients: { said: 0, accepted: 0, refused: 0, answers: '' },
  data: 'unsaid',
  blocks: { said: 0, accepted: 0, refused: 0 },
  last: null,
  held: null,
  isRefusedEarly: false,
  isAborted: false,
  isCommitted: false,
  verdicts: '',
  isSettled: false,
};

/** Before the first step on an open connection; the first of so many letters waits already. */
export const atFirst = (letters: number, plan: Plan): Seen => ({
  tls: 'clear',
  offered: [],
  couldSecure: false,
  unanswered: plan.tls === 'implicit' ? [] : ['0greeting'],
  needsProof: false,
  challenges: 0,
  isProved: false,
  isAuthenticated: false,
  task: null,
  isBehind: false,
  isGoing: false,
  isOpen: false,
  isOver: false,
  isChecking: false,
  refusesAlong: false,
  wasReady: false,
  current: 0,
  given: 0,
  letters: Array.from({ length: letters }, () => UNWRITTEN),
});

/** The letter that is under way, or waits to be. */
export const letterOf = (seen: Seen): Letter => seen.letters[seen.current] ?? UNWRITTEN;

/** Letters are told apart by their reverse-paths: `<0@…>`, `<1@…>`. */
const letterIn = (command: string): number => Number(/^MAIL FROM:<(\d)@/.exec(command)?.[1] ?? -1);

const VERB = /^(EHLO|LHLO|HELO|STARTTLS|AUTH|MAIL|RCPT|DATA|NOOP|RSET|QUIT)(?= |$)/;

/** Replies that the content gets. RFC 2033 §4.2 */
export const verdictsDue = (plan: Plan, { recipients }: Letter): number => (plan.protocol === 'lmtp' ? recipients.accepted : 1);

function change(seen: Seen, index: number, changes: Partial<Letter>): Seen {
  if (seen.letters[index] === undefined) return seen;
  return { ...seen, letters: seen.letters.map((letter, i) => (i === index ? { ...letter, ...changes } : letter)) };
}

/* ---- what comes ---- */

export function afterEvent(seen: Seen, event: Event, plan: Plan): Seen {
  switch (event.type) {
    case 'reply':
      return answered(
        { ...seen, isBehind: event.rest !== '', isGoing: seen.isGoing || event.reply.code === 421 },
        event.reply.code,
        event.reply.lines,
      );
    case 'secured':
      return { ...seen, tls: 'up', offered: [], task: null, unanswered: plan.tls === 'implicit' ? ['0greeting'] : [] };
    case 'transaction':
      return { ...seen, task: null, given: seen.given + 1 };
    case 'block':
      return change({ ...seen, task: null }, seen.current, event.last ? { last: event.octets } : {});
    case 'contentSent':
    case 'noop':
    case 'quit':
      return { ...seen, task: null };
    case 'contentFailed':
    case 'abort':
      return change({ ...seen, task: null }, seen.current, { isAborted: true });
    default:
      return seen;
  }
}

function answered(seen: Seen, code: number, lines: readonly string[]): Seen {
  const [command, ...unanswered] = seen.unanswered;
  const digit = Math.floor(code / 100);
  const isAccepted = digit === 2;
  const isRefused = digit >= 4 && code !== 421;
  const answer: Answer = isAccepted ? 'accepted' : isRefused ? 'refused' : 'asked';
  const heard = { ...seen, unanswered };
  if (command === undefined) return isRefused && seen.isOpen ? change(heard, seen.current, { isRefusedEarly: true }) : heard;
  const [what, index] = [command.slice(1), Number(command[0])];
  const letter = seen.letters[index] ?? UNWRITTEN;
  // What it says to the rest of such an envelope is no word on the message, either.
  if (letter.mail === 'unheard' && what !== 'MAIL') return heard;
  const counted = <K extends 'recipients' | 'blocks'>(which: K) => {
    const { accepted, refused } = letter[which];
    const answers = which === 'recipients' ? { answers: letter.recipients.answers + ANSWERS[answer] } : {};
    return change(heard, index, {
      [which]: { ...letter[which], accepted: accepted + Number(isAccepted), refused: refused + Number(isRefused), ...answers },
    });
  };
  switch (what) {
    case 'EHLO':
    case 'LHLO': {
      const offered = isAccepted ? lines.slice(1) : [];
      return { ...heard, offered, couldSecure: seen.couldSecure || (seen.tls === 'clear' && offered.includes('STARTTLS')) };
    }
    case 'AUTH':
    case 'response':
    case 'cancel': {
      if (digit === 3)
        return {
          ...heard,
          challenges: seen.challenges + 1,
          isProved: seen.needsProof ? fromBase64(lines.join()) === PROOF : seen.isProved,
        };
      return { ...heard, isAuthenticated: isAccepted && seen.isProved, challenges: 0, needsProof: false, isProved: false };
    }
    case 'MAIL':
      return code === 503 && letter.isAlong
        ? change({ ...heard, refusesAlong: true }, index, { mail: 'unheard' })
        : change(heard, index, { mail: answer });
    case 'RCPT':
      return counted('recipients');
    case 'BDAT':
      return counted('blocks');
    case 'DATA':
      return change({ ...heard, isOpen: digit === 3 }, index, { data: digit === 3 ? 'accepted' : answer });
    case 'verdict':
      return change(heard, index, digit === 3 ? {} : { verdicts: letter.verdicts + digit });
    default:
      return heard;
  }
}

/* ---- what is done ---- */

export function afterAction(seen: Seen, action: Action, plan: Plan): Seen {
  switch (action.do) {
    case 'send':
      return action.lines.reduce((before, line) => said(before, line, false), seen);
    case 'startTls':
      return { ...seen, tls: 'shaking', task: 'handshake' };
    case 'ready':
      return { ...seen, task: 'transaction', wasReady: true };
    case 'pull':
      return { ...seen, task: action.framing === 'data' ? 'content' : 'block' };
    case 'flush':
      return { ...seen, task: 'flush' };
    case 'sendBlock': {
      const { blocks } = letterOf(seen);
      if (action.line.endsWith('LAST')) return change({ ...seen, isOpen: true }, seen.current, { held: action.held });
      const heard = { ...seen, unanswered: [...seen.unanswered, `${seen.current}BDAT`] };
      return change(heard, seen.current, { blocks: { ...blocks, said: blocks.said + 1 } });
    }
    case 'commit': {
      const due = Array.from({ length: verdictsDue(plan, letterOf(seen)) }, () => `${seen.current}verdict`);
      const committed = change({ ...seen, isOpen: false, unanswered: [...seen.unanswered, ...due] }, seen.current, { isCommitted: true });
      return action.along.reduce((before, line) => said(before, line, true), committed);
    }
    case 'checked':
      return { ...seen, isChecking: false };
    case 'next':
      return { ...seen, given: seen.given + 1 };
    case 'settle':
      // The driver closes the content with it, and the facts of the letter are of no more use.
      return { ...change(seen, seen.current, { ...UNWRITTEN, isSettled: true }), task: null, current: seen.current + 1 };
    case 'close':
    case 'destroy':
      return { ...seen, isOver: true };
    default:
      return seen;
  }
}

function said(seen: Seen, line: string, isAlong: boolean): Seen {
  // RCPT and DATA belong to the MAIL that was said last.
  const index = seen.letters.findLastIndex(({ mail }) => mail !== 'unsaid');
  const mail = letterIn(line);
  const owner = mail >= 0 ? mail : Math.max(0, index);
  const heard = { ...seen, unanswered: [...seen.unanswered, `${owner}${VERB.exec(line)?.[0] ?? (line === '*' ? 'cancel' : 'response')}`] };
  const { recipients } = seen.letters[owner] ?? UNWRITTEN;
  if (mail >= 0) return change(heard, owner, { ...UNWRITTEN, mail: 'asked', isAlong });
  if (line.startsWith('AUTH')) return { ...heard, needsProof: line.includes('X-PROOF'), isProved: !line.includes('X-PROOF') };
  if (line === 'NOOP') return { ...heard, isChecking: true };
  if (line === '*') return { ...heard, isProved: false };
  if (line.startsWith('RCPT')) return change(heard, owner, { recipients: { ...recipients, said: recipients.said + 1 } });
  if (line === 'DATA') return change(heard, owner, { data: 'asked' });
  return heard;
}
