import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { parseRedirection, type RedirectionItem } from '../../src/router/redirection.ts';
import { printMailbox } from '../../src/smtp/path.ts';

const test = suite('redirection lists');

function print(item: RedirectionItem): string {
  switch (item.kind) {
    case 'mailbox':
      return printMailbox(item.mailbox);
    case 'own':
      return `\\${printMailbox(item.mailbox)}`;
    case 'include':
      return `include ${item.file}`;
    case 'local':
      return `local ${item.target}`;
    case 'fail':
    case 'defer':
    case 'fault':
      return `${item.kind} ${item.detail}`;
    default:
      return item.kind;
  }
}

const read = (text: string, joined: boolean) => parseRedirection(text, 'f', 1, joined).items.map(print);

/** [list, items, why]; the same whether newlines separate or not. */
const LISTS: readonly [string, readonly string[], string][] = [
  ['joe', ['joe'], 'a bare local-part'],
  ['joe@example.org', ['joe@example.org'], 'an address'],
  ['a, b@c ,d', ['a', 'b@c', 'd'], 'commas separate'],
  [',, a ,, b,', ['a', 'b'], 'empty items are ignored'],
  ['', [], 'nothing'],
  ['# all of it', [], 'a comment'],
  ['a, # the rest', ['a'], 'a comment where an item could begin'],
  ['Joe Doe <joe@c>', ['joe@c'], 'a display name'],
  ['"Doe, Joe" <joe@c>, b', ['joe@c', 'b'], 'a quoted display name with a comma'],
  ['"Joe \\"J, <x>\\" Doe" <joe@c>', ['joe@c'], 'quoted quotes and brackets'],
  ['<joe@c>', ['joe@c'], 'angle brackets alone'],
  ['<@a,@b:joe@c>', ['joe@c'], 'a source route, whose comma separates nothing'],
  ['joe@c (Joe, of C)', ['joe@c'], 'a comment with a comma'],
  ['(Joe (of) \\) C) joe@c', ['joe@c'], 'nested and quoted parentheses'],
  ['(J\\)) joe@c, b', ['joe@c', 'b'], 'a quoted parenthesis at the end of a comment'],
  ['((J) o, e) joe@c, b', ['joe@c', 'b'], 'a comma behind a nested comment'],
  ['(J\\), e) joe@c, b', ['joe@c', 'b'], 'a comma behind a quoted parenthesis'],
  ['joe(x)@(y)c', ['joe@c'], 'comments around the @'],
  ['joe @ c', ['joe@c'], 'blanks around the @'],
  ['(nobody), a', ['a'], 'an item that is only a comment'],
  ['"a b"@c', ['"a b"@c'], 'a quoted local-part'],
  ['"a, b"@c', ['"a, b"@c'], 'with a comma'],
  ['"a\\""@c, b', ['"a\\""@c', 'b'], 'with a quoted quote at its end'],
  ['"a\\""@c (x), b', ['"a\\""@c', 'b'], 'and a comment behind it'],
  ['"a (b"@c', ['"a (b"@c'], 'with a parenthesis'],
  ['"a \\" b" @c', ['fault " " may not follow the local-part (in ""a \\" b" @c")'], 'blanks there are a fault'],
  ['"joe@c"', ['joe@c'], 'an item quoted as a whole is read without the quotes'],
  ['"john doe"', ['"john doe"'], 'unless it is a local-part only with them'],
  ['\\joe', ['\\joe'], 'no further redirection: qualified with the incoming domain'],
  ['"\\\\joe"', ['\\joe'], 'the same in quotes'],
  ['\\joe@c', ['joe@c'], 'with a domain the backslash means nothing'],
  ['/var/mail/x', ['local /var/mail/x'], 'a file'],
  ['"/var/mail/x y"', ['local /var/mail/x y'], 'a quoted file'],
  ['/dev/null', ['null'], 'the file that is nothing'],
  ['|/bin/x -a, b', ['local |/bin/x -a', 'b'], 'a command ends at a comma'],
  ['"|/bin/x a, b"', ['local |/bin/x a, b'], 'but not in quotes'],
  ['|"/bin/x a, b"', ['local |"/bin/x a, b"'], 'nor in quotes after the bar, as Sendmail writes it'],
  [
    '"|IFS=\' \' && exec /usr/bin/procmail -f- || exit 75 #joe"',
    ["local |IFS=' ' && exec /usr/bin/procmail -f- || exit 75 #joe"],
    'procmail',
  ],
  ['|/bin/x (, b', ['local |/bin/x (', 'b'], 'parentheses mean nothing in a command'],
  ['/X=a/Y=b/@gate.c', ['/X=a/Y=b/@gate.c'], 'an X.400 address'],
  ['|x@gate.c', ['|x@gate.c'], 'a bar is a character of local-parts'],
  [':include:/etc/list', ['include /etc/list'], 'an included list'],
  [': include:/x', ['fault ": include:/x" is not a local-part; quote it if it is meant (in ": include:/x")'], 'no blank before the word'],
  [':INCLUDE: /etc/list , a', ['include /etc/list', 'a'], 'case and blanks do not matter'],
  ['":include:/etc/a list"', ['include /etc/a list'], 'quoted, with a blank'],
  [':include:list', ['fault :include: takes an absolute path, not "list"'], 'relative to what?'],
  [':include:', ['fault :include: takes an absolute path, not ""'], 'no path'],
  ['":include:x"', ['fault :include: takes an absolute path, not "x"'], 'no second reading of a special item'],
  [':blackhole:', ['blackhole'], 'discard'],
  [':blackhole: really, a', ['blackhole', 'a'], 'words after it mean nothing'],
  [':unknown:', ['unknown'], 'nothing'],
  [':fail:', ['fail '], 'without a reason'],
  [':fail: gone, for ever', ['fail gone, for ever'], 'the reason holds commas'],
  ['a, :defer: later', ['a', 'defer later'], 'after another item'],
  ['":fail: gone, too"', ['fail gone, too'], 'quoted'],
  [':nonsense: x', ['fault ":nonsense:" is none of :include:, :fail:, :defer:, :blackhole: and :unknown:'], 'no such item'],
  ['include:/etc/list', ['fault "include:/etc/list" lacks the colon before it: write "key: :include:/etc/list"'], 'the key has taken it'],
  ['a # note', ['fault "a # note" is not a local-part; quote it if it is meant (in "a # note")'], 'a comment needs a comma before it'],
  ['a b', ['fault "a b" is not a local-part; quote it if it is meant (in "a b")'], 'two words'],
  ['a, b@@c, d', ['a', 'fault "@c" is not a domain (in "b@@c")', 'd'], 'items after a fault are read for who checks a file'],
  ['Team: a', ['fault "Team: a" is not a local-part; quote it if it is meant (in "Team: a")'], 'groups are for header fields'],
  ['"a', ['fault the closing quote is missing (in ""a")'], 'an open quote'],
  ['a (b', ['fault the closing parenthesis is missing (in "a (b")'], 'an open comment'],
  ['a) b', ['fault "a) b" is not a local-part; quote it if it is meant (in "a) b")'], 'a comment that never began'],
  [
    'a) (b, c), d@e',
    ['fault "a)" is not a local-part; quote it if it is meant (in "a) (b, c)")', 'd@e'],
    'nor does it count against a comment that begins',
  ],
  ['a,\r# the rest', ['a'], 'a comment behind a return'],
  ['a,\t# the rest', ['a'], 'and behind a tab'],
  ['<a@b, c', ['fault unbalanced angle bracket (in "<a@b, c")'], 'an open bracket'],
  ['a@b>', ['fault unbalanced angle bracket (in "a@b>")'], 'a bracket that never began'],
  ['a\\,b', ['fault "a\\" is not a local-part; quote it if it is meant (in "a\\")', 'b'], 'nor a comma'],
  ['a\\b@c (x)', ['fault "a\\b" is not a local-part; quote it if it is meant (in "a\\b@c (x)")'], 'a backslash quotes nothing there'],
  ['a\u0000b', ['fault a control character is not allowed in an address (in "a\u0000b")'], 'NUL'],
  [`:fail:${'x'.repeat(9_994)}`, [`fail ${'x'.repeat(9_994)}`], 'the longest item'],
  ['x'.repeat(10_001), ['fault an item is longer than 10000 characters'], 'no address'],
  ['jürgen@müller.example', ['jürgen@müller.example'], 'international addresses'],
];

for (const [text, expected, why] of LISTS)
  test(`${JSON.stringify(text).slice(0, 80)}: ${why}`, () => {
    assert.deepEqual(read(text, false), expected, 'newlines separate');
    assert.deepEqual(read(text, true), expected, 'newlines are blanks');
  });

/** [list, items where newlines separate, items in an alias file, why] */
const LINES: readonly [string, readonly string[], readonly string[], string][] = [
  ['a\nb', ['a', 'b'], ['fault "a b" is not a local-part; quote it if it is meant (in "a b")'], 'only commas separate in an alias file'],
  ['a,\nb', ['a', 'b'], ['a', 'b'], 'commas separate everywhere'],
  ['a,\r\nb\r\n', ['a', 'b'], ['a', 'b'], 'CRLF'],
  ['a, # note\nb', ['a', 'b'], ['a', 'b'], 'a comment ends with its line'],
  ['# note\nb', ['b'], ['b'], 'also before the first item'],
  [':fail: gone\nb', ['fail gone', 'b'], ['fail gone b'], 'a reason ends with its line; in an alias file that is the entry'],
  ['Joe\n Doe <a@b>', ['Joe', 'a@b'], ['a@b'], 'a display name over two lines'],
  [
    '"|x a,\n b"',
    ['fault the closing quote is missing (in ""|x a,")', 'fault the closing quote is missing (in "b"")'],
    ['local |x a, b'],
    'a command over two lines',
  ],
  [
    'a@b (x\ny), c',
    ['fault the closing parenthesis is missing (in "a@b (x")', 'fault "y)" is not a local-part; quote it if it is meant (in "y)")', 'c'],
    ['a@b', 'c'],
    'a comment over two lines',
  ],
];

for (const [text, separate, joined, why] of LINES)
  test(`${JSON.stringify(text)}: ${why}`, () => {
    assert.deepEqual(read(text, false), separate);
    assert.deepEqual(read(text, true), joined);
  });

test('each item knows its line', () => {
  const text = 'a,\n\nb, c,\n# d\n"e\nf"@g,\nh';
  assert.deepEqual(
    parseRedirection(text, 'f', 10, true).items.map(({ line }) => line),
    [10, 12, 12, 14, 16],
  );
  assert.deepEqual(
    parseRedirection('a\nb,\n\nc', 'f').items.map(({ line }) => line),
    [1, 2, 4],
  );
  assert.deepEqual(
    parseRedirection('a (x\n\n\ny), b', 'f', 1, true).items.map(({ line }) => line),
    [1, 4],
  );
});

test('any text gives items or faults, quickly, and never an exception', () => {
  const unit = fc.constantFrom(
    'a',
    'b@c',
    ',',
    '\n',
    '"',
    '\\',
    '(',
    ')',
    '<',
    '>',
    ':',
    '/',
    '|',
    '#',
    ' ',
    ':include:/x',
    ':fail:',
    '@',
    'é',
  );
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 60 }), fc.boolean(), (units, joined) => {
      const { items } = parseRedirection(units.join(''), 'f', 1, joined);
      for (const { line } of items) assert.ok(line >= 1);
    }),
    { numRuns: 1000 },
  );
});

test('a printed list reads back as itself', () => {
  const atom = fc.stringMatching(/^[a-z0-9]{1,8}$/);
  const item = fc.oneof(
    fc.tuple(atom, atom).map(([a, b]) => `${a}@${b}.example`),
    atom,
    atom.map((a) => `\\${a}`),
  );
  fc.assert(
    fc.property(fc.array(item), fc.constantFrom(',', ', ', ' ,\n ', ',,'), (items, separator) => {
      assert.deepEqual(read(items.join(separator), true), items);
    }),
  );
});

test('20,000 addresses on one line take time in proportion', () => {
  const text = Array.from({ length: 20_000 }, (_, i) => `user${i}@example.org`).join(', ');
  assert.equal(parseRedirection(text, 'f', 1, true).items.length, 20_000);
});

test('blanks within items are linear work', () => {
  const blanks = ' '.repeat(9000);
  const text = Array.from({ length: 300 }, (_, i) => `a @\n x${i}.example (b${blanks}c), a${blanks}b@d`).join(',');
  const items = read(text, true);
  assert.equal(items.length, 600);
  assert.equal(items[598], 'a@x299.example');
});

test.run();
