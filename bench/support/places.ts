/** Places of the benches: the project, the built program, a cache that is not committed. Knows no bench. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** BENCH_DIST names another build, such as that of an earlier release. */
export const DIST = process.env.BENCH_DIST ?? path.join(ROOT, 'dist');
/** Everybody may read the cache, because Exim drops its rights before it reads its configuration again. */
const CACHE = process.env.BENCH_CACHE ?? path.join(ROOT, '.cache/bench');

export const inSupport = (file: string): string => path.join(ROOT, 'bench/support', file);
/** A path in the cache. The first call makes the folder. */
export function inCache(file: string): string {
  mkdirSync(CACHE, { recursive: true, mode: 0o755 });
  return path.join(CACHE, file);
}

let sources: string | null = null;
/**
 * A folder with the sources as JavaScript in `lib/`, file by file, for children that load one of them: the package has them bundled.
 * The first call makes them.
 */
export function builtSources(): string {
  if (sources !== null) return sources;
  const folder = inCache('sources');
  const argv = [
    path.join(ROOT, 'node_modules/typescript/bin/tsc'),
    '-p',
    ROOT,
    '--declaration',
    'false',
    '--outDir',
    path.join(folder, 'lib'),
  ];
  const made = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`the sources cannot be compiled: ${made.stdout}`);
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }\n');
  sources = folder;
  return folder;
}

/**
 * The environment of every measured process, without variables that make a runtime start slower or differently.
 * NODE_EXTRA_CA_CERTS alone costs Node 20 60 ms, and OpenSSL reads the list that SSL_CERT_FILE names.
 */
export function cleanEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && !/^(NODE_|NPM_|npm_|NOSPOOL|BUN_|SSL_CERT_)/.test(name)) kept[name] = value;
  return kept;
}
