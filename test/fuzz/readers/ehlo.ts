/** What a server's EHLO offers: each line of the input is one of the reply. */
import assert from 'node:assert';
import { limitOf, mechanismsOf, readExtensions, sizeLimit } from '../../../src/smtp/client/extensions.ts';
import type { Reply } from '../../../src/smtp/reply.ts';
import { type Reader, same } from '../reader.ts';

const NUMBER = /^[1-9]\d*$/;

export const reader: Reader = {
  name: 'ehlo',
  seeds: [
    'x\nPIPELINING\nSIZE 1000\n8BITMIME\nAUTH PLAIN LOGIN\nAUTH=CRAM-MD5\nLIMITS RCPTMAX=20 MAILMAX=5\nCHUNKING',
    'x\nsize\nSIZE 0\nauth',
    'x\n LIMITS\tRCPTDOMAINMAX=1',
  ],
  words: [
    'SIZE ',
    'AUTH=',
    'AUTH ',
    'LIMITS ',
    'RCPTMAX=',
    'MAILMAX=',
    'RCPTDOMAINMAX=',
    '\n',
    ' ',
    '\t',
    '0',
    '999999',
    '1000000000000000',
  ],
  read: (input) => readExtensions({ code: 250, enhanced: null, lines: input.split('\n') }),
  run(input) {
    const lines = input.split('\n');
    const reply: Reply = { code: 250, enhanced: null, lines };
    const extensions = readExtensions(reply);
    for (const [keyword, parameters] of extensions.keywords) {
      assert.match(keyword, /^[^ \t\n]+$/);
      assert.doesNotMatch(keyword, /[a-z]/);
      for (const parameter of parameters) assert.match(parameter, /^[^ \t\n]+$/);
      assert.ok(!readExtensions(reply, [keyword]).keywords.has(keyword));
    }
    for (const size of [
      sizeLimit(extensions),
      limitOf(extensions, 'RCPTMAX'),
      limitOf(extensions, 'RCPTDOMAINMAX'),
      limitOf(extensions, 'MAILMAX'),
    ])
      assert.ok(size === null || NUMBER.test(String(size)), `a limit of ${size}`);
    for (const mechanism of mechanismsOf(extensions)) assert.notEqual(mechanism, '');
    // What it offers is what it offers, said in any case and once more. Other letters than those of ASCII have none here.
    const lower = (line: string) => line.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
    const printed = ['x', ...[...extensions.keywords].map(([keyword, parameters]) => lower([keyword, ...parameters].join(' ')))];
    same([...readExtensions({ ...reply, lines: printed }).keywords], [...extensions.keywords]);
  },
};
