import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { expandField, hasNames, whyNotAddable, whyNotRemovable } from '../../src/router/headers.ts';
import { uncheckedMailbox } from '../support/mailbox.ts';
import { mailbox } from './world.ts';

const test = suite('added header fields');

/** [field, what it becomes for "a b"@c from s@t, why] */
const FIELDS: readonly [string, string, string][] = [
  ['X-Site: main', 'X-Site: main', 'as it is'],
  ['X:', 'X:', 'an empty body'],
  ['X: {local_part}', 'X: "a b"', 'in the form it has on the wire'],
  ['X: {domain}, {address}', 'X: c, "a b"@c', 'the others'],
  ['X: <{sender}>', 'X: <s@t>', 'the reverse-path'],
  ['X: {{local_part}}', 'X: {local_part}', 'doubled braces are braces'],
  ['X: {"a": 1, "b": {}}', 'X: {"a": 1, "b": {}', 'JSON: only a doubled brace changes'],
  ['X: {Local_Part} {1}', 'X: {Local_Part} {1}', 'not a name'],
  ['X:\ta', 'X:\ta', 'a tab'],
];
for (const [field, expected, why] of FIELDS)
  test(`${field}: ${why}`, () => {
    assert.equal(whyNotAddable(field), null);
    assert.deepEqual(expandField(field, mailbox('"a b"@c'), mailbox('s@t')), { ok: true, value: expected });
  });

/** [field, what is wrong, why] */
const BAD: readonly [string, string, string][] = [
  ['X: a\r\nBcc: b', 'a header field may hold no line end, NUL or other control character', 'another field'],
  ['X: a\n b', 'a header field may hold no line end, NUL or other control character', 'nor folds'],
  ['X: \u0000', 'a header field may hold no line end, NUL or other control character', 'NUL'],
  ['X', '"X" is no header field: write "Name: value"', 'no colon'],
  [': a', '": a" is no header field: write "Name: value"', 'no name'],
  ['X Y: a', '"X Y: a" is no header field: write "Name: value"', 'a blank in the name'],
  ['X: {user}', '{user} is not known; there are {local_part}, {domain}, {address}, {sender}, and {{ for a brace', 'an unknown name'],
];
for (const [field, expected, why] of BAD)
  test(`${JSON.stringify(field)} is refused: ${why}`, () => {
    assert.equal(whyNotAddable(field), expected);
    assert.deepEqual(expandField(field, mailbox('a@b'), null), { ok: false, detail: expected });
  });

test('the null reverse-path is empty', () => {
  assert.deepEqual(expandField('X: <{sender}>', mailbox('a@b'), null), { ok: true, value: 'X: <>' });
});

test('a line end that comes with an address is refused', () => {
  assert.equal(expandField('X: {local_part}', uncheckedMailbox('a\r\nBcc: b', 'c'), null).ok, false);
  assert.equal(expandField('{domain}: x', uncheckedMailbox('a', 'b c'), null).ok, false);
});

test('whatever is added is one field of that name', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (text, localPart, domain) => {
      const field = expandField(`X-A: ${text}{local_part}{domain}`, uncheckedMailbox(localPart, domain), null);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
      if (field.ok) assert.match(field.value, /^X-A: [^\u0000-\u0008\u000a-\u001f\u007f]*$/);
    }),
  );
});

test('a field with a name depends on the address', () => {
  assert.ok(hasNames('X: {domain}'));
  assert.ok(!hasNames('X: domain {} {1}'));
});

test('names of fields to remove are checked', () => {
  assert.equal(whyNotRemovable('X-Debug'), null);
  for (const name of ['', 'X:', 'X Y', 'Ü', 'X\n']) assert.equal(whyNotRemovable(name), `"${name}" is no name of a header field`);
});

test.run();
