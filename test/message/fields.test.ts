import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { hasAddresses } from '../../src/message/field-names.ts';
import {
  bodyOffset,
  editField,
  type Field,
  fieldBody,
  findField,
  isNamed,
  makeField,
  parseField,
  printHead,
  resentBlock,
  withoutFields,
} from '../../src/message/fields.ts';
import { latin1 } from '../../src/smtp/text.ts';

const test = suite('message/fields');

const fieldsOf = (...raws: string[]): Field[] => raws.map((raw) => ({ name: raw.slice(0, raw.indexOf(':')).trimEnd(), raw }));

test('fields are found by name in any case', () => {
  const fields = fieldsOf('To: a', 'SUBJECT : b', 'to:c', 'Subject: d');
  assert.equal(findField(fields, 'subject')?.raw, 'SUBJECT : b');
  assert.equal(findField(fields, 'cc'), undefined);
  assert.ok(isNamed(fields[2] as Field, 'to'));
  assert.deepEqual(
    withoutFields(fields, 'to', 'x').map(({ raw }) => raw),
    ['SUBJECT : b', 'Subject: d'],
  );
});

test('fields that hold addresses are those of RFC 5322, and some of other standards', () => {
  const resent = ['From', 'Sender', 'Reply-To', 'To', 'Cc', 'Bcc'].flatMap((name) => [name, `Resent-${name}`]);
  const others = ['Disposition-Notification-To', 'Return-Receipt-To', 'Errors-To', 'Mail-Followup-To', 'Mail-Reply-To', 'Apparently-To'];
  for (const name of [...resent, ...others]) assert.ok(hasAddresses(name.toLowerCase()), name);
  for (const name of ['', 'subject', 'x-to', 'received', 'return-path', 'delivered-to', 'list-post', 'to '])
    assert.ok(!hasAddresses(name), name);
});

test('a body is what follows the colon, unfolded', () => {
  const rows: [string, string][] = [
    ['To:a', 'a'],
    ['To : a:b ', 'a:b'],
    ['To:', ''],
    ['To:\n a,\n\tb\n ', 'a,\tb'],
  ];
  for (const [raw, body] of rows) assert.equal(fieldBody(fieldsOf(raw)[0] as Field), body);
  assert.equal(bodyOffset(fieldsOf('To : a')[0] as Field), 4);
});

test('the header section is printed with its empty line', () => {
  assert.equal(latin1(printHead(fieldsOf('A: \xe9', 'B: 1\n 2'))), 'A: \xe9\nB: 1\n 2\n\n');
  assert.equal(latin1(printHead([])), '\n');
});

test('a composed field cannot become two', () => {
  assert.deepEqual(makeField('X', 'a\n b'), { name: 'X', raw: 'X: a\n b' });
  for (const [name, body] of [
    ['X', 'a\nB: c'],
    ['X', 'a\n'],
    ['X', 'a\rb'],
    ['X', 'a\r\n b'],
    ['X', '\0'],
    ['X y', 'a'],
    ['', 'a'],
    ['X:', 'a'],
    ['X\n', 'a'],
  ] as const)
    assert.throws(() => makeField(name, body), /^Error: bug: /);
});

test('fields of the configuration are read, or refused in a sentence', () => {
  assert.deepEqual(parseField('X-Site : main\n more'), { ok: true, value: { name: 'X-Site', raw: 'X-Site : main\n more' } });
  assert.deepEqual(parseField('X: ö€'), { ok: true, value: { name: 'X', raw: 'X: \xc3\xb6\xe2\x82\xac' } });
  assert.deepEqual(parseField('X:'), { ok: true, value: { name: 'X', raw: 'X:' } });
  for (const text of ['', 'x', ': y', 'J\xf6: y', 'a b: c', ' a: b', 'a\n: b'])
    assert.match(String((parseField(text) as { detail: string }).detail), /a name of printable/);
  for (const text of ['a: b\nc: d', 'a: b\n', 'a: b\rc', 'a: \0'])
    assert.match(String((parseField(text) as { detail: string }).detail), /no NUL and no line end/);
});

test('edits may come in any order, and an edit that overlaps an earlier one is left out', () => {
  const field = { name: 'To', raw: 'To: abcdef' };
  const raw = (...edits: [number, number, string][]) =>
    editField(
      field,
      edits.map(([start, end, text]) => ({ start, end, text })),
    ).raw;
  assert.equal(editField(field, []), field);
  assert.equal(raw([6, 7, 'X'], [4, 5, 'Y']), 'To: YbXdef');
  assert.equal(raw([10, 10, '!'], [4, 4, '<']), 'To: <abcdef!');
  assert.equal(raw([4, 8, 'W'], [5, 6, 'no'], [8, 9, 'E']), 'To: WEf');
});

test('the first Resent block ends where the next begins', () => {
  const rows: [string[], number[], string][] = [
    [['To:', 'Subject:'], [], 'never resent'],
    [['Received:', 'Resent-To:', 'To:'], [1], 'after trace fields'],
    [['Resent-To:', 'Resent-Date:', 'Resent-To:'], [0, 1], 'a name comes again'],
    [['Resent-To:', 'RESENT-TO:', 'Resent-Date:', 'resent-date:'], [0, 1, 2, 3], 'neighbours of one name'],
    [['Resent-To:', 'Return-Path:', 'Resent-Cc:'], [0], 'a trace field ends it'],
    [['Resent-To:', 'Subject:', 'Resent-Cc:'], [0, 2], 'another field does not'],
    [['X-Resent-To:', 'Resent-:'], [1], 'names'],
  ];
  for (const [raws, expected, why] of rows) assert.deepEqual(resentBlock(fieldsOf(...raws)), expected, why);
});

test.run();
