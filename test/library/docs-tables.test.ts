/** The tables of docs/library.md have the codes, options and defaults of the code, and docs/api/ shows the types that are published. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import { TIMEOUTS } from '../../src/library/options.ts';
import { parseServer } from '../../src/library/server.ts';
import { PORTS, printSmarthost } from '../../src/router/smarthost.ts';
import { classifyFailure } from '../../src/smtp/client/classify.ts';
import type { SessionFailure } from '../../src/smtp/client/outcome.ts';

const test = suite('documents of the library');
const root = fileURLToPath(new URL('../..', import.meta.url));
const text = readFileSync(path.join(root, 'docs/library.md'), 'utf8');

interface Reference {
  /** Pages by the names of their files, and the types that appear at a door and have no name there. */
  makeReference(): { readonly pages: ReadonlyMap<string, string>; readonly missing: readonly string[]; readonly silent: readonly string[] };
  /** The members of a type, or the words of a union, at the door `nospool`. */
  describeType(name: string): readonly { readonly name: string; readonly doc: string }[];
}
const { makeReference, describeType } = (await import(pathToFileURL(path.join(root, 'docs/api/make.mjs')).href)) as Reference;

/** The rows of the table whose first column has this heading, below that section; names without their back quotes. */
function rowsOf(section: string, first: string): readonly (readonly string[])[] {
  const body = text.split(new RegExp(`^##+ ${section}$`, 'm'))[1]?.split(/^##+ /m)[0] ?? '';
  const table = body.split(`\n\n| ${first} |`)[1]?.split('\n\n')[0] ?? '';
  const rows = table.split('\n').slice(2);
  return rows.filter((row) => row !== '').map((row) => row.slice(2, -2).split(/ ?(?<!\\)\| ?/));
}
/** What stands in back quotes in the first column. */
const keysOf = (rows: readonly (readonly string[])[]): readonly string[] =>
  rows.flatMap(([key = '']) => [...key.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string));
const namesOf = (type: string): readonly string[] => describeType(type).map(({ name }) => name);
const sorted = (names: Iterable<string>): readonly string[] => [...names].sort();

test('every code of failures has its row, with whether the call may be made again', () => {
  const rows = rowsOf('Failures', 'code');
  assert.deepEqual(sorted(keysOf(rows)), sorted(namesOf('FailureCode')));
  assert.deepEqual(sorted(keysOf(rowsOf('Failures', '`retry`'))), sorted(namesOf('Retry')));
  const told = new Map(rows.map(([code = '', , retry = '']) => [code.replaceAll('`', ''), retry.split(', ')]));
  for (const failure of FAILURES) {
    const { code, retry } = classifyFailure(failure);
    assert.ok(told.get(code)?.includes(retry), `${code} is ${retry}, and the table says ${told.get(code)}`);
  }
});

const at = 'envelope';
const condemns = 'host';
const detail = '';
const refusal = (code: number) => ({ command: 'RCPT', recipient: 0, reply: { code, enhanced: null, lines: [''] } });
/** One of each kind, and more where the kind alone does not decide. */
const FAILURES: readonly SessionFailure[] = [
  ...(['resolve', 'refused', 'unreachable', 'timeout', 'certificate', 'handshake'] as const).map(
    (reason): SessionFailure => ({ kind: 'connect', at, condemns, during: 'connect', reason, detail }),
  ),
  ...(['starttls', 'tls', 'auth', 'mechanism', 'size', 'partial', 'argument'] as const).map(
    (lacks): SessionFailure => ({ kind: 'unsupported', at, condemns, lacks, detail }),
  ),
  ...(['auth', 'envelope'] as const).flatMap((phase) =>
    [450, 550].map((code): SessionFailure => ({ kind: 'rejected', at: phase, condemns, refusals: [refusal(code)] })),
  ),
  { kind: 'malformed', at, condemns, detail },
  { kind: 'timeout', at, condemns, command: 'RCPT' },
  { kind: 'lost', at, condemns, command: 'RCPT', detail },
  { kind: 'lost', at, condemns, command: 'RCPT', detail, verb: 'RCPT', reply: refusal(421).reply },
  { kind: 'content', at, condemns: 'message', reason: 'input', detail },
  { kind: 'content', at, condemns: 'message', reason: 'aborted', detail },
  { kind: 'uncertain', at, condemns: 'message', detail },
];

/** Sections with a table, its first heading, and the types whose members it lists. */
const TABLES: readonly (readonly [section: string, first: string, ...types: string[]])[] = [
  ['Failures', 'field', 'Failure'],
  ['Of every call', 'option', 'Options'],
  ['Of one message', 'option', 'SendOptions'],
  ['Of a pool', 'option', 'PoolOptions'],
  ['A server', 'option', 'Server'],
  ['TLS', 'option', 'TlsOptions'],
  ['The envelope', 'field', 'Envelope'],
  ['Tracing with OpenTelemetry', 'field', 'ChannelMessage'],
  ['Trace and progress', 'field', 'TraceEvent'],
  ['Signals and time-outs', 'time-out', 'Timeouts'],
];
for (const [section, first, ...types] of TABLES)
  test(`the table "${section}" has every key and no other, and the defaults that the types tell`, () => {
    const rows = rowsOf(section, first);
    const members = types.flatMap((type) => describeType(type));
    assert.deepEqual(sorted(keysOf(rows)), sorted(new Set(members.map(({ name }) => name))));
    for (const { name, doc } of members)
      for (const [, value = ''] of doc.matchAll(/\bdefault:? (\d[\d,]*|true|false)/gi)) {
        const row = rows.find(([key = '']) => key.includes(`\`${name}\``));
        assert.ok(row?.[1]?.replaceAll('`', '') === value, `${section}: ${name} is ${value} by default`);
      }
  });

test('the table of authentication has every key', () => {
  const source = readFileSync(path.join(root, 'src/library/server.ts'), 'utf8');
  const keys = /AUTH_KEYS = \[([^\]]*)\]/.exec(source)?.[1] ?? '';
  assert.deepEqual(
    sorted(keysOf(rowsOf('Authentication', 'option'))),
    sorted([...keys.matchAll(/'(\w+)'/g)].map((match) => match[1] as string)),
  );
});

test('each URL is short for what the table says', () => {
  const rows = rowsOf('URLs', 'URL');
  assert.ok(rows.length > 8);
  for (const [urls = '', whole = ''] of rows)
    for (const url of keysOf([[urls], [whole]])) {
      const host = parseServer(url);
      assert.equal(host.ok ? `\`${printSmarthost(host.value.smarthost)}\`` : host.detail, whole, url);
    }
  // Every scheme has its row.
  const schemes = keysOf(rows).map((url) => /^[\w+]+:(?=\/)/.exec(url)?.[0]);
  for (const scheme of [...Object.keys(PORTS).map((name) => `${name}:`), 'smtps:', 'lmtp+unix:'])
    assert.ok(schemes.includes(scheme), scheme);
});

test('the time-outs are those of the code', () => {
  for (const [key, value] of rowsOf('Signals and time-outs', 'time-out'))
    assert.equal(Number(value?.replaceAll(',', '')), TIMEOUTS[(key ?? '').replaceAll('`', '') as keyof typeof TIMEOUTS], key);
});

test('docs/api/ is made from the types that are published', () => {
  const { pages, missing, silent } = makeReference();
  assert.deepEqual(
    sorted(readdirSync(path.join(root, 'docs/api')).filter((name) => name.endsWith('.md'))),
    sorted(pages.keys()),
    'run npm run reference',
  );
  for (const [name, page] of pages)
    assert.equal(
      readFileSync(path.join(root, 'docs/api', name), 'utf8'),
      page,
      `docs/api/${name} is old: run npm run build, npm run reference`,
    );
  assert.deepEqual(missing, [], 'a type appears at a door and cannot be imported from it');
  assert.deepEqual(silent, [], 'an exported name has no comment');
});

test('every link within the documents of the library leads somewhere', () => {
  const files = [
    'docs/library.md',
    ...readdirSync(path.join(root, 'docs/api')).flatMap((name) => (name.endsWith('.md') ? [`docs/api/${name}`] : [])),
  ];
  for (const file of files) {
    const own = readFileSync(path.join(root, file), 'utf8');
    for (const [, link = ''] of own.replace(/^```.*?^```$/gms, '').matchAll(/\]\(([^)\s]+)\)/g)) {
      const [place = '', anchor] = link.split('#');
      if (/^https?:/.test(link)) continue;
      const target = place === '' ? file : path.join(path.dirname(file), place);
      assert.ok(existsSync(path.join(root, target)), `${file}: ${link}`);
      if (anchor !== undefined) assert.ok(anchorsOf(readFileSync(path.join(root, target), 'utf8')).has(anchor), `${file}: ${link}`);
    }
  }
});

/** The anchors of headings as GitHub makes them. */
function anchorsOf(page: string): ReadonlySet<string> {
  const counts = new Map<string, number>();
  const anchors = new Set<string>();
  for (const [, heading = ''] of page.replace(/^```.*?^```$/gms, '').matchAll(/^#+ (.*)$/gm)) {
    const bare = heading
      .toLowerCase()
      .replace(/[^\w -]/g, '')
      .replaceAll(' ', '-');
    const count = counts.get(bare) ?? 0;
    counts.set(bare, count + 1);
    anchors.add(count === 0 ? bare : `${bare}-${count}`);
  }
  return anchors;
}

test.run();
