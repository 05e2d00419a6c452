/** Configuration files. */
import assert from 'node:assert';
import { interpret } from '../../../src/config/interpret.ts';
import { KEYS, TABLES } from '../../../src/config/keys.ts';
import { parseToml, type Toml } from '../../../src/config/toml.ts';
import type { PathStep } from '../../../src/config/toml-lines.ts';
import { isTable } from '../../../src/config/values.ts';
import { textOf } from '../../../src/smtp/text.ts';
import { assertSentence, type Reader, same } from '../reader.ts';
import { checkErrors, fileOf, HOME } from '../settings.ts';

function checkLines(toml: Toml, raw: unknown, path: readonly PathStep[], lines: readonly string[]): void {
  // Nothing below has a line, because no key of ours lies so deep.
  if (path.length >= 64) return;
  const children: readonly (readonly [PathStep, unknown])[] = Array.isArray(raw)
    ? [...raw.entries()]
    : isTable(raw)
      ? Object.entries(raw)
      : [];
  for (const [step, value] of children) {
    const line = toml.line(...path, step);
    const where = `${JSON.stringify([...path, step])} has line ${line} of ${lines.length}`;
    assert.ok(line >= 1 && line <= lines.length, where);
    // A key may be written with escapes, but then there is one.
    if (typeof step === 'string')
      assert.ok((lines[line - 1] as string).includes(step) || /[\\\n]/.test(`${lines[line - 1]}${step}`), where);
    checkLines(toml, value, [...path, step], lines);
  }
}

const EXAMPLES = KEYS.filter(({ section }) => section !== 'host').map(({ name, example }) => `${name} = ${example}`);

export const reader: Reader = {
  name: 'toml',
  seeds: [
    'smarthosts = ["submission://mail.example.org"]\n[auth]\nuser = "ops"\npassword_file = "/etc/nospool/password"\n',
    'smarthosts = [\n  "smtp://a",\n  { url = "b:465", tls = { mode = "off" }, auth = "none" },\n]\n[tls]\nverify = false\n[timeouts]\nconnect = "1m30s"\n',
    '[[router]]\nname = "x"\ndriver = "redirect"\ndata = { root = "a@b" }\n[[router]]\nname = "y"\ndriver = "manualroute"\nhosts = ["z"]\nheaders_add = ["X: y"]\n[router.tls]\nmode = "required"\n',
    '[rewrite]\n"*@old.example" = "*@new.example"\nroot = "ops@b"\n',
    'a.b."c d" = """x\ny"""\n\'q\' = 1979-05-27T07:32:00Z\n# c\nx = [1, [2, 3], { y = 0x1f }]\n',
    `${EXAMPLES.slice(0, 30).join('\n')}\n`,
    '\xef\xbb\xbflog = "syslog"\r\nlock = true\r\n',
    'password = secret\n',
  ],
  words: [
    ...EXAMPLES.map((example) => `\n${example}`),
    ...TABLES.map((name) => `\n[${name}]\n`),
    ...[
      '\n[[router]]\n',
      '\n[router.data]\n',
      '"""',
      "'''",
      '"',
      "'",
      ' = ',
      '{ ',
      ' }',
      '[',
      ']',
      ', ',
      '\n',
      '\\u00fc',
      '\\',
      '# ',
      'true',
      '1.5',
      '-0',
      'inf',
      '0x',
      '1979-05-27',
      '.',
      '\xef\xbb\xbf',
    ],
  ],
  read: (input) => {
    const read = parseToml(textOf(input));
    return read.ok && interpret(fileOf(read.value), {}, HOME);
  },
  run(input) {
    const text = textOf(input);
    const lines = text.split('\n').length;
    const read = parseToml(text);
    if (!read.ok) {
      assertSentence(read.detail);
      assert.ok(!read.detail.includes('\n') && read.line >= 1 && read.line <= lines, `line ${read.line} of ${lines}: ${read.detail}`);
      return;
    }
    checkLines(read.value, read.value.table, [], text.split('\n'));
    const answer = interpret(fileOf(read.value), {}, HOME);
    if (!answer.ok) return checkErrors(answer.errors, lines);
    for (const warning of answer.warnings) assertSentence(warning);
    same(interpret(fileOf(read.value), {}, HOME), answer);
  },
};
