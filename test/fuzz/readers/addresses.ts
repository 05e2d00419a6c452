/** Lists of addresses, in header fields and arguments. */
import assert from 'node:assert';
import { type AddressList, parseAddressList, parseSender } from '../../../src/message/mailboxes.ts';
import { collectRecipients } from '../../../src/message/recipients.ts';
import { mailboxKey, printMailbox } from '../../../src/smtp/path.ts';
import { textOf, utf8 } from '../../../src/smtp/text.ts';
import { ADDRESS_WORDS, checkMailbox } from '../mailboxes.ts';
import { assertSentence, type Reader, same } from '../reader.ts';

/** Asserts that places lie within the text, in order and apart. */
function checkSpans(text: string, spans: readonly { readonly start: number; readonly end: number }[]): void {
  let at = 0;
  for (const { start, end } of spans) {
    assert.ok(start >= at && end > start && end <= text.length, `${start} to ${end} behind ${at} of ${text.length}`);
    at = end;
  }
}

function checkList(text: string, list: AddressList): void {
  checkSpans(text, list.mailboxes);
  checkSpans(text, list.words);
  checkSpans(text, list.comments);
  checkSpans(text, list.blanks);
  for (const { mailbox } of list.mailboxes) checkMailbox(mailbox);
  // Each in its place in the one way in which we print it: the same people are meant.
  let tidy = '';
  let at = 0;
  for (const { start, end, mailbox } of list.mailboxes) {
    tidy += text.slice(at, start) + utf8(printMailbox(mailbox));
    at = end;
  }
  tidy += text.slice(at);
  // A mark that nobody sees at the end of a domain goes once the dot behind it is gone.
  if (list.mailboxes.some(({ mailbox }) => /[^!-~]$/.test(mailbox.domain))) return;
  const again = parseAddressList(tidy);
  assert.ok(again.ok, `not read again: ${tidy}`);
  same(
    again.value.mailboxes.map(({ mailbox }) => printMailbox(mailbox)),
    list.mailboxes.map(({ mailbox }) => printMailbox(mailbox)),
  );
}

export const reader: Reader = {
  name: 'addresses',
  seeds: [
    'Joe <a@b>, "x, y" <c@d> (z), group: e, f@g;, @h:i@j',
    '<@x,@y:a@b>',
    'a . b @ c (d (e) f)',
    '=?UTF-8?Q?a,b?= <c@d>',
    'a@b;c@d',
    '\xc2\xa0a@b\xe2\x80\x8b, <>',
    'M\xc3\xbcller, J\xc3\xb6rg <j@b>',
    'undisclosed-recipients:;',
    '<x:;>',
  ],
  words: [...ADDRESS_WORDS, '\r\n ', '=?UTF-8?Q?', '?=', '\xc2\xa0', '\xe2\x80\x8b', 'group:', ':;', '<x:;>'],
  read: (input) =>
    collectRecipients([], [textOf(input)], {
      fromFields: false,
      argumentsWithT: 'add',
      qualifyRecipient: 'q.example',
      spell: (mailbox) => mailbox,
    }),
  run(input) {
    const read = parseAddressList(input);
    if (read.ok) checkList(input, read.value);
    else assertSentence(read.detail);
    const operand = textOf(input);
    const sender = parseSender(operand);
    if (!sender.ok) assertSentence(sender.detail);
    else if (sender.value !== null) checkMailbox(sender.value);
    const found = collectRecipients([], [operand], {
      fromFields: false,
      argumentsWithT: 'add',
      qualifyRecipient: 'q.example',
      spell: (mailbox) => mailbox,
    });
    if (!found.ok) return assertSentence(found.detail);
    assert.ok(found.value.length > 0);
    assert.equal(new Set(found.value.map(mailboxKey)).size, found.value.length);
    for (const mailbox of found.value) assert.notEqual(mailbox.domain, '');
  },
};
