/**
 * `nospool install` and `uninstall`: make this program /usr/sbin/sendmail, mailq and newaliases, or undo that. Root and the
 * programs of every user run the installed code, so only root may be able to change it. Knows no configuration.
 */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { failWith, writeLines } from '../../process/stderr.ts';
import { VERSION } from '../../process/version.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { quoteForShell } from '../../trust/rules.ts';
import { closedToOthers } from '../closed-folders.ts';
import { walkPath } from '../path-walk.ts';
import { explainSystemError, makeFoldersAbove, writeWhole } from '../write-files.ts';
import { printMemoryTest } from './memory-test.ts';
import { findPackage } from './package-owner.ts';
import { BUN_ENVIRONMENT, BUN_FLAGS, flagsWithoutCompiler, MARK, PACKAGE_MARK, printWrapper } from './wrapper.ts';
import { describeDanger } from './writers.ts';

export interface InstallOptions {
  /** A folder that stands for `/`, as for a container image. */
  readonly root: string;
  /** The interpreter; null = the one that runs now. */
  readonly runtime: string | null;
  /** Only compiles the code anew for that interpreter, where it is. */
  readonly compile: boolean;
}

/** Programs call the first two (LSB 5.0), and people the others. */
const COMMAND_PLACES = ['usr/sbin/sendmail', 'usr/lib/sendmail', 'usr/bin/mailq', 'usr/bin/newaliases'];
const SAVED = '.nospool-saved';
/** The name to which dpkg-divert moves a package's file in README.md. */
const DIVERTED = '.distrib';
/** The sendmail command, seen from a chunk of the bundle, from the bundle, and from the sources. */
const COMMAND_FILES = ['../sendmail.cjs', './sendmail.cjs', '../../../dist/sendmail.cjs'];
/** Where Bun shows the program in one file to itself. */
const IN_ONE_FILE = '/$bunfs/';
/** What the one file is called, as it was made or as the documents name it. */
const ONE_FILE = /^nospool(?:-[\w.+-]+-linux-\w+)?$/;
/** The folder for copies of the code, which are installed where others may change the code that runs now. */
const COPIES = 'usr/local/lib/nospool';
const COPY_NAME = /^code-/;

/** 0 when all is in place. */
export async function runInstall(options: InstallOptions): Promise<number> {
  // Everybody must be able to run the files, whatever the umask of the caller.
  const umask = process.umask(0o022);
  try {
    return await install(options);
  } finally {
    process.umask(umask);
  }
}

async function install({ root, runtime, compile }: InstallOptions): Promise<number> {
  const base = path.resolve(root);
  const built = COMMAND_FILES.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((file) => existsSync(file));
  if (built === undefined && import.meta.url.includes(IN_ONE_FILE)) return installLinks(base, process.execPath);
  if (built === undefined) return failWith('there is no dist/sendmail.cjs beside this program: run "npm run build" first');
  const found = realpathSync(built);
  const answering = await findRuntime(base, runtime, found);
  if (!answering.ok) return failWith(answering.detail);
  const { value: chosen } = answering;
  if (compile) return compileAlone(chosen, found);
  const other = describeOther(base, `${path.dirname(pathInRoot(base, found))}/`);
  if (other !== null) return failWith(other);
  const facts: string[] = [];
  let command = found;
  const danger = findDanger(base, listCode(found));
  if (danger !== null) {
    const copied = copyCode(base, found, danger);
    if (!copied.ok) return failWith(copied.detail);
    command = copied.value;
    facts.push(`${danger}, so the code was copied to ${path.dirname(command)}: after an upgrade run "nospool install" again`);
  }
  const notes = (await compileCode(chosen, command)).map((fault) => `note: ${fault}`);
  const memoryTest = chosen.isBun ? null : writeMemoryTest(command, chosen.version);
  const started = chosen.isBun ? path.join(path.dirname(command), FOR_BUN) : command;
  const script = printWrapper({
    version: VERSION,
    interpreter: pathInRoot(base, chosen.interpreter),
    command: pathInRoot(base, started),
    isBun: chosen.isBun,
    memoryTest: memoryTest === null ? null : pathInRoot(base, memoryTest),
    hasSplit: await hasSplit(base),
  });
  const scripts = [script];
  const placed = placeAll(base, facts, (fresh, file) => {
    if (isOurScript(file)) scripts.push(readFileSync(file, 'latin1'));
    writeWhole(fresh, script, 0o755);
  });
  if (!placed.ok) return failWith(placed.detail);
  notes.push(...placed.value);
  // A copy that a script named until now may be starting at this moment, so the next installation removes it.
  const left = removeCopies(base, scripts);
  if (left !== null) notes.push(`note: ${left}`);
  facts.push(`they run ${pathInRoot(base, command)} with ${pathInRoot(base, chosen.interpreter)}`);
  notes.unshift(
    ...outsideOf(base, [chosen.interpreter, command]),
    ...noteClosedFolders(base, [chosen.interpreter, command]),
    ...noteClosedCode(base, command),
  );
  writeLines([...facts, ...notes]);
  return 0;
}

interface Runtime {
  readonly interpreter: string;
  readonly isBun: boolean;
  /** As the runtime prints it. */
  readonly version: string;
}

/** Makes the file for a place beside it. */
type Make = (fresh: string, place: string) => void;

/** Where a file or folder below `base` is, where links lead as they will on that system, and not as on this host. */
function placeBelow(base: string, file: string): string {
  try {
    const [place = file] = [...walkPath(file, base)].at(-1) ?? [];
    return isBelow(base, place) ? place : file;
  } catch {
    // It is not there yet.
    return file;
  }
}

/** The places of the commands. The first is that of sendmail. */
const placesBelow = (base: string): readonly string[] =>
  COMMAND_PLACES.map((place) => path.join(base, place)).map((file) => path.join(placeBelow(base, path.dirname(file)), path.basename(file)));

/** Puts a file of ours at each place. The value is notes; where one cannot be written, the facts until then are said. */
function placeAll(base: string, facts: string[], make: Make): Parsed<string[]> {
  /** Files that are moved aside, by their packages. */
  const replaced = new Map<string, readonly string[]>();
  const places = placesBelow(base);
  for (const file of places) {
    const owner = findPackage(base, file);
    try {
      if (owner !== null && isOfPackage(file)) {
        facts.push(`${file} belongs to package ${owner}, and is this program already`);
        continue;
      }
      if (owner !== null && exists(file) && !isOurs(file)) replaced.set(owner, [...(replaced.get(owner) ?? []), file]);
      facts.push(...installOne(file, make, places[0] as string));
    } catch (error) {
      writeLines(facts);
      return unparsed(
        `cannot write ${file}: ${explainSystemError(error)}${isDenied(error) ? '; run it as root, or name another --root' : ''}`,
      );
    }
  }
  return parsed([...replaced].map(([owner, files]) => notePackage(owner, files)));
}

/**
 * A sentence about the first place where a package has put another nospool than this, because only the package may replace it; null = there is
 * none. `code` is a path that every script for this nospool names.
 */
function describeOther(base: string, code: string): string | null {
  for (const file of placesBelow(base)) {
    const owner = findPackage(base, file);
    if (owner !== null && isOfPackage(file) && !readFileSync(file, 'latin1').includes(code))
      return `${file} belongs to package ${owner}, and that is another nospool than this: upgrade that package, or remove it before`;
  }
  return null;
}

/** The one file is its own runtime, so links are enough: the name tells which command it is. */
export function installLinks(base: string, program: string): number {
  const danger = findDanger(base, [program]);
  if (danger !== null)
    return failWith(`everybody would run a program that others may change, because ${danger}: put it where only root may change it`);
  const other = describeOther(base, program);
  if (other !== null) return failWith(other);
  const facts: string[] = [];
  const placed = placeAll(base, facts, (fresh) => symlinkSync(pathInRoot(base, program), fresh));
  if (!placed.ok) return failWith(placed.detail);
  const notes = [...outsideOf(base, [program]), ...noteClosedFolders(base, [program]), ...placed.value];
  writeLines([...facts, `they are links to ${pathInRoot(base, program)}`, ...notes]);
  return 0;
}

/** The runtime for the script, which has been tried. */
async function findRuntime(base: string, named: string | null, command: string): Promise<Parsed<Runtime>> {
  const interpreter = named === null ? nameInPath(base, process.execPath) : path.resolve(named);
  let danger: string | null;
  try {
    accessSync(interpreter, constants.X_OK);
    danger = findDanger(base, [interpreter]);
  } catch (error) {
    return unparsed(`cannot run ${interpreter}: ${explainSystemError(error)}`);
  }
  if (danger !== null)
    return unparsed(
      `${interpreter} must not run for everybody, because ${danger}: install Node or Bun where only ${base === '/' ? 'root' : 'you'} may change it, and name it with --runtime`,
    );
  const { said: version } = await run(interpreter, ['-p', 'process.versions.bun ? "bun " + process.versions.bun : process.version'], '');
  const isBun = /^bun \d/.test(version);
  const { status, said } = await run(interpreter, [...(isBun ? BUN_FLAGS : []), command, '--version'], '');
  const [first = ''] = said.trim().split('\n');
  if (status !== 0 || !/^nospool \S+$/.test(first))
    return unparsed(`${interpreter} does not run nospool: ${first.replace(/^sendmail: /, '') || 'it does not answer'}`);
  return parsed({ interpreter, isBun, version: version.trim() });
}

/**
 * The interpreter's name in PATH, because an upgrade leaves that name as it is. A name that others may change is not taken. Without /proc Node
 * knows only the word by which it was called.
 */
function nameInPath(base: string, word: string): string {
  const isPath = word.includes('/');
  const interpreter = isPath ? path.resolve(word) : word;
  const names = [path.basename(interpreter), 'node', 'nodejs', 'bun'];
  const candidates = (process.env.PATH ?? '')
    .split(':')
    .filter((folder) => folder.startsWith('/'))
    .flatMap((folder) => names.map((name) => path.join(folder, name)));
  const isSameFile = (file: string): boolean => {
    try {
      const real = realpathSync(file);
      return (isPath ? real === realpathSync(interpreter) : path.basename(file) === interpreter) && findDanger(base, [file]) === null;
    } catch {
      return false;
    }
  };
  return candidates.find(isSameFile) ?? interpreter;
}

/**
 * A sentence about the first of these files that somebody else may change; null = there is none. Trusts root, and below
 * --root also the caller and the caller's group, because many systems let that group write.
 */
function findDanger(base: string, files: readonly string[]): string | null {
  const isRoot = base === '/' || process.geteuid?.() === 0;
  const trusted = {
    ...(isRoot ? { uids: [0], gids: [] } : { uids: [0, process.geteuid?.() ?? 0], gids: [process.getegid?.() ?? 0] }),
    sticky: base !== '/',
  };
  for (const file of files) {
    const danger = describeDanger(file, trusted, isBelow(base, file) ? base : '/');
    if (danger !== null) return danger;
  }
  return null;
}

/** The module that Bun starts, beside sendmail.cjs. */
const FOR_BUN = 'sendmail-bun.mjs';
const isStarted = (name: string): boolean => name.endsWith('.cjs') || name === FOR_BUN;

/** The files that run when mail is sent, with their compiled code. */
function listCode(command: string): string[] {
  const folder = path.dirname(command);
  const compiled = path.join(folder, 'compiled');
  const kept = existsSync(compiled) ? (readdirSync(compiled, { recursive: true }) as string[]) : [];
  return [
    ...readdirSync(folder)
      .filter(isStarted)
      .map((name) => path.join(folder, name)),
    ...(existsSync(compiled) ? ['', ...kept].map((name) => path.join(compiled, name)) : []),
  ];
}

/** Copies the code to where only root may change it. The value is the path of the copied command. */
function copyCode(base: string, command: string, danger: string): Parsed<string> {
  const from = path.dirname(command);
  const cannot = (reason: string): Parsed<string> =>
    unparsed(`everybody would run code that others may change, because ${danger}: ${reason}`);
  if (base !== '/')
    return cannot('with --root nothing is copied, so give it to root (chown, chmod), or run it from a folder that only root may change');
  if (process.geteuid?.() !== 0) return cannot('run this as root, and the code is copied to where only root may change it');
  const files = readdirSync(from)
    .filter(isStarted)
    .map((name) => [name, readFileSync(path.join(from, name))] as const);
  const sum = files.reduce((hash, [, octets]) => hash.update(octets), createHash('sha256'));
  const folder = path.join(base, COPIES, `code-${VERSION}-${sum.digest('hex').slice(0, 12)}`);
  const copied = path.join(folder, path.basename(command));
  try {
    makeFoldersAbove(folder, 0o755);
    const other = findDanger(base, [path.dirname(folder)]);
    if (other !== null) return cannot(`it cannot be copied to ${path.dirname(folder)} either, because ${other}`);
    // Scripts that name it may be starting, so it stays, and gets what it lacks; unless others may have changed it.
    if (existsSync(folder) && findDanger(base, [folder, ...listCode(copied)]) !== null) rmSync(folder, { recursive: true });
    makeFoldersAbove(copied, 0o755);
    // The copy gets modes of its own, because those of the original may be too narrow or too wide.
    chmodSync(folder, 0o755);
    for (const [name, octets] of files) if (!isWhole(path.join(folder, name), octets)) writeWhole(path.join(folder, name), octets, 0o644);
  } catch (error) {
    return cannot(`it cannot be copied to ${folder}: ${explainSystemError(error)}`);
  }
  return parsed(copied);
}

/** True for a file of these octets that everybody may read. */
function isWhole(file: string, octets: Buffer): boolean {
  const stats = lstatSync(file, { throwIfNoEntry: false });
  return stats?.isFile() === true && (stats.mode & 0o777) === 0o644 && readFileSync(file).equals(octets);
}

/** Removes the copies that no script names. Returns why one cannot be removed; null when all are. */
function removeCopies(base: string, scripts: readonly string[]): string | null {
  const parent = path.join(base, COPIES);
  if (!existsSync(parent)) return null;
  try {
    for (const name of readdirSync(parent).filter((each) => COPY_NAME.test(each)))
      if (!scripts.some((script) => script.includes(`/${COPIES}/${name}/`)))
        rmSync(path.join(parent, name), { recursive: true, force: true });
    if (readdirSync(parent).length === 0) rmdirSync(parent);
    return null;
  } catch (error) {
    return `cannot remove the code in ${parent}: ${explainSystemError(error)}`;
  }
}

/** True if env on the system below `base` takes -S with options in it, as that of GNU does. */
async function hasSplit(base: string): Promise<boolean> {
  // Alpine has a link to /bin/busybox there, which leads from the root of that system.
  const own = placeBelow(base, path.join(base, 'usr/bin/env'));
  const { status } = await run(existsSync(own) ? own : '/usr/bin/env', ['-S', '-u A B=1 /bin/sh', '-c', 'exit 7'], '');
  return status === 7;
}

/**
 * Compiles the code anew and keeps the result beside the command, so that a start need not compile it. Returns why it failed, which is only a
 * note of an installation, because without that code the command is merely slower. A Node that may compile nothing at run time needs other code.
 */
async function compileCode({ interpreter, isBun, version }: Runtime, command: string): Promise<string[]> {
  const compiler = path.join(path.dirname(command), 'compile.cjs');
  for (const flags of isBun ? [BUN_FLAGS] : [[], flagsWithoutCompiler(version)]) {
    const { status, said } = await run(interpreter, [...flags, compiler], 'Subject: x\n\nx\n');
    if (status !== 0) return [`starts are not made faster: ${/^\w*error: .*/im.exec(said)?.[0] ?? (said.trim() || `${compiler} failed`)}`];
  }
  return [];
}

/** What a package does after it was unpacked, and where another runtime has come since. 0 when the code is compiled. */
async function compileAlone(runtime: Runtime, command: string): Promise<number> {
  const faults = await compileCode(runtime, command);
  if (!runtime.isBun) writeMemoryTest(command, runtime.version);
  if (faults.length > 0) return failWith(...faults);
  writeLines([`${path.dirname(command)} is compiled for ${runtime.interpreter} (${runtime.version})`]);
  return 0;
}

/** Writes the program of memory-test.ts beside the command; null where there is none or it cannot be written. */
function writeMemoryTest(command: string, version: string): string | null {
  const program = printMemoryTest(process.arch, version);
  if (program === null) return null;
  const file = path.join(path.dirname(command), 'compiled', 'memory-test');
  try {
    makeFoldersAbove(file, 0o755);
    writeWhole(file, program, 0o755);
    return file;
  } catch {
    return null;
  }
}

/** Milliseconds. Every program that runs here takes a fraction of one second. */
const LONGEST_RUN = 20_000;

function run(program: string, argv: readonly string[], input: string): Promise<{ readonly status: number | null; readonly said: string }> {
  return new Promise((resolve) => {
    let said = '';
    const child = spawn(program, argv, { stdio: 'pipe', env: BUN_ENVIRONMENT, timeout: LONGEST_RUN });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    child.on('error', (error) => resolve({ status: null, said: error.message }));
    child.on('close', (status) => resolve({ status, said }));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

const isBelow = (base: string, file: string): boolean => base !== '/' && file.startsWith(`${base}/`);

/** The path after `base` has become the root. */
const pathInRoot = (base: string, file: string): string => (isBelow(base, file) ? file.slice(base.length) : file);

const isDenied = (error: unknown): boolean => ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Puts a file of ours at a place. If a file was there, one is there at every moment, and it is the same where this fails. */
function installOne(file: string, make: Make, sendmail: string): string[] {
  makeFoldersAbove(file, 0o755);
  // A link to sendmail leads here already, and belongs to the system.
  if (file !== sendmail && !isOurs(file) && leadsTo(file, sendmail)) return [`${file} is a link to ${sendmail}`];
  const fresh = `${file}.nospool-new`;
  rmSync(fresh, { force: true });
  let undo = (): void => {};
  const facts: string[] = [];
  try {
    make(fresh, file);
    if (exists(file) && !isOurs(file)) {
      undo = save(file);
      facts.push(`${file}: the file that was there is now ${file}${SAVED}`);
    }
    renameSync(fresh, file);
  } catch (error) {
    undo();
    rmSync(fresh, { force: true });
    throw error;
  }
  return [...facts, `${file} written`];
}

/** Gives a file the name under which uninstall finds it, beside the name that it has. What it returns undoes that. */
function save(file: string): () => void {
  const saved = file + SAVED;
  const second = `${saved}.new`;
  const isFirst = !exists(saved);
  rmSync(second, { force: true });
  try {
    linkSync(file, second);
  } catch {
    // It is a folder, or the file system has no links. Ours is written already, so the place is empty for a moment only.
    renameSync(file, saved);
    return () => renameSync(saved, file);
  }
  try {
    renameSync(second, saved);
  } finally {
    // The system leaves both names where the file has the saved one already.
    rmSync(second, { force: true });
  }
  return () => {
    if (isFirst) unlinkSync(saved);
  };
}

/** 0 when nothing of ours is left. */
export async function runUninstall({ root }: Pick<InstallOptions, 'root'>): Promise<number> {
  const base = path.resolve(root);
  const facts: string[] = [];
  for (const file of placesBelow(base)) {
    const owner = isOfPackage(file) ? findPackage(base, file) : null;
    try {
      if (owner !== null) {
        facts.push(`${file} belongs to package ${owner}: remove that package, and it is gone`);
        continue;
      }
      facts.push(...uninstallOne(file));
      if (!exists(file) && exists(file + DIVERTED))
        facts.push(
          `${file}${DIVERTED} is there: run dpkg-divert --local --rename --remove ${quoteForShell(file)}, and it is ${file} again`,
        );
    } catch (error) {
      writeLines(facts);
      return failWith(`cannot remove ${file}: ${explainSystemError(error)}`);
    }
  }
  const left = removeCopies(base, []);
  writeLines(facts.length === 0 && left === null ? ['nothing of nospool is installed'] : facts);
  return left === null ? 0 : failWith(left);
}

function uninstallOne(file: string): string[] {
  if (!isOurs(file)) return exists(file + SAVED) ? [`${file} is no longer nospool's, so ${file}${SAVED} is left as it is`] : [];
  if (exists(file + SAVED)) {
    // A folder cannot take the place of a file.
    if (lstatSync(file + SAVED).isDirectory()) unlinkSync(file);
    renameSync(file + SAVED, file);
    return [`${file} is restored`];
  }
  unlinkSync(file);
  return [`${file} removed`];
}

const exists = (file: string): boolean => lstatSync(file, { throwIfNoEntry: false }) !== undefined;

/** True for a script of ours, not for a link to one. */
const isOurScript = (file: string): boolean => lstatSync(file, { throwIfNoEntry: false })?.isFile() === true && hasMark(file, MARK);

/** True for such a script, and for a link to the one file, by the name that it has here or in the system below --root. */
const isOurs = (file: string): boolean =>
  isOurScript(file) ||
  (lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true && ONE_FILE.test(path.basename(readlinkSync(file))));

/** True for the script of our package, and for a link to it. */
const isOfPackage = (file: string): boolean => statSync(file, { throwIfNoEntry: false })?.isFile() === true && hasMark(file, PACKAGE_MARK);

const hasMark = (file: string, mark: string): boolean => statSync(file).size < 16_384 && readFileSync(file, 'latin1').includes(`\n${mark}`);

const notePackage = (owner: string, files: readonly string[]): string =>
  `note: of package ${owner}, whose next upgrade puts its own there: ${files.join(' ')}; install the package nospool-mta in its place, or move them with dpkg-divert before`;

function leadsTo(file: string, sendmail: string): boolean {
  try {
    return realpathSync(file) === realpathSync(sendmail);
  } catch {
    return false;
  }
}

/** A note for each file that is not below --root, because the system that is made there must have it in the same place. */
const outsideOf = (base: string, files: readonly string[]): string[] =>
  base === '/'
    ? []
    : files
        .filter((file) => !isBelow(base, file))
        .map((file) => `note: ${file} is outside ${base}, and was not copied: it must be there where the scripts run`);

/** A note for each folder that some users may not enter, because their sendmail would not start. */
export function noteClosedFolders(base: string, files: readonly string[]): string[] {
  if (base !== '/') return [];
  return closedToOthers(files).map(
    (folder) =>
      `note: only some users may enter ${folder}, so the others cannot send mail: run chmod o+x ${quoteForShell(folder)}, or install from where everybody may enter, such as /opt, with such a runtime`,
  );
}

/** A note where some users may not read the code: a folder may be opened to them, and the files in it may still be closed. */
export function noteClosedCode(base: string, command: string): string[] {
  const closed = base === '/' ? listCode(command).find((file) => (statSync(file).mode & 0o004) === 0) : undefined;
  if (closed === undefined) return [];
  return [
    `note: only some users may read ${closed}, so the others cannot send mail: run chmod -R o+rX ${quoteForShell(path.dirname(command))}`,
  ];
}
