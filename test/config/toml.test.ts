import assert from 'node:assert/strict';
import fc from 'fast-check';
import { stringify } from 'smol-toml';
import { suite } from 'uvu';
import { interpret } from '../../src/config/interpret.ts';
import { parseToml } from '../../src/config/toml.ts';
import type { PathStep } from '../../src/config/toml-lines.ts';

const test = suite('toml');

const TEXT = `\ufeff# a comment with "quotes" and [brackets]
top = "a # no comment"      # 2
list = [                    # 3
  "one",  # ] 4
  'two \\', { url = "three", tls = { mode = "off" } },
  [ 1, 2,
    3 ],
] # 8
long = """
[not.a.table]
key = "not a key" \\""" \\
""""                        # 12
raw = '''
x = '' ] '''
"quo\\"ted \\u00e9" = 1     # 15
'lite.ral' = 2              # 16
a.b . "c" = 1979-05-27T07:32:00Z
a.d = 1.5e3 #18
[tls] # 19
mode = "off"
[[router]]
name = "x"
[router.tls]
mode = "off"
[[router]]

name = "y"
data = { root = "a,b", "x y" = 'c' }
  [ router . auth ]
  user = ""
[[a.list]]
z = true
[[a.list]]
[[a.list.deep]]
q = []
`;

/** [path, line] */
const POSITIONS: [PathStep[], number][] = [
  [['top'], 2],
  [['list'], 3],
  [['list', 0], 4],
  [['list', 1], 5],
  [['list', 2], 5],
  [['list', 2, 'url'], 5],
  [['list', 2, 'tls', 'mode'], 5],
  [['list', 3], 6],
  [['list', 3, 2], 7],
  [['list', 4], 0],
  [['long'], 9],
  [['key'], 0],
  [['raw'], 13],
  [['x'], 0],
  [['quo"ted é'], 15],
  [['lite.ral'], 16],
  [['a'], 17],
  [['a', 'b', 'c'], 17],
  [['a', 'd'], 18],
  [['tls'], 19],
  [['tls', 'mode'], 20],
  [['router'], 21],
  [['router', 0], 21],
  [['router', 0, 'name'], 22],
  [['router', 0, 'tls'], 23],
  [['router', 0, 'tls', 'mode'], 24],
  [['router', 1], 25],
  [['router', 1, 'name'], 27],
  [['router', 1, 'data', 'x y'], 28],
  [['router', 1, 'auth', 'user'], 30],
  [['a', 'list', 0, 'z'], 32],
  [['a', 'list', 1], 33],
  [['a', 'list', 1, 'deep', 0, 'q'], 35],
  [['never'], 0],
];

test('every key has its line', () => {
  for (const text of [TEXT, TEXT.replaceAll('\n', '\r\n')]) {
    const toml = parseToml(text);
    assert.ok(toml.ok);
    for (const [path, line] of POSITIONS) assert.equal(toml.value.line(...path), line, path.join(' '));
  }
});

test('tables have no prototype, so no name of a user finds a method', () => {
  const toml = parseToml('[rewrite]\n__proto__ = "a"\nconstructor = "b"');
  assert.ok(toml.ok);
  assert.equal((toml.value.table.rewrite as Record<string, unknown>).toString, undefined);
  assert.equal(toml.value.line('rewrite', '__proto__'), 2);
});

test('a comment may be the end of the text', () => {
  const toml = parseToml('# begin\na = 1# one, c = [\nb = 2\n# end');
  assert.ok(toml.ok);
  assert.deepEqual([toml.value.line('a'), toml.value.line('b'), toml.value.line('c')], [2, 3, 0]);
});

test('errors have a line and repeat nothing of the file', () => {
  for (const [text, line] of [
    ['a = 1\npassword = hunter2', 2],
    ['a = 1\n\npassword = "hunter2', 3],
    ['password = "hunter2"\npassword = "hunter2"', 2],
    ['hunter2', 1],
    ['a = [\n"hunter2"\n"b"]', 3],
    ['a = 99999999999999999999', 1],
  ] as const) {
    const toml = parseToml(text);
    assert.ok(!toml.ok, text);
    assert.equal(toml.line, line, text);
    assert.doesNotMatch(toml.detail, /hunter2|\n|^Invalid/);
    assert.ok(toml.detail.length > 10);
  }
});

// the text, the error
const WRONG: readonly (readonly [string, string])[] = [
  ['domain = "example.org', 'the closing quote is missing: domain = "…"'],
  ["domain = 'example.org", 'the closing quote is missing: domain = "…"'],
  ['hosts = ["a.b]', 'the closing quote is missing: hosts = ["…"]'],
  ['text = """x', 'the closing quote is missing: text = "…"'],
  ['domain = example.org', 'a text stands in quotes, durations and sizes, too: domain = "…"'],
  ['log = /var/log/x', 'a text stands in quotes, durations and sizes, too: log = "…"'],
  ['hosts = [submission://a.b]', 'a text stands in quotes, durations and sizes, too: hosts = ["…"]'],
  ['hosts = ["a", b]', 'a text stands in quotes, durations and sizes, too: hosts = ["…"]'],
  ['connect = 5s', 'a text stands in quotes, durations and sizes, too: connect = "…"'],
  ['listen = 192.0.2.1', 'a text stands in quotes, durations and sizes, too: listen = "…"'],
  ['password = se"cret word', 'a text stands in quotes, durations and sizes, too: password = "…"'],
  ['lock = True', 'a switch is true or false: lock = true'],
  ['lock = yes', 'a switch is true or false: lock = true'],
  ['hosts = "a" "b"', 'several texts are a list: hosts = ["…", "…"]'],
  ['hosts = ["a" "b"]', 'a comma or a closing bracket is missing, here or in a line before'],
  ['hosts = [\nlog = "x"', 'a value is missing, or a list that began in a line before is not closed'],
  ['log = "a\\c"', `in "…" a backslash is written \\\\, or the text stands in '…'`],
  ['log = “x”', 'quotes are straight ones: log = "…"'],
  ['domain: "x"', 'it takes = in place of the colon: key = "…"'],
  ['secret word', 'a line is key = "…" or [table]'],
  ['= 1', 'a line is key = "…" or [table]'],
  ['log =', 'the value is missing: log = "…"'],
  ['[auth', 'a table stands alone in its line: [table] or [[table]]'],
  ['[auth] user = "x"', 'a table stands alone in its line: [table] or [[table]]'],
  ['[auth]\n[auth]', 'this table is there already'],
  ['log = "a"\nlog = "b"', 'this key is there already'],
];
for (const [text, detail] of WRONG)
  test(`O9: not TOML: ${JSON.stringify(text)}`, () => {
    const toml = parseToml(`${text}\n`);
    assert.ok(!toml.ok);
    assert.equal(toml.detail, detail);
  });

/** All paths in a value, at any depth. */
function paths(value: unknown, base: PathStep[] = []): PathStep[][] {
  const below = Array.isArray(value)
    ? value.flatMap((item, i) => paths(item, [...base, i]))
    : typeof value === 'object' && value !== null && !(value instanceof Date)
      ? Object.entries(value).flatMap(([name, item]) => paths(item, [...base, name]))
      : [];
  return base.length === 0 ? below : [base, ...below];
}

test('a key of very many parts is linear work, and an error in its line', () => {
  const parts = 'a.'.repeat(100_000);
  for (const [text, line] of [
    [`\n${parts}b = 1`, 2],
    [`[${parts}b]\nc.d = 1\n`, 1],
    [`lock = true\na = { ${parts}b = 1 }`, 2],
    [`[[a]]\n[[${parts}b]]\n${Array.from({ length: 1000 }, (_, i) => `c${i} = 1\n`).join('')}`, 1],
  ] as const) {
    const read = parseToml(text);
    assert.ok(read.ok);
    const answer = interpret({ path: '/f', toml: read.value, refuses: () => null, isSystem: true }, {}, { home: null });
    assert.ok(!answer.ok);
    assert.match(answer.errors.join('\n'), new RegExp(`^/f:${line}: key "a" is unknown`));
  }
});

test('blanks in a wrong line are linear work', () => {
  const read = parseToml(`a = ${' '.repeat(200_000)}${'\u2028'.repeat(1000)}x`);
  assert.ok(!read.ok);
  assert.equal(read.line, 1);
});

test('every key and item that the parser accepts has a line that holds its name', () => {
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.double({ noNaN: true }));
  const { tree } = fc.letrec((tie) => ({
    tree: fc.dictionary(fc.string(), fc.oneof({ depthSize: 'small' }, leaf, tie('tree'), fc.array(leaf), fc.array(tie('tree'))), {
      maxKeys: 4,
    }),
  }));
  fc.assert(
    fc.property(tree, fc.array(fc.nat({ max: 4 }), { maxLength: 3 }), (value, comments) => {
      const written = stringify(value as Record<string, unknown>);
      const text = comments.map((n) => `# ${'"'.repeat(n)}\n`).join('') + written;
      const toml = parseToml(text);
      assert.ok(toml.ok);
      const lines = text.split('\n');
      for (const path of paths(toml.value.table)) {
        const line = toml.value.line(...path);
        assert.ok(line > comments.length && line <= lines.length, `${JSON.stringify(path)} in ${text}`);
        const last = path.at(-1);
        if (typeof last === 'string' && /^\w+$/.test(last)) assert.ok((lines[line - 1] as string).includes(last), text);
      }
    }),
    { numRuns: 200 },
  );
});

test.run();
