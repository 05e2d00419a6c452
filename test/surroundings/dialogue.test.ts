/**
 * Every signal at every moment of `sendmail -bs`, under Node and Bun. A client that heard 250 to its content has its message at the smart host,
 * and one that heard a refusal has not; what ends the process is said to the client, and what does not changes nothing.
 *
 * SURROUNDINGS=full walks all rows, else some.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { within } from '../support/within.ts';
import { Gate, isEnding, SIGNALS } from './support/moments.ts';
import {
  type Ended,
  endOf,
  findBreach,
  isFull,
  killChild,
  killChildren,
  later,
  RUNTIMES,
  type Run,
  type Runtime,
  type Scene,
  setStage,
  someOf,
  start,
  until,
  walk,
} from './support/stage.ts';

const test = suite('surroundings/dialogue');

/** A client of `-bs`. */
class Client {
  readonly #run: Run;
  #heard = '';

  constructor(run: Run) {
    this.#run = run;
    run.child.stdout?.on('data', (octets: Buffer) => {
      this.#heard += octets.toString('latin1');
    });
  }

  /** Codes of the replies so far. */
  get codes(): readonly string[] {
    return [...this.#heard.matchAll(/^(\d{3}) .*\r\n/gm)].map(([, code = '']) => code);
  }

  say(text: string): void {
    this.#run.child.stdin?.write(text);
  }

  async hear(count: number): Promise<void> {
    await until(`${count} replies`, () => this.codes.length >= count || this.#run.child.exitCode !== null);
  }

  /** Says a command, and waits for its reply. */
  async ask(command: string): Promise<void> {
    const before = this.codes.length;
    this.say(`${command}\r\n`);
    await this.hear(before + 1);
  }
}

/** What the client says, one after the other; EHLO's reply is the second. */
const OPENING = ['EHLO client.example.org'];
const ENVELOPE = ['MAIL FROM:<tim@here.example>', 'RCPT TO:<r1@there.example>', 'RCPT TO:<everybody@client.example.org>', 'DATA'];

interface Moment {
  readonly name: string;
  readonly scene?: (gate: Gate) => Scene;
  /** Lines that the client has said. */
  readonly said: readonly string[];
  /** How much of the content it has given then. */
  readonly given: 'nothing' | 'half' | 'all';
  readonly isCommitted?: boolean;
}

const MOMENTS: readonly Moment[] = [
  { name: 'behind the greeting', said: [], given: 'nothing' },
  { name: 'behind RCPT', said: [...OPENING, ...ENVELOPE.slice(0, 3)], given: 'nothing' },
  { name: 'within the content', said: [...OPENING, ...ENVELOPE], given: 'half' },
  {
    name: 'the smart host thinks about RCPT',
    scene: (gate) => ({ watch: (phase) => (phase === 'RCPT 1' ? gate.stop() : Promise.resolve()) }),
    said: [...OPENING, ...ENVELOPE],
    given: 'all',
  },
  {
    name: 'the smart host thinks about the message',
    scene: (gate) => ({ watch: (phase) => (phase === 'end' ? gate.stop() : Promise.resolve()) }),
    said: [...OPENING, ...ENVELOPE],
    given: 'all',
    isCommitted: true,
  },
];

interface Row {
  readonly runtime: Runtime;
  readonly moment: Moment;
  readonly signal: NodeJS.Signals;
}

async function tryRow({ runtime, moment, signal }: Row): Promise<{ fault: string | null; end: string }> {
  const gate = new Gate();
  const stage = await setStage(moment.scene?.(gate));
  const run = start(stage, { runtime, isDialogue: true });
  const client = new Client(run);
  const what = `${runtime.name}, ${moment.name}, ${signal}`;
  try {
    const lines = run.message.split('\n');
    const content = lines.join('\r\n');
    await client.hear(1);
    for (const line of moment.said) await client.ask(line);
    if (moment.given !== 'nothing') client.say(content.slice(0, content.length / 2));
    if (moment.given === 'all') {
      client.say(`${content.slice(content.length / 2)}.\r\n`);
      await within(20_000, () => gate.reached);
    }
    run.child.kill(signal);
    await later(60);
    gate.open();
    const mayGoOn = !isEnding(signal) && signal !== 'SIGKILL';
    if (mayGoOn) {
      if (moment.given === 'nothing') for (const line of [...OPENING, ...ENVELOPE].slice(moment.said.length)) await client.ask(line);
      if (moment.given === 'nothing') client.say(`${content}.\r\n`);
      if (moment.given === 'half') client.say(`${content.slice(content.length / 2)}.\r\n`);
      // The greeting, EHLO, four of the envelope, and the content.
      await client.hear(7);
      client.say('QUIT\r\n');
    }
    const ended = await within(15_000, () => run.done);
    const fault = findFault(ended, moment, signal, client.codes);
    return { fault: fault === null ? null : `${what}: ${fault}: ${ended.stdout} ${ended.stderr}`, end: endOf(ended) };
  } catch (error) {
    return { fault: `${what}: ${(error as Error).message}`, end: 'not ended' };
  } finally {
    killChild(run.child);
    gate.open();
    await stage.close();
  }
}

function findFault(ended: Ended, { given, isCommitted = false }: Moment, signal: NodeJS.Signals, codes: readonly string[]): string | null {
  // The client has the words that the caller of a command has on standard error.
  const breach = findBreach({ ...ended, stdout: '', stderr: '', status: 0, held: [] }, { signals: ['SIGKILL'], mayBeTold: true });
  if (breach !== null && breach !== 'status 0, and no smart host has it') return breach;
  const verdict = codes[6];
  if (verdict === '250' ? ended.held.length !== 1 : ended.held.length > 0 && signal !== 'SIGKILL')
    return `it answers ${verdict}, and the smart host has ${ended.held.length}`;
  if (ended.held.some(({ isWhole }) => !isWhole)) return 'the smart host has a part of it';
  if (signal === 'SIGKILL') return ended.signal === signal ? null : 'it does not end';
  if (!isEnding(signal)) return verdict === '250' && codes[7] === '221' ? null : 'it is not sent';
  if (isCommitted) return verdict === '250' ? null : 'the verdict is lost';
  const last = codes.at(-1) ?? '';
  if (given === 'all' ? !/^4\d\d$/.test(verdict ?? '') : last !== '421') return `the client is not told: ${codes.join(' ')}`;
  return given === 'nothing' || ended.log.includes(`ended by ${signal}`) ? null : 'the log does not say why';
}

const ROWS: readonly Row[] = RUNTIMES.flatMap((runtime) =>
  MOMENTS.flatMap((moment) => SIGNALS.map((signal): Row => ({ runtime, moment, signal }))),
);

test('every signal at every moment of -bs', () =>
  within(isFull ? 120_000 : 60_000, async () => {
    assert.deepEqual(await walk('signals, -bs', someOf(ROWS, 7), tryRow), []);
  }));
test.after(killChildren);

test.run();
