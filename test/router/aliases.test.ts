import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { type AliasEntry, LONGEST_ENTRY, makeAliasReader, searchAliases } from '../../src/router/aliases.ts';
import { utf8 } from '../../src/smtp/text.ts';

const test = suite('alias files');

interface Read {
  readonly entries: AliasEntry[];
  readonly faults: string[];
}

function readAll(pieces: readonly string[]): Read {
  const entries: AliasEntry[] = [];
  const faults: string[] = [];
  const reader = makeAliasReader({
    wants: () => true,
    take: (entry) => entries.push(entry),
    fault: (line, detail) => faults.push(`${line}: ${detail}`),
  });
  for (const piece of pieces) reader.read(piece);
  reader.end();
  return { entries, faults };
}

/** [file, entries as `line key=text`, why] */
const FILES: readonly [string, readonly string[], string][] = [
  ['root: joe\n', ['1 root=joe'], 'the usual form'],
  ['root: joe', ['1 root=joe'], 'the last line end may be missing'],
  ['root:joe\nwww:\troot\n', ['1 root=joe', '2 www=root'], 'blanks are not needed'],
  ['root : joe\n', ['1 root=joe'], 'a blank before the colon'],
  ['root joe\n', ['1 root=joe'], 'the colon is optional'],
  ['root\tjoe, jim\n', ['1 root=joe, jim'], 'a tab ends the key as well'],
  ['a\bb: c\n', ['1 a\bb=c'], 'the octet before it does not'],
  ['root\n', ['1 root='], 'a key alone'],
  ['root:\n', ['1 root='], 'an empty value'],
  ['ROOT: Joe\n', ['1 root=Joe'], 'keys do not regard case, values keep theirs'],
  ['a: :fail: no\n', ['1 a=:fail: no'], 'one colon belongs to the key'],
  ['a :fail: no\n', ['1 a=fail: no'], 'so a special item needs the key’s own'],
  ['"a b": c\n', ['1 a b=c'], 'a quoted key may hold blanks'],
  ['"a:b" c\n', ['1 a:b=c'], 'and colons'],
  ['"a\\"b\\\\c" : d\n', ['1 a"b\\c=d'], 'and quoted characters'],
  ['"#x": y\n', ['1 #x=y'], 'and what begins a comment'],
  ['a: b,\n   c\n', ['1 a=b,\nc'], 'a continuation line'],
  ['a: b,\n\tc,\n d \n', ['1 a=b,\nc,\nd'], 'several, without the blanks around them'],
  ['a:\n b\n', ['1 a=\nb'], 'the list may begin on the next line'],
  ['a: b,\n# note\n c\n', ['1 a=b,\n\nc'], 'a comment line within an entry does not end it'],
  ['a: b,\n\n c\n', ['1 a=b,\n\nc'], 'nor does an empty line'],
  ['a: b,\n\n c,\n d\n', ['1 a=b,\n\nc,\nd'], 'and it counts once'],
  ['a: b\n   \n', ['1 a=b'], 'at its end it adds nothing'],
  ['a: b,\n   \n c\n', ['1 a=b,\n\nc'], 'nor one of blanks'],
  ['a: b,\n  # note\n c\n', ['1 a=b,\n\nc'], 'an indented comment line is one'],
  ['# a: b\n\n#\nc: d\n', ['4 c=d'], 'comments and empty lines between entries'],
  ['a: b\r\nc: d,\r\n e\r\n', ['1 a=b', '2 c=d,\ne'], 'CRLF'],
  ['\ufeffa: b\n', ['1 a=b'], 'a byte order mark'],
  ['\ufeff# a\nb: c\n', ['2 b=c'], 'a byte order mark before a comment'],
  ['a: b # c\n', ['1 a=b # c'], 'a number sign in a list is the list’s matter'],
  ['jürgen: j\n', ['1 jürgen=j'], 'UTF-8 keys'],
  ['JÜRGEN: à\n', ['1 jürgen=à'], 'without case; the octet 160 of à is no blank'],
  ['a: \u000eb\n', ['1 a=\u000eb'], 'other control characters are no blanks'],
  ['*: all\n', ['1 *=all'], 'the default key'],
  ['a: 1\na: 2\n', ['1 a=1', '2 a=2'], 'both are there; the first counts for who searches'],
  ['', [], 'an empty file'],
];

for (const [text, expected, why] of FILES)
  test(`${JSON.stringify(text)}: ${why}`, () => {
    const { entries, faults } = readAll([utf8(text)]);
    assert.deepEqual(
      entries.map(({ key, text: list, line }) => `${line} ${key}=${list}`),
      expected,
    );
    assert.deepEqual(faults, []);
  });

/** [file, faults, keys, why] */
const FAULTS: readonly [string, readonly string[], readonly string[], string][] = [
  [' b\na: c\n', ['1: this line begins with a blank, but there is no entry that it could continue'], ['a'], 'nothing to continue'],
  ['  \n  # x\na: c\n', [], ['a'], 'a blank line continues nothing'],
  [': b\n c\na: d\n', ['1: the key is missing'], ['a'], 'no key; its continuation is passed over'],
  ['"": b\n', ['1: the key is missing'], [], 'an empty quoted key'],
  ['"a: b\n', ['1: the closing quote of the key is missing'], ['a: b'], 'the end of the line ends the key'],
  ['a: b\n"c\\\n', ['2: the closing quote of the key is missing'], ['a', 'c'], 'a backslash quotes nothing there'],
];

for (const [text, expected, keys, why] of FAULTS)
  test(`${JSON.stringify(text)} is at fault: ${why}`, () => {
    const { entries, faults } = readAll([text]);
    assert.deepEqual(faults, expected);
    assert.deepEqual(
      entries.map(({ key }) => key),
      keys,
    );
  });

test('octets that are not UTF-8 stand for themselves', () => {
  assert.deepEqual(readAll(['a\u00e9: \u00ff\n']).entries, [{ key: 'aé', text: 'ÿ', line: 1 }]);
});

test('a fault without a listener is passed over', () => {
  const entries: AliasEntry[] = [];
  const reader = makeAliasReader({ wants: () => true, take: (entry) => entries.push(entry) });
  reader.read(' x\n: y\n"z\na: b\n');
  reader.end();
  assert.deepEqual(
    entries.map(({ key }) => key),
    ['z', 'a'],
  );
});

test('any cut gives the same entries', () => {
  const whole = FILES.map(([text]) => utf8(text)).join('\n');
  const expected = readAll([whole]);
  assert.ok(expected.entries.length > 25);
  assert.deepEqual(readAll([...whole]), expected);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: whole.length })), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), whole.length];
      assert.deepEqual(readAll(at.slice(1).map((end, i) => whole.slice(at[i], end))), expected);
    }),
  );
});

test('the last line may come in pieces and without its end', () => {
  assert.deepEqual(readAll(['a: b\nc', ': d']).entries, [
    { key: 'a', text: 'b', line: 1 },
    { key: 'c', text: 'd', line: 2 },
  ]);
});

test('a search takes the first entry of each key and knows when it is done', () => {
  const search = searchAliases(['b', 'a', 'z']);
  search.read('x: 1\nA: 2,\n 3\na: 4\nb: 5\n');
  assert.equal(search.isDone, false);
  search.read('z: 6');
  search.end();
  assert.deepEqual(
    search.entries.map(({ key, text }) => [key, text]),
    [
      ['a', '2,\n3'],
      ['b', '5'],
      ['z', '6'],
    ],
  );
  assert.equal(search.isDone, true);
});

test('a search is not over before the last entry is whole', () => {
  const search = searchAliases(['a']);
  search.read('a: b,\n');
  assert.equal(search.isDone, false);
  search.read(' c\nd:\n');
  assert.equal(search.isDone, true);
  assert.deepEqual(search.entries, [{ key: 'a', text: 'b,\nc', line: 1 }]);
});

const MiB = 'x'.repeat(1024 * 1024);
const SIXTEEN = Array.from({ length: 16 }, () => MiB);

test('an entry of the greatest length is read', () => {
  const long = (less: number) => MiB.repeat(16).slice(less);
  assert.deepEqual(
    readAll([`a: ${long(3)}`, '\n', `b: ${long(10)}\n 0123456789\nc: ${long(10)}\n 0123456789x\n`]).entries.map(({ text, fault }) => [
      text.length,
      fault === undefined,
    ]),
    [
      [LONGEST_ENTRY - 3, true],
      [LONGEST_ENTRY + 1, true],
      [0, false],
    ],
  );
});

test('a long file of short entries in pieces has no long entry', () => {
  const { entries } = readAll(Array.from({ length: 17 }, () => ['a: ', MiB, '\n']).flat());
  assert.deepEqual(
    entries.map(({ text, fault }) => [text.length, fault]),
    Array.from({ length: 17 }, () => [MiB.length, undefined]),
  );
});

test('an entry that is too long is reported as such, and the entries behind it are read', () => {
  for (const pieces of [
    ['a', ': ', ...SIXTEEN, '\nb: c\n'],
    ['a: b,\n ', ...SIXTEEN, '\nb: c\n'],
    ['a: b', ...SIXTEEN.flatMap((piece) => [',\n ', piece]), '\n x\nb: c\n'],
  ]) {
    const { entries } = readAll(pieces);
    assert.deepEqual(
      entries.map(({ key, text }) => [key, text]),
      [
        ['a', ''],
        ['b', 'c'],
      ],
    );
    assert.equal(entries[0]?.fault, `the entry is longer than ${LONGEST_ENTRY} octets`);
    assert.equal(entries[1]?.fault, undefined);
  }
});

test('a long line of a key that nobody wants is passed over', () => {
  const search = searchAliases(['b']);
  for (const piece of ['a: ', ...SIXTEEN, MiB, 'x', '\n', 'b: c\n']) search.read(piece);
  search.end();
  assert.deepEqual(search.entries, [{ key: 'b', text: 'c', line: 2 }]);
});

test('a long comment line at the end is passed over', () => {
  const { entries } = readAll(['a: b\n#', ...SIXTEEN, MiB]);
  assert.deepEqual(entries, [{ key: 'a', text: 'b', line: 1 }]);
});

test.run();
