/**
 * Routing at the sizes that are promised: many recipients, a large alias file, a large alias. Prints time and memory;
 * asserts what was routed, not how fast. Run: node --import tsx bench/routing.ts [SCENARIO] (all, each in a process of its own).
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RouterConfig } from '../src/router/defaults.ts';
import type { Smarthost } from '../src/router/route.ts';
import type { ForwardPath } from '../src/smtp/path.ts';
import { checkAliasFiles, routeMessage } from '../src/submit/routing.ts';

const HUB: Smarthost = {
  scheme: 'smtp',
  host: 'hub.example',
  port: 25,
  expand: 'none',
  tls: {
    mode: 'default',
    verify: true,
    caFile: '',
    fingerprint: [],
    serverName: '',
    certificate: '',
    certificateKey: '',
    minVersion: '1.2',
  },
  auth: null,
};

const range = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));
const MiB = (octets: number): string => `${(octets / 1024 / 1024).toFixed(0)} MiB`;

/** Entries in pieces, so that writing them does not count as memory of routing. */
function writeAliases(file: string, entries: number, first = ''): void {
  const fd = openSync(file, 'w');
  writeSync(fd, first);
  for (let at = 0; at < entries; at += 1000)
    writeSync(
      fd,
      range(Math.min(1000, entries - at), (i) => `user${at + i}: mailbox${at + i}@store${(at + i) % 16}.example.org\n`).join(''),
    );
  closeSync(fd);
}

interface Scenario {
  readonly entries: number;
  readonly first?: string;
  readonly recipients: readonly ForwardPath[];
  /** Final recipients expected. */
  readonly expected: number;
}

const bare = (localPart: string): ForwardPath => ({ localPart, domain: '' });

const SCENARIOS: Readonly<Record<string, () => Scenario>> = {
  'one recipient, no alias file to speak of': () => ({ entries: 10, recipients: [bare('user3')], expected: 1 }),
  '50,000 recipients elsewhere': () => ({
    entries: 10,
    recipients: range(50_000, (i) => ({ localPart: `u${i}`, domain: `d${i % 100}.example` })),
    expected: 50_000,
  }),
  'one recipient in 1,000,000 aliases': () => ({ entries: 1_000_000, recipients: [bare('user999999')], expected: 1 }),
  'a chain of four in 1,000,000 aliases': () => ({
    entries: 1_000_000,
    first: 'postmaster: root\nroot: admin\nadmin: user777777\n',
    recipients: [bare('postmaster')],
    expected: 1,
  }),
  '50,000 recipients in 1,000,000 aliases': () => ({
    entries: 1_000_000,
    recipients: range(50_000, (i) => bare(`user${i * 20}`)),
    expected: 50_000,
  }),
  'an alias of 20,000 addresses': () => ({
    entries: 10,
    first: `all: ${range(20_000, (i) => `member${i}@list.example`).join(',\n\t')}\n`,
    recipients: [bare('all')],
    expected: 20_000,
  }),
  'an alias of 20,000 aliases': () => ({
    entries: 20_000,
    first: `all: ${range(20_000, (i) => `user${i}`).join(', ')}\n`,
    recipients: [bare('all')],
    expected: 20_000,
  }),
};

async function run(name: string): Promise<void> {
  const scenario = SCENARIOS[name]?.();
  if (scenario === undefined) throw new Error(`no scenario "${name}"`);
  const home = mkdtempSync(join(tmpdir(), 'nospool-bench-'));
  try {
    const file = join(home, 'aliases');
    writeAliases(file, scenario.entries, scenario.first);
    const config: RouterConfig = { routers: [], aliases: [file], smarthosts: [HUB], randomize: false };
    const before = process.memoryUsage.rss();
    const start = performance.now();
    const facts = { reversePath: null, ours: ['here.example'], qualifyRecipient: 'here.example' };
    const { recipients, problems } = await routeMessage(config, facts, scenario.recipients);
    const took = performance.now() - start;
    const peak = process.resourceUsage().maxRSS * 1024;
    if (problems.length > 0 || recipients.length !== scenario.expected)
      throw new Error(`${name}: ${recipients.length} recipients, ${problems.length} problems`);
    const size = MiB(statSync(file).size).padStart(8);
    console.log(
      `${name.padEnd(42)} file ${size}  ${took.toFixed(0).padStart(6)} ms  peak ${MiB(peak).padStart(8)} (${MiB(before)} before)`,
    );
    if (name.startsWith('one recipient in')) {
      const checked = performance.now();
      const { entries } = await checkAliasFiles(config);
      console.log(
        `${'newaliases for the same file'.padEnd(42)} ${entries} entries  ${(performance.now() - checked).toFixed(0).padStart(6)} ms`,
      );
    }
  } finally {
    rmSync(home, { recursive: true });
  }
}

const [wanted] = process.argv.slice(2);
if (wanted !== undefined) await run(wanted);
else
  for (const name of Object.keys(SCENARIOS)) {
    const { status } = spawnSync(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), name], { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
