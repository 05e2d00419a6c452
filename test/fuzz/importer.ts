/** What holds for every import of another program's configuration. */
import assert from 'node:assert';
import { parseToml } from '../../src/config/toml.ts';
import { type ForeignProgram, type Found, importFrom } from '../../src/nospool/import/import-from.ts';
import { textOf } from '../../src/smtp/text.ts';
import { assertSentence, type Reader } from './reader.ts';

/**
 * What our reader never says of what an importer has written. It may say that a value is wrong, because the other program's file has the same
 * one, and `nospool import` hands that on; but it knows every key, in its place, and none that goes ill with another.
 */
const STRUCTURE =
  /this is not TOML|: key "[^"]*"(?: in \S+| of a smart host)? (?:is unknown|does not belong)|earlier router|contradicts|would not be used|means nothing|needs (?:certificate|exactly|hosts|a password)|expects (?:a list|a table|true or false)/;

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
      for (const error of errors)
        assert.doesNotMatch(error, STRUCTURE, `our own reader refuses what the importer wrote: ${error}\n${text}`);
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
