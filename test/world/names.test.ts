/**
 * The built commands where name servers are dead, truncate, or have the search list of Kubernetes: the process ends when its
 * story does. Each runs as an ordinary user, with a resolv.conf of its own.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suiteWith } from '../interop/support/needs.ts';
import { COMMAND, ENVIRONMENT, RUNTIME, type SmartHost, scratch, setUp, smartHost, toHosts } from '../support/command.ts';
import { a, mx, type NameServer, nameServer } from '../support/nameserver.ts';
import { within } from '../support/within.ts';
import { HOST } from './support/addresses.ts';

const test = suiteWith('names in the world', 'root', 'unshare');

const ADMIN = COMMAND.replace(/[\w-]+\.[cm]js$/, 'nospool.mjs');
/** Far more than the whole of a test may take: the C library would keep the process for that long. */
const PATIENT = 'options timeout:30 attempts:5';
const LOOPBACK = a('127.0.0.1');
const ZONE = {
  'A dead.example': null,
  'AAAA dead.example': null,
  'MX dead.example': null,
  'A big.example': { truncated: [LOOPBACK] },
  'A mail.example': [LOOPBACK],
  'MX mx.example': [mx(10, 'mail.example')],
  'A smart.mail.svc.cluster.local': [LOOPBACK],
  'A smart.mail.dead.example': null,
  'AAAA smart.mail.dead.example': null,
  'A dead.example.svc.cluster.local': null,
  'AAAA dead.example.svc.cluster.local': null,
  'A client.dead.example': null,
  'AAAA client.dead.example': null,
};

let names: NameServer;
let host: SmartHost;
const children = new Set<ChildProcess>();
test.before(async () => {
  names = await nameServer(ZONE, HOST, 53);
  host = await smartHost();
});
test.after(async () => {
  for (const child of children) child.kill('SIGKILL');
  names.close();
  await host.close();
});

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(holds());
}

interface Place {
  readonly resolv?: string;
  readonly nsswitch?: string;
  readonly hosts?: string;
  /** The host's own name. */
  readonly name?: string;
}

interface Ended {
  readonly status: number | null;
  readonly stderr: string;
  readonly stdout: string;
}

/** Starts a command as nobody, with files of /etc that only it sees. */
function startAt(
  { resolv = '', nsswitch, hosts, name }: Place,
  words: readonly string[],
): { child: ChildProcess; done: Promise<Ended>; said: () => string } {
  const folder = scratch();
  chmodSync(folder, 0o755);
  const mounts = Object.entries({ resolv: `nameserver ${HOST}\n${resolv}\n`, nsswitch, hosts }).flatMap(([file, text]) => {
    if (text === undefined) return [];
    writeFileSync(path.join(folder, file), text, { mode: 0o644 });
    return [`mount --bind ${folder}/${file} /etc/${file === 'hosts' ? file : `${file}.conf`}`];
  });
  const script = [...mounts, ...(name ? [`hostname ${name}`] : []), 'exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"'].join(
    ' && ',
  );
  const child = spawn('unshare', ['--mount', '--uts', 'sh', '-c', script, 'sh', ...RUNTIME, ...words], { stdio: 'pipe', env: ENVIRONMENT });
  children.add(child);
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (octets) => {
    said.stdout += octets;
  });
  child.stderr.on('data', (octets) => {
    said.stderr += octets;
  });
  child.stdin.on('error', () => {});
  child.stdin.end('Subject: x\n\nx\n');
  const done = new Promise<Ended>((resolve) =>
    child.once('exit', (status) => {
      children.delete(child);
      setImmediate(() => resolve({ status, ...said }));
    }),
  );
  return { child, done, said: () => said.stderr };
}

/** Readable for whoever runs the command; the log goes nowhere. */
function configured(toml: string, tables = ''): string {
  const { config, folder } = setUp(`log = "none"\n${toml}`, `${tables}\n[tls]\nmode = "off"`);
  chmodSync(folder, 0o755);
  chmodSync(config, 0o644);
  return config;
}

const send = (config: string): readonly string[] => [COMMAND, '-C', config, '-f', 'a@example.org', 'b@example.org'];
const DEAD = `smarthosts = ["smtp://dead.example", "smtp://127.0.0.1:PORT"]`;
const dead = (): string => DEAD.replace('PORT', String(host.port));

const PLACES: readonly (readonly [string, Place])[] = [
  ['name servers that are dead', { resolv: PATIENT }],
  ['a C library that must be asked', { resolv: PATIENT, nsswitch: 'hosts: files nis dns\n' }],
  ['the search list of Kubernetes, all of it dead', { resolv: `search svc.cluster.local\noptions ndots:5\n${PATIENT}` }],
];

for (const [what, place] of PLACES) {
  test(`V1: ${what}: the process ends with its verdict`, () =>
    within(20_000, async () => {
      const before = host.messages.length;
      const { status, stderr } = await startAt(place, send(configured(dead(), '[timeouts]\nresolve = "500ms"'))).done;
      assert.deepEqual([status, stderr], [0, '']);
      assert.equal(host.messages[before]?.state, 'accepted');
    }));

  test(`V1: ${what}: with its deadline`, () =>
    within(20_000, async () => {
      const { status, stderr } = await startAt(place, send(configured(dead(), '[timeouts]\ndeadline = "500ms"'))).done;
      assert.equal(status, 1);
      assert.match(stderr, /the deadline of 0\.5 s has passed \(timeouts\.deadline\)/);
    }));

  test(`V1: ${what}: with SIGTERM`, () =>
    within(20_000, async () => {
      const asked = names.asked.length;
      const { child, done } = startAt(place, send(configured(dead())));
      await until(() => names.asked.length > asked);
      child.kill('SIGTERM');
      const { status, stderr } = await done;
      assert.equal(status, 1);
      assert.match(stderr, /ended by SIGTERM/);
    }));
}

test('V1: MX records of a dead domain, and a proxy whose name is dead', () =>
  within(30_000, async () => {
    for (const toml of ['smarthosts = ["dead.example/MX"]', 'smarthosts = ["smtp://mail.example"]\nproxy = "socks5://dead.example"']) {
      const asked = names.asked.length;
      const { child, done } = startAt({ resolv: PATIENT }, send(configured(toml)));
      await until(() => names.asked.length > asked);
      child.kill('SIGTERM');
      assert.equal((await done).status, 1);
    }
  }));

test('V1: the administrator’s commands', () =>
  within(60_000, async () => {
    const config = configured(dead(), '[timeouts]\nresolve = "500ms"');
    const place = { resolv: PATIENT };
    const sent = await startAt(place, [ADMIN, 'send', '--config', config, '--from', 'a@example.org', '--to', 'b@example.org', '-']).done;
    assert.equal(sent.status, 0, sent.stderr);
    const checked = await startAt(place, [ADMIN, 'check', '--config', config]).done;
    assert.match(checked.stdout + checked.stderr, /looking up dead\.example took longer than 0\.5 s\s+\(timeouts\.resolve\)/);
    const routed = await startAt(place, [ADMIN, 'route', '--resolve', '--config', config, 'b@example.org']).done;
    assert.match(routed.stdout, /looking up dead\.example took longer than 0\.5 s/);
  }));

test('V1: the own name of a host, whose name servers are dead', () =>
  within(20_000, async () => {
    const log = path.join(scratch(), 'log');
    const { config, folder } = setUp(`log = "${log}"\nhostname = ""\nqualify_domain = "example.org"\n${toHosts(host.port)}`);
    writeFileSync(log, '');
    chmodSync(log, 0o666);
    chmodSync(path.dirname(log), 0o755);
    chmodSync(folder, 0o755);
    chmodSync(config, 0o644);
    const place = { resolv: `search dead.example\n${PATIENT}`, name: 'client' };
    assert.equal((await startAt(place, send(config)).done).status, 0);
    const { child, done } = startAt(place, send(config));
    const asked = names.asked.length;
    await until(() => names.asked.slice(asked).includes('A client.dead.example'));
    child.kill('SIGTERM');
    const { status, stderr } = await done;
    assert.deepEqual([status, stderr], [1, 'sendmail: ended by SIGTERM\n']);
    const logged = readFileSync(log, 'utf8');
    assert.match(logged, /not sent: ended by SIGTERM\n$/);
    const showing = startAt(place, [COMMAND, '-C', config, '-bt', 'b@example.org']);
    const before = names.asked.length;
    await until(() => names.asked.slice(before).includes('A client.dead.example'));
    showing.child.kill('SIGINT');
    const shown = await showing.done;
    assert.deepEqual([shown.status, shown.stderr], [1, 'sendmail: ended by SIGINT\n']);
    assert.equal(readFileSync(log, 'utf8'), logged, 'there was nothing to send');
  }));

const FOUND: readonly (readonly [string, string, Place])[] = [
  ['an answer that is truncated', 'big.example', {}],
  ['a short name, with the search list of Kubernetes', 'smart.mail', { resolv: 'search svc.cluster.local cluster.local\noptions ndots:5' }],
  ['a whole name with it', 'mail.example', { resolv: 'search svc.cluster.local cluster.local\noptions ndots:5' }],
  ['a name of /etc/hosts, while name servers are dead', 'dead.example', { hosts: '127.0.0.1 localhost\n127.0.0.1 dead.example\n' }],
  ['localhost, while name servers are dead and /etc/hosts is empty', 'localhost', { hosts: '' }],
  ['an MX record', 'mx.example', {}],
];
for (const [what, name, place] of FOUND)
  test(`V1: ${what}`, () =>
    within(20_000, async () => {
      const before = host.messages.length;
      const url = name === 'mx.example' ? `smtp://${name}:${host.port}/MX` : `smtp://${name}:${host.port}`;
      const { status, stderr } = await startAt(place, send(configured(`smarthosts = ["${url}"]`))).done;
      assert.deepEqual([status, stderr], [0, '']);
      assert.equal(host.messages[before]?.state, 'accepted');
    }));

test('V6: one family is asked for', () =>
  within(20_000, async () => {
    for (const [toml, expected] of [
      ['', ['A mail.example']],
      ['family = "4"', ['A mail.example']],
      ['family = "6"', ['AAAA mail.example']],
    ] as const) {
      const before = names.asked.length;
      await startAt({}, send(configured(`smarthosts = ["smtp://mail.example:${host.port}"]\n${toml}`))).done;
      assert.deepEqual(names.asked.slice(before), expected);
    }
  }));

test.run();
