/** Places of the benches: the project, the built program, a cache that is not committed. Knows no bench. */
import { mkdirSync } from 'node:fs';
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

/**
 * The environment of every measured process, without variables that make a runtime start slower or differently.
 * NODE_EXTRA_CA_CERTS alone costs Node 20 60 ms.
 */
export function cleanEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && !/^(NODE_|NPM_|npm_|NOSPOOL|BUN_)/.test(name)) kept[name] = value;
  return kept;
}
