// Runs the tests, one file more at a time than there are cores, because tests wait, too: `npm test` all but those that need real programs or root
// (test/interop, test/faults, test/load, test/surroundings, test/world, test/consumers, test/packaging), `npm test PATH…` the files at these paths or those whose path within test/ matches a
// regular expression. TEST_RUNTIME names a Bun to run them under instead of Node, TEST_JOBS how many at a time.
// Each file of test/interop, test/surroundings, test/world and test/packaging, and test/faults/torture, runs, where the user is root, in namespaces of its own: a network with the addresses
// of test/world/support/addresses.ts, and mounts that only it sees.
// A run fails where a file has no test that ran (uvu exits 0 then), where the runtime warned, and where a file does not end in time.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Milliseconds for one unit; TEST_LIMIT is seconds. */
const LIMIT = Number(process.env.TEST_LIMIT) * 1000 || 600_000;
/** Rooms whose tests touch nothing outside their process: they share one, because to start one costs more than to run them. */
const PURE = /^(?:smtp|router|message|config)\//;
const APART = /^(?:interop|faults|load|surroundings|world|consumers|packaging)\//;
const IN_WORLD = /^(?:(?:interop|surroundings|world|packaging)\/|faults\/torture)/;

/** Rooms whose tests say what coverage.mjs asks; in the others, and where a test goes the same ways a million times, it would only take time. */
const COVERING = /^(?!smtp\/exploration|library\/soak)(?:smtp|router|message|config|transport|submit|library)\//;

const bun = process.env.TEST_RUNTIME;
const jobs = Number(process.env.TEST_JOBS) || availableParallelism() + 1;
const patterns = process.argv.slice(2).map((argument) => new RegExp(argument.replace(/^(\W*)(?:\.\/)?test\//, '$1')));
const files = readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .map((name) => name.replaceAll(path.sep, '/'))
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => (patterns.length > 0 ? patterns.some((each) => each.test(name)) : !APART.test(name)))
  .sort();

/** Files that run in one process, by its name: a folder of a pure room, or the file itself. */
const units = new Map();
for (const file of files) {
  const unit = PURE.test(file) && !/exploration/.test(file) ? `${path.posix.dirname(file)}/` : file;
  units.set(unit, [...(units.get(unit) ?? []), file]);
}
/** Files whose work is not in their text: they start many programs, or do the same a thousand times. */
const LONG = /exploration|mutation|install|load[.]test|command|callers|importers|debian-1|consumers|soak|smtp-server|postfix|sasl/;
// Long files first, so that no core waits for one that began last; for others length is near enough to duration.
const sizeOf = (names) => names.reduce((sum, name) => sum + statSync(path.join(root, 'test', name)).size, 0);
const weightOf = ([unit, names]) => (LONG.test(unit) ? Number.POSITIVE_INFINITY : sizeOf(names));
const waiting = [...units].sort((a, b) => weightOf(b) - weightOf(a) || 0);

const enter = `set -e
ip link set lo up
ip address add 192.0.2.10/32 dev lo
mount --bind "$1" /etc/hosts
shift
exec "$@"`;
const isRoot = process.getuid?.() === 0;
let hosts = '';
if (isRoot && files.some((name) => IN_WORLD.test(name))) {
  hosts = path.join(mkdtempSync(path.join(tmpdir(), 'nospool-hosts-')), 'hosts');
  writeFileSync(hosts, `${readFileSync('/etc/hosts', 'utf8')}\n192.0.2.10 smart.peer.test\n`, { mode: 0o644 });
  process.on('exit', () => rmSync(path.dirname(hosts), { recursive: true }));
}

const preloads = ['./test/support/seed.mjs', './test/support/warnings.mjs', './test/support/alone.mjs'];
const loading = bun
  ? ['--bun', ...preloads.flatMap((file) => ['--preload', file])]
  : ['--trace-warnings', '--inspect-port=0', ...['tsx', ...preloads].flatMap((file) => ['--import', file])];
const quoted = (name) => name.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

const pass = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Its threads with their state and the time they have worked, in ticks; '' where the system does not tell. */
function threadsOf({ pid }) {
  try {
    const states = readdirSync(`/proc/${pid}/task`).map((thread) => {
      const [state, ...facts] = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1').replace(/.*\) /s, '').split(' ');
      return `${Number(thread) - pid}: ${state} ${Number(facts[10]) + Number(facts[11])}`;
    });
    return `threads: ${states.join(', ')}\n`;
  } catch {
    return '';
  }
}

/** Asks a process that does not end what it waits for. One that spins does not hear that, and the debugger says where; Node itself, at its very end, dies of it. */
async function interrogate(child, told, tell) {
  tell(threadsOf(child));
  child.kill('SIGPWR');
  await pass(1000);
  if (bun || told().includes('\nopen: ')) return;
  tell(threadsOf(child));
  child.kill('SIGUSR1');
  await pass(1000);
  const [, address] = /Debugger listening on ws:\/\/([\d.:]+)/.exec(told()) ?? [];
  if (address === undefined) return;
  const inspecting = spawn(process.execPath, ['inspect', address], { stdio: ['pipe', 'pipe', 'ignore'] });
  let text = '';
  inspecting.stdout.on('data', (chunk) => {
    text += chunk;
  });
  inspecting.stdin.on('error', () => {});
  for (const word of ['', 'pause', 'bt', 'cont', 'pause', 'bt']) {
    inspecting.stdin.write(`${word}\n`);
    await pass(1000);
  }
  inspecting.kill();
  const frames = text.split('\n').filter((line) => /^(?:debug> )*(?:break in |#\d)/.test(line));
  tell(`${frames.join('\n')}\n`);
}

/** Runs the files of one unit; what they printed, and how many tests passed and failed. */
function run(names) {
  const pattern = `^(?:${names.map(quoted).join('|')})$`;
  const words = [bun || process.execPath, ...loading, 'node_modules/uvu/bin.js', 'test', pattern];
  const inWorld = hosts !== '' && names.every((name) => IN_WORLD.test(name));
  const coverage = names.every((name) => COVERING.test(name)) ? {} : { NODE_V8_COVERAGE: undefined };
  const [program, ...args] = inWorld ? ['unshare', '--net', '--mount', 'sh', '-c', enter, 'sh', hosts, ...words] : words;
  const child = spawn(program, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, FORCE_COLOR: '0', NODE_EXTRA_CA_CERTS: '', ...coverage, ...(inWorld ? { TEST_HOST: '192.0.2.10' } : {}) },
  });
  let text = '';
  let hasRun = false;
  let lingering;
  const tell = (words) => {
    text += words;
  };
  const late = setTimeout(async () => {
    tell(`\nnot finished within ${LIMIT / 1000} s\n`);
    await interrogate(child, () => text, tell);
    child.kill('SIGKILL');
  }, LIMIT);
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      tell(chunk);
      if (hasRun || !/Duration:.*\n/.test(text.slice(-2000))) return;
      hasRun = true;
      clearTimeout(late);
      lingering = setTimeout(
        async () => {
          // Under Bun what a test leaves open keeps the process alive; under Node it is a fault of the test.
          if (!bun) {
            tell('\nthe tests are over, and the process does not end: something is left open\n');
            await interrogate(child, () => text, tell);
          }
          child.kill('SIGKILL');
        },
        bun ? 1000 : 10_000,
      );
    });
  return new Promise((resolve) =>
    child.on('close', (code) => {
      clearTimeout(late);
      clearTimeout(lingering);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are what it looks for.
      text = text.replace(/\u001b\[[0-9;]*m/g, '');
      const [total = 0, passed = 0, skipped = 0] = ['Total', 'Passed', 'Skipped'].map((word) =>
        Number(new RegExp(`${word}:\\s+(\\d+)`).exec(text.slice(-2000))?.[1] ?? 0),
      );
      const hasEnded = code === 0 || (bun && code === null && total === passed);
      const idle = total + skipped === 0 ? names : names.filter((name) => !text.includes(name));
      if (idle.length > 0) text += `\nno test ran in ${idle.join(', ')}\n`;
      resolve({ text, passed, failed: Math.max(total - passed, hasEnded && idle.length === 0 ? 0 : 1) });
    }),
  );
}

let [passed, failed] = [0, 0];
const failures = [];

/** The words of each test that failed, without what is long about it; the last words where no test did. */
function failuresOf(text) {
  const lines = text.split('\n').map((line) => line.slice(0, 300));
  const starts = lines.flatMap((line, i) => (/^\s*FAIL\s/.test(line) ? [i] : []));
  if (starts.length === 0) return lines.filter(Boolean).slice(-15);
  return starts
    .slice(0, 20)
    .flatMap((start, i) => lines.slice(start, Math.min(start + 20, starts[i + 1] ?? Number.POSITIVE_INFINITY)).filter(Boolean));
}

async function work() {
  for (;;) {
    const next = waiting.shift();
    if (next === undefined) return;
    const [unit, names] = next;
    const begun = performance.now();
    const result = await run(names);
    passed += result.passed;
    failed += result.failed;
    const seconds = Math.round((performance.now() - begun) / 1000);
    console.log(
      `${String(result.passed).padStart(6)} passed ${String(result.failed).padStart(4)} failed ${String(seconds).padStart(5)} s  ${unit}`,
    );
    const notes = result.failed > 0 ? result.text : (result.text.match(/^.*skipped: needs.*$/gm) ?? []).join('\n');
    if (notes !== '') console.log(notes);
    if (result.failed > 0) failures.push(`  ${unit}`, ...failuresOf(result.text));
  }
}

for (const pattern of patterns.filter((each) => !files.some((name) => each.test(name)))) {
  console.log(`no test file matches ${pattern}: write a path, or a regular expression for paths within test/`);
  failed += 1;
}
await Promise.all(Array.from({ length: Math.min(jobs, units.size) }, work));
// Again, at the end: of a long run only that may be kept.
if (failures.length > 0) console.log(['failed:', ...failures].join('\n'));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
