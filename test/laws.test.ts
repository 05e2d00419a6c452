/** The laws of the house: who may import whom, who may import a package, and documents that may not drift from the code. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { printMatrix, printSteps } from './support/matrix.ts';
import { printStandards } from './support/standards.ts';

const laws = suite('laws');
const root = fileURLToPath(new URL('..', import.meta.url));
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const filesIn = (folder: string, ending: string): string[] =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(folder, name))
    .sort();

const sources = filesIn('src', '.ts').map((file) => ({ file, text: read(file) }));

/** Room of a file: its folder below src. */
const roomOf = (file: string): string => path.dirname(path.relative('src', file));
/** The rooms of that name and within it. */
const isWithin = (room: string, outer: string): boolean => room === outer || room.startsWith(`${outer}/`);

const CORE = [/^smtp\//];
const BELOW_SUBMIT = [...CORE, /^router\//, /^message\//, /^transport\//, /^trust\//];
const BELOW_CONFIG = [...BELOW_SUBMIT, /^submit\//];
const BELOW_COMMANDS = [...BELOW_CONFIG, /^config\//, /^process\//];

/**
 * Rooms and what they may import besides themselves; for single files where a room may only see a part. A room within a
 * room has a row of its own, and may be imported by the outer one only where that row says so.
 */
const LAW: Readonly<Record<string, readonly RegExp[]>> = {
  smtp: [],
  'smtp/client': [/^smtp\/\w+\.ts$/, /^smtp\/sasl\//],
  'smtp/server': [/^smtp\/\w+\.ts$/],
  'smtp/sasl': [/^smtp\/\w+\.ts$/],
  router: [/^smtp\/(path|parsed|text)\.ts$/],
  message: [/^smtp\/(path|parsed|text|limits|client\/content)\.ts$/],
  'message/mime': [/^message\//, /^smtp\/(parsed|text|limits|client\/content)\.ts$/],
  trust: [],
  transport: [...CORE, /^router\/(smarthost|loopback)\.ts$/, /^message\/source\.ts$/, /^transport\//],
  'transport/kernel': [/^smtp\/client\/content\.ts$/],
  'transport/lookup': [
    /^smtp\/(path|parsed)\.ts$/,
    /^router\/(smarthost|loopback)\.ts$/,
    /^transport\/(abort|clock|address|a-labels|platform)\.ts$/,
  ],
  'transport/tls': [...CORE, /^router\/smarthost\.ts$/, /^transport\/(address|a-labels|digest|platform|wire)\.ts$/, /^trust\//],
  submit: BELOW_SUBMIT,
  library: BELOW_CONFIG,
  'library/nodemailer': [...BELOW_CONFIG, /^library\/\w[^/]*\.ts$/],
  testing: [...CORE, /^transport\/(listen|serve)\.ts$/, /^transport\/tls\/certificate\.ts$/],
  config: [...CORE, /^router\//, /^trust\//, /^submit\/settings\.ts$/],
  process: [...BELOW_CONFIG, /^config\//, /^process\//],
  'process/stdin': [/^message\/(source|lone-dot)\.ts$/, /^trust\/file-system\.ts$/],
  sendmail: [...BELOW_COMMANDS, /^sendmail\/dialogue\//],
  'sendmail/dialogue': BELOW_COMMANDS,
  'sendmail/start': [/^process\/runtime\.ts$/],
  nospool: [...BELOW_COMMANDS, /^nospool\//],
  ...Object.fromEntries(
    ['bench', 'check', 'import', 'init', 'install', 'sink'].map((name) => [
      `nospool/${name}`,
      [...BELOW_COMMANDS, /^nospool\/\w[^/]*\.ts$/, ...(name === 'bench' ? [/^library\//] : [])],
    ]),
  ),
};

/** The published doors, which show what is behind them. */
const PUBLISHED = [
  'src/library/index.ts',
  'src/library/nodemailer/index.ts',
  'src/smtp/index.ts',
  'src/smtp/server/index.ts',
  'src/router/index.ts',
  'src/testing/index.ts',
];

/** Packages that the build puts into the commands. Whoever installs nospool installs none. */
const BUNDLED = ['iconv-lite', 'smol-toml', 'yargs'];

/** Whole statements only: the words "from" and "import" are also names of keys and commands. */
const importsOf = (text: string): string[] =>
  [...text.matchAll(/^(?:import|export)\b[^'"`;]*?from '([^']+)';|^import '([^']+)';|\bimport\('([^']+)'\)/gm)].map(
    (match) => (match[1] ?? match[2] ?? match[3]) as string,
  );

laws('no import points the wrong way', () => {
  const wrong: string[] = [];
  for (const { file, text } of sources)
    for (const wanted of importsOf(text).filter((name) => name.startsWith('.'))) {
      const target = path.relative('src', path.join(path.dirname(file), wanted));
      const room = roomOf(file);
      if (path.dirname(target) === room || PUBLISHED.includes(file)) continue;
      const allowed = LAW[room];
      assert.ok(allowed, `${file}: the room "${room}" is not in the law`);
      if (!allowed.some((pattern) => pattern.test(target))) wrong.push(`${file} → src/${target}`);
    }
  assert.deepEqual(wrong, []);
});

laws('no files import each other in a circle, not even for a type or later', () => {
  const imports = new Map(
    sources.map(({ file, text }) => [
      file,
      importsOf(text)
        .filter((name) => name.startsWith('.'))
        .map((name) => path.join(path.dirname(file), name)),
    ]),
  );
  // Whoever imports none that is left, or is imported by none, is in no circle, and leaves in turn.
  for (let count = Infinity; count > imports.size; ) {
    count = imports.size;
    const wanted = new Set([...imports.values()].flat());
    for (const [file, those] of imports) if (!wanted.has(file) || !those.some((each) => imports.has(each))) imports.delete(file);
  }
  assert.deepEqual([...imports.keys()], []);
});

laws('smtp, router and message stay free of the platform, but for the one file with iconv-lite', () => {
  const wrong = sources.filter(
    ({ file, text }) =>
      (isWithin(roomOf(file), 'smtp') || roomOf(file) === 'router') &&
      /['"]node:|\bBuffer\b|\bprocess\./.test(text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')),
  );
  assert.deepEqual(
    wrong.map(({ file }) => file),
    [],
  );
});

laws('each third-party package is imported by exactly one file', () => {
  const by = new Map<string, string[]>();
  for (const { file, text } of sources)
    for (const name of importsOf(text).filter((wanted) => !wanted.startsWith('.') && !wanted.startsWith('node:')))
      by.set(name, [...(by.get(name) ?? []), file]);
  for (const [name, files] of by) assert.equal(new Set(files).size, 1, `${name} is imported by ${files.join(', ')}`);
  assert.deepEqual([...by.keys()].sort(), BUNDLED);
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Readonly<Record<string, Readonly<Record<string, string>>>>;
  assert.equal(dependencies, undefined, 'who installs nospool would install it, too');
  for (const name of BUNDLED) assert.ok(devDependencies?.[name] !== undefined, name);
});

/** Who may write where people look, and by which words it could be done. */
// What comes first runs on a Node that reads none of the others.
const DOORS = ['src/process/stderr.ts', 'src/sendmail/dialogue/replies.ts', 'src/submit/logfile.ts', 'src/process/runtime.ts'];
const WRITING = [
  /\bconsole\b/,
  /\bprocess\.(?:stdout|stderr)(?!\.isTTY\b|\.on\('error',)/,
  /\bwriteSync\b|\bappendFile|\bcreateWriteStream\b|\bwritev|\bwrite as\b/,
  /\/dev\/(?:stdout|stderr|tty|fd)\b/,
  /'inherit'/,
];
/** Streams whose errors are passed over: `| head`. */
const LISTENING = /for \(const stream of \[process\.stdout, process\.stderr\]\) stream\.on\('error', \(\) => \{\}\);/;

/** The program of a child that answers its parent through a pipe. */
const CHILD = /^const PROGRAM = `[^`]*`;$/m;

laws('S9: text for people has one door to the descriptors and one to the log', () => {
  const wrong: string[] = [];
  for (const { file, text } of sources.filter(({ file: name }) => !DOORS.includes(name))) {
    const code = text
      .replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, '')
      .replace(LISTENING, '')
      .replace(CHILD, '');
    wrong.push(...WRITING.flatMap((pattern) => pattern.exec(code)?.[0] ?? []).map((word) => `${file}: ${word}`));
    // Raw text: SMTP, whose lines are made by the receiver, and what readline shows of a line while it is typed.
    if (/\bwriteText\b/.test(code)) wrong.push(`${file}: writeText`);
    if (/\becho\b/.test(code) && file !== 'src/nospool/init/terminal.ts') wrong.push(`${file}: echo`);
    if (/\bas Line\b/.test(code) && /\/line\.ts'/.test(code)) wrong.push(`${file}: as Line`);
  }
  assert.deepEqual(wrong, []);
  const dialogue = sources.filter(({ file }) => roomOf(file) === 'sendmail/dialogue').map(({ text }) => text);
  for (const [call] of dialogue.join().matchAll(/\breplies\??\.write\([^;]*/g)) assert.match(call, /^replies\.write\(printWire\(/);
  for (const [call] of read('src/submit/logfile.ts').matchAll(/\bwrite(?:Lines)?\(lines?: [^,)]*/g))
    assert.match(call, /: readonly Line\[\]$/);
});

laws('every test file ends in .run(), so that its tests are run', () => {
  for (const file of filesIn('test', '.test.ts')) assert.ok(/\.run\(\);\s*\}?\s*$/.test(read(file)), `${file} does not end in .run()`);
});

laws('coverage is switched off only where code cannot be reached', () => {
  let count = 0;
  for (const { file, text } of sources.filter(({ file: name }) => isWithin(roomOf(name), 'smtp') || roomOf(name) === 'router'))
    for (const match of text.matchAll(/\/\* c8 ignore[^*]*\*\/\n(.*)\n(.*)/g)) {
      count += 1;
      assert.match(match[0], /never\(|bug: |default:|\? '' :/, `${file}: ${match[0]}`);
    }
  assert.ok(count <= 16, `${count} places are out of coverage`);
});

laws('docs/protocol.md shows the machine as it is', () => {
  const text = read('docs/protocol.md');
  assert.ok(text.includes(printSteps()), 'the table of STEPS has changed: run node --import tsx test/support/print.ts');
  assert.ok(text.includes(printMatrix()), 'the state × event matrix has changed: run node --import tsx test/support/print.ts');
});

laws('ARCHITECTURE.md names every room, and docs/protocol.md every file of the core', () => {
  const text = read('ARCHITECTURE.md');
  for (const room of Object.keys(LAW)) assert.ok(text.includes(`\`src/${room}\``), `src/${room} is not in ARCHITECTURE.md`);
  const protocol = read('docs/protocol.md');
  for (const { file } of sources.filter(({ file: name }) => isWithin(roomOf(name), 'smtp')))
    assert.ok(protocol.includes(`\`${path.basename(file)}\``), `${file} is not in docs/protocol.md`);
});

laws('ARCHITECTURE.md can be read in one sitting', () => {
  assert.ok(Buffer.byteLength(read('ARCHITECTURE.md')) <= 14 * 1024, 'it has more than 14 KiB: tables belong to docs/');
});

laws('the files that CONTRIBUTING.md sends people to are there, at most two for a question', () => {
  const table = read('CONTRIBUTING.md').split('\n## Where is …?\n')[1]?.split('\n## ')[0] ?? '';
  const rows = [...table.matchAll(/^\| ([^|]+) \| ([^|]+) \|$/gm)].slice(1);
  assert.ok(rows.length >= 10);
  for (const [, question = '', answer = ''] of rows) {
    const files = [...answer.matchAll(/`(src\/[^`]+)`/g)].map((match) => match[1] as string);
    assert.ok(files.length > 0 && files.length <= (question.startsWith('which line ends') ? 3 : 2), question);
    for (const file of files)
      assert.ok(
        sources.some((source) => source.file === file),
        `${question}: ${file}`,
      );
  }
});

/** Sections of docs/protocol.md by their headings. */
const sectionOf = (heading: string): string => read('docs/protocol.md').split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';

laws('every deviation from a standard is listed in docs/protocol.md by its file', () => {
  const text = sectionOf('Deviations');
  for (const { file, text: source } of sources)
    if (/Deviation:/.test(source)) assert.ok(text.includes(file), `${file} has a "Deviation:" that docs/protocol.md does not list`);
  for (const [, file] of text.matchAll(/`(src\/[^`]+\.ts)`/g))
    assert.match(read(file as string), /Deviation:/, `${file} has no "Deviation:" any more`);
});

laws('docs/protocol.md lists the standards that the code cites', () => {
  const { text, untitled } = printStandards(sources.map((source) => source.text));
  assert.deepEqual(untitled, [], 'give it a title in test/support/standards.ts');
  assert.equal(sectionOf('Standards').trim(), text, 'run node --import tsx test/support/print.ts');
});

/** Settings of TLS and credentials, as configurations and options have them. */
const POLICY = /\[(tls|auth)\]|\b(tls|auth)\s*[:=]\s*[{'"`]|password\w*\s*[:=]|ca_?file|allow_?plaintext|submissions:|STARTTLS/i;
/** Addresses of loopback, and the servers of the tests that listen there. */
const LOOPBACK =
  /\b127\.\d|\blocalhost\b|::1\b|\b(toHosts|hostAt|smartHost|startHost|serveTranscript|startScripted|startFollowing|followApart|sinkWith)\(/;
/** Tests of these rooms connect to nothing: hosts are texts there. */
const TEXTS = /^test\/(config|router|smtp|message|bench)\/|^test\/nospool\/import\./;

laws('no test about TLS or credentials uses loopback, where policy is relaxed on purpose, without saying why', () => {
  const silent: string[] = [];
  const needless: string[] = [];
  for (const file of filesIn('test', '.test.ts').filter((name) => !/^test\/world\/|^test\/laws/.test(name))) {
    const text = read(file);
    const isAbout = !TEXTS.test(file) && POLICY.test(text) && LOOPBACK.test(text);
    const says = /^(\/\*\*| \*|\/\/).*\bLoopback: \S.{20}/m.test(text);
    if (isAbout && !says) silent.push(file);
    if (!isAbout && says) needless.push(file);
  }
  assert.deepEqual(silent, [], 'move it to test/world, or say in a comment why it may: "Loopback: …"');
  assert.deepEqual(needless, [], 'nothing there needs its "Loopback: …" any more');
});

laws('nothing names a registry, a machine path or a tool that is not public', () => {
  for (const { file, text } of [
    ...sources,
    ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/protocol.md', 'docs/exim.md'].map((name) => ({
      file: name,
      text: read(name),
    })),
  ])
    assert.ok(!/\/work\/|registry\.(npmjs|yarnpkg|npmmirror)|\/root\//.test(text), file);
});

laws('code and tests name no document that is not here', () => {
  const here = new Set(
    [...readdirSync(root), ...['docs', 'bench', 'test'].flatMap((folder) => filesIn(folder, '.md'))].map((file) => path.basename(file)),
  );
  for (const file of ['src', 'test', 'bench'].flatMap((folder) => [...filesIn(folder, '.ts'), ...filesIn(folder, '.mjs')]))
    for (const [name] of read(file).matchAll(/\b[\w-]+\.md\b|\bSPEC §[\d.]+/g)) assert.ok(here.has(name), `${file} names ${name}`);
});

laws.run();
