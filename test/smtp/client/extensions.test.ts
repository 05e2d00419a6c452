/** EHLO replies as real and odd servers give them. */
import assert from 'node:assert';
import { readdirSync } from 'node:fs';
import { suite } from 'uvu';
import {
  limitOf,
  mechanismsOf,
  NO_EXTENSIONS,
  offers,
  readExtensions,
  sizeLimit,
  USED_EXTENSIONS,
} from '../../../src/smtp/client/extensions.ts';

const test = suite('extensions');

const of = (...lines: string[]) => readExtensions({ code: 250, enhanced: null, lines: ['mail.example.org', ...lines] });
const shown = (...lines: string[]) => [...of(...lines).keywords].map(([keyword, parameters]) => [keyword, ...parameters].join(' '));

const CASES: readonly (readonly [readonly string[], readonly string[], string])[] = [
  [[], [], 'nothing'],
  [['PIPELINING', '8BITMIME'], ['PIPELINING', '8BITMIME'], 'as it stands'],
  [['pipelining', 'Size 1000'], ['PIPELINING', 'SIZE 1000'], 'keywords have no case. RFC 5321 §2.4'],
  [['  PIPELINING  ', '\tSIZE\t 5 '], ['PIPELINING', 'SIZE 5'], 'blanks around'],
  [['', '   '], [], 'empty lines'],
  [['AUTH PLAIN LOGIN'], ['AUTH PLAIN LOGIN'], 'RFC 4954 §3'],
  [['AUTH=PLAIN LOGIN'], ['AUTH PLAIN LOGIN'], 'the form of old servers'],
  [['AUTH=login', 'AUTH PLAIN'], ['AUTH LOGIN PLAIN'], 'both forms are one'],
  [['AUTH PLAIN', 'AUTH=LOGIN', 'AUTH XOAUTH2'], ['AUTH PLAIN LOGIN XOAUTH2'], 'and so are several lines'],
  [['SIZE 5', 'SIZE 6'], ['SIZE 6'], 'of others the last line counts'],
  [['X-AUTH=PLAIN'], ['X-AUTH=PLAIN'], 'another keyword'],
  [['STARTTLSX'], ['STARTTLSX'], 'a longer word is another one'],
  [['x-\xb5 \xdf'], ['X-\xb5 \xdf'], 'octets that are no ASCII stay as they are'],
];
for (const [lines, expected, why] of CASES)
  test(`${JSON.stringify(lines)}: ${why}`, () => assert.deepStrictEqual(shown(...lines), expected));

test('W6: a keyword that the plan ignores counts as not offered', () => {
  const reply = { code: 250, enhanced: null, lines: ['x', 'PIPELINING', 'Chunking', 'AUTH PLAIN', 'AUTH=LOGIN', 'SIZE 5'] };
  const left = (...ignored: string[]) => [...readExtensions(reply, ignored).keywords.keys()];
  assert.deepStrictEqual(left('CHUNKING', 'AUTH', 'X-OTHER'), ['PIPELINING', 'SIZE']);
  assert.deepStrictEqual(left(), ['PIPELINING', 'CHUNKING', 'AUTH', 'SIZE']);
});

test('what a session makes use of has a transcript each in which it is not offered', () => {
  const names = readdirSync(new URL('../../sessions/', import.meta.url));
  // Sessions without these are most of the others, and enhanced codes are taken as they come.
  const usual = ['PIPELINING', 'SIZE', '8BITMIME', 'CHUNKING', 'STARTTLS', 'AUTH', 'LIMITS', 'ENHANCEDSTATUSCODES', 'REQUIRETLS'];
  const absent = names.flatMap((name) => /^absent-(.*?)(?:-(?:parameter|address|chunking))?\.smtp$/.exec(name)?.[1]?.toUpperCase() ?? []);
  assert.deepEqual([...USED_EXTENSIONS].sort(), [...new Set([...usual, ...absent])].sort());
});

test('the first line is the server’s name, whatever it says', () => {
  assert.deepStrictEqual([...readExtensions({ code: 250, enhanced: null, lines: ['STARTTLS'] }).keywords], []);
});

const SIZES: readonly (readonly [string, number | null, string])[] = [
  ['SIZE 1000', 1000, 'a limit'],
  ['SIZE', null, 'no value'],
  ['SIZE 0', null, 'none. RFC 1870 §4'],
  ['SIZE abc', null, 'not a number'],
  ['SIZE -5', null, 'not a number'],
  ['SIZE 1e3', null, 'not a number'],
  ['SIZE 999999999999999', 999999999999999, 'the largest that counts exactly'],
  ['SIZE 9999999999999999', null, 'beyond'],
  ['X', null, 'not offered'],
];
for (const [line, expected, why] of SIZES) test(`${line}: ${why}`, () => assert.strictEqual(sizeLimit(of(line)), expected));

const LIMITS: readonly (readonly [string, number | null, string])[] = [
  ['LIMITS RCPTMAX=20', 20, 'RFC 9422 §4'],
  ['LIMITS MAILMAX=1 rcptmax=5', 5, 'among others, in any case'],
  ['LIMITS RCPTMAX=0', null, 'no limit'],
  ['LIMITS RCPTMAX=05', null, 'no number begins with 0. RFC 9422 §3.7 and §4.2'],
  ['LIMITS RCPTMAX=', null, 'no value'],
  ['LIMITS RCPTMAX=1000000', null, 'more than six digits are not allowed. RFC 9422 §4.1'],
  ['LIMITS RCPTMAXX=5', null, 'another name'],
  ['LIMITS', null, 'none given'],
  ['X', null, 'not offered'],
];
for (const [line, expected, why] of LIMITS) test(`${line}: ${why}`, () => assert.strictEqual(limitOf(of(line), 'RCPTMAX'), expected));

test('mechanisms are words, not parts of words', () => {
  assert.deepStrictEqual([...mechanismsOf(of('AUTH XPLAIN LOGIN-X'))], ['XPLAIN', 'LOGIN-X']);
  assert.deepStrictEqual([...mechanismsOf(NO_EXTENSIONS)], []);
  assert.deepStrictEqual([offers(of('DSN'), 'DSN'), offers(of('DSN2'), 'DSN')], [true, false]);
});

test.run();
