/** Puts a file of the tests and all that it imports into one, so that what is imported as it is needed does not wait for a disk. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

/** In a file of `src` the words stand once, and others take their place. */
export type Change = readonly [file: string, from: string, to: string];

const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'nospool-bundle-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Splits a file of `src` at the words that a change is for. */
export function splitSource([file, from]: Change): readonly string[] {
  const parts = readFileSync(join(root, 'src', file), 'utf8').split(from);
  assert.equal(parts.length, 2, `in ${file} there is not exactly one: ${from}`);
  return parts;
}

let built = 0;

/** `entry`: from the root of the project. */
export async function loadBundled<Module>(entry: string, changes: readonly Change[]): Promise<Module> {
  const outfile = join(folder, `${built++}.mjs`);
  await build({
    entryPoints: [join(root, entry)],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
    // The loaders of tests have a thread of their own, so that an import takes time that nobody sees.
    supported: { 'dynamic-import': false },
    banner: { js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);` },
    plugins: [
      {
        name: 'changes',
        setup({ onLoad }) {
          for (const change of changes)
            onLoad({ filter: new RegExp(`/src/${change[0]}$`) }, () => ({ contents: splitSource(change).join(change[2]), loader: 'ts' }));
        },
      },
    ],
  });
  return (await import(pathToFileURL(outfile).href)) as Module;
}
