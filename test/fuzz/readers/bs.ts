/**
 * A client's octets as `sendmail -bs`, a sink and an LMTP server hear them. The first octet decides which of them it is, and how often
 * the owner says no.
 */
import assert from 'node:assert';
import { sourceOf } from '../../../src/message/source.ts';
import { withNetworkLineEnds } from '../../../src/sendmail/dialogue/line-ends.ts';
import type { Reply } from '../../../src/smtp/reply.ts';
import { makeReply } from '../../../src/smtp/server/answers.ts';
import { makeReception, type Performed } from '../../../src/smtp/server/input.ts';
import { type OwnerQuestion, RECEIVING, type Receiving, USUAL_EXTENSIONS } from '../../../src/smtp/server/machine.ts';
import { latin1, octets } from '../../../src/smtp/text.ts';
import { readAll } from '../octets.ts';
import { hasControl, hashOf, type Reader, sameInAnyPieces, sameInAnyPiecesAsync } from '../reader.ts';

const SETTINGS: readonly Receiving[] = [
  // As -bs has it.
  {
    ...RECEIVING,
    sizeLimit: Number.POSITIVE_INFINITY,
    bareLineEnds: 'accept',
    lfEndsCommands: true,
    helloOptional: true,
    faultLimit: Number.POSITIVE_INFINITY,
  },
  RECEIVING,
  { ...RECEIVING, protocol: 'lmtp', sizeLimit: 200, faultLimit: 8 },
  {
    ...RECEIVING,
    extensions: [
      ...USUAL_EXTENSIONS,
      'BINARYMIME',
      'LIMITS RCPTMAX=3 MAILMAX=2 RCPTDOMAINMAX=2',
      'REQUIRETLS',
      'DELIVERBY',
      'MT-PRIORITY',
      'FUTURERELEASE',
      'NO-SOLICITING',
    ],
    mechanisms: ['PLAIN', 'LOGIN'],
    authInClear: true,
    tls: 'offered',
  },
];

/** A thing that happened, in order; texts of the content that follow one another are one. */
type Happened =
  | { readonly is: 'heard'; readonly line: string }
  | { readonly is: 'reply'; readonly code: number; readonly lines: readonly string[] }
  | { readonly is: 'content'; readonly text: string }
  | { readonly is: 'asked'; readonly question: OwnerQuestion; readonly isAccepted: boolean }
  | { readonly is: 'abandon' | 'startTls' | 'close' };

/** The owner says no where the question and the seed say so, whatever came before. */
function judge(question: OwnerQuestion, seed: number): Reply | null {
  const { about } = question;
  const text = about === 'sender' || about === 'recipient' ? JSON.stringify(question.path) : about;
  const drawn = hashOf(`${seed} ${about} ${text}`) % 8;
  if (seed === 0 || drawn > 1) return null;
  return drawn === 0 && seed > 5
    ? makeReply(421, '4.3.2', 'closing')
    : makeReply(about === 'data' ? 451 : 550, drawn === 0 ? '' : '5.1.1', `no\r\n250 ${text}`);
}

function hear(settings: Receiving, seed: number, pieces: readonly string[]): readonly Happened[] {
  const happened: Happened[] = [];
  const questions: OwnerQuestion[] = [];
  const reception = makeReception(settings, (action: Performed) => {
    switch (action.do) {
      case 'heard':
        happened.push({ is: 'heard', line: action.line });
        return;
      case 'reply':
        happened.push({ is: 'reply', code: action.code, lines: action.lines });
        return;
      case 'content': {
        const last = happened.at(-1);
        const text = latin1(action.octets);
        if (last?.is === 'content') happened[happened.length - 1] = { is: 'content', text: last.text + text };
        else if (text !== '') happened.push({ is: 'content', text });
        return;
      }
      case 'ask':
        questions.push(action.question);
        return;
      default:
        happened.push({ is: action.do });
    }
  });
  const answer = (): void => {
    for (let question = questions.shift(); question !== undefined; question = questions.shift()) {
      assert.equal(reception.state.at, 'judging');
      const verdict = judge(question, seed);
      happened.push({ is: 'asked', question, isAccepted: verdict === null });
      reception.answer(verdict);
    }
  };
  reception.begin(settings.tls !== 'none' && seed % 2 > 0);
  answer();
  for (const piece of pieces) {
    reception.hear(octets(piece));
    answer();
    // What was said in the clear behind STARTTLS is lost only where it had come already, so nothing more comes here.
    if (reception.state.at !== 'securing') continue;
    reception.tell('secured');
    break;
  }
  reception.end();
  answer();
  assert.equal(reception.state.at, 'closed');
  return happened;
}

/** What a client says: no line of it has an octet that a terminal obeys or a client takes for a line end. */
function checkReplies(happened: readonly Happened[], { protocol }: Receiving): void {
  let due = 1;
  let isOver = false;
  let recipients = 0;
  for (const each of happened) {
    assert.ok(!isOver || each.is === 'abandon', `${each.is} behind the end`);
    switch (each.is) {
      case 'heard':
        assert.ok(due <= 0, `nothing was said to the line before ${each.line}`);
        due = 1;
        break;
      case 'asked':
        if (each.question.about === 'content') {
          recipients = each.question.transaction.recipients;
          assert.ok(recipients > 0, 'content for nobody is accepted');
          if (protocol === 'lmtp') due = recipients;
        }
        break;
      case 'reply':
        for (const [i, line] of each.lines.entries()) {
          assert.ok(/^[2-5]\d\d(?:[- ]|$)/.test(line) && !hasControl(line), line);
          assert.ok(line.length <= 510);
          assert.equal(line[3] === '-', i < each.lines.length - 1, line);
          assert.equal(Number(line.slice(0, 3)), each.code);
        }
        // The last word may come behind the reply to what was one fault too many.
        if (each.code !== 421) due--;
        else due = 0;
        break;
      case 'close':
        isOver = true;
        break;
    }
    if (protocol === 'smtp') assert.ok(due >= 0, 'two replies to one command');
  }
}

/** True if a line of the input begins text that is this content with dots, up to the first CR LF . CR LF. */
function isCommitted(text: string, input: string): boolean {
  for (let at = 0; at >= 0 && at < input.length; ) {
    const from = input.indexOf('\n', at) + 1;
    if (from === 0) return false;
    at = from;
    const end = input.startsWith('.\r\n', from) ? from : input.indexOf('\r\n.\r\n', from) + 2;
    if (end >= from && input.slice(from, end).replace(/(^|\r\n)\./g, '$1') === text) return true;
  }
  return false;
}

/** What was committed stands in what the client said, with its end: by DATA behind dots, by BDAT as it is. */
function checkContent(happened: readonly Happened[], input: string): void {
  let text = '';
  let transactions = 0;
  let isChunked = false;
  for (const each of happened) {
    if (each.is === 'content') {
      if (isChunked) assert.ok(input.includes(each.text));
      text += each.text;
    }
    if (each.is === 'heard') isChunked = /^\s*BDAT\b/i.test(each.line);
    if (each.is !== 'asked') continue;
    const { question } = each;
    if (question.about === 'data') text = '';
    if (question.about !== 'content') continue;
    transactions++;
    const { chunked } = question.transaction;
    if (chunked === null) {
      assert.ok(isCommitted(text, input), `nobody has committed ${JSON.stringify(text)}`);
      assert.equal(question.facts.octets, text.length);
    } else assert.equal(chunked, text.length, 'other octets than the blocks had');
    text = '';
  }
  const ends = [...input.matchAll(/^\.\r?$/gm)].length + [...input.matchAll(/LAST/gi)].length;
  assert.ok(transactions <= ends, `${transactions} messages, and ${ends} ends`);
}

const HELLO = 'EHLO x\r\n';
const MAIL = 'MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n';

/** Content that is abandoned goes nowhere, and how much of it was heard before depends on the pieces. */
const withoutAbandoned = (happened: readonly Happened[]): readonly Happened[] =>
  happened.filter(({ is }, i) => is !== 'content' || happened[i + 1]?.is !== 'abandon');

export const reader: Reader = {
  name: 'bs',
  seeds: ['\x01', '\x04', '\x07', '\x02', '\x0f'].flatMap((first) => [
    `${first}${HELLO}${MAIL}DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n`,
    `${first}${HELLO}${MAIL}DATA\r\na\r\n.\rb\n.\n.\r\n.\r.\r\n.\n\r\n.x\r\n..\r\n.\r\nQUIT\r\n`,
    `${first}${HELLO}${MAIL}BDAT 5\r\nhelloBDAT 3 LAST\r\n\r\n.RSET\r\nNOOP x\r\nVRFY y\r\n`,
    `${first}HELO x\nmail from: a@b SIZE=10 BODY=8BITMIME\nrcpt to:<"x y"@z> NOTIFY=NEVER ORCPT=rfc822;a\nrcpt to:<q>\ndata\n.\n\r\n.\r\n`,
    `${first}${HELLO}AUTH PLAIN AGEAYg==\r\nAUTH LOGIN\r\nYQ==\r\nYg==\r\nSTARTTLS\r\n${HELLO}${MAIL}DATA\r\nx\r\n.\r\n`,
    `${first}LHLO x\r\n${MAIL}RCPT TO:<e@f>\r\nDATA\r\nx\r\n.\r\nHELP\r\nEXPN\r\nBDAT 0 LAST\r\n`,
  ]),
  words: [
    'EHLO x\r\n',
    'HELO ',
    'LHLO x\r\n',
    'MAIL FROM:',
    'RCPT TO:',
    '<a@b>',
    '<>',
    'DATA\r\n',
    '\r\n.\r\n',
    '\n.\n',
    '\r.\r',
    '\r\n.\r.',
    '\r\n.\r',
    '.',
    'BDAT ',
    ' LAST\r\n',
    'RSET\r\n',
    'NOOP\r\n',
    'QUIT\r\n',
    'STARTTLS\r\n',
    'AUTH PLAIN ',
    'AUTH LOGIN\r\n',
    'AGEAYg==',
    '*\r\n',
    '=\r\n',
    ' SIZE=',
    ' BODY=BINARYMIME',
    ' SMTPUTF8',
    ' NOTIFY=',
    ' ORCPT=rfc822;',
    ' RET=HDRS',
    ' ENVID=',
    ' AUTH=<>',
    ' REQUIRETLS',
    ' BY=',
    '\r\n',
    '\n',
    '\r',
    '\xc3\xbc',
    '0',
    '9',
  ],
  read: (input) => hear(SETTINGS[0] as Receiving, 0, [input]),
  async run(input) {
    const first = input.charCodeAt(0) || 0;
    const text = input.slice(1);
    const settings = SETTINGS[first % SETTINGS.length] as Receiving;
    const seed = (first >> 2) % 16;
    const happened = sameInAnyPieces(text, (pieces) => withoutAbandoned(hear(settings, seed, pieces)));
    checkReplies(happened, settings);
    checkContent(happened, `\n${text}`);
    // What a batch or a terminal writes has the line ends of the network, however it comes.
    for (const isUnix of [true, false]) {
      const { text: turned } = await sameInAnyPiecesAsync(text, (pieces) =>
        readAll(withNetworkLineEnds(sourceOf(...pieces.map(octets)), isUnix)),
      );
      const hasUnixLines = isUnix || (text.includes('\n') && text[text.indexOf('\n') - 1] !== '\r');
      assert.equal(turned, hasUnixLines ? text.replace(/\r?\n/g, '\r\n') : text);
    }
  },
};
