/**
 * `nospool install` and `uninstall`: this program as /usr/sbin/sendmail, mailq and newaliases. What is written is a shell
 * script, because the runtime reads its environment before our first line runs: the script takes out what a caller may
 * have left there, names the interpreter by its path, and opens descriptors that are closed. Knows no configuration.
 */
import { spawn } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../config/read.ts';
import { VERSION } from './admin.ts';
import { reasonOf, writeWhole } from './files.ts';
import { failWith, print } from './terminal.ts';

export interface InstallOptions {
  /** A folder that stands for `/`, as in an image that is being made. */
  readonly root: string;
  /** The interpreter; null = the one that runs now. */
  readonly runtime: string | null;
}

/** Where callers look: LSB 5.0 has the first two; the others are what people call. */
const PLACES = ['usr/sbin/sendmail', 'usr/lib/sendmail', 'usr/bin/mailq', 'usr/bin/newaliases'];
const SAVED = '.nospool-saved';
/** Where sendmail is, seen from a part of the bundle, from the bundle, and from the sources. */
const BUILT = ['../sendmail.cjs', './sendmail.cjs', '../../dist/sendmail.cjs'];
/** By this line a script is known to be ours. */
const MARK = '# Written by "nospool install"';

/**
 * What a caller may have set that changes or ends the runtime before our code runs. NODE_CHANNEL_FD names a descriptor
 * that only a child of the caller has; OPENSSL_CONF and the CA variables are read by Node's OpenSSL.
 */
const UNSET = [
  ...['NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS', 'NODE_PATH', 'NODE_TLS_REJECT_UNAUTHORIZED', 'NODE_REDIRECT_WARNINGS'],
  ...['NODE_PENDING_DEPRECATION', 'NODE_DEBUG', 'NODE_DEBUG_NATIVE', 'NODE_V8_COVERAGE', 'NODE_COMPILE_CACHE', 'NODE_ICU_DATA'],
  ...['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE', 'NODE_UNIQUE_ID', 'NODE_REPL_EXTERNAL_MODULE', 'NODE_USE_ENV_PROXY'],
  ...['NODE_USE_SYSTEM_CA', 'OPENSSL_CONF', 'OPENSSL_MODULES', 'BUN_OPTIONS', 'BUN_INSPECT', 'BUN_CONFIG_VERBOSE_FETCH'],
];

const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The script. Only what every POSIX shell has built in: there may be no PATH. The names are options of sendmail's own. */
export function printWrapper(interpreter: string, command: string): string {
  // Bun would read .env and bunfig.toml of whatever folder the caller is in.
  const flags = isBun(interpreter) ? ' --no-env-file --config=/dev/null' : '';
  return `#!/bin/sh
${MARK} of nospool ${VERSION}; "nospool uninstall" takes it away.
true 3>&2 || exec 2>/dev/null
{ true 3>&1; } 2>/dev/null || exec >/dev/null
unset ${UNSET.join(' ')
    .replace(/(.{1,100})( |$)/g, '$1 \\\n  ')
    .trimEnd()
    .replace(/ \\$/, '')}
case \${0##*/} in
mailq) set -- -bp "$@" ;;
newaliases) set -- -bi "$@" ;;
runq) set -- -q "$@" ;;
rsmtp) set -- -bS "$@" ;;
rmail) set -- -i "$@" ;;
esac
exec ${quoted(interpreter)}${flags} ${quoted(command)} "$@"
`;
}

/** 0 when all is in place. */
export async function runInstall({ root, runtime }: InstallOptions): Promise<number> {
  const base = path.resolve(root);
  const built = BUILT.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((file) => existsSync(file));
  if (built === undefined) return failWith('there is no dist/sendmail.cjs beside this program: run "npm run build" first');
  let interpreter: string;
  try {
    interpreter = path.resolve(runtime ?? process.execPath);
    accessSync(interpreter, constants.X_OK);
  } catch (error) {
    return failWith(`cannot run ${runtime}: ${reasonOf(error)}`);
  }
  const script = printWrapper(within(base, interpreter), within(base, realpathSync(built)));
  const facts: string[] = [];
  for (const place of PLACES) {
    const file = path.join(base, place);
    try {
      facts.push(...installOne(file, script, path.join(base, 'usr/sbin/sendmail')));
    } catch (error) {
      print(facts);
      return failWith(`cannot write ${file}: ${reasonOf(error)}${isDenied(error) ? '; run it as root, or name another --root' : ''}`);
    }
  }
  const notes = [...closedTo(base, [interpreter, realpathSync(built)]), ...(await compile(interpreter, realpathSync(built)))];
  print([...facts, ...notes]);
  return 0;
}

/** Milliseconds: a message to this very process takes a fraction of one second. */
const PATIENCE = 20_000;

/**
 * Leaves V8's compiled code beside the command, so that a start need not compile it: one message is sent for that, to a
 * sink of ours. Without it the command is only slower, so that what goes wrong is a note.
 */
async function compile(interpreter: string, command: string): Promise<string[]> {
  const folder = path.dirname(command);
  const compiler = path.join(folder, 'compile.cjs');
  const isThis = interpreter === process.execPath;
  if (isBun(interpreter)) return compileForBun(interpreter, folder);
  if (!existsSync(compiler)) return [];
  if (isThis && existsSync(path.join(folder, 'compiled', `${process.versions.v8}-${process.arch}`))) return [];
  const [{ startSink }, { SINK_DEFAULTS }] = await Promise.all([import('./sink.ts'), import('./sinkOptions.ts')]);
  const sink = await startSink({ ...SINK_DEFAULTS, port: 0, quiet: true }, { out: () => {}, err: () => {} });
  const scratch = mkdtempSync(path.join(tmpdir(), 'nospool-'));
  try {
    if (typeof sink === 'string') return [`note: starts are not made faster: ${sink}`];
    const config = path.join(scratch, 'nospool.toml');
    writeFileSync(
      config,
      `smarthosts = ["smtp://127.0.0.1:${sink.listener.port}"]\nhostname = "host.example.org"\nlog = "none"\naliases = []\n`,
    );
    // A locked system file is obeyed whatever -C says, and this message is for nobody.
    const answer = await readConfig({ path: config, env: {}, home: null, euid: process.geteuid?.() ?? 0 });
    if (!answer.ok || answer.config.path !== config) return ['note: starts are not made faster: the system configuration is locked'];
    const { status, said } = await run(
      interpreter,
      [compiler, '-C', config, '-i', '-f', 'a@example.org', 'b@example.org'],
      'Subject: x\n\nx\n',
    );
    return status === 0 ? [] : [`note: starts are not made faster: ${said.split('\n')[0] || `${compiler} failed`}`];
  } finally {
    if (typeof sink !== 'string') await sink.close();
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** As `compile`, for Bun: its own bundler makes files with code beside them. */
async function compileForBun(interpreter: string, folder: string): Promise<string[]> {
  const { status, said: version } = await run(interpreter, ['--version'], '');
  const target = path.join(folder, 'compiled', `bun-${version.trim()}-${process.arch}`);
  if (status !== 0 || existsSync(target)) return [];
  const files = [
    path.join(folder, 'main.cjs'),
    ...readdirSync(path.join(folder, 'chunks')).map((file) => path.join(folder, 'chunks', file)),
  ];
  const flags = ['--bytecode', '--target=bun', '--format=cjs', '--external', './*', '--entry-naming', '[dir]/[name].cjs'];
  rmSync(`${target}.new`, { recursive: true, force: true });
  const built = await run(interpreter, ['build', ...flags, '--root', folder, '--outdir', `${target}.new`, ...files], '');
  if (built.status !== 0) {
    rmSync(`${target}.new`, { recursive: true, force: true });
    return [`note: starts are not made faster: ${built.said.split('\n')[0] || `${interpreter} build failed`}`];
  }
  // For every user, whatever the umask of who installs it.
  for (const name of ['', ...(readdirSync(`${target}.new`, { recursive: true }) as string[])]) {
    const place = path.join(`${target}.new`, name);
    chmodSync(place, statSync(place).isDirectory() ? 0o755 : 0o644);
  }
  chmodSync(path.dirname(target), 0o755);
  renameSync(`${target}.new`, target);
  return [];
}

function run(program: string, argv: readonly string[], input: string): Promise<{ readonly status: number | null; readonly said: string }> {
  return new Promise((resolve) => {
    let said = '';
    const child = spawn(program, argv, { stdio: 'pipe', env: {}, timeout: PATIENCE });
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

const isBun = (interpreter: string): boolean => /(^|\/)bun[^/]*$/.test(interpreter);

/** The path as it will be when `base` is the root. */
const within = (base: string, file: string): string => (base !== '/' && file.startsWith(`${base}/`) ? file.slice(base.length) : file);

const isDenied = (error: unknown): boolean => ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');

function installOne(file: string, script: string, sendmail: string): string[] {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
  // A link to sendmail leads to us already, and belongs to whoever made it.
  if (file !== sendmail && leadsTo(file, sendmail)) return [`${file} is a link to ${sendmail}`];
  const facts: string[] = [];
  if (exists(file) && !isOurs(file)) {
    renameSync(file, file + SAVED);
    facts.push(`${file}: what was there is now ${file}${SAVED}`);
  }
  writeWhole(file, script, 0o755);
  return [...facts, `${file} written`];
}

/** 0 when nothing of ours is left. */
export async function runUninstall({ root }: Pick<InstallOptions, 'root'>): Promise<number> {
  const base = path.resolve(root);
  const facts: string[] = [];
  for (const place of PLACES) {
    const file = path.join(base, place);
    try {
      facts.push(...uninstallOne(file));
    } catch (error) {
      print(facts);
      return failWith(`cannot take away ${file}: ${reasonOf(error)}`);
    }
  }
  print(facts.length === 0 ? ['nothing of nospool is installed'] : facts);
  return 0;
}

function uninstallOne(file: string): string[] {
  if (!isOurs(file)) return exists(file + SAVED) ? [`${file} is not of nospool any more; ${file}${SAVED} is left as it is`] : [];
  if (exists(file + SAVED)) {
    renameSync(file + SAVED, file);
    return [`${file} is what it was before`];
  }
  unlinkSync(file);
  return [`${file} taken away`];
}

const exists = (file: string): boolean => lstatSync(file, { throwIfNoEntry: false }) !== undefined;

/** A script of ours itself, not a link to one. */
function isOurs(file: string): boolean {
  const stats = lstatSync(file, { throwIfNoEntry: false });
  return stats?.isFile() === true && stats.size < 16_384 && readFileSync(file, 'latin1').includes(`\n${MARK}`);
}

function leadsTo(file: string, sendmail: string): boolean {
  try {
    return realpathSync(file) === realpathSync(sendmail);
  } catch {
    return false;
  }
}

/** A word for each folder that other users may not enter: their sendmail would not start. */
function closedTo(base: string, files: readonly string[]): string[] {
  if (base !== '/') return [];
  const closed = new Set<string>();
  for (const file of files)
    for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
      if ((statSync(folder).mode & 0o001) === 0) closed.add(folder);
      if (folder === '/') break;
    }
  return [...closed].map((folder) => `note: only some users may enter ${folder}, so the others cannot send mail`);
}
