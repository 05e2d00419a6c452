/**
 * Starts many runs of the built command at once against one server, which greets nobody before all have come, and may turn clients away when it
 * has too many. Each run's status is compared with what the server has.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setUp, start } from '../support/command.ts';
import { type Deed, startHost } from '../support/smarthost.ts';
import { messageOf } from './server.ts';

export interface ParallelRun {
  readonly delivered: number;
  readonly failed: number;
  /** Sentences; none where the promise held. */
  readonly breaches: readonly string[];
  /** The most at one time, over all runs: processes, octets of memory that are theirs alone, descriptors. */
  readonly most: { readonly processes: number; readonly memory: number; readonly descriptors: number };
  /** The first words of the failures, and how many had them. */
  readonly words: Readonly<Record<string, number>>;
  /** Descriptors of this process that are left. */
  readonly left: number;
}

/** `sessions`: those that the server has; it greets others with 421. */
export async function runParallel(runs: number, sessions: number): Promise<ParallelRun> {
  const before = readdirSync('/proc/self/fd').length;
  let [connected, turnedAway, ended] = [0, 0, 0];
  let greetAll: () => void = () => {};
  const allCame = new Promise<void>((resolve) => {
    greetAll = resolve;
  });
  // A run that ends without a connection comes no more.
  const count = (): void => {
    if (connected + Math.max(0, ended - turnedAway) >= runs) greetAll();
  };
  const greet: Deed = async (talk) => {
    connected += 1;
    count();
    if (connected - turnedAway > sessions) {
      turnedAway += 1;
      talk.say('421 4.3.2 too many sessions\n');
      talk.socket.end();
      return;
    }
    await allCame;
    return '220 smart.example ESMTP';
  };
  const host = await startHost({ offers: ['PIPELINING', '8BITMIME'], script: { greeting: greet } });
  const { config } = setUp(`smarthosts = ["smtp://127.0.0.1:${host.port}"]\nqualify_domain = "example.org"`);
  const most = { processes: 0, memory: 0, descriptors: 0 };
  const running = Array.from({ length: runs }, (_, i) => {
    const run = start(config, ['-i', '-f', 'me@example.org', 'you@example.net']);
    run.child.stdin?.end(messageOf(i + 1, 1, 'what a message is made of, line by line\n'.repeat(40)).replaceAll('\r\n', '\n'));
    return run;
  });
  const look = (): void => {
    const seen = running.map(({ child }) => (child.exitCode === null && child.pid !== undefined ? sizeOf(child.pid) : null));
    const there = seen.filter((each) => each !== null);
    most.processes = Math.max(most.processes, there.length);
    most.memory = Math.max(
      most.memory,
      there.reduce((sum, { memory }) => sum + memory, 0),
    );
    most.descriptors = Math.max(
      most.descriptors,
      there.reduce((sum, { descriptors }) => sum + descriptors, 0),
    );
  };
  const clock = setInterval(look, 200);
  for (const { done } of running)
    void done.then(() => {
      ended += 1;
      count();
    });
  const all = await Promise.all(running.map(({ done }) => done));
  clearInterval(clock);
  const copies = (id: number): number => host.held.filter(({ octets }) => octets.toString('latin1').includes(`\r\nend ${id}\r\n`)).length;
  const breaches: string[] = [];
  const words: Record<string, number> = {};
  for (const [i, { status, signal, stderr }] of all.entries()) {
    const held = copies(i + 1);
    if (signal !== null || (status !== 0 && status !== 1)) breaches.push(`${i + 1} ended with ${signal ?? status}: ${stderr}`);
    if (status === 0 ? held !== 1 || stderr !== '' : held !== 0 || stderr === '')
      breaches.push(`${i + 1}: status ${status}, the server has ${held}, and it said "${stderr}"`);
    if (status === 0) continue;
    const said = stderr
      .replaceAll(/\[127\.0\.0\.1\]:\d+/g, 'HOST')
      .slice(0, 300)
      .trim();
    words[said] = (words[said] ?? 0) + 1;
  }
  await host.stop();
  const failed = all.filter(({ status }) => status !== 0).length;
  // One that was open before may be closed.
  const left = Math.max(0, readdirSync('/proc/self/fd').length - before);
  return { delivered: runs - failed, failed, breaches, most, words, left };
}

/** null when it has ended. */
function sizeOf(pid: number): { readonly memory: number; readonly descriptors: number } | null {
  try {
    const [, resident = 0, shared = 0] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ').map(Number);
    return { memory: (resident - shared) * 4096, descriptors: readdirSync(`/proc/${pid}/fd`).length };
  } catch {
    return null;
  }
}
