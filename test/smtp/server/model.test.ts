/**
 * Random sessions against a second, smaller server that is written from the RFCs alone: it knows whole commands, and neither octets nor
 * questions. Both have to give the same codes in the same order, and to have the same messages for the same recipients.
 */
import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import type { Reply } from '../../../src/smtp/reply.ts';
import { makeReply } from '../../../src/smtp/server/answers.ts';
import { makeReception } from '../../../src/smtp/server/input.ts';
import { type OwnerQuestion, RECEIVING, type Receiving } from '../../../src/smtp/server/machine.ts';
import { latin1, octets } from '../../../src/smtp/text.ts';

const test = suite('receiver, model');

/** What a local part, or the first word of a content, makes the owner say; 0 = yes. */
const SAYS = { yes: 0, later: 451, never: 550, bye: 421 } as const;
type Say = keyof typeof SAYS;

type Step =
  | { readonly is: 'hello'; readonly verb: 'EHLO' | 'HELO' | 'LHLO' }
  | { readonly is: 'mail' | 'rcpt'; readonly say: Say }
  /** `text` is sent only where the server asks for it. */
  | { readonly is: 'data'; readonly text: string }
  | { readonly is: 'bdat'; readonly text: string; readonly last: boolean }
  | { readonly is: 'other'; readonly line: string; readonly code: number }
  | { readonly is: 'quit' };

interface Message {
  readonly from: string;
  readonly to: readonly string[];
  readonly content: string;
}

/** What a client sees, what it has to write for that, and what the owner has at the end. */
interface Seen {
  readonly wire: string;
  readonly codes: readonly number[];
  readonly taken: readonly Message[];
}

const firstWord = (content: string): Say => {
  const word = /^\w+/.exec(content)?.[0] ?? '';
  return word in SAYS ? (word as Say) : 'yes';
};
/** LMTP: the second recipient's mailbox is full, whatever the content is. RFC 2033 §4.2 */
const verdictFor = (i: number, content: string): number => (i === 1 ? 452 : SAYS[firstWord(content)] || 250);
const isYes = (code: number): boolean => code < 300;
/** The owner's verdicts on a content, one a reply, and who has it then. */
function verdictsOn(protocol: Receiving['protocol'], to: readonly string[], content: string) {
  const codes = protocol === 'lmtp' ? to.map((_, i) => verdictFor(i, content)) : [verdictFor(0, content)];
  return { codes, has: to.filter((_, i) => isYes(codes[protocol === 'lmtp' ? i : 0] as number)) };
}

/** RFC 5321 §4.1.4, RFC 3030 §2, RFC 2033 §4.2. */
function model({ protocol, sizeLimit }: Receiving, steps: readonly Step[]): Seen {
  let wire = '';
  const codes = [220];
  const taken: Message[] = [];
  let greeted = false;
  let from: string | null = null;
  let to: string[] = [];
  let refused = 0;
  let blocks: string[] = [];
  let failed = false;
  let open = true;
  const forget = (): void => {
    from = null;
    to = [];
    refused = 0;
    blocks = [];
    failed = false;
  };
  const say = (code: number): boolean => {
    codes.push(code);
    if (code === 421 || code === 221) open = false;
    return isYes(code);
  };
  /** Whether content may come, by the code that says why not; 0 = it may. */
  const barred = (): number => {
    if (from === null || failed) return 503;
    if (to.length > 0) return 0;
    return refused > 0 && protocol === 'smtp' ? 554 : 503;
  };
  const finish = (content: string): void => {
    const { codes: all, has } = verdictsOn(protocol, to, content);
    if (has.length > 0) taken.push({ from: from as string, to: has, content });
    forget();
    for (const code of all) say(code);
  };
  for (const step of steps) {
    if (!open) break;
    switch (step.is) {
      case 'hello':
        wire += `${step.verb} client.example\r\n`;
        if (say((step.verb === 'LHLO') === (protocol === 'lmtp') ? 250 : 500)) {
          greeted = true;
          forget();
        }
        break;
      case 'mail':
        wire += `MAIL FROM:<${step.say}@from.example>\r\n`;
        if (!greeted || from !== null) say(503);
        else if (say(SAYS[step.say] || 250)) from = step.say;
        break;
      case 'rcpt':
        wire += `RCPT TO:<${step.say}@to.example>\r\n`;
        if (from === null || blocks.length > 0) say(503);
        else if (say(SAYS[step.say] || 250)) to.push(step.say);
        else refused += 1;
        break;
      case 'data': {
        wire += 'DATA\r\n';
        const code = barred() || (blocks.length > 0 ? 503 : 354);
        say(code);
        if (code !== 354) break;
        wire += `${step.text.replace(/^\./gm, '..')}.\r\n`;
        if (step.text.length <= sizeLimit) finish(step.text);
        else {
          const count = protocol === 'lmtp' ? to.length : 1;
          forget();
          for (let i = 0; i < count; i++) say(552);
        }
        break;
      }
      case 'bdat': {
        wire += `BDAT ${step.text.length}${step.last ? ' LAST' : ''}\r\n${step.text}`;
        const all = blocks.join('') + step.text;
        const code = barred() || (all.length > sizeLimit ? 552 : 250);
        if (code === 250 && step.last) {
          finish(all);
          break;
        }
        if (code === 250) blocks.push(step.text);
        else if (from !== null) failed = true;
        const count = protocol === 'lmtp' && step.last && from !== null ? to.length : 1;
        for (let i = 0; i < count; i++) say(code);
        break;
      }
      case 'other':
        wire += `${step.line}\r\n`;
        say(step.code);
        if (step.line === 'RSET') forget();
        break;
      case 'quit':
        wire += 'QUIT\r\n';
        say(221);
        break;
    }
  }
  return { wire, codes, taken };
}

/** The same of the true server, of which octets come in pieces. */
function play(settings: Receiving, wire: string, size: number, isLate: boolean): Omit<Seen, 'wire'> {
  const codes: number[] = [];
  const taken: Message[] = [];
  let from = '';
  let to: string[] = [];
  let content = '';
  const waiting: OwnerQuestion[] = [];
  const refuse = (code: number): Reply | null => (code === 0 ? null : makeReply(code, `${String(code)[0]}.0.0`, 'so the owner says'));
  const judge = (question: OwnerQuestion): readonly [Reply | null, readonly Reply[]] => {
    switch (question.about) {
      case 'sender':
        from = question.path?.localPart ?? '';
        to = [];
        content = '';
        return [refuse(SAYS[from as Say]), []];
      case 'recipient': {
        const { localPart } = question.path;
        if (SAYS[localPart as Say] === 0) to.push(localPart);
        return [refuse(SAYS[localPart as Say]), []];
      }
      case 'content': {
        const { codes: all, has } = verdictsOn(settings.protocol, to, content);
        if (has.length > 0) taken.push({ from, to: has, content });
        return [refuse(SAYS[firstWord(content)]), all.map((code) => makeReply(code, '', 'so the owner says'))];
      }
      default:
        return [null, []];
    }
  };
  const answer = (question: OwnerQuestion): void => reception.answer(...judge(question));
  const reception = makeReception(settings, (action) => {
    if (action.do === 'reply') codes.push(action.code);
    else if (action.do === 'content') content += latin1(action.octets);
    else if (action.do === 'ask' && isLate) waiting.push(action.question);
    else if (action.do === 'ask') answer(action.question);
  });
  const answerAll = (): void => {
    for (let question = waiting.shift(); question !== undefined; question = waiting.shift()) answer(question);
  };
  reception.begin(false);
  answerAll();
  for (let at = 0; at < wire.length; at += size) {
    reception.hear(octets(wire.slice(at, at + size)));
    if (at % 3 === 0) answerAll();
  }
  answerAll();
  return { codes, taken };
}

const say = fc.constantFrom<Say>(...Array<Say>(12).fill('yes'), 'later', 'later', 'never', 'bye');
const text = fc
  .array(fc.constantFrom('yes', 'later', 'never', '.', '..', '.x', '', 'QUIT', 'RSET', 'MAIL FROM:<x@y>', 'x'.repeat(30)), { maxLength: 4 })
  .map((lines) => lines.map((line) => `${line}\r\n`).join(''));
const mail = fc.record({ is: fc.constant('mail' as const), say });
const rcpt = fc.record({ is: fc.constant('rcpt' as const), say });
const data = fc.record({ is: fc.constant('data' as const), text });
const bdat = fc.record({ is: fc.constant('bdat' as const), text, last: fc.boolean() });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ is: fc.constant('hello' as const), verb: fc.constantFrom('EHLO', 'HELO', 'LHLO') }),
  mail,
  rcpt,
  data,
  bdat,
  fc
    .constantFrom(['RSET', 250], ['NOOP', 250], ['VRFY ann', 252], ['HELP', 214], ['EXPN all', 502], ['XYZZY', 500], ['MAIL FROM:', 501])
    .map(([line, code]): Step => ({ is: 'other', line: line as string, code: code as number })),
  fc.constant<Step>({ is: 'quit' }),
);
/** One after another the steps of a message, because steps by chance seldom make one. */
const message: fc.Arbitrary<readonly Step[]> = fc
  .tuple(mail, fc.array(rcpt, { minLength: 1, maxLength: 3 }), fc.oneof(fc.tuple(data), fc.array(bdat, { minLength: 1, maxLength: 3 })))
  .map(([first, to, content]) => [first, ...to, ...content]);
const steps = fc
  .array(fc.oneof({ weight: 2, arbitrary: message }, { weight: 1, arbitrary: fc.tuple(step) }), { maxLength: 12 })
  .map((all) => all.flat());

test('the same codes, and the same messages for the same recipients', () => {
  const tally = { taken: 0, refused: 0 };
  fc.assert(
    fc.property(fc.constantFrom('smtp', 'lmtp'), steps, fc.constantFrom(1, 2, 7, 100_000), fc.boolean(), (protocol, sent, size, isLate) => {
      const settings: Receiving = { ...RECEIVING, protocol, sizeLimit: 64, faultLimit: Number.POSITIVE_INFINITY };
      const hello: Step = { is: 'hello', verb: protocol === 'lmtp' ? 'LHLO' : 'EHLO' };
      const { wire, ...expected } = model(settings, sent.length % 5 === 0 ? sent : [hello, ...sent]);
      assert.deepEqual(play(settings, wire, size, isLate), expected, JSON.stringify(wire));
      tally.taken += expected.taken.length;
      tally.refused += expected.codes.filter((code) => code >= 400).length;
    }),
    { numRuns: 3000 },
  );
  // What is never reached is not compared.
  assert.ok(tally.taken > 500 && tally.refused > 5000, JSON.stringify(tally));
});

test.run();
