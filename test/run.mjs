// Runs the tests: all but those that need real peers or root (test/interop, test/faults, test/world), or those whose path
// matches an argument. Where one argument begins with ^world/, they run in a network namespace of their own.
// TEST_RUNTIME names a Bun to run them under instead of Node.
// uvu exits 0 when no file matches, so the count is checked here: it may only grow.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const FLOOR = 3600;
const root = fileURLToPath(new URL('..', import.meta.url));
const patterns = process.argv.slice(2);
const pattern = patterns.length > 0 ? `(${patterns.join('|')}).*\\.test\\.ts$` : '\\.test\\.ts$';
const ignored = patterns.length > 0 ? [] : ['-i', '(interop|faults|world)/'];
const bun = process.env.TEST_RUNTIME;
const loading = bun ? ['--bun', '--preload', './test/support/seed.mjs'] : ['--import', 'tsx', '--import', './test/support/seed.mjs'];
const words = [bun || process.execPath, ...loading, 'node_modules/uvu/bin.js', 'test', pattern, ...ignored];
const enter = 'ip link set lo up && ip address add 192.0.2.10/24 dev lo && exec "$@"';
const world = patterns.some((each) => each.startsWith('^world/')) && process.getuid?.() === 0;
const [program, ...args] = world ? ['unshare', '--net', '--mount', 'sh', '-c', enter, 'sh', ...words] : words;
const child = spawn(program, args, {
  cwd: root,
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { ...process.env, FORCE_COLOR: '0', NODE_EXTRA_CA_CERTS: '' },
});
let tail = '';
child.stdout.on('data', (chunk) => {
  process.stdout.write(chunk);
  tail = (tail + chunk).slice(-2000);
  // Under Bun what a test leaves open keeps the process alive.
  if (bun && /Duration:.*\n/.test(tail)) setTimeout(() => child.kill('SIGKILL'), 1000);
});
child.on('close', (code) => {
  const total = Number(/Total:\s+(\d+)/.exec(tail)?.[1] ?? 0);
  const passed = Number(/Passed:\s+(\d+)/.exec(tail)?.[1] ?? 0);
  const floor = patterns.length > 0 ? 1 : FLOOR;
  if (total < floor) console.log(`only ${total} tests ran; there were ${floor}: a file no longer matches or does not end in .run()`);
  const ended = code === 0 || (bun && code === null && total === passed);
  console.log(`${passed} passed, ${Math.max(total - passed, ended ? 0 : 1)} failed`);
  process.exitCode = !ended || total < floor ? 1 : 0;
});
