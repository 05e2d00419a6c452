/** An address alone, as the wire, an alias or the configuration has it. */
import assert from 'node:assert';
import { parseMailbox, parseReversePath, quoteLocalPart } from '../../../src/smtp/path.ts';
import { textOf } from '../../../src/smtp/text.ts';
import { ADDRESS_WORDS, checkMailbox } from '../mailboxes.ts';
import { assertSentence, hasControl, type Reader } from '../reader.ts';

export const reader: Reader = {
  name: 'address',
  seeds: [
    'a@b.example',
    '<a@b>',
    '"a b"@c',
    '"a\\"b"@[192.0.2.1]',
    '@x:a@b',
    'a',
    '',
    '<>',
    'j\xc3\xb6rg@\xc3\xbc.example',
    'a..b@c.',
    '[IPv6:::1]',
  ],
  words: ADDRESS_WORDS,
  read: (input) => parseMailbox(textOf(input)),
  run(input) {
    const text = textOf(input);
    const read = parseMailbox(text);
    if (read.ok) checkMailbox(read.value);
    else assertSentence(read.detail);
    const reverse = parseReversePath(text);
    assert.equal(reverse.ok, read.ok || text === '' || text === '<>');
    // Whatever stands within quotes, the shortest form of it is read as the same.
    if (text !== '' && !hasControl(text) && !/[\u0080-\u009f\u2028\u2029\ud800-\udfff]/.test(text) && text.length < 400) {
      const quoted = parseMailbox(`${quoteLocalPart(text)}@b`);
      assert.ok(quoted.ok, `${quoteLocalPart(text)} is not read`);
      checkMailbox(quoted.value);
    }
  },
};
