/** Compares docs/troubleshooting.md with the code: whoever has a sentence of the program must find it there, and as it is said. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { joinBlanks, literalsOf } from './support/literals.ts';

const test = suite('troubleshooting');

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const page = read('docs/troubleshooting.md');
const headings = [...page.matchAll(/^### `(.+)`$/gm)].map(([, sentence = '']) => joinBlanks(sentence));
const textsOf = (file: string): readonly string[] => literalsOf(read(file));

test('texts of a source are found as a person reads them', () => {
  const source = [
    "const a = 'it\\'s'; // 'no'",
    '/* "no" */ const b = /[\'"/]`/.test("b") ? `$@{a}$@{a ? `in $@{b}` : \'x\'} of $@{a}` : `{`;'.replaceAll('$@', '$'),
    'const c = { d: 1 / 2, e: "f/" };',
    "const g = (h) => /'/.test(h);",
  ].join('\n');
  assert.deepEqual(literalsOf(source), ["it's", 'b', 'in …', 'x', '… of …', '{', 'f/']);
});

test('every heading that is a sentence is said by the code, and stands there once', () => {
  const texts = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => textsOf(path.join('src', name)));
  assert.ok(headings.length > 100);
  assert.deepEqual(
    headings.filter((heading) => !texts.some((text) => text.includes(heading))),
    [],
  );
  assert.deepEqual(
    headings.filter((heading, i) => headings.indexOf(heading) !== i),
    [],
  );
});

/** A sentence, or enough of one that people look for it; shorter texts are names and parts. */
const isSentence = (text: string): boolean => /(?:[\w"…)]+,? ){3}/.test(text) && /[a-z]{2}/.test(text);

/** Files whose sentences are all on the page, except these, which never stand alone. */
const TABLES: readonly (readonly [file: string, parts: readonly string[]])[] = [
  ['src/submit/advice.ts', ['the first of auth.mechanisms']],
  ['src/submit/outcome.ts', ['the end of the content']],
  ['src/submit/delivery.ts', []],
  ['src/submit/secret.ts', ['the environment variable …', 'the first line that … writes']],
  ['src/transport/socket-error.ts', []],
  ['src/transport/connect.ts', []],
  ['src/transport/lookup/endpoints.ts', ['… was given up']],
  ['src/transport/lookup/codes.ts', []],
  ['src/transport/lookup/records.ts', []],
  ['src/transport/tls/failure.ts', [', or the server does not send its intermediate certificate', '; if that is the right CA, … can …']],
  ['src/transport/tls/tls.ts', []],
  [
    'src/nospool/check/check.ts',
    ['is no domain of RFC 5321', ', and bare addresses need qualify_domain', '1 smart host is', '… smart hosts are'],
  ],
  [
    'src/nospool/check/audience.ts',
    [
      'for other users it …',
      '… mode is …, its owner …, its group …; …',
      ' who are in ',
      'nobody is in it',
      'members of group … (…)',
      'processes in group …',
    ],
  ],
  ['src/nospool/check/in-place.ts', ['… is this nospool, …']],
  ['src/submit/logfile.ts', ['no log file is configured', '…; syslog has it', '… as uid …']],
  ['src/config/merge.ts', []],
  ['src/config/values.ts', ['a number without quotes', 'a list of texts', 'true or false without quotes']],
  ['src/config/policy.ts', ['…, or the name of a systemd credential']],
  [
    'src/config/hosts.ts',
    [
      'of a smart host',
      'write a table { url = "…", auth = { user = "…", … } }, or auth = "default" to use [auth] here too, or auth = "none"',
    ],
  ],
  ['src/transport/tls/pem.ts', ['the CA store (…)', 'the CA store … …', 'the file of NODE_EXTRA_CA_CERTS, …, …']],
  ['src/trust/facts.ts', ['…; its mode is …, its owner uid … and gid …: …', ' (mode …, owner uid …): run chmod o+x …']],
];
for (const [file, parts] of TABLES)
  test(`every sentence of ${file} has a heading`, () => {
    const sentences = textsOf(file).filter(isSentence);
    const missing = sentences.filter((sentence) => !headings.some((heading) => sentence.includes(heading)));
    assert.deepEqual(
      missing.filter((sentence) => !parts.includes(sentence)),
      [],
    );
  });

test('every code of a failure leads to its section', () => {
  const [, union = ''] = /export type SessionFailureCode =([^;]+);/.exec(read('src/smtp/client/classify.ts')) ?? [];
  const rows = page.split('\n## Codes of failures\n')[1] ?? '';
  const named = [...rows.matchAll(/^\| (`.+`) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([\w-]+)`/g)].map((match) => match[1]),
  );
  assert.deepEqual(named.sort(), [...literalsOf(union)].sort());
  const sections = [...page.matchAll(/^## (.+)$/gm)].map(([, title = '']) => title.toLowerCase().replaceAll(' ', '-'));
  for (const [, anchor = ''] of page.matchAll(/\]\(#([^)]+)\)/g)) assert.ok(sections.includes(anchor), anchor);
});

test('every heading is followed by what to do, and the page is found from where people look', () => {
  for (const part of page.split(/^(?:#{2,3} .+\n+)+/m).slice(1)) assert.match(part.trim(), /^\S[\s\S]{20}/, part);
  for (const file of ['README.md', 'man/nospool.1', 'man/nospool.toml.5', 'man/sendmail.nospool.8'])
    assert.ok(read(file).includes('docs/troubleshooting.md'), file);
});

test.run();
