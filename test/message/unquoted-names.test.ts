import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { quoteNames } from '../../src/message/unquoted-names.ts';
import { utf8 } from '../../src/smtp/text.ts';

const test = suite('message/unquoted-names');

const mended = (raw: string): string =>
  quoteNames([{ name: raw.slice(0, raw.indexOf(':')), raw: utf8(raw) }])
    .map((field) => Buffer.from(field.raw, 'latin1').toString('utf8'))
    .join();

test('M5: a name with a comma gets its quotes', () => {
  const rows: [string, string, string][] = [
    ['From: Müller, Jörg <j@b>', 'From: "Müller, Jörg" <j@b>', 'as people write it'],
    ['From: Müller, Jane <j@b>', 'From: "Müller, Jane" <j@b>', 'only the first part is outside ASCII'],
    ['From:Müller,Jörg<j@b>', 'From:"Müller,Jörg"<j@b>', 'without blanks'],
    ['Cc: a@b, Müller,\n Dr. Jörg <j@b>, Ö Ä, x <c@d> (z)', 'Cc: a@b, "Müller,\n Dr. Jörg" <j@b>, "Ö Ä, x" <c@d> (z)', 'folded, and two'],
    ['To: Müller, Jörg, Dr. <j@b>', 'To: "Müller, Jörg, Dr." <j@b>', 'two commas'],
    ['To: T: Müller, Jörg <j@b>;', 'To: T: "Müller, Jörg" <j@b>;', 'in a group'],
    ['Return-Receipt-To: Ö, ä <j@b>', 'Return-Receipt-To: "Ö, ä" <j@b>', "another program's address field"],
    ['From: root, Jörg <j@b>', 'From: root, Jörg <j@b>', 'a word in ASCII may be somebody'],
    ['From: root, Ö, Jörg <j@b>', 'From: root, "Ö, Jörg" <j@b>', 'and stays so'],
    ['From: Müller, <j@b>', 'From: Müller, <j@b>', 'no second part'],
    ['From: Müller, j@b', 'From: Müller, j@b', 'no brackets'],
    ['From: Müller; Jörg <j@b>', 'From: Müller; Jörg <j@b>', 'no comma'],
    ['From: Ö, "Jörg" <j@b>', 'From: Ö, "Jörg" <j@b>', 'quotes'],
    ['From: Ö, Jörg (x, y) <j@b>', 'From: Ö, Jörg (x, y) <j@b>', 'a comment'],
    ['From: Ö, =?utf-8?q?x?= <j@b>', 'From: Ö, =?utf-8?q?x?= <j@b>', 'an encoded word, which quotes would make text'],
    ['From: Ö, J\\ö <j@b>', 'From: Ö, J\\ö <j@b>', 'a backslash'],
    ['From: Ö, Jörg <j@b> x', 'From: Ö, Jörg <j@b> x', 'words behind the address'],
    ['From: Ö, Jörg <a> <j@b>', 'From: Ö, Jörg <a> <j@b>', 'two addresses'],
    ['From: Ö, Jörg <j@b', 'From: Ö, Jörg <j@b', 'a bracket that is not closed'],
    ['From: Ö, "Jörg <j@b>', 'From: Ö, "Jörg <j@b>', 'a quote that is not closed'],
    ['From: Ö, (Jörg <j@b>', 'From: Ö, (Jörg <j@b>', 'a comment that is not closed'],
    ['From: Ö', 'From: Ö', 'alone'],
    ['Subject: Ö, ä <j@b>', 'Subject: Ö, ä <j@b>', 'no address list'],
    ['From: O, a <j@b>', 'From: O, a <j@b>', 'ASCII'],
  ];
  for (const [input, expected, why] of rows) assert.equal(mended(input), expected, why);
});

test('hostile fields are linear work', () => {
  const n = 200_000;
  for (const text of ['ö,', ',', 'ö, x <a>', '"', '(', '<', 'ö'])
    quoteNames([{ name: 'To', raw: utf8(`To: ö${text.repeat(n / text.length)}`) }]);
});

test.run();
