/**
 * The JavaScript runtimes to measure under: the one that runs the bench, Bun if it is installed, and what
 * BENCH_RUNTIMES names (paths of node or bun executables, separated by colons). Knows no program.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './places.ts';

export interface Runtime {
  /** `Node 20`, `Bun 1.4`. */
  readonly name: string;
  readonly version: string;
  /** What stands before the program's file. */
  readonly argv: readonly string[];
  readonly bun: boolean;
}

/** Bun reads files of the caller's folder unless told not to. */
const BUN = ['--no-env-file', '--config=/dev/null'];

function runtime(file: string): Runtime | null {
  const version = spawnSync(file, ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? '';
  const [, v, major, minor] = /^(v?)(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined) return null;
  return v
    ? { name: `Node ${major}`, version: `Node ${version.slice(1)}`, argv: [file], bun: false }
    : { name: `Bun ${major}.${minor}`, version: `Bun ${version}`, argv: [file, ...BUN], bun: true };
}

export const node = runtime(process.execPath) as Runtime;

let all: readonly Runtime[] | undefined;
export function runtimes(): readonly Runtime[] {
  if (all === undefined) {
    const bun = path.join(ROOT, 'node_modules/@oven/bun-linux-x64/bin/bun');
    const named = (process.env.BENCH_RUNTIMES ?? '').split(':').filter((file) => file !== '');
    const more = [...(existsSync(bun) ? [bun] : ['bun']), ...named].flatMap((file) => runtime(file) ?? []);
    all = [
      node,
      ...more.filter(({ version }, i) => version !== node.version && more.findIndex((other) => other.version === version) === i),
    ];
  }
  return all;
}
