/** The replies that say what becomes of a recipient or of a message. Knows no transaction. */

import { printProblem } from '../../router/problem.ts';
import type { RoutingProblem } from '../../router/route.ts';
import type { Lack, Refusal } from '../../smtp/client/outcome.ts';
import { atMost } from '../../smtp/line.ts';
import { never } from '../../smtp/parsed.ts';
import { digit, type Reply } from '../../smtp/reply.ts';
import { makeReply } from '../../smtp/server/answers.ts';
import { type Outcome, printOutcome } from '../../submit/outcome.ts';
import type { Submitted } from '../../submit/submission.ts';

interface Status {
  readonly code: number;
  readonly enhanced: string;
}

/** A client may limit replies as we do (`smtp/reply.ts`), so a reply has no more texts than this; the log has all of them. */
const MOST_TEXTS = 100;

/** Makes a reply of one text or many. */
export function replyWith({ code, enhanced }: Status, texts: readonly string[]): Reply {
  return makeReply(code, enhanced, ...atMost(texts, MOST_TEXTS, ', see the log'));
}

/** The reply to a recipient that cannot be routed. */
export function refuseRecipient(problems: readonly RoutingProblem[]): Reply {
  return replyWith(statusOfProblems(problems), problems.map(printProblem));
}

function statusOfProblems(problems: readonly RoutingProblem[]): Status {
  // An address that only cannot go together with those before it may do so in the next transaction.
  const isTemporary = problems.every(({ kind }) => kind === 'deferred' || kind === 'disagree');
  if (problems[0]?.kind === 'disagree') return isTemporary ? { code: 451, enhanced: '4.5.3' } : { code: 550, enhanced: '5.5.3' };
  return isTemporary ? { code: 451, enhanced: '4.3.0' } : { code: 550, enhanced: '5.1.1' };
}

/** The reply to the end of the content. */
export function verdictOn({ outcome, messageId }: Pick<Submitted, 'outcome' | 'messageId'>): Reply {
  if (outcome.kind === 'discarded') return makeReply(250, '2.0.0', 'the aliases discard every recipient: nothing was sent');
  if (outcome.kind === 'accepted' && outcome.by.refusals.length === 0)
    return { ...outcome.by.reply, code: 250, lines: addEnhanced(outcome.by.reply) };
  return replyWith(statusOf(outcome), printOutcome(outcome, messageId));
}

/** The smart host's own words, with the enhanced code that this side has promised before each line. RFC 2034 §4 */
function addEnhanced({ enhanced, lines }: Reply): readonly string[] {
  const code = enhanced === null ? '2.0.0' : `${enhanced.class}.${enhanced.subject}.${enhanced.detail}`;
  return lines.map((line) => (`${line} `.startsWith(`${code} `) ? line : `${code} ${line}`));
}

// biome-ignore format: a table is read as a table
/** What the message needs of a smart host. A client that comes again with it fails again. RFC 3463 §3, RFC 6531 §3.5 */
const NEEDS: Partial<Record<Lack, Status>> = {
  size:             { code: 552, enhanced: '5.3.4' },
  recipients:       { code: 554, enhanced: '5.5.3' },
  domains:          { code: 554, enhanced: '5.5.3' },
  partial:          { code: 554, enhanced: '5.5.3' },
  smtputf8:         { code: 553, enhanced: '5.6.7' },
  '8bitmime':       { code: 554, enhanced: '5.6.3' },
  dsn:              { code: 554, enhanced: '5.3.3' },
};

function statusOf(outcome: Exclude<Outcome, { kind: 'discarded' }>): Status {
  if (outcome.kind === 'accepted') return statusOfRefusals(outcome.by.refusals);
  const { failure, attempts } = outcome;
  switch (failure.kind) {
    case 'route':
      return failure.deferred ? { code: 451, enhanced: '4.3.0' } : { code: 550, enhanced: '5.1.1' };
    case 'message':
      return { code: 554, enhanced: '5.6.0' };
    case 'config':
    case 'usage':
      return { code: 554, enhanced: '5.3.5' };
    case 'uncertain':
      // A client that comes again by itself after 4yz would make two messages of one.
      return { code: 554, enhanced: '5.4.2' };
    case 'rejected':
      // What a smart host refuses before MAIL is between it and this host.
      return failure.condemns === 'message' ? statusOfRefusals(failure.refusals) : { code: 451, enhanced: '4.4.0' };
    case 'unsupported': {
      // Another smart host, which could not be asked, may have what this one lacks.
      const isAsked = attempts.every(({ failure: each }) => each.kind === 'unsupported' && NEEDS[each.lacks] !== undefined);
      const status = isAsked && !failure.isOurs ? NEEDS[failure.lacks] : undefined;
      return status ?? { code: 451, enhanced: failure.isOurs ? '4.3.5' : '4.4.1' };
    }
    case 'connect':
    case 'malformed':
    case 'timeout':
    case 'lost':
      return { code: 451, enhanced: '4.4.1' };
    case 'content':
      return { code: 451, enhanced: '4.3.0' };
    /* c8 ignore next 2 */
    default:
      return never(failure);
  }
}

/** The status of the first refusal that is permanent, or else of the first. */
function statusOfRefusals(refusals: readonly Refusal[]): Status {
  const { reply } = (refusals.find((refusal) => digit(refusal.reply) === 5) ?? refusals[0]) as Refusal;
  const { code, enhanced } = reply;
  // 421 would end this dialogue, too.
  if (code === 421) return { code: 451, enhanced: '4.4.0' };
  return { code, enhanced: enhanced ? `${enhanced.class}.${enhanced.subject}.${enhanced.detail}` : `${digit(reply)}.0.0` };
}
