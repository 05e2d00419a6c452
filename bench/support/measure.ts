/** Runs a command as a process and measures its time and memory. Knows no peer and no statistics. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import { native } from './native.ts';
import { cleanEnvironment, inCache, inSupport, ROOT } from './places.ts';

export interface Command {
  readonly argv: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Standard input: a regular file, or a pipe that `cat` fills with these files; empty by default. */
  readonly input?: { readonly file: string } | { readonly pipe: readonly string[] };
  /** Also look at its anonymous memory every 2 ms. That disturbs it a little, so only benches of memory do it. */
  readonly sampled?: boolean;
}

/** Wall and CPU time in ms, peaks of the resident set and (0 unless sampled) of anonymous memory in MiB, standard output. */
export interface Cost {
  readonly wall: number;
  readonly cpu: number;
  readonly rss: number;
  readonly anonymous: number;
  readonly output: string;
}

const wrapper = native('measure');
const MEASURE: readonly string[] = wrapper ? [wrapper.file] : ['python3', inSupport('measure.py')];
/** The words about peaks in a table's method. */
export const MEASURED_BY = wrapper
  ? 'wait4 in a small C program'
  : 'wait4 in a Python program, which hides peaks below its own (about 10 MiB)';

/** Throws when the command does not end with status 0, because the cost of a failed run means nothing. */
export async function measureCost(command: Command, seconds = 600): Promise<Cost> {
  const { input } = command;
  const measured = [...MEASURE, ...(command.sampled ? ['-a'] : []), ...command.argv];
  if (input === undefined) return run(measured, command, 'ignore', seconds);
  if ('pipe' in input)
    return run(['sh', '-c', `cat ${input.pipe.map(quoted).join(' ')} | "$@"`, 'sh', ...measured], command, 'ignore', seconds);
  const fd = openSync(input.file, 'r');
  try {
    return await run(measured, command, fd, seconds);
  } finally {
    closeSync(fd);
  }
}

/** A wait status in words. */
const ended = (status: number | null): string =>
  status === null ? 'gave no result' : status & 0x7f ? `was ended by signal ${status & 0x7f}` : `ended with status ${status >> 8}`;

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function run(argv: readonly string[], command: Command, input: number | 'ignore', seconds: number): Promise<Cost> {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0] as string, argv.slice(1), {
      stdio: [input, 'pipe', 'pipe', 'pipe'],
      env: { ...cleanEnvironment(), ...command.environment },
      timeout: seconds * 1000,
    });
    const texts = ['', '', '', ''];
    for (const index of [1, 2, 3])
      (child.stdio[index] as NodeJS.ReadableStream).on('data', (chunk) => {
        // 64 KiB, because a peer that writes more is in a loop.
        if ((texts[index] as string).length < 65536) texts[index] += chunk;
      });
    child.on('error', (error) =>
      reject(wrapper ? error : new Error(`${error.message}: benches measure with a C compiler (cc) or with python3`)),
    );
    child.on('close', () => {
      const [output, errors, result] = texts.slice(1) as [string, string, string];
      const numbers = result.trim().split(' ').map(Number) as [number, number, number, number, number, number];
      const [status, wall, user, system, rss, anonymous] = numbers;
      if (result === '' || status !== 0) {
        const said = (errors || output).trim().split('\n').slice(-3).join(' | ').replaceAll(ROOT, '').replaceAll(inCache(''), '');
        // The name alone, because a table must not tell where files are on this machine.
        const name = path.basename(command.argv[0] as string);
        reject(new Error(`${name} ${ended(result === '' ? null : status)}${said === '' ? '' : `: ${said}`}`));
      } else resolve({ wall: wall * 1000, cpu: (user + system) * 1000, rss: rss / 1024, anonymous: anonymous / 1024, output });
    });
  });
}
