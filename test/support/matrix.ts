/** Prints the machine's steps in every state at every event, by running it. Knows nothing that the machine does not say. */

import { NO_EXTENSIONS } from '../../src/smtp/client/extensions.ts';
import { extend } from '../../src/smtp/client/linked-list.ts';
import type { Phase, SessionOutcome } from '../../src/smtp/client/outcome.ts';
import type { Transaction } from '../../src/smtp/client/print.ts';
import { type Action, advance, type Channel, type Event, type Plan, STEPS, type State } from '../../src/smtp/client/session.ts';
import { parsed } from '../../src/smtp/parsed.ts';
import type { Reply } from '../../src/smtp/reply.ts';
import { plain } from '../../src/smtp/sasl/sasl.ts';
import { mailbox } from './mailbox.ts';

const reply = (code: number): Event => ({ type: 'reply', rest: '', reply: { code, enhanced: null, lines: ['text'] } });

const EVENTS: readonly (readonly [string, Event])[] = [
  ['2yz', reply(250)],
  ['3yz', reply(354)],
  ['4yz', reply(450)],
  ['5yz', reply(550)],
  ['421', reply(421)],
  ['malformed', { type: 'malformed', detail: '', rest: '' }],
  ['lost', { type: 'lost', detail: '', rest: '' }],
  ['timeout', { type: 'timeout', rest: '' }],
  ['abort', { type: 'abort', detail: '' }],
  ['own event', { type: 'quit' }],
];

const PLAN: Plan = {
  protocol: 'smtp',
  hello: 'bar.com',
  tls: 'opportunistic',
  authenticate: () => parsed(plain('tim', 'secret')),
  transactions: 'many',
  framing: 'auto',
  partial: 'never',
};

const TRANSACTION: Transaction = {
  reversePath: null,
  recipients: [{ path: mailbox('a@foo.com') }],
  size: null,
  estimate: null,
  eightBit: 'none',
  withoutEightBit: 'convert',
  smtputf8: false,
  dsn: 'drop',
};

const channel: Channel = { secured: true, authenticated: true, extensions: NO_EXTENSIONS };
const sending = { channel, transaction: TRANSACTION };
const envelope = {
  at: 'envelope',
  ...sending,
  commands: ['MAIL FROM:<>', 'RCPT TO:<a@foo.com>'],
  refusals: null,
  isAlong: false,
} as const;
const exchange = plain('tim', 'secret').begin();
const accepted: Reply = { code: 250, enhanced: null, lines: [''] };

/** A state of each kind, and the event of our own that belongs to it. */
const STATES: readonly (readonly [string, State, Event | null])[] = [
  ['greeting', { at: 'greeting', secured: false }, null],
  ['hello', { at: 'hello', verb: 'EHLO', secured: false }, null],
  ['starttls', { at: 'starttls', channel }, null],
  ['handshake', { at: 'handshake', implicit: false }, { type: 'secured' }],
  ['auth', { at: 'auth', channel, mechanism: 'PLAIN', exchange, steps: 0, cancelled: null }, null],
  ['ready', { at: 'ready', channel }, { type: 'transaction', transaction: TRANSACTION }],
  ['envelope (MAIL)', { ...envelope, sent: 1, answered: 0 }, null],
  ['envelope (last RCPT)', { ...envelope, sent: 2, answered: 1 }, null],
  ['data', { at: 'data', ...sending, refusals: null, isAlong: false }, null],
  [
    'data, envelope refused',
    {
      at: 'data',
      ...sending,
      refusals: extend(null, { command: 'RCPT', recipient: 0, reply: { ...accepted, code: 550 } }),
      isAlong: false,
    },
    null,
  ],
  [
    'content (DATA)',
    { at: 'content', ...sending, refusals: null, framing: 'data', blocks: 0, last: null },
    { type: 'contentSent', rest: '' },
  ],
  ['content (a block unanswered)', { at: 'content', ...sending, refusals: null, framing: 'bdat', blocks: 1, last: 12 }, null],
  [
    'content (all but the end of the last block)',
    { at: 'content', ...sending, refusals: null, framing: 'bdat', blocks: 0, last: 12 },
    { type: 'contentSent', rest: '' },
  ],
  ['commit', { at: 'commit', ...sending, refusals: null, replies: null, next: null }, null],
  [
    'commit, an envelope behind it',
    { at: 'commit', ...sending, refusals: null, replies: null, next: { ...envelope, sent: 2, answered: 0, isAlong: true } },
    null,
  ],
  ['noop', { at: 'noop', channel }, null],
  ['reset', { at: 'reset', channel, again: null }, null],
  ['reset, for an envelope that was not heard', { at: 'reset', channel, again: TRANSACTION }, null],
  ['quit', { at: 'quit' }, null],
  ['closed', { at: 'closed' }, null],
];

function printSettled(actions: readonly Action[]): string {
  const settle = actions.find((action) => action.do === 'settle');
  const commit = actions.some((action) => action.do === 'commit') ? ', **terminator**' : '';
  return settle ? `: ${printKind(settle.outcome)}` : commit;
}

const printKind = (outcome: SessionOutcome): string =>
  outcome.kind === 'accepted' ? 'accepted' : `${outcome.failure.kind}, ${outcome.failure.condemns}`;

/** Prints the table as Markdown: state × event → next state: outcome, what a failure rules out. */
export function printMatrix(): string {
  const rows = STATES.map(([name, state, own]) => {
    const cells = EVENTS.map(([label, event]) => {
      if (label === 'own event' && own === null) return '–';
      const [next, ...actions] = advance(PLAN, state, label === 'own event' && own ? own : event);
      return `${next.at}${printSettled(actions)}`;
    });
    return `| ${[name, ...cells].join(' | ')} |`;
  });
  const head = ['at', ...EVENTS.map(([label]) => label)];
  return [`| ${head.join(' | ')} |`, `|${'---|'.repeat(head.length)}`, ...rows].join('\n');
}

/** Prints STEPS as Markdown. */
export function printSteps(): string {
  const rows = (Object.keys(STEPS) as Phase[]).map(
    (at) => `| ${at} | ${STEPS[at].wants || '–'} | ${STEPS[at].within} | ${STEPS[at].condemns} |`,
  );
  return ['| state | first digit wanted | time-out | a refusal rules out |', '|---|---|---|---|', ...rows].join('\n');
}
