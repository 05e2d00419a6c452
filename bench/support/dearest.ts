/**
 * Profiles a short message function by function, in a bundle that has kept its names, with V8's code kept as the command keeps it. What the
 * runtime does for a function of ours counts as its own time. Knows no table.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { measureCost } from './measure.ts';
import { inCache, inSupport, ROOT } from './places.ts';

export interface Dear {
  /** Name and file. */
  readonly name: string;
  /** Milliseconds in each run. */
  readonly own: readonly number[];
}

const NAMED = 'profiled-bundle.cjs';

/** Bundles the command with its names; what is loaded apart stays outside. */
async function bundle(): Promise<string> {
  const outfile = inCache(NAMED);
  rmSync(`${outfile}.code`, { force: true });
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['src/sendmail/main.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    define: { __VERSION__: '"bench"' },
    supported: { 'dynamic-import': false },
    banner: { js: '(function (require, module, exports) {' },
    footer: { js: '})' },
    logLevel: 'error',
    plugins: [
      {
        name: 'apart',
        setup: ({ onResolve }) =>
          onResolve({ filter: /(?:charset|speak|inspect)\.ts$/ }, ({ path: name }) => ({ path: path.basename(name), external: true })),
      },
    ],
  });
  return outfile;
}

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly children?: readonly number[];
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Profiles so many runs of `node … words` with this file as the message. The dearest come first. */
export async function profile(node: readonly string[], words: readonly string[], file: string, runs: number): Promise<readonly Dear[]> {
  const made = await bundle();
  const folder = inCache('profiles');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const argv = [inSupport('profiled.cjs'), made, ...words];
  await measureCost({ argv: [...node, ...argv], input: { file } });
  const sampled = ['--cpu-prof', '--cpu-prof-interval', '50', '--cpu-prof-dir', folder];
  for (let i = 0; i < runs; i++) await measureCost({ argv: [...node, ...sampled, ...argv], input: { file } });
  const files = filesByLine(readFileSync(made, 'utf8'));
  const all = new Map<string, number[]>();
  for (const [i, name] of readdirSync(folder).entries()) {
    const read = JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as Profile;
    for (const [each, ms] of ownTimes(read, files)) {
      const times = all.get(each) ?? Array.from({ length: runs }, () => 0);
      times[i] = ms;
      all.set(each, times);
    }
  }
  const sum = ({ own }: Dear): number =>
    [...own]
      .sort((a, b) => a - b)
      .slice(0, Math.ceil(own.length / 2))
      .reduce((total, ms) => total + ms, 0);
  return [...all].map(([name, own]) => ({ name, own })).sort((a, b) => sum(b) - sum(a));
}

/** The file of each line, by the comments that esbuild writes before each module. */
function filesByLine(text: string): readonly string[] {
  let file = '';
  return text.split('\n').map((line) => {
    file = /^\s*\/\/ ((?:src|node_modules)\/\S+)$/.exec(line)?.[1] ?? file;
    return file;
  });
}

/** Milliseconds by function of ours: a sample belongs to the innermost of them. */
function ownTimes({ nodes, samples, timeDeltas }: Profile, files: readonly string[]): ReadonlyMap<string, number> {
  const owners = new Map<number, string | undefined>();
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  for (const { id, callFrame } of nodes) {
    const { functionName, url, lineNumber } = callFrame;
    const isOurs = url.endsWith(NAMED);
    // A function without a name belongs to who called it.
    if (isOurs && functionName !== '') owners.set(id, `${functionName}, ${files[lineNumber] ?? ''}`);
  }
  const ownerOf = (id: number | undefined): string | undefined =>
    id === undefined ? undefined : (owners.get(id) ?? ownerOf(parents.get(id)));
  const times = new Map<string, number>();
  for (const [i, id] of samples.entries()) {
    const owner = ownerOf(id);
    if (owner !== undefined) times.set(owner, (times.get(owner) ?? 0) + (timeDeltas[i] ?? 0) / 1000);
  }
  return times;
}
