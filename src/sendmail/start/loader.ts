/**
 * Loads the sendmail command from one file, `main.cjs`, so that it looks for nothing on the disk while a message is under
 * way, whoever replaces or removes the files meanwhile. Its parts run when they are needed. Compiling is a third of a small
 * message's time, so the loader takes what `compile.ts` has kept for this very runtime, if it belongs to this very text and is
 * whole. Knows nothing of mail.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import type { Script } from 'node:vm';
import { refuseToStart } from '../../process/runtime.ts';
import { nameKeptPlace, sumOf } from './kept-place.ts';

declare global {
  /** Gives the program a part of it by its name, or a module in a file of its own by that file's name. */
  var nospoolPart: ((name: string) => unknown) | undefined;
  /** The program whose `main` Bun has begun with: its folder, and the octets of main.cjs. */
  var nospoolProgram: { readonly root: string; readonly octets: Buffer } | undefined;
  /** Parts that a file which was made for Bun has beside the program, by their names. */
  var nospoolKept: Readonly<Record<string, PartFunction>> | undefined;
}

/** A part is the text of the function that Node makes of a module. */
const [BEFORE, AFTER] = ['(function (exports, require, module, __filename, __dirname) {', '\n})\n'];
export const wrap = (text: string): string => BEFORE + text + AFTER;
export const unwrap = (part: string): string => part.slice(BEFORE.length, -AFTER.length);

export interface MainFile {
  /** The whole file. */
  readonly octets: Buffer;
  /** Where each part lies. The first is `main`. */
  readonly parts: ReadonlyMap<string, readonly [from: number, to: number]>;
  /** The name of a file that few messages need, and only after they were read. */
  readonly rare: string;
}

/**
 * Finds why these texts cannot be built, as a sentence; null if they can. Two of one name would be loaded in place of each
 * other. esbuild escapes characters in strings, but not in regular expression literals and raw templates, and the loader reads every
 * octet as a character.
 */
export function findFault(texts: readonly (readonly [name: string, text: string])[]): string | null {
  const names = new Set<string>();
  for (const [name, text] of texts) {
    if (names.has(name)) return `two parts of the command have the name ${name}: rename one of their files`;
    names.add(name);
    const [around, character] = /.{0,20}([^\0-\x7f]).{0,20}/u.exec(text) ?? [];
    if (character === undefined) continue;
    const escaped = character.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
    return `${name} has "${character}" in a regular expression or a raw template, which would be read as other characters: write ${escaped} there: ${around}`;
  }
  return null;
}

/** Prints `main.cjs`: a line with the name of the rare file, then name and length of each part; then the parts. */
export function printMainFile(rare: string, parts: readonly (readonly [name: string, part: string])[]): string {
  return `// ${[rare, ...parts.flatMap(([name, part]) => [name, part.length])].join(' ')}\n${parts.map(([, part]) => part).join('')}`;
}

const HEAD_AT = '// '.length;

export function readMainFile(octets: Buffer): MainFile {
  const end = octets.indexOf('\n');
  const [rare = '', ...words] = octets.toString('latin1', HEAD_AT, end).split(' ');
  const parts = new Map<string, readonly [number, number]>();
  let at = end + 1;
  for (let i = 0; i + 1 < words.length; i += 2) {
    const from = at;
    at += Number(words[i + 1]);
    parts.set(words[i] as string, [from, at]);
  }
  if (at !== octets.length || !parts.has('main')) throw new Error('it is not whole');
  return { octets, parts, rare };
}

/** The first line of a kept file lies within so many octets. */
const HEAD = 2048;
/** What is compared is read into this, so many octets at once. */
const room = Buffer.allocUnsafeSlow(16 * 1024);

/**
 * Prints a kept file: a line with the length of the program, then name and length of each code; the program, which is compared because
 * V8 looks at the length of a text only; each code twice, because V8 does not see damage, and comparing costs less than any sum.
 */
export function printKept({ octets }: MainFile, codes: readonly (readonly [name: string, code: Buffer])[]): Buffer {
  const line = [octets.length, ...codes.flatMap(([name, code]) => [name, code.length])].join(' ');
  return Buffer.concat([Buffer.from(`${line}\n`, 'latin1'), octets, ...codes.flatMap(([, code]) => [code, code])]);
}

/**
 * Opens a kept file, which gives the codes by the names of the parts; null when it is not there or belongs to another program. A
 * code that is damaged or cannot be read is null. The file stays open, so that the codes are there when its name is gone.
 */
export function openKept(file: string, { octets }: MainFile): ((name: string) => Buffer | null) | null {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    const kept = readCodes(fd, octets);
    if (kept === null) closeSync(fd);
    return kept;
  } catch {
    if (fd !== undefined) closeSync(fd);
    return null;
  }
}

function readCodes(fd: number, octets: Buffer): ((name: string) => Buffer | null) | null {
  const line = room.toString('latin1', 0, room.subarray(0, readSync(fd, room, 0, HEAD, 0)).indexOf('\n'));
  const [length, ...words] = line.split(' ');
  const places = new Map<string, readonly [at: number, length: number]>();
  let at = line.length + 1 + octets.length;
  for (let i = 0; i + 1 < words.length; i += 2) {
    const ofCode = Number(words[i + 1]);
    places.set(words[i] as string, [at, ofCode]);
    at += 2 * ofCode;
  }
  if (Number(length) !== octets.length || fstatSync(fd).size !== at) return null;
  if (!isAt(fd, line.length + 1, octets)) return null;
  return (name) => {
    const place = places.get(name);
    if (place === undefined) return null;
    // V8 wants code at a multiple of 8, where memory of its own begins.
    const code = Buffer.allocUnsafeSlow(place[1]);
    try {
      const isWhole = readSync(fd, code, 0, code.length, place[0]) === code.length;
      return isWhole && isAt(fd, place[0] + code.length, code) ? code : null;
    } catch {
      // The message is under way, and the text of the part is there.
      return null;
    }
  };
}

/** Whether the file has these octets at `position`. */
function isAt(fd: number, position: number, octets: Buffer): boolean {
  for (let at = 0; at < octets.length; at += room.length) {
    const length = Math.min(room.length, octets.length - at);
    if (readSync(fd, room, 0, length, position + at) !== length) return false;
    if (room.compare(octets, at, at + length, 0, length) !== 0) return false;
  }
  return true;
}

/** Prints the sum of the program, and the sums of the files that Bun made of its parts but `main`. Bun itself compares their codes with these files. */
export function printSums({ octets }: MainFile, made: readonly (readonly [name: string, file: Buffer])[]): string {
  return JSON.stringify([sumOf(octets), Object.fromEntries(made.map(([name, file]) => [name, sumOf(file)]))]);
}

/** Opens a folder that gives the files which Bun made of the parts of this program. A file that is missing or damaged is null. */
export function openKeptOfBun(folder: string, { octets }: MainFile): (name: string) => string | null {
  const none = () => null;
  try {
    const [ofProgram, sums] = JSON.parse(readFileSync(`${folder}/sums`, 'utf8')) as [string, Record<string, string>];
    if (ofProgram !== sumOf(octets)) return none;
    return (name) => {
      const file = `${folder}/${name}.cjs`;
      try {
        return sums[name] === sumOf(readFileSync(file)) ? file : null;
      } catch {
        return null;
      }
    };
  } catch {
    return none;
  }
}

type Require = (id: string) => unknown;

/** What Node makes of a module. */
type PartFunction = (exports: unknown, require: Require, module: { exports: unknown }, file: string, folder: string) => void;

/** Makes something that runs of a part: its text with its code as a script, or the function itself, or a file in place of both. */
export type Make = (name: string, text: () => string) => Script | PartFunction | { readonly file: string };

/** Makes a script of this text; an error in it names it. Bun does not load node:vm where it has files of its own. */
export const makeScript = (name: string, text: string, code: Buffer | null = null): Script =>
  new (process.getBuiltinModule('node:vm').Script)(text, { filename: name.replace(/(?:\.cjs)?$/, '.cjs'), cachedData: code || undefined });

/**
 * Gives the program its parts, and modules in files of their own. It opens the rare one of those files now, so that it can be
 * read when the folder is gone.
 */
export function offerParts(root: string, program: MainFile, make: Make, load: Require): (name: string) => unknown {
  const known = new Map<string, { exports: unknown }>();
  let rare: number | undefined;
  try {
    rare = openSync(`${root}/${program.rare}`, 'r');
  } catch {
    // The file is missing, and most messages never ask for it.
  }
  function readText(name: string): string {
    const place = program.parts.get(name);
    if (place !== undefined) return program.octets.toString('latin1', ...place);
    return wrap(readFileSync(name === program.rare && rare !== undefined ? rare : `${root}/${name}`, 'latin1'));
  }
  function loadPart(name: string): unknown {
    const before = known.get(name);
    if (before !== undefined) return before.exports;
    const module: { exports: unknown } = { exports: {} };
    const made = make(name, () => readText(name));
    if ('file' in made) module.exports = load(made.file);
    else (typeof made === 'function' ? made : made.runInThisContext())(module.exports, load, module, `${root}/main.cjs`, root);
    // Only after it has run, because whoever asks again for one that threw must hear the error again. No part asks for itself meanwhile.
    known.set(name, module);
    return module.exports;
  }
  globalThis.nospoolPart = loadPart;
  return loadPart;
}

/** Runs the program of this folder. What is kept of `main` for Bun begins with this, and only needs its parts. */
export function start(root: string): void {
  const begun = globalThis.nospoolProgram;
  if (begun !== undefined) {
    const { octets } = begun;
    const program = {
      octets,
      rare: octets.toString('latin1', HEAD_AT, octets.indexOf(' ', HEAD_AT)),
      // Most messages need no text of a part.
      get parts() {
        return readMainFile(octets).parts;
      },
    };
    offerParts(begun.root, program, makeInBun(begun.root, program), require);
    return;
  }
  const file = `${root}/main.cjs`;
  try {
    const program = readMainFile(readFileSync(file));
    offerParts(root, program, (process.versions.bun === undefined ? makeInNode : makeInBun)(root, program), require)('main');
  } catch (error) {
    // A file is missing or damaged. Others catch what goes wrong with a message.
    refuseToStart(`${file} cannot be run (${(error as Error).message}): install nospool again`);
  }
}

function makeInNode(root: string, program: MainFile): Make {
  const kept = openKept(nameKeptPlace(root), program);
  return (name, text) => makeScript(name, text(), kept?.(name));
}

/** What is kept of `main` is started by sendmail-bun.mjs, or not at all. Most messages need no other file, so the sums are read late. */
function makeInBun(root: string, program: MainFile): Make {
  let kept: ReturnType<typeof openKeptOfBun> | undefined;
  return (name, text) => {
    const beside = globalThis.nospoolKept?.[name];
    if (beside !== undefined) return beside;
    if (kept === undefined) kept = openKeptOfBun(nameKeptPlace(root), program);
    const file = kept(name);
    return file === null ? makeScript(name, text()) : { file };
  };
}
