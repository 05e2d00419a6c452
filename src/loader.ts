/**
 * Loads the sendmail command: one file, `main.cjs`, so that nothing is looked for on the disk while a message is under
 * way, whoever replaces or removes the files meanwhile. Compiling is a third of a small message's time: what `compile.ts`
 * has kept of it for this very runtime is taken where it belongs to this very text and is whole. Knows nothing of mail.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { Script } from 'node:vm';
import { giveUp } from './first.ts';

declare global {
  /** For `main.cjs`: the module with the character sets, which few messages need. */
  var nospoolCharset: (() => unknown) | undefined;
  /** Bun's own; of it only what is used. */
  var Bun: { hash(octets: Uint8Array): bigint } | undefined;
}

/**
 * What is kept for this runtime below `root`: of Node a file, of Bun a folder. No other version takes it, nor Node with
 * other flags of V8.
 */
export function keptPlace(root: string): string {
  const { bun, v8 } = process.versions;
  const flags = process.execArgv.includes('--jitless') ? '-jitless' : '';
  return `${root}/compiled/${bun === undefined ? v8 : `bun-${bun}`}-${process.arch}${flags}`;
}

/** The function that Node makes of a module, as text. */
export const wrap = (text: string): string => `(function (exports, require, module, __filename, __dirname) {${text}\n})`;

const HEAD = 16;

/**
 * Two lengths in eight hexadecimal digits each; the text, to be compared, because V8 looks at its length only; the code
 * twice, because V8 does not see that it is damaged, and comparing costs less than any sum.
 */
export function printKept(main: Buffer, code: Buffer): Buffer {
  const head = [main, code].map(({ length }) => length.toString(16).padStart(8, '0')).join('');
  return Buffer.concat([Buffer.from(head, 'latin1'), main, code, code]);
}

/** The code that was kept for this text; null when there is none, it belongs to another text, or it is damaged. */
export function readKept(file: string, main: Buffer): Buffer | null {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    const head = Buffer.allocUnsafe(HEAD);
    if (readSync(fd, head, 0, HEAD, 0) !== HEAD) return null;
    const [ofText = 0, ofCode = 0] = [0, 8].map((at) => Number.parseInt(head.toString('latin1', at, at + 8), 16));
    const at = HEAD + ofText;
    if (ofText !== main.length || fstatSync(fd).size !== at + 2 * ofCode) return null;
    // V8 wants code at a multiple of 8, where memory of its own begins. The text passes through it first.
    const code = Buffer.allocUnsafeSlow(Math.max(ofCode, ROOM));
    if (!isAt(fd, HEAD, main, code)) return null;
    const first = code.subarray(0, ofCode);
    if (readSync(fd, first, 0, ofCode, at) !== ofCode) return null;
    return isAt(fd, at + ofCode, first, Buffer.allocUnsafe(ROOM)) ? first : null;
  } catch {
    return null;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

const ROOM = 64 * 1024;

/** Whether the file has these octets at `position`. It is read into `room`, part by part. */
function isAt(fd: number, position: number, octets: Buffer, room: Buffer): boolean {
  for (let at = 0; at < octets.length; at += room.length) {
    const length = Math.min(room.length, octets.length - at);
    if (readSync(fd, room, 0, length, position + at) !== length) return false;
    if (room.compare(octets, at, at + length, 0, length) !== 0) return false;
  }
  return true;
}

/** The sums by which Bun's files are known: of `main.cjs`, and of what Bun made of it. Bun compares the code with the latter itself. */
export const printSums = (main: Buffer, made: Buffer): string => [main, made].map((octets) => Bun?.hash(octets).toString(16)).join(' ');

/** What Bun made of this text; null when there is nothing, it is of another text, or it is damaged. */
function keptForBun(folder: string, main: Buffer): string | null {
  try {
    const file = `${folder}/main.cjs`;
    return readFileSync(`${folder}/sums`, 'latin1') === printSums(main, readFileSync(file)) ? file : null;
  } catch {
    return null;
  }
}

type Require = (id: string) => unknown;

/** Runs the text of a module as the file's. */
export function run(script: Script, file: string, load: Require): unknown {
  const module = { exports: {} };
  script.runInThisContext()(module.exports, load, module, file, file.slice(0, file.lastIndexOf('/')));
  return module.exports;
}

/**
 * Opens the file that the first line of `main.cjs` names, and reads it when it is asked for: also when it is gone by
 * then. It bears a sum in its name, so another build's is never taken for it.
 */
export function holdCharset(root: string, main: Buffer, load: Require): void {
  const file = `${root}/${/^\/\/ (\S+)\n/.exec(main.toString('latin1', 0, 100))?.[1]}`;
  let fd: number | null = null;
  try {
    fd = openSync(file, 'r');
  } catch {
    // Most messages never ask for it.
  }
  let known: unknown;
  globalThis.nospoolCharset = () => {
    known ??= run(new Script(wrap(readFileSync(fd ?? file, 'latin1')), { filename: file }), file, load);
    return known;
  };
}

/** Runs `main.cjs` of this folder. */
export function start(root: string): void {
  const file = `${root}/main.cjs`;
  const place = keptPlace(root);
  try {
    const main = readFileSync(file);
    holdCharset(root, main, require);
    const ofBun = process.versions.bun === undefined ? null : keptForBun(place, main);
    if (ofBun !== null) {
      require(ofBun);
      return;
    }
    const code = process.versions.bun === undefined ? readKept(place, main) : null;
    run(new Script(wrap(main.toString('latin1')), { filename: file, cachedData: code ?? undefined }), file, require);
  } catch (error) {
    // A file is missing or damaged: what goes wrong with a message is caught elsewhere.
    giveUp(`${file} cannot be run (${(error as Error).message}): install nospool again`);
  }
}
