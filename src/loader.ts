/**
 * Loads the files of the sendmail command from what `compile.ts` has kept of them for this very runtime: text and V8's
 * compiled code in one file, since compiling is a third of a small message's time. Knows nothing of mail.
 */
import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';

/** Where this runtime's code is kept below `root`: none takes that of another version. */
export const keptFolder = (root: string): string => {
  const { bun, v8 } = process.versions;
  return `${root}/compiled/${bun === undefined ? v8 : `bun-${bun}`}-${process.arch}`;
};

/** What is kept of a file for Node. */
export const keptFile = (root: string, name: string): string => `${keptFolder(root)}/${name.slice(name.lastIndexOf('/') + 1)}`;

/** The function that Node makes of a module, as text. V8 wants compiled code aligned to 8 octets, which blanks see to. */
export function wrap(text: string): string {
  const [before, after] = ['(function (exports, require, module, __filename, __dirname) {', '\n})'];
  return before + text + after + ' '.repeat(-(before.length + text.length + after.length) & 7);
}

/** The length of the text in eight hexadecimal digits, the text, the code. */
export function printKept(text: string, code: Buffer): Buffer {
  return Buffer.concat([Buffer.from(text.length.toString(16).padStart(8, '0') + text, 'latin1'), code]);
}

/** What was kept, as a script; null when there is nothing. A code that V8 does not take costs time and nothing else. */
export function readKept(root: string, name: string): Script | null {
  let kept: Buffer;
  try {
    kept = readFileSync(keptFile(root, name));
  } catch {
    return null;
  }
  const end = 8 + Number.parseInt(kept.toString('latin1', 0, 8), 16);
  return new Script(kept.toString('latin1', 8, end), { filename: `${root}/${name}`, cachedData: kept.subarray(end) });
}

/**
 * A `require` for `main.cjs` and what it loads (`chunks/*.cjs`), by name below `root`. `compile` gives the script of a
 * file, or null to leave it to Node's own require.
 */
export function loader(root: string, compile: (root: string, name: string) => Script | null): (name: string) => unknown {
  const modules = new Map<string, { exports: unknown }>();
  function load(name: string): unknown {
    const known = modules.get(name);
    if (known !== undefined) return known.exports;
    const file = `${root}/${name}`;
    const script = compile(root, name);
    if (script === null) return require(file);
    const module = { exports: {} };
    modules.set(name, module);
    // What is not built in lies in chunks/, seen from main.cjs or from beside it.
    const from = (id: string): unknown => (id.startsWith('.') ? load(`chunks/${id.slice(id.lastIndexOf('/') + 1)}`) : require(id));
    script.runInThisContext()(module.exports, from, module, file, file.slice(0, file.lastIndexOf('/')));
    return module.exports;
  }
  return load;
}
