/** What holds for every import of another program's configuration. */
import assert from 'node:assert';
import { parseToml } from '../../src/config/toml.ts';
import { type ForeignProgram, type Found, importFrom } from '../../src/nospool/import/import-from.ts';
import { textOf } from '../../src/smtp/text.ts';
import { assertSentence, type Reader } from './reader.ts';

/** What our reader says of a value that is none in the other program's file either; everything else the importer must not write. */
const VALUE =
  /^nospool\.toml:\d+: .*(?:is not a (?:host|domain|number from)|is unknown: only|is not SHA|is neither an IPv4|host is missing|IPv6 address: write|(?:expects|or) (?:an address|an absolute path|a domain|the name)|has a control character|has a word in braces|needs user beside it|expects domains|expects "\*"|is no domain|pattern|user and password do not belong|is not an IP address|"proxy" .*expects)/s;

/** Files of another program: the first, and behind lines of "=== NAME" those beside it. */
function readFiles(input: string, first: string): ReadonlyMap<string, string> {
  const [text = '', ...others] = textOf(input).split(/^=== /m);
  const files = new Map([[first, text]]);
  for (const other of others) {
    const [, name = '', rest = ''] = /^([^\n]*)\n?(.*)$/s.exec(other) as RegExpExecArray;
    files.set(name.startsWith('/') ? name : `${first.replace(/[^/]*$/, '')}${name}`, rest);
  }
  return files;
}

export function importer(program: ForeignProgram, first: string, seeds: readonly string[], words: readonly string[]): Reader {
  const importFiles = (input: string) => {
    const files = readFiles(input, first);
    const readText = (path: string): Found => {
      const text = files.get(path);
      return text === undefined ? { kind: 'unread', detail: 'there is no such file' } : { kind: 'file', text };
    };
    return { files, got: importFrom(first, readText, program) };
  };
  return {
    name: `import-${program}`,
    seeds,
    words: [
      ...words,
      '\n',
      '#',
      '"',
      "'",
      '\\',
      ' ',
      '=',
      ':',
      '\r\n',
      'example.org',
      'a@b.example',
      '25',
      '465',
      '/etc/x',
      '[::1]',
      '\xc3\xbc',
      '=== ',
    ],
    read: (input) => importFiles(input),
    run(input) {
      const { files, got } = importFiles(input);
      assert.ok(got.ok, got.ok ? '' : got.detail);
      const { toml: text, notes, errors } = got.value;
      for (const error of errors) assert.match(error, VALUE, `our own reader refuses what the importer wrote: ${error}\n${text}`);
      const read = parseToml(text);
      assert.ok(read.ok);
      const lengths = new Map([...files].map(([path, written]) => [path, written.split('\n').length]));
      for (const { place, text: note } of notes) {
        assertSentence(note);
        const [, path = '', line] = /^(.*?)(?::(\d+))?$/s.exec(place) as RegExpExecArray;
        if (line !== undefined && lengths.has(path)) assert.ok(Number(line) <= (lengths.get(path) as number), place);
      }
    },
  };
}
