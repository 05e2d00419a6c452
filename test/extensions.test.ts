/**
 * The tables "Extensions" and "Flights" of docs/protocol.md held against the code, the transcripts and two sockets: every
 * keyword that the client knows, every parameter in its place, and how often the direction changes.
 * Loopback: parameters and flights are counted; TLS is off and nobody authenticates.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import { DEFAULT_TLS } from '../src/router/smarthost.ts';
import type { Extensions } from '../src/smtp/client/extensions.ts';
import { mailCommand, type Notify, rcptCommand, type Transaction, unmetNeed } from '../src/smtp/client/print.ts';
import { parseMailbox } from '../src/smtp/path.ts';
import { submit } from './support/engine.ts';
import { startHost } from './support/smarthost.ts';
import { isCommit, readTranscripts, replay, type Transcript } from './support/transcript.ts';
import { within } from './support/within.ts';

const extensions = suite('extensions');
const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
const transcripts = new Map(readTranscripts().map((transcript) => [transcript.file, transcript]));

function named(file: string): Transcript {
  const transcript = transcripts.get(file);
  assert.ok(transcript, `${file} is in docs/protocol.md and not in test/sessions`);
  return transcript;
}

/* ---- the table ---- */

type Verb = 'MAIL' | 'RCPT';

interface Row {
  readonly keyword: string;
  /** As in the table: `SIZE=` stands for any value. */
  readonly parameters: readonly (readonly [Verb, string])[];
  /** Commands of its own. */
  readonly commands: readonly string[];
  readonly whenAbsent: string;
  readonly offered: readonly Transcript[];
  readonly absent: readonly Transcript[];
  readonly refused: readonly Transcript[];
}

const quoted = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string);

/** The rows of the first table behind a heading or sentence, without the head. */
function rowsOf(before: string, columns: number): string[][] {
  const blocks = (read('docs/protocol.md').split(before)[1] ?? '').split('\n\n');
  const lines = (blocks.find((block) => block.startsWith('|')) ?? '').split('\n');
  const rows = lines.map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
  for (const row of rows) assert.equal(row.length, columns, row.join('|'));
  return rows.slice(2);
}

function parseRow([keyword = '', , goes = '', whenAbsent = '', offered = '', absent = '', refused = '']: readonly string[]): Row {
  const parameters: [Verb, string][] = [];
  const commands: string[] = [];
  for (const [, word, names] of goes.matchAll(/(command|MAIL|RCPT)((?: `[^`]+`)+)/g))
    for (const name of quoted(names as string)) {
      if (word === 'command') commands.push(name);
      else parameters.push([word as Verb, name]);
    }
  const files = (cell: string) => quoted(cell).map(named);
  return { keyword, parameters, commands, whenAbsent, offered: files(offered), absent: files(absent), refused: files(refused) };
}

const TABLE = rowsOf('## Extensions', 7).map(parseRow);
const row = (keyword: string) => TABLE.find((each) => each.keyword === keyword);

/** Keywords of the last EHLO reply before MAIL, or at the end. */
function offeredIn({ lines }: Transcript): ReadonlySet<string> {
  const mail = lines.findIndex((line) => line.startsWith('C: MAIL'));
  const before = mail < 0 ? lines : lines.slice(0, mail);
  const hello = before.findLastIndex((line) => /^C: [EL]HLO/.test(line));
  const behind = before.slice(hello + 1);
  const end = behind.findIndex((line) => !line.startsWith('S: 250'));
  return new Set(behind.slice(1, end < 0 ? undefined : end).map((line) => (line.slice(7).split(' ')[0] as string).toUpperCase()));
}

/** True if this command line has the parameter: `SIZE=` with any value, others as they are. */
function carries(line: string, parameter: string): boolean {
  const words = line.replace(/^C: (MAIL FROM|RCPT TO):("[^"]*"|[^ ])*/, '').split(' ');
  return words.some((word) => (parameter.endsWith('=') ? word.startsWith(parameter) : word === parameter));
}

const commandsOf = ({ lines }: Transcript, verb: string) => lines.filter((line) => line.replace('C*:', 'C:').startsWith(`C: ${verb}`));
const outcomeOf = ({ lines }: Transcript) => lines.find((line) => line.startsWith('= ')) ?? '';

extensions('the table is read whole', () => {
  assert.ok(TABLE.length >= 17);
  assert.equal(new Set(TABLE.map(({ keyword }) => keyword)).size, TABLE.length);
  for (const [, standard] of rowsOf('## Extensions', 7)) assert.match(standard as string, /^(RFC \d{4}|–)$/);
});

extensions('every transcript of the table is what the machine says', () => {
  for (const { offered, absent, refused } of TABLE)
    for (const transcript of [...offered, ...absent, ...refused])
      assert.deepEqual(replay(transcript, Number.POSITIVE_INFINITY), transcript.lines, transcript.file);
});

/* ---- the table and the code ---- */

/** Keywords of which the client's code asks whether they are offered. */
function keywordsInCode(): ReadonlySet<string> {
  const text = ['print', 'session', 'extensions'].map((name) => read(`src/smtp/client/${name}.ts`)).join('\n');
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*/g, '');
  const asked = [
    ...code.matchAll(/\boffers\([^()]*, '([^']+)'\)/g),
    ...code.matchAll(/keywords\s*\.get\('([^']+)'\)/g),
    // The lists of needs in print.ts: [keyword, why, needed].
    ...['const NEEDS', 'const ASKED'].flatMap((list) => [...(code.split(list)[1]?.split('\n];')[0] ?? '').matchAll(/\['([A-Z0-9-]+)',/g)]),
  ];
  return new Set(asked.map((match) => match[1] as string));
}

extensions('every keyword that the client asks for is in the table, and the other way round', () => {
  const inCode = keywordsInCode();
  assert.ok(inCode.size >= 15, [...inCode].join(' '));
  for (const keyword of inCode) assert.ok(row(keyword), `${keyword} is asked for by the code and not in the table`);
  // Two of them change nothing that is said: replies carry their codes as text, and PRDR is never asked for.
  const unasked = TABLE.filter(({ keyword }) => !inCode.has(keyword)).map(({ keyword }) => keyword);
  assert.deepEqual(unasked.sort(), ['ENHANCEDSTATUSCODES', 'PRDR']);
  for (const keyword of unasked) assert.deepEqual([row(keyword)?.parameters, row(keyword)?.commands], [[], []], keyword);
});

const mailbox = (text: string) => {
  const path = parseMailbox(text);
  assert.ok(path.ok);
  return path.value;
};
const NOTIFY: readonly Notify[] = ['SUCCESS'];
const BASE: Transaction = {
  reversePath: mailbox('a@example.org'),
  recipients: [{ path: mailbox('b@example.org') }],
  size: null,
  estimate: null,
  eightBit: 'none',
  withoutEightBit: 'convert',
  smtputf8: false,
  dsn: 'drop',
};
/** What asks for the parameters of a keyword; several where one excludes the other. */
const ASKING: Readonly<Record<string, readonly Partial<Transaction>[]>> = {
  SIZE: [{ size: 1 }, { estimate: 1 }],
  '8BITMIME': [{ eightBit: 'some' }, { eightBit: 'unknown' }],
  SMTPUTF8: [{ smtputf8: true }],
  DSN: [
    { ret: 'FULL', envid: 'x', recipients: [{ path: mailbox('b@example.org'), notify: NOTIFY, original: mailbox('c@example.org') }] },
    { ret: 'FULL', dsn: 'require' },
  ],
  BINARYMIME: [{ binary: true }],
  AUTH: [{ submitter: null }],
  REQUIRETLS: [{ requireTls: true }],
  'MT-PRIORITY': [{ priority: 1 }],
  DELIVERBY: [{ deliverBy: { seconds: 1, mode: 'R' } }],
  FUTURERELEASE: [{ hold: { for: 1 } }, { hold: { until: '2030-01-01T00:00:00Z' } }],
  'NO-SOLICITING': [{ solicit: ['org.example:ADV'] }],
};
const ALL: Extensions = { keywords: new Map(TABLE.map(({ keyword }) => [keyword, []])) };
const without = (keyword: string): Extensions => ({ keywords: new Map([...ALL.keywords].filter(([name]) => name !== keyword)) });

/** The parameters of the commands for a transaction, values cut off. */
function said(transaction: Transaction, offered: Extensions): [Verb, string][] {
  const wordsOf = (verb: Verb, command: ReturnType<typeof mailCommand>): [Verb, string][] => {
    assert.ok(command.ok);
    const [, , ...words] = command.value.split(' ');
    return words.map((word) => [verb, word.startsWith('BODY=') ? word : word.replace(/=.*/, '=')]);
  };
  const recipients = transaction.recipients.flatMap((recipient) => wordsOf('RCPT', rcptCommand(recipient, offered, transaction.smtputf8)));
  return [...wordsOf('MAIL', mailCommand(transaction, offered)), ...recipients];
}

extensions('the code puts each parameter where the table says, and nowhere where the extension is not offered', () => {
  assert.deepEqual(
    TABLE.filter(({ parameters }) => parameters.length > 0)
      .map(({ keyword }) => keyword)
      .sort(),
    Object.keys(ASKING).sort(),
  );
  for (const { keyword, parameters } of TABLE) {
    const found = new Map<string, [Verb, string]>();
    for (const asking of ASKING[keyword] ?? []) {
      const transaction = { ...BASE, ...asking };
      assert.equal(unmetNeed(transaction, { secured: true, extensions: ALL }), null);
      const words = said(transaction, ALL);
      assert.ok(words.length > 0, keyword);
      for (const word of words) found.set(word.join(' '), word);
      const unmet = unmetNeed(transaction, { secured: true, extensions: without(keyword) });
      if (unmet === null) assert.deepEqual(said(transaction, without(keyword)), [], `${keyword} is not offered`);
      else assert.match(unmet.detail, new RegExp(`does not offer ${keyword} `), keyword);
      const isRuledOut = /ruled out/.test(row(keyword)?.whenAbsent ?? '');
      if (unmet !== null) assert.ok(isRuledOut, `${keyword}: the table does not say that the host is ruled out`);
    }
    assert.deepEqual([...found.values()].sort(), [...parameters].map((each) => [...each]).sort(), keyword);
  }
});

/* ---- the table and the transcripts ---- */

for (const { keyword, parameters, commands, offered, absent, refused } of TABLE) {
  extensions(`${keyword} offered: ${offered.map(({ file }) => file).join(', ')}`, () => {
    assert.ok(offered.length > 0);
    for (const transcript of offered) {
      if (keyword === 'STARTTLS') assert.ok(transcript.lines.some((line) => /^S: 250[ -]STARTTLS$/.test(line)));
      else assert.ok(offeredIn(transcript).has(keyword), `${transcript.file} does not offer ${keyword}`);
      assert.match(outcomeOf(transcript), /^= accepted/, transcript.file);
    }
    for (const [verb, parameter] of parameters)
      assert.ok(
        offered.some((transcript) => commandsOf(transcript, verb).some((line) => carries(line, parameter))),
        `no transcript shows ${verb} with ${parameter}`,
      );
    for (const command of commands)
      assert.ok(
        offered.some((transcript) => commandsOf(transcript, command).length > 0),
        command,
      );
  });

  if (absent.length > 0)
    extensions(`${keyword} absent: ${absent.map(({ file }) => file).join(', ')}`, () => {
      for (const transcript of absent) {
        assert.ok(!offeredIn(transcript).has(keyword), `${transcript.file} offers ${keyword}`);
        for (const [verb, parameter] of parameters)
          for (const line of commandsOf(transcript, verb)) assert.ok(!carries(line, parameter), `${transcript.file}: ${line}`);
        for (const command of commands) assert.deepEqual(commandsOf(transcript, command), [], transcript.file);
        assert.match(outcomeOf(transcript), /^= (accepted|unsupported)/, transcript.file);
      }
    });

  if (refused.length > 0)
    extensions(`${keyword} refused: ${refused.map(({ file }) => file).join(', ')}`, () => {
      for (const transcript of refused) {
        const { file, lines } = transcript;
        if (keyword === 'STARTTLS') assert.ok(lines.some((line) => /^S: 250[ -]STARTTLS$/.test(line)));
        else assert.ok(offeredIn(transcript).has(keyword), `${file} does not offer ${keyword}`);
        const outcome = outcomeOf(transcript);
        assert.ok(!lines.some((line) => isCommit(line) || / LAST$/.test(line)), file);
        if (keyword === 'LIMITS') {
          assert.match(outcome, /^= unsupported at ready, condemns host/, file);
          continue;
        }
        // The command that is refused is the one that carries the parameter, and its reply is the outcome.
        const [, command = ''] = /^= rejected at \w+, condemns \w+: (.*?): [45]\d\d/.exec(outcome) ?? [];
        const carriesOne = parameters.some(([verb, parameter]) => command.startsWith(verb) && carries(`C: ${command}`, parameter));
        assert.ok(carriesOne || commands.some((each) => command.startsWith(each)), `${file}: ${outcome}`);
      }
    });
}

extensions('no transcript at all has a parameter on the wrong command, or one whose extension is not offered', () => {
  const all = TABLE.flatMap(({ keyword, parameters }) => parameters.map(([verb, parameter]) => ({ keyword, verb, parameter })));
  for (const transcript of transcripts.values())
    for (const verb of ['MAIL', 'RCPT'])
      for (const line of commandsOf(transcript, verb)) {
        const words = line.replace(/^C: (MAIL FROM|RCPT TO):("[^"]*"|[^ ])*/, '').split(' ');
        for (const word of words.filter((each) => each !== '')) {
          const known = all.find((each) => (each.parameter.endsWith('=') ? word.startsWith(each.parameter) : word === each.parameter));
          assert.ok(known, `${transcript.file}: ${word} is in no row`);
          assert.equal(verb, known.verb, `${transcript.file}: ${line}`);
          assert.ok(offeredIn(transcript).has(known.keyword), `${transcript.file}: ${known.keyword} is not offered`);
        }
        assert.doesNotMatch(line, /PRDR/, transcript.file);
      }
});

/* ---- flights ---- */

const FLIGHTS = rowsOf('Flights after EHLO', 7);

/** Commands of each flight from MAIL to the end of the content: `content` stands for DATA's. */
function flightsOf({ lines }: Transcript): string[][] {
  const from = lines.findIndex((line) => line.startsWith('C: MAIL'));
  const flights: string[][] = [];
  let isOurs = false;
  for (const line of lines.slice(from)) {
    if (line.startsWith('= ')) break;
    if (line.startsWith('S:')) isOurs = false;
    if (!line.startsWith('C:') && line !== '! content') continue;
    if (!isOurs) flights.push([]);
    isOurs = true;
    const command = line === '! content' ? 'content' : line === 'C: .' ? 'dot' : (line.split(' ')[1] as string);
    flights.at(-1)?.push(command === 'BDAT' ? `BDAT${/ LAST$/.test(line) ? ' LAST' : ''}` : command);
  }
  return flights;
}

/** What a cell of the table means for so many recipients. */
const commandsOfCell = (cell: string, n: number): string[] =>
  cell
    .replace('RCPT×n', 'RCPT '.repeat(n).trim())
    .replace('BDAT …, BDAT m LAST', 'BDAT_LAST')
    .replace('content, dot', 'content dot')
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => word.replace('_', ' '));

for (const [recipients = '', offers = '', first = '', second = '', third = '', trips = '', transcript = ''] of FLIGHTS) {
  const [file = ''] = quoted(transcript);
  extensions(`flights, ${recipients} recipients and ${offers}: ${file}`, () => {
    const shown = named(file);
    const n = shown.transaction.recipients.length;
    const flights = flightsOf(shown);
    const wanted = offers.split(', ').filter((word) => word !== 'nothing');
    assert.deepEqual([...offeredIn(shown)].sort(), wanted.sort());
    assert.deepEqual(replay(shown, Number.POSITIVE_INFINITY), shown.lines);
    if (first === 'one command a flight') {
      assert.deepEqual(flights, [['MAIL'], ...Array.from({ length: n }, () => ['RCPT']), ['DATA'], ['content', 'dot']]);
    } else {
      const cells = [first, second, third].filter((cell) => cell !== '');
      assert.deepEqual(
        flights,
        cells.map((cell) => commandsOfCell(cell, n)),
      );
    }
    assert.equal(flights.length, trips === 'n + 3' ? n + 3 : Number.parseInt(trips, 10));
  });
}

extensions('flights, content of several blocks: the last one waits for the replies to the others', () => {
  const shown = named('chunked-blocks.smtp');
  assert.deepEqual(flightsOf(shown), [['MAIL', 'RCPT'], ['BDAT', 'BDAT'], ['BDAT LAST']]);
});

/**
 * Milliseconds of silence that end a flight. A busy machine may be as silent within one; who waits for replies is silent however long it
 * takes: too many flights are counted, never too few.
 */
const SILENCES = [25, 200, 1000];

const SMALL = 'Subject: x\r\n\r\nhello\r\n';
/** Four blocks of BDAT. */
const LARGE = `Subject: x\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(14_000)}`;

/** [keywords, recipients, content, flights after EHLO] */
const COUNTED: readonly (readonly [readonly string[], number, string, number])[] = [
  [[], 1, SMALL, 4],
  [[], 5, SMALL, 8],
  [['PIPELINING'], 1, SMALL, 2],
  [['PIPELINING'], 1, LARGE, 2],
  [['PIPELINING'], 2, SMALL, 3],
  [['PIPELINING'], 500, SMALL, 3],
  [['PIPELINING'], 3, LARGE, 3],
  [['PIPELINING', 'CHUNKING'], 1, SMALL, 2],
  [['PIPELINING', 'CHUNKING'], 5, SMALL, 2],
  [['PIPELINING', 'CHUNKING'], 5, LARGE, 3],
  [['PIPELINING', 'CHUNKING', 'PRDR', 'LIMITS RCPTMAX=5'], 5, SMALL, 2],
];
for (const [keywords, n, content, flights] of COUNTED) {
  const what = `${keywords.join(', ') || 'nothing'} offered, ${n} recipients, ${content === SMALL ? 'small' : 'large'} content`;
  extensions(`between two sockets: ${what}: ${flights} round trips`, () =>
    within(40_000, async () => {
      let counted: readonly string[] = [];
      for (const patience of SILENCES) {
        const server = await startHost({ offers: keywords, patience });
        const host = { scheme: 'smtp', host: '127.0.0.1', port: server.port, expand: 'none', auth: null } as const;
        const tls = { ...DEFAULT_TLS, mode: 'off' } as const;
        const to = Array.from({ length: n }, (_, i) => `r${i}@example.org`);
        const outcome = await submit({ from: 'a@example.org', to }, content, { hosts: [{ ...host, tls }], hello: 'bar.com' });
        await server.stop();
        assert.equal(outcome.kind, 'accepted');
        assert.equal(server.held.length, 1);
        counted = server.flights.filter((begin) => !/^(EHLO|QUIT)/.test(begin));
        if (counted.length <= flights) break;
      }
      assert.equal(counted.length, flights, counted.join());
    }),
  );
}

extensions.run();
