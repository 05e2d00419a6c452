/** Where a bench finds things: the project, the built program, a cache that is not committed. Knows no bench. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** BENCH_DIST measures another build, say that of an earlier release. */
export const DIST = process.env.BENCH_DIST ?? path.join(ROOT, 'dist');
/** Readable for everyone on the way down: Exim gives up its rights before it reads its configuration again. */
const CACHE = process.env.BENCH_CACHE ?? path.join(ROOT, '.cache/bench');

export const inSupport = (file: string): string => path.join(ROOT, 'bench/support', file);
/** A path in the cache, which is made when it is first asked for. */
export function inCache(file: string): string {
  mkdirSync(CACHE, { recursive: true, mode: 0o755 });
  return path.join(CACHE, file);
}

/**
 * The environment of everything that is measured: nothing that makes a runtime start slower or differently. With
 * NODE_EXTRA_CA_CERTS alone Node 20 takes 60 ms longer.
 */
export function cleanEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && !/^(NODE_|NPM_|npm_|NOSPOOL|BUN_)/.test(name)) kept[name] = value;
  return kept;
}
