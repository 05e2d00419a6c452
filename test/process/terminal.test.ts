/** Runs the built commands on a real terminal, whose window may be closed: nobody has typed an end then. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suiteWith } from '../interop/support/needs.ts';
import { COMMAND, ENVIRONMENT, RUNTIME, type SmartHost, scratch, setUp, smartHost, toHosts } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suiteWith('process/terminal', 'python3');

const TERMINAL = fileURLToPath(new URL('../support/terminal.py', import.meta.url));
const ADMIN = COMMAND.replace(/[\w-]+\.[cm]js$/, 'nospool.mjs');
const SIGHUP = 1;

type Step = readonly ['await' | 'type' | 'file', string] | readonly ['signal', number] | readonly ['close'];

let host: SmartHost;
/** Where the verdict comes late: the file that the smart host writes when it has the content. */
let mark: string | null = null;
test.before(async () => {
  host = await smartHost(async ({ about }) => {
    if (about === 'content' && mark !== null) {
      writeFileSync(mark, '');
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    return null;
  });
});
test.after(() => host.close());

interface Told {
  readonly status: number;
  readonly shown: string;
  readonly logged: string;
  /** What the smart host took since. */
  readonly taken: readonly string[];
}

async function on(
  steps: readonly Step[],
  args: (config: string) => readonly string[],
  environment: NodeJS.ProcessEnv = {},
  program: readonly string[] = RUNTIME,
): Promise<Told> {
  const { config, logged } = setUp(`${toHosts(host.port)}\nqualify_domain = "example.org"`);
  const before = host.messages.length;
  const words = [TERMINAL, JSON.stringify(steps), ...program, ...args(config)];
  const told = await new Promise<{ status: number; shown: string }>((resolve, reject) =>
    execFile('/usr/bin/python3', words, { env: { ...ENVIRONMENT, NOSPOOL_CONFIG: config, ...environment } }, (error, stdout) =>
      error ? reject(error) : resolve(JSON.parse(stdout)),
    ),
  );
  const taken = host.messages.slice(before).filter(({ state }) => state === 'accepted');
  return { ...told, logged: logged(), taken: taken.map(({ content }) => content.slice(content.indexOf('\r\n\r\n') + 4)) };
}

const sendmail = (): readonly string[] => [COMMAND, '-f', 'a@example.org', 'b@example.org'];
const HALF: readonly Step[] = [
  ['await', 'Ctrl-D'],
  ['type', 'Subject: half\n\nhalf of it\n'],
];
const LATE: readonly Step[] = [['await', 'late'], ['close']];

test('M2: a window that is closed while a message is typed is no end of it', () =>
  within(30_000, async () => {
    const { status, logged, taken } = await on([...HALF, ['close']], sendmail);
    assert.equal(status, 1);
    assert.deepEqual(taken, []);
    assert.match(logged, /(the terminal was closed before the end of the message|ended by SIGHUP)/);
    assert.match(logged, /nobody has the message/);
  }));

test('M2: a window that was closed before the message was asked for is no end of it either', () =>
  within(30_000, async () => {
    const { status, logged, taken } = await on(LATE, sendmail, { LATE: '1' });
    assert.equal(status, 1);
    assert.deepEqual(taken, []);
    assert.match(logged, /the terminal was closed before the end of the message/);
  }));

test('M2: a window that is closed is no end either where no signal tells of it', () =>
  within(30_000, async () => {
    const elsewhere = ['-c', 'trap "" HUP; setsid --wait "$0" "$@"', ...RUNTIME, ...sendmail()];
    const { status, logged, taken } = await on([...HALF, ['close']], () => elsewhere, {}, ['/bin/sh']);
    assert.equal(status, 1);
    assert.deepEqual(taken, []);
    assert.match(logged, /the terminal was closed before the end of the message/);
  }));

test('M2: SIGHUP ends a run whose message is typed', () =>
  within(30_000, async () => {
    const { status, shown, taken } = await on([...HALF, ['signal', SIGHUP]], sendmail);
    assert.equal(status, 1);
    assert.deepEqual(taken, []);
    assert.match(shown, /ended by SIGHUP/);
  }));

test('M2: Ctrl-D ends the message, and so does a lone dot', () =>
  within(30_000, async () => {
    for (const end of ['\x04', '.\n', '.\nnext command\n']) {
      const { status, logged, taken } = await on([...HALF, ['type', end]], sendmail);
      assert.equal(status, 0);
      assert.deepEqual(taken, ['half of it\r\n']);
      assert.doesNotMatch(logged, /single dot/, 'a person means the dot, whatever is typed behind it');
    }
  }));

test('M2: a terminal that is gone changes nothing for a message that does not come from it', () =>
  within(30_000, async () => {
    const input = path.join(scratch(), 'message');
    writeFileSync(input, 'Subject: whole\n\nall of it\n');
    const late = await on(LATE, sendmail, { INPUT: input, LATE: '1' });
    assert.deepEqual([late.status, late.taken], [0, ['all of it\r\n']]);
    // The terminal is gone while the run waits for the verdict.
    mark = path.join(scratch(), 'mark');
    const gone = await on([['file', mark], ['close']], sendmail, { INPUT: input });
    mark = null;
    assert.deepEqual([gone.status, gone.taken], [0, ['all of it\r\n']]);
  }));

test('M2: a closed window is no end of SMTP that is typed', () =>
  within(30_000, async () => {
    const steps: readonly Step[] = [
      ['await', '220 '],
      ['type', 'MAIL FROM:<a@example.org>\nRCPT TO:<b@example.org>\nDATA\n'],
      ['await', '354'],
      ['type', 'Subject: half\n\nhalf of it\n'],
      ['close'],
    ];
    const { status, taken } = await on(steps, () => [COMMAND, '-bs']);
    assert.equal(status, 1);
    assert.deepEqual(taken, []);
  }));

test('M2: a closed window is no end of a message to nospool send', () =>
  within(30_000, async () => {
    const send = (config: string) => [ADMIN, 'send', '--config', config, '--from', 'a@example.org', '--to', 'b@example.org', '-'];
    const { status, taken } = await on([...HALF, ['close']], send);
    assert.equal(status, 1);
    assert.deepEqual(taken, []);
    const whole = await on([...HALF, ['type', '\x04']], send);
    assert.equal(whole.status, 0);
    assert.deepEqual(whole.taken, ['half of it\r\n']);
  }));

test('-v on a terminal ends with a line for each phase, none of which wraps', () =>
  within(60_000, async () => {
    const input = path.join(scratch(), 'message');
    writeFileSync(input, 'Subject: whole\n\nall of it\n');
    // The words behind the command, as a shell has them.
    const shell = (columns: number, words: readonly string[]) => ['-c', `stty cols ${columns} <&2; exec "$0" "$@"`, ...RUNTIME, ...words];
    const send = [ADMIN, 'send', '-v', '--from', 'a@example.org', '--to', 'b@example.org', input];
    for (const [columns, words] of [
      [80, [COMMAND, '-v', '-f', 'a@example.org', 'b@example.org']],
      [40, [COMMAND, '-v', '-f', 'a@example.org', 'b@example.org']],
      [59, send],
    ] as const) {
      const { status, shown, taken } = await on([], () => shell(columns, words), { INPUT: input }, ['/bin/sh']);
      assert.deepEqual([status, taken], [0, ['all of it\r\n']]);
      const lines = shown.trimEnd().split('\r\n');
      const times = lines.slice(lines.indexOf(`time at [127.0.0.1]:${host.port}:`));
      const rows = times.slice(1).map((line) => /^(\w+) +[\d.]+ ms( {2,}#.*)?$/.exec(line)?.[1] ?? line);
      assert.deepEqual(
        rows.filter((row) => row !== 'setup'),
        ['message', 'resolve', 'TCP', 'greeting', 'EHLO', 'envelope', 'content', 'verdict', 'total'],
        shown,
      );
      for (const line of times) assert.ok(line.length < columns, line);
    }
    // Nobody has asked, or nobody looks.
    const quiet = await on([], sendmail, { INPUT: input });
    assert.deepEqual([quiet.status, quiet.shown], [0, '']);
  }));

test.run();
