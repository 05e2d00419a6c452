/**
 * Keeps for `loader.ts` what this runtime makes of the parts of `main.cjs`: in Node the code that V8 has compiled once two
 * messages were sent, lazily compiled functions included; in Bun what its bundler makes. The build and `nospool install` run it, with
 * the first message on standard input. Their smart host is in this file, and no configuration of this host is read.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import type { Script } from 'node:vm';
import { nameKeptPlace, printMainSums } from './kept-place.ts';
import { makeScript, offerParts, printKept, printSums, readMainFile, unwrap } from './loader.ts';

const SYSTEM_FILE = '/etc/nospool.toml';
const ANSWERS: Readonly<Record<string, string>> = { EHLO: '250-x\r\n250-PIPELINING\r\n250 SIZE', DATA: '354', QUIT: '221' };
/** Nothing is kept for these parts, because they are for people who watch. */
const LEFT_OUT = ['submit-routing-tree'];
/** Under Bun every message needs this part, so it is in one file with `main`: each file costs as much as its code. */
const WITH_MAIN = ['transport-bun-wire'];

const program = readMainFile(fs.readFileSync(`${__dirname}/main.cjs`));
const partText = (name: string): string => program.octets.toString('latin1', ...(program.parts.get(name) ?? [0, 0]));
const place = nameKeptPlace(__dirname);

/** Lets every user read it, whatever the umask of who installs it. */
function openToAll(file: string): void {
  fs.chmodSync(file, fs.statSync(file).isDirectory() ? 0o755 : 0o644);
}

function makeKeptFolder(): void {
  fs.mkdirSync(path.dirname(place), { recursive: true });
  openToAll(path.dirname(place));
}

/** Prints the file that Bun starts in place of sendmail.cjs, so it begins with that. */
function printMain(): string {
  const printFunction = (text: string) => `function (exports, require, module) {${text}\n}`;
  const beside = WITH_MAIN.map((name) => `${JSON.stringify(name)}: ${printFunction(unwrap(partText(name)))}`);
  const loader = printFunction(fs.readFileSync(`${__dirname}/sendmail.cjs`, 'latin1').replace(/^#!.*/, ''));
  return `"use strict"; globalThis.nospoolKept = { ${beside.join(', ')} };\n(${loader})({}, require);\n${unwrap(partText('main'))}`;
}

function compileForBun(): void {
  const made = `${place}.new`;
  const sources = fs.mkdtempSync(path.join(tmpdir(), 'nospool-'));
  fs.rmSync(made, { recursive: true, force: true });
  makeKeptFolder();
  const names = [...program.parts.keys()].filter((name) => !WITH_MAIN.includes(name));
  const files = names.map((name) => path.join(sources, `${name}.cjs`));
  for (const [i, name] of names.entries()) fs.writeFileSync(files[i] as string, name === 'main' ? printMain() : unwrap(partText(name)));
  const flags = [
    '--bytecode',
    '--minify-whitespace',
    '--target=bun',
    '--format=cjs',
    '--root',
    sources,
    '--outdir',
    made,
    '--entry-naming',
    '[dir]/[name].cjs',
  ];
  // It says why it failed where we would.
  const built = spawnSync(process.execPath, ['build', ...flags, ...files], { stdio: ['ignore', 'ignore', 2] });
  fs.rmSync(sources, { recursive: true });
  if (built.status !== 0) {
    fs.rmSync(made, { recursive: true, force: true });
    process.exit(1);
  }
  const madeOf = (name: string): Buffer => fs.readFileSync(`${made}/${name}.cjs`);
  const others = names.filter((name) => name !== 'main');
  fs.writeFileSync(
    `${made}/sums`,
    printSums(
      program,
      others.map((name) => [name, madeOf(name)]),
    ),
  );
  fs.writeFileSync(`${made}/main.sums`, printMainSums(program.octets, madeOf('main')));
  for (const name of ['', ...fs.readdirSync(made)]) openToAll(path.join(made, name));
  fs.rmSync(place, { recursive: true, force: true });
  fs.renameSync(made, place);
}

/** Hides the system's configuration from a copy of the file system: if that is locked, it would be in force here too, and so would its smart host. */
function withoutConfiguration(): typeof fs {
  const hidden = (call: (...args: unknown[]) => unknown) =>
    Object.assign((...args: unknown[]) => call(...(args[0] === SYSTEM_FILE ? ['/dev/null/none', ...args.slice(1)] : args)), call);
  const seen = { ...fs } as Record<string, unknown>;
  for (const [name, value] of Object.entries(fs))
    if (/^[a-z]/.test(name) && typeof value === 'function') seen[name] = hidden(value as never);
  return seen as unknown as typeof fs;
}

/** Makes a smart host that takes everything. */
function makeSmartHost(): ReturnType<typeof createServer> {
  return createServer((socket) => {
    let isContent = false;
    socket.on('error', () => {}).write('220 x\r\n');
    socket.on('data', (octets) => {
      for (const line of octets.toString('latin1').split('\r\n').slice(0, -1)) {
        if (isContent && line !== '.') continue;
        const verb = line.split(' ')[0] as string;
        isContent = verb === 'DATA';
        socket.write(`${ANSWERS[verb] ?? '250 ok'}\r\n`);
      }
    });
  });
}

/** A run of the command. `config` is named by the environment, because a file that -C names opens no log unless root owns it. */
interface Call {
  readonly config: string;
  readonly words: readonly string[];
}

/** Messages as most callers send them: from a pipe, and from a file with `-t`, an alias and a log. */
function writeCalls(folder: string, host: string): { readonly letter: string; readonly calls: readonly Call[] } {
  const write = (name: string, text: string): string => {
    fs.writeFileSync(path.join(folder, name), text, { mode: 0o600 });
    return path.join(folder, name);
  };
  const begin = `smarthosts = ["${host}"]\nhostname = "host.example.org"\n`;
  const plain = write('plain.toml', `${begin}log = "none"\naliases = []\n`);
  const aliases = write('aliases', '# those who read\nroot: b@example.org\n');
  const whole = write('whole.toml', `${begin}log = "${folder}/log"\naliases = ["${aliases}"]\n[tls]\nmode = "off"\n`);
  return {
    letter: write('letter', 'From: Cron <root>\nTo: root\nSubject: x\n\nhello\n'),
    calls: [
      { config: plain, words: ['-i', '-f', 'a@example.org', 'b@example.org'] },
      { config: whole, words: ['-t', '-i'] },
    ],
  };
}

function compileForNode(): void {
  const folder = fs.mkdtempSync(path.join(tmpdir(), 'nospool-'));
  const scripts = new Map<string, Script>();
  const make = (name: string, text: () => string): Script => {
    const script = scripts.get(name) ?? makeScript(name, text());
    if (program.parts.has(name)) scripts.set(name, script);
    return script;
  };
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  const keep = (status: number): void => {
    if (status !== 0) return;
    // The program would report an error here, and log it, as one of a message.
    process.removeAllListeners('uncaughtException');
    process.exitCode = 1;
    // Parts that no message needed, TLS and credentials among them, are compiled whole.
    setFlagsFromString('--no-lazy');
    for (const name of program.parts.keys()) if (!scripts.has(name) && !LEFT_OUT.includes(name)) make(name, () => partText(name));
    // V8 compares its flags with those it had when the code was made.
    setFlagsFromString('--lazy');
    const codes = [...scripts].map(([name, script]) => [name, script.createCachedData()] as const);
    makeKeptFolder();
    // It is on the disk before it has its name, so that nobody finds a piece of it.
    fs.writeFileSync(`${place}.new`, printKept(program, codes), { flush: true });
    openToAll(`${place}.new`);
    fs.rmSync(place, { recursive: true, force: true });
    fs.renameSync(`${place}.new`, place);
    process.exitCode = 0;
  };
  const send = (host: string): void => {
    const { letter, calls } = writeCalls(folder, host);
    const seen = withoutConfiguration();
    // They would be put over what the file says, the smart host included.
    for (const name of Object.keys(process.env)) if (name.startsWith('NOSPOOL_')) delete process.env[name];
    const { exit } = process;
    // All messages go out of this one process, because V8 keeps the code that a process has run. The program ends the process behind each
    // message, so `process.exit` begins with the next one; behind the last, or the first that fails, it ends the process, and then
    // what has run is kept, the end included. A later message that fails costs no more than what it would have run.
    const run = ([call, ...others]: readonly Call[], sent = 0): void => {
      const { config, words } = call as Call;
      process.exit = (() => {
        process.exit = exit;
        if (others.length === 0 || process.exitCode !== 0) exit.call(process.on('exit', keep), sent > 0 ? 0 : process.exitCode);
        fs.closeSync(0);
        fs.openSync(letter, 'r');
        run(others, sent + 1);
      }) as typeof exit;
      process.argv.splice(2, process.argv.length, ...words);
      process.env.NOSPOOL_CONFIG = config;
      offerParts(__dirname, program, make, (id) => (/^(node:)?fs$/.test(id) ? seen : require(id)))('main');
    };
    run(calls);
  };
  const server = makeSmartHost().listen(0, '127.0.0.1', () => {
    const { port } = server.address() as { readonly port: number };
    const socket = path.join(folder, 'socket');
    // The scripts of a package may run where loopback is down, as rpm's plugin unshare has it.
    const probe = connect(port, '127.0.0.1', () => {
      probe.destroy();
      send(`smtp://127.0.0.1:${port}`);
    }).on('error', () => void makeSmartHost().listen(socket, () => send(`unix:${socket}`)));
  });
}

if (process.versions.bun === undefined) compileForNode();
else compileForBun();
