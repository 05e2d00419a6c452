/**
 * What a smart host says, heard by a whole session. The first octet decides its terms: LMTP, one recipient or three, who has to be
 * accepted, TLS, credentials. The driver does at once what the machine asks for.
 */
import assert from 'node:assert';
import { Dialogue } from '../../../src/smtp/client/dialogue.ts';
import type { SessionOutcome } from '../../../src/smtp/client/outcome.ts';
import type { Transaction } from '../../../src/smtp/client/print.ts';
import type { Action, Plan } from '../../../src/smtp/client/session.ts';
import { chooseMechanism } from '../../../src/smtp/sasl/choose.ts';
import type { Hashes } from '../../../src/smtp/sasl/sasl.ts';
import { latin1, octets } from '../../../src/smtp/text.ts';
import { mailbox } from '../../support/mailbox.ts';
import { assertSentence, cutsOf, hasControl, hashOf, type Reader } from '../reader.ts';

const PASSWORD = 'tanstaaftanstaaf';
/** Stands in for a digest: what counts is that a server cannot guess it. */
const digest = (text: string, size: number): string =>
  latin1(octets(String.fromCharCode(...Array.from({ length: size }, (_, i) => hashOf(`${i}${text}`) & 255))));
const SIZES = { md5: 16, sha1: 20, sha256: 32 } as const;
const HASHES: Hashes = {
  hash: (name, text) => digest(text, SIZES[name]),
  hmac: (name, key, text) => digest(`${key} ${text}`, SIZES[name]),
  pbkdf2: (name, password, salt, iterations) => digest(`${password} ${salt} ${iterations}`, SIZES[name]),
  nonce: () => 'fyko+d2lbbFgONRv9qkxdawL',
};

const RECIPIENTS = ['a@foo.com', 'b@foo.com', '"c d"@bar.com'].map((text) => ({ path: mailbox(text) }));

interface Terms {
  readonly plan: Plan;
  readonly transaction: Transaction;
}

function termsOf(first: number): Terms {
  const recipients = (first & 1) > 0 ? RECIPIENTS : RECIPIENTS.slice(0, 1);
  const hasPassword = (first & 8) > 0;
  const authenticate: Plan['authenticate'] = (offered, secured) =>
    chooseMechanism(
      offered,
      { user: 'tim', secret: PASSWORD, kind: 'password', clientCertificate: false },
      { mechanisms: [], allowPlaintext: (first & 16) > 0 },
      { secured, loopback: false, host: 'mail.foo.com', port: 25, bindings: [] },
      HASHES,
    );
  return {
    plan: {
      protocol: (first & 2) > 0 ? 'lmtp' : 'smtp',
      hello: 'bar.com',
      tls: (first & 4) > 0 ? 'opportunistic' : 'off',
      authenticate: hasPassword ? authenticate : null,
      transactions: (first & 32) > 0 ? 'many' : 'one',
      framing: (first & 64) > 0 ? 'data' : 'auto',
      partial: (first & 128) > 0 ? 'any' : (first & 2) > 0 ? 'verdicts' : 'never',
    },
    transaction: {
      reversePath: null,
      recipients,
      size: 7,
      estimate: null,
      eightBit: 'some',
      withoutEightBit: 'convert',
      smtputf8: false,
      dsn: 'drop',
    },
  };
}

interface Seen {
  readonly outcomes: readonly SessionOutcome[];
  /** How many lines, in order of time, the server had said when the message was committed; null: it was not. */
  readonly committed: boolean;
  readonly said: readonly string[];
}

function converse({ plan, transaction }: Terms, pieces: readonly string[]): Seen {
  const dialogue = new Dialogue(plan);
  const outcomes: SessionOutcome[] = [];
  const said: string[] = [];
  let committed = false;
  let isReady = 0;
  let isOver = false;
  const inbox: Action[] = [...dialogue.begin()];

  function perform(action: Action): readonly Action[] {
    switch (action.do) {
      case 'send':
        for (const line of action.lines) assert.ok(!hasControl(line), `sent: ${JSON.stringify(line)}`);
        if (!action.secret) said.push(...action.lines);
        return [];
      case 'startTls':
        return dialogue.on({ type: 'secured' });
      case 'ready':
        isReady++;
        return isReady === 1 ? dialogue.on({ type: 'transaction', transaction }) : dialogue.on({ type: 'quit' });
      case 'pull':
        return action.framing === 'data' ? dialogue.on({ type: 'contentSent' }) : dialogue.on({ type: 'block', octets: 7, last: true });
      case 'sendBlock':
        assert.ok(!hasControl(action.line));
        assert.match(action.line, /^BDAT \d+(?: LAST)?$/);
        return [];
      case 'flush':
        return dialogue.on({ type: 'contentSent' });
      case 'commit':
        assert.ok(!committed, 'committed twice');
        committed = true;
        return [];
      case 'settle':
        outcomes.push(action.outcome);
        return [];
      case 'note':
        assertSentence(action.note);
        said.push(action.note);
        return [];
      case 'close':
      case 'destroy':
        isOver = true;
        return [];
      default:
        return [];
    }
  }
  const performAll = (): void => {
    for (let action = inbox.shift(); action !== undefined; action = inbox.shift()) inbox.push(...perform(action));
  };
  performAll();
  for (const piece of pieces) {
    if (isOver) break;
    inbox.push(...dialogue.receive(piece));
    performAll();
  }
  if (dialogue.state.at !== 'closed') {
    inbox.push(...dialogue.on({ type: 'lost', detail: 'the server has closed the connection' }));
    performAll();
  }
  assert.equal(dialogue.state.at, 'closed');
  return { outcomes, committed, said };
}

/** A server that waits for each command says a line at a time. */
const linesOf = (text: string): readonly string[] => text.split(/(?<=\n)/);
const firstOf = (input: string): number => input.charCodeAt(0) || 0;

const OFFERS =
  '250-hi\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN SCRAM-SHA-256 CRAM-MD5\r\n';
const OK = '250 2.1.0 ok\r\n';

export const reader: Reader = {
  name: 'session',
  seeds: ['\x00', '\x01', '\x03', '\x81', '\x29', '\x5b', '\x1c', '\xff'].flatMap((first) => [
    `${first}220 hi\r\n250 hi\r\n${OK}${OK}550 5.1.1 no\r\n${OK}354 go\r\n250 taken\r\n221 bye\r\n`,
    `${first}220 hi\r\n250 hi\r\n${OK}${OK}${OK}${OK}354 go\r\n550 5.2.1 one\r\n250 two\r\n452 three\r\n221 bye\r\n`,
    `${first}220 hi\r\n250 hi\r\n${OK}${OK}354 go\r\n250 taken\r\n221 bye\r\n`,
    `${first}220 hi\r\n${OFFERS}${OK}${OK}${OK}${OK}354 go\r\n${OK}${OK}${OK}221 bye\r\n`,
    `${first}220 hi\r\n${OFFERS}220 go\r\n${OFFERS}235 in\r\n${OK}${OK}550 5.1.1 no\r\n${OK}${OK}250 taken\r\n`,
    `${first}220 hi\r\n250-hi\r\n250 AUTH SCRAM-SHA-256\r\n334 cj1meWtvK2QybGJiRmdPTlJ2OXFreGRhd0x4LHM9UVNYQ1IrUTZzZWs4YmY5MixpPTQwOTY=\r\n334 dj0=\r\n535 5.7.8 no\r\n`,
    `${first}220 hi\r\n250-hi\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n421 4.3.2 closing\r\n`,
  ]),
  words: [
    '220 hi\r\n',
    '250 ok\r\n',
    '250-',
    '354 go\r\n',
    '334 ',
    '235 ok\r\n',
    '421 4.3.2 x\r\n',
    '550 5.1.1 no\r\n',
    '452 4.5.3 many\r\n',
    '221 bye\r\n',
    '503 no\r\n',
    '250-PIPELINING\r\n',
    '250-CHUNKING\r\n',
    '250 AUTH PLAIN\r\n',
    '250 STARTTLS\r\n',
    '250-LIMITS RCPTMAX=1\r\n',
    '250-SIZE 5\r\n',
    'v=',
    'i=4096',
    's=',
    'r=',
    '\r\n',
    '=',
  ],
  read: (input) => converse(termsOf(firstOf(input)), linesOf(input.slice(1))),
  run(input) {
    const terms = termsOf(firstOf(input));
    const text = input.slice(1);
    const replies = text.split(/\r?\n/).filter((line) => /^[2-5]\d\d(?:[ \t]|$)/.test(line));
    const positive = replies.filter((line) => line.startsWith('2')).length;
    for (const pieces of [linesOf(text), ...cutsOf(text)]) {
      const { outcomes, committed, said } = converse(terms, pieces);
      assert.equal(outcomes.length, 1, 'a message has one outcome');
      const [outcome] = outcomes as [SessionOutcome];
      const shown = JSON.stringify([outcome, said]);
      assert.ok(!shown.includes(PASSWORD) && !shown.includes('dGFuc3RhYWZ0YW5zdGFhZg'), 'the password is shown');
      if (outcome.kind === 'accepted') {
        assert.ok(committed, 'accepted, and never committed');
        const { recipients } = terms.transaction;
        // Greeting, EHLO, MAIL, recipients, verdict: nothing less is an acceptance.
        const taken = recipients.length - outcome.refusals.length;
        assert.ok(taken > 0 && positive >= 4 + taken, `${positive} replies are enough for ${taken} recipients`);
        if (terms.plan.partial === 'never') assert.equal(outcome.refusals.length, 0);
      } else {
        if (outcome.failure.kind === 'uncertain') assert.ok(committed, 'uncertain, and never committed');
        if (!committed) assert.notEqual(outcome.failure.kind, 'uncertain');
      }
    }
  },
};
