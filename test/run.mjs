// Runs the tests: all but those that need real peers (test/interop, test/faults), or those whose path matches an argument.
// uvu exits 0 when no file matches, so the count is checked here: it may only grow.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const FLOOR = 3000;
const root = fileURLToPath(new URL('..', import.meta.url));
const patterns = process.argv.slice(2);
const pattern = patterns.length > 0 ? `(${patterns.join('|')}).*\\.test\\.ts$` : '\\.test\\.ts$';
const ignored = patterns.length > 0 ? [] : ['-i', '(interop|faults)/'];
const child = spawn(
  process.execPath,
  ['--import', 'tsx', '--import', './test/support/seed.mjs', 'node_modules/uvu/bin.js', 'test', pattern, ...ignored],
  {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, FORCE_COLOR: '0', NODE_EXTRA_CA_CERTS: '' },
  },
);
let tail = '';
child.stdout.on('data', (chunk) => {
  process.stdout.write(chunk);
  tail = (tail + chunk).slice(-2000);
});
child.on('close', (code) => {
  const total = Number(/Total:\s+(\d+)/.exec(tail)?.[1] ?? 0);
  const passed = Number(/Passed:\s+(\d+)/.exec(tail)?.[1] ?? 0);
  const floor = patterns.length > 0 ? 1 : FLOOR;
  if (total < floor) console.log(`only ${total} tests ran; there were ${floor}: a file no longer matches or does not end in .run()`);
  console.log(`${passed} passed, ${Math.max(total - passed, code === 0 ? 0 : 1)} failed`);
  process.exitCode = code !== 0 || total < floor ? 1 : 0;
});
