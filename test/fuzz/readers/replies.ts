/** Replies of a server. */
import assert from 'node:assert';
import { LONGEST_REPLY_HEARD } from '../../../src/smtp/limits.ts';
import { digit, printHeard, printReply, type Reply, ReplyReader } from '../../../src/smtp/reply.ts';
import { replyLines } from '../../../src/smtp/server/answers.ts';
import { assertSentence, hasControl, type Reader, same, sameInAnyPieces } from '../reader.ts';

interface Heard {
  readonly replies: readonly Reply[];
  readonly fault: string | null;
  readonly isIdle: boolean;
  readonly rest: string;
}

function hear(pieces: readonly string[]): Heard {
  const heard = new ReplyReader();
  const replies: Reply[] = [];
  for (const piece of pieces) {
    heard.push(piece);
    for (let got = heard.next(); got !== null; got = heard.next()) {
      // What is heard behind a fault depends on how it is cut, and nobody asks for it.
      if (!got.ok) {
        assertSentence(printHeard(heard.rest) || got.detail);
        assert.ok(heard.next()?.ok === false, 'a fault goes away');
        return { replies, fault: got.detail, isIdle: false, rest: '' };
      }
      replies.push(got.value);
    }
  }
  return { replies, fault: null, isIdle: heard.idle, rest: heard.rest };
}

/** Asserts what holds for every reply, and that it is the same when we say it to somebody else. */
function checkReply(reply: Reply): void {
  const { code, enhanced, lines } = reply;
  assert.ok(code >= 200 && code <= 599 && lines.length > 0);
  assert.ok(lines.reduce((sum, line) => sum + line.length, 0) <= LONGEST_REPLY_HEARD);
  assert.ok(lines.every((line) => !line.includes('\n')));
  if (enhanced !== null) assert.equal(enhanced.class, digit(reply));
  const shown = printReply(reply);
  assert.match(shown, /^\d{3}(?: [^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*)?$/u);
  assert.ok(shown.length <= 4110);
  const said = replyLines(reply);
  assert.ok(said.every((line) => !hasControl(line) && line.length <= 510));
  const again = hear([`${said.join('\r\n')}\r\n`]);
  assert.equal(again.fault, null);
  same(
    again.replies.map((each) => each.code),
    [code],
  );
}

export const reader: Reader = {
  name: 'replies',
  seeds: [
    '250 ok\r\n',
    '250-a\r\n250-b\r\n250 c\r\n',
    '550-5.1.1 no\r\n550 5.1.1 x\r\n',
    '220 x\n',
    '\x16\x03\x01',
    '250-a\r\n550 b\r\n',
    '2500\r\n',
    '354\r\n',
  ],
  words: ['250 ', '250-', '550 5.1.1 ', '421 4.3.2 ', '354 ', '\r\n', '\n', '\t', '\x15\x03', '999 ', '\xc3\xbc'],
  read: (input) => hear([input]),
  run(input) {
    const { replies: read, isIdle, rest, fault } = sameInAnyPieces(input, hear);
    read.forEach(checkReply);
    if (fault === null) {
      assert.equal(isIdle, rest === '');
      // Lines of a reply that is not whole lie in `rest` as they are shown, so its end is that of the input.
      const tail = rest.slice(rest.lastIndexOf('\n') + 1);
      assert.ok(input.endsWith(tail));
    } else assertSentence(fault);
  },
};
