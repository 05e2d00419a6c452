/**
 * The world of a session: the plans it can have, the replies a server can give, and the events a driver may report, as its
 * contract with the machine stands at Event and Action in src/smtp/client/session.ts.
 */
import type { Transaction } from '../../../src/smtp/client/print.ts';
import type { Event, Plan } from '../../../src/smtp/client/session.ts';
import { parsed, unparsed } from '../../../src/smtp/parsed.ts';
import type { Reply } from '../../../src/smtp/reply.ts';
import { type Cancelled, type Exchange, type Mechanism, plain } from '../../../src/smtp/sasl/sasl.ts';
import { base64 } from '../../../src/smtp/text.ts';
import { mailbox } from '../../support/mailbox.ts';
import { letterOf, PROOF, type Seen } from './witness.ts';

/** A session to explore: so many messages, each to so many recipients and with so many blocks before its last one. */
export interface Setting {
  readonly name: string;
  readonly plan: Plan;
  readonly recipients: number;
  readonly letters: readonly Transaction[];
  readonly blocks: number;
}

/** The facts that the machine handed to the chooser of a mechanism; whoever looks at them empties them. */
export const told: { last: { readonly offered: ReadonlySet<string>; readonly secured: boolean } | null } = { last: null };

const SECRET = 'tanstaaf';
const UNPROVED: Exchange = { say: SECRET, mayEnd: false, hear: (challenge) => heard(challenge) };
const PROVED: Exchange = { ...UNPROVED, mayEnd: true };
const heard = (challenge: string): Exchange | Cancelled =>
  challenge === 'forged' ? { cancel: 'it is forged' } : challenge === PROOF ? PROVED : UNPROVED;

const MECHANISMS: readonly Mechanism[] = [
  // It must hear a proof before 235 counts, and cancels what is forged.
  { name: 'X-PROOF', begin: () => UNPROVED },
  plain(SECRET, SECRET),
];

/** Chooses as a program does: never in clear, and never a mechanism that the server did not announce. */
const chooses =
  (mechanism: string): NonNullable<Plan['authenticate']> =>
  (offered, secured) => {
    told.last = { offered, secured };
    if (!secured) return unparsed('credentials are not sent in clear text');
    const chosen = MECHANISMS.find(({ name }) => name === mechanism && offered.has(name));
    return chosen ? parsed(chosen) : unparsed('the server offers no mechanism that can be used');
  };
const AUTHENTICATE: Readonly<Record<string, Plan['authenticate']>> = { 'X-PROOF': chooses('X-PROOF'), PLAIN: chooses('PLAIN'), none: null };

/** A message that its reverse-path tells from others. */
const letter = (index: number, recipients: number): Transaction => ({
  reversePath: mailbox(`${index}@bar.com`),
  recipients: Array.from({ length: recipients }, (_, i) => ({ path: mailbox(`r${i}@foo.com`) })),
  size: null,
  estimate: null,
  eightBit: 'none',
  withoutEightBit: 'convert',
  smtputf8: false,
  dsn: 'drop',
});

/** The values that the parts of a setting can have. */
export interface Ranges {
  readonly recipients: readonly number[];
  readonly mechanisms: readonly string[];
  readonly framings: readonly Plan['framing'][];
  readonly blocks: number;
  /** Sessions for which any recipient is enough: under TLS they say nothing else. */
  readonly anyUnder: readonly Plan['tls'][];
}

/** A plan that says so when the machine makes another one of it. */
const uncopied = (plan: Plan): Plan =>
  new Proxy(plan, {
    ownKeys() {
      throw new Error('the plan is copied');
    },
  });

/** With one recipient all three are the same, and with SMTP 'verdicts' is 'never'. */
const partialsOf = (protocol: Plan['protocol'], recipients: number): readonly Plan['partial'][] =>
  recipients === 1 ? ['never'] : protocol === 'smtp' ? ['never', 'any'] : ['never', 'verdicts', 'any'];

/** Makes a setting of every combination. Only a third message shows what a session has learnt from the replies to the second one. */
export function settings({ recipients, mechanisms, framings, blocks, anyUnder }: Ranges): readonly Setting[] {
  const all: Setting[] = [];
  for (const protocol of ['smtp', 'lmtp'] as const)
    for (const tls of ['off', 'required', 'opportunistic', 'implicit'] as const)
      for (const mechanism of mechanisms)
        for (const framing of framings)
          for (const letters of protocol === 'smtp' && tls === 'off' && mechanism === 'none' ? [1, 2, 3] : [1, 2])
            for (const count of letters === 3 ? [1] : recipients)
              for (const partial of partialsOf(protocol, count).filter((each) => each !== 'any' || anyUnder.includes(tls))) {
                const plan: Plan = {
                  protocol,
                  hello: 'bar.com',
                  tls,
                  authenticate: AUTHENTICATE[mechanism] ?? null,
                  transactions: letters === 1 ? 'one' : 'many',
                  framing,
                  partial,
                };
                const name = `${protocol}${partial === 'never' ? '' : ` (${partial})`}, TLS ${tls}, AUTH ${mechanism}, framing ${framing}, messages ${letters} × recipients ${count}`;
                all.push({
                  name,
                  plan: uncopied(plan),
                  recipients: count,
                  blocks,
                  letters: Array.from({ length: letters }, (_, i) => letter(i, count)),
                });
              }
  return all;
}

/* ---- events ---- */

const reply = (code: number, rest: string, ...lines: string[]): Event => {
  const said: Reply = { code, enhanced: null, lines };
  return { type: 'reply', reply: said, rest };
};
/** The reply alone, and with an octet behind it. */
const both = (code: number, ...lines: string[]): Event[] => [reply(code, '', ...lines), reply(code, 'x', ...lines)];

const REPLIES: readonly Event[] = [250, 354, 450, 550, 421].flatMap((code) => both(code, 'text'));
/** What 503 says of the others is as good as 550. */
const MAIL_REPLIES: readonly Event[] = [...REPLIES, ...both(503, 'text')];
const KEYWORDS = ['STARTTLS', 'AUTH X-PROOF PLAIN', 'PIPELINING', 'CHUNKING'];
const EHLO_REPLIES: readonly Event[] = [
  ...Array.from({ length: 2 ** KEYWORDS.length }, (_, bits) => KEYWORDS.filter((_, i) => (bits >> i) & 1)).flatMap((offered) =>
    both(250, 'foo.com', ...offered),
  ),
  ...REPLIES.filter((each) => each.type === 'reply' && each.reply.code !== 250),
];
const CHALLENGES: readonly Event[] = [base64(PROOF), base64('forged'), base64('more'), 'no base64'].flatMap((text) => both(334, text));
const AUTH_REPLIES: readonly Event[] = [...CHALLENGES, ...both(334, base64('more'), base64('more')), ...REPLIES];

const MALFORMED: Event = { type: 'malformed', detail: 'malformed', rest: '' };
const LOST: Event = { type: 'lost', detail: 'lost', rest: '' };
const TIMEOUT: Event = { type: 'timeout', rest: '' };
const ABORT: Event = { type: 'abort', detail: 'abort' };
const FAILED: readonly Event[] = [
  { type: 'contentFailed', detail: 'read error' },
  { type: 'contentFailed', detail: '8-bit text', lacks: '8bitmime' },
];
/** Events that may still come when the session is over. */
export const LATE: readonly Event[] = [reply(250, '', 'text'), LOST, ABORT];

/** All events that can come now. */
export function eventsAt(seen: Seen, { plan, letters, blocks }: Setting): readonly Event[] {
  const events: Event[] = [...repliesAt(seen), MALFORMED, LOST, ABORT];
  // Between transactions no clock runs.
  if (seen.task !== 'transaction') events.push(TIMEOUT);
  switch (seen.task) {
    case 'handshake':
      events.push({ type: 'secured' }, { type: 'insecure', reason: 'handshake', detail: 'no' });
      break;
    case 'transaction': {
      const transaction = letters[seen.given];
      if (transaction) events.push({ type: 'transaction', transaction });
      events.push({ type: 'noop' }, { type: 'quit' });
      break;
    }
    case 'block':
      if (letterOf(seen).blocks.said < blocks) events.push({ type: 'block', octets: 9, last: false });
      for (const octets of [0, 1, 9]) events.push({ type: 'block', octets, last: true });
      events.push(...FAILED);
      break;
    case 'content':
      events.push(...FAILED);
      events.push(...ended(seen, plan, letters));
      break;
    case 'flush':
      events.push(...ended(seen, plan, letters));
      break;
  }
  return events;
}

/** Reports that nobody asked the driver for: bugs, all of them. */
export function bugsAt({ task }: Seen, { letters: [transaction] }: Setting): readonly Event[] {
  const bugs: Event[] = [];
  if (task !== 'handshake') bugs.push({ type: 'secured' });
  if (task !== 'transaction') bugs.push({ type: 'noop' }, { type: 'quit' });
  if (task !== 'transaction' && transaction) bugs.push({ type: 'transaction', transaction });
  if (task !== 'block') bugs.push({ type: 'block', octets: 9, last: false }, { type: 'block', octets: 9, last: true });
  if (task !== 'content' && task !== 'flush') bugs.push({ type: 'contentSent', rest: '' });
  return bugs;
}

function repliesAt({ unanswered }: Seen): readonly Event[] {
  const awaited = unanswered[0]?.slice(1) ?? '';
  if (awaited === 'MAIL') return MAIL_REPLIES;
  if (awaited === 'EHLO' || awaited === 'LHLO') return EHLO_REPLIES;
  return ['AUTH', 'response', 'cancel'].includes(awaited) ? AUTH_REPLIES : REPLIES;
}

/** All content is written: with or without octets that wait, with or without a message that waits. */
function ended(seen: Seen, plan: Plan, letters: readonly Transaction[]): Event[] {
  const next = plan.transactions === 'many' ? letters[seen.given] : undefined;
  const rests = seen.isBehind ? ['x'] : ['', 'x'];
  return rests.flatMap((rest): Event[] => [{ type: 'contentSent', rest }, ...(next ? [{ type: 'contentSent' as const, rest, next }] : [])]);
}
