// Runs the tests: all but those that need real peers or root (test/interop, test/faults, test/world), or those whose path
// matches an argument. Where an argument names test/interop or test/world and the user is root, they run in namespaces of
// their own: a network with the addresses of test/world/support/addresses.ts, and mounts that only they see.
// TEST_RUNTIME names a Bun to run them under instead of Node.
// uvu exits 0 when no file matches, so the count is checked here: it may only grow. A warning of the runtime is a failure.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const FLOOR = 3600;
const root = fileURLToPath(new URL('..', import.meta.url));
const patterns = process.argv.slice(2);
const pattern = patterns.length > 0 ? `(${patterns.join('|')}).*\\.test\\.ts$` : '\\.test\\.ts$';
const ignored = patterns.length > 0 ? [] : ['-i', '(interop|faults|world)/'];
const bun = process.env.TEST_RUNTIME;
const preloads = ['./test/support/seed.mjs', './test/support/warnings.mjs'];
const loading = bun
  ? ['--bun', ...preloads.flatMap((file) => ['--preload', file])]
  : ['--trace-warnings', ...['tsx', ...preloads].flatMap((file) => ['--import', file])];
const words = [bun || process.execPath, ...loading, 'node_modules/uvu/bin.js', 'test', pattern, ...ignored];
const enter = `set -e
ip link set lo up
ip address add 192.0.2.10/32 dev lo
mount --bind "$1" /etc/hosts
shift
exec "$@"`;
const isInWorld = patterns.some((each) => /^\W*(world|interop)\//.test(each)) && process.getuid?.() === 0;
let hosts = '';
if (isInWorld) {
  hosts = path.join(mkdtempSync(path.join(tmpdir(), 'nospool-hosts-')), 'hosts');
  writeFileSync(hosts, `${readFileSync('/etc/hosts', 'utf8')}\n192.0.2.10 smart.peer.test\n`, { mode: 0o644 });
  process.on('exit', () => rmSync(path.dirname(hosts), { recursive: true }));
}
const [program, ...args] = isInWorld ? ['unshare', '--net', '--mount', 'sh', '-c', enter, 'sh', hosts, ...words] : words;
const child = spawn(program, args, {
  cwd: root,
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { ...process.env, FORCE_COLOR: '0', NODE_EXTRA_CA_CERTS: '', ...(isInWorld ? { TEST_HOST: '192.0.2.10' } : {}) },
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
