/** Alias files, and the lists in them, in included files and in a `.forward`. */
import assert from 'node:assert';
import { type AliasEntry, foldKey, makeAliasReader, searchAliases } from '../../../src/router/aliases.ts';
import { listOfEntry } from '../../../src/router/data.ts';
import { makeAliasCheck } from '../../../src/router/newaliases.ts';
import { parseRedirection, type Redirection } from '../../../src/router/redirection.ts';
import { printMailbox } from '../../../src/smtp/path.ts';
import { textOf } from '../../../src/smtp/text.ts';
import { checkMailbox } from '../mailboxes.ts';
import { assertSentence, type Reader, same, sameInAnyPieces } from '../reader.ts';

interface ReadAliases {
  readonly entries: readonly AliasEntry[];
  readonly faults: readonly (readonly [line: number, detail: string])[];
}

function readAliases(pieces: readonly string[]): ReadAliases {
  const entries: AliasEntry[] = [];
  const faults: (readonly [number, string])[] = [];
  const file = makeAliasReader({
    wants: () => true,
    take: (entry) => void entries.push(entry),
    fault: (line, detail) => void faults.push([line, detail]),
  });
  for (const piece of pieces) file.read(piece);
  file.end();
  return { entries, faults };
}

function searchFor(key: string, pieces: readonly string[]): readonly AliasEntry[] {
  const search = searchAliases([key]);
  for (const piece of pieces) {
    if (search.isDone) break;
    search.read(piece);
  }
  if (!search.isDone) search.end();
  return search.entries;
}

/** Asserts that each item says its line, and that an address of it is one. */
function checkList(list: Redirection, first: number, last: number): void {
  let before = first;
  for (const item of list.items) {
    assert.ok(item.line >= before && item.line <= last, `line ${item.line} is not between ${before} and ${last}`);
    before = item.line;
    if (item.kind === 'mailbox' || item.kind === 'own') checkMailbox(item.mailbox);
    if (item.kind === 'own') assert.equal(item.mailbox.domain, '');
    if (item.kind === 'include') assert.ok(item.file.startsWith('/'));
    if (item.kind === 'fault') assertSentence(item.detail);
    if (item.kind === 'local') assert.match(item.target, /^[/|]/);
  }
}

export const reader: Reader = {
  name: 'aliases',
  seeds: [
    'root: ops@example.org\n# comment\n"a b": c,\n  d (x),\n  "|cmd a, b"\n',
    '\xef\xbb\xbfpostmaster:root\r\nx: :include:/etc/list\ny: :fail: no\nz: :blackhole:, /dev/null\n',
    'a b@c\n\tcontinued\n\n  # c\n  d\n',
    'lost: \\lost, joe <a@b>, /var/mail/x, :unknown:\n',
    ' begins with a blank\n"unclosed: x\n:no key\n',
    'list: a@b, # comment, c@d\n e@f\n',
  ],
  words: [
    ':include:/',
    ':fail:',
    ':defer:',
    ':blackhole:',
    ':unknown:',
    '/dev/null',
    '|',
    '\\',
    '\n ',
    '\n\t',
    '\n#',
    '\n',
    ': ',
    '"',
    ',',
    '(',
    ')',
    '<a@b>',
    'include:',
  ],
  read: (input) => [readAliases([input]).entries.map((entry) => listOfEntry(entry, '/aliases')), parseRedirection(textOf(input), '/list')],
  run(input) {
    const lines = input.split('\n').length;
    const { entries, faults } = sameInAnyPieces(input, readAliases);
    let before = 0;
    for (const [i, entry] of entries.entries()) {
      assert.ok(entry.line > before && entry.line <= lines);
      before = entry.line;
      assert.ok(entry.key !== '' && entry.key === foldKey(entry.key));
      assert.ok(!entry.text.includes('\0') || input.includes('\0'));
      const list = listOfEntry(entry, '/aliases');
      checkList(list, entry.line, lines);
      // A search reads all, so that to search for each of very many would be quadratic.
      if (i >= 20) continue;
      const [found] = searchFor(entry.key, [input]);
      const wanted = entries.find(({ key }) => key === entry.key);
      same(found, wanted, 'the first entry of a key counts');
    }
    for (const [line, detail] of faults) {
      assert.ok(line >= 1 && line <= lines);
      assertSentence(detail);
    }
    const check = makeAliasCheck();
    const file = check.aliases('/aliases');
    file.read(input);
    file.end();
    assert.equal(check.entries, entries.length);
    for (const sentence of [...check.faults, ...check.locals, ...check.unused]) {
      const line = Number(/^\/aliases:(\d+): ./.exec(sentence)?.[1]);
      assert.ok(line >= 1 && line <= lines, `no line of ${lines} in: ${sentence}`);
    }
    // The same text as an included list; what is in one list is in it behind blanks, too.
    const text = textOf(input);
    const list = parseRedirection(text, '/list');
    checkList(list, 1, lines);
    const padded = parseRedirection(`\n, ${text}`, '/list');
    same(summary(padded, -1), summary(list, 0));
  },
};

const summary = ({ items }: Redirection, shift: number): readonly string[] =>
  items.map((item) => {
    const at = item.line + shift;
    return 'mailbox' in item ? `${at} ${item.kind} ${printMailbox(item.mailbox)}` : `${at} ${JSON.stringify({ ...item, line: at })}`;
  });
