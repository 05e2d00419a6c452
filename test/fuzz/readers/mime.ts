/** Messages that are converted to seven bits. */
import assert from 'node:assert';
import { printHead } from '../../../src/message/fields.ts';
import { readHead } from '../../../src/message/head.ts';
import { toSevenBit } from '../../../src/message/mime/convert.ts';
import { sourceOf } from '../../../src/message/source.ts';
import { isAscii, latin1, octets } from '../../../src/smtp/text.ts';
import { readAll } from '../octets.ts';
import { assertSentence, type Reader, same, sameInAnyPiecesAsync } from '../reader.ts';

const MULTIPART =
  'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="x"\r\n\r\npre\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nJ\xc3\xb6rg\r\n--x\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\x89PNG\r\n--x--\r\nend';

export const reader: Reader = {
  name: 'mime',
  seeds: [
    MULTIPART,
    MULTIPART.replaceAll('\r\n', '\n'),
    'Subject: x\n\nJ\xc3\xb6rg\n',
    'Content-Type: message/rfc822\n\nSubject: J\xc3\xb6rg\n\n\xff',
    'Content-Type: multipart/signed; boundary=y\n\n--y\n\nb\n--y--\n',
    'Content-Type: multipart/digest; boundary=z\n\n--z\n\nSubject: a\n\n\xc3\xbc\n--z\n--z--\n',
    'Content-Type: text/plain; name="J\xc3\xb6rg"\nContent-Transfer-Encoding: base64\n\nAAAA',
    'Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\n\xc3\xbc\n--b--\n--a--\n',
  ],
  words: [
    'Content-Type: ',
    'multipart/mixed; boundary=x',
    'message/rfc822',
    'text/plain; charset=',
    'Content-Transfer-Encoding: ',
    '8bit',
    'binary',
    'base64',
    'quoted-printable',
    '7bit',
    '\n--x',
    '\n--x--',
    '--',
    '\n\n',
    '\r\n',
    '\r',
    '\xc3\xbc',
    '\xff',
    ' ',
    '=',
    'Content-Disposition: attachment; filename="',
    'multipart/signed; boundary=y',
    '(',
    '"',
  ],
  read: (input) => readAll(toSevenBit(sourceOf(octets(input)))),
  async run(input) {
    const head = await readHead(sourceOf(octets(input)), { limit: 1 << 20 });
    if (!head.ok) return;
    // Where the message itself has eight bits in its header section, that is meant.
    const own = latin1(printHead(head.value.fields));
    const message = own + latin1(head.value.rest);
    const converted = await sameInAnyPiecesAsync(message, async (pieces) => {
      const { text, failure } = await readAll(toSevenBit(sourceOf(...pieces.map(octets))));
      assert.ok(isAscii(isAscii(own) ? text : text.slice(text.search(/\n\n|$/))), 'eight bits are left');
      // How much comes before a failure depends on the pieces.
      return failure === null ? { text, failure } : { text: '', failure };
    });
    const { text, failure } = converted;
    if (failure !== null) return assertSentence(failure);
    // Seven bits that say so stay as they are.
    if (isAscii(message) && !/content-transfer-encoding/i.test(message)) assert.equal(text, message);
    const again = await readAll(toSevenBit(sourceOf(octets(text))));
    same(again, { text, failure: null }, 'converted again it differs');
  },
};
