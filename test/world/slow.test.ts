/**
 * A line on which a block of content takes longer than the time for one, though octets never stop moving: 2.4 Mbit/s and 1.5
 * seconds, as 16 kbit/s and three minutes, and some. The client is at the other end of a cable, in a namespace of its own.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { openSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { RECEIVING, USUAL_EXTENSIONS } from '../../src/smtp/server/machine.ts';
import { listen } from '../../src/transport/listen.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { suiteWith } from '../interop/support/needs.ts';
import { COMMAND, ENVIRONMENT, RUNTIME, scratch, setUp } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suiteWith('a slow line', 'root', 'unshare');

const RATE = '2400kbit';
const BLOCK = '3s';
const LINES = 2_000_000 / 64;
const MESSAGE = `Subject: long\n\n${`${'x'.repeat(63)}\n`.repeat(LINES)}`;

const holders: ChildProcess[] = [];
test.after(() => {
  for (const holder of holders) holder.kill('SIGKILL');
});

const ip = (...words: readonly string[]) => execFileSync('ip', words, { stdio: 'pipe' });

/** A namespace whose way to the address of `server` here is slow; the words that enter it. */
async function slowClient(number: number): Promise<{ readonly server: string; readonly enter: readonly string[] }> {
  const [server, client] = [`198.51.100.${4 * number + 1}`, `198.51.100.${4 * number + 2}`];
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up; echo made; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  holders.push(holder);
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  const enter = ['nsenter', '-t', String(holder.pid), '--net'];
  const there = (...words: readonly string[]) => execFileSync('nsenter', [...enter.slice(1), ...words], { stdio: 'pipe' });
  ip('link', 'add', `slow${number}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(holder.pid));
  ip('address', 'add', `${server}/30`, 'dev', `slow${number}`);
  ip('link', 'set', `slow${number}`, 'up');
  there('ip', 'address', 'add', `${client}/30`, 'dev', 'eth0');
  there('ip', 'link', 'set', 'eth0', 'up');
  there('tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'tbf', 'rate', RATE, 'burst', '10kb', 'limit', '60kb');
  return { server, enter };
}

async function arrives(number: number, from: 'file' | 'pipe', framing: 'DATA' | 'BDAT', isSecure: boolean): Promise<void> {
  const { server, enter } = await slowClient(number);
  const ca = makeCertificate({ commonName: 'test CA', ca: true });
  const folder = scratch();
  writeFileSync(path.join(folder, 'ca.pem'), ca.own);
  const { key, cert } = makeCertificate({ ips: [server], issuer: ca });
  let octets = 0;
  const opened = await listen({
    receiving: {
      ...RECEIVING,
      hostname: 'smart.example.org',
      extensions: USUAL_EXTENSIONS.filter((extension) => framing === 'BDAT' || extension !== 'CHUNKING'),
    },
    at: { host: server, port: 0 },
    anywhere: true,
    ...(isSecure ? { tls: { key, cert, implicit: true } } : {}),
    owner: () => ({
      judge: () => null,
      content(chunk) {
        octets += chunk.length;
      },
    }),
  });
  if (!opened.ok) throw new Error(opened.detail);
  const url = `${isSecure ? 'submissions' : 'smtp'}://${server}:${opened.value.port}`;
  const tls = isSecure ? `ca_file = "${folder}/ca.pem"` : 'mode = "off"';
  const { config } = setUp(`smarthosts = ["${url}"]`, `[timeouts]\nblock = "${BLOCK}"\n[tls]\n${tls}`);
  writeFileSync(path.join(folder, 'message'), MESSAGE);
  const [program = '', ...words] = [...enter, ...RUNTIME, COMMAND, '-C', config, '-i', '-f', 'a@example.org', 'b@example.org'];
  const stdin = from === 'file' ? openSync(path.join(folder, 'message'), 'r') : 'pipe';
  const child = spawn(program, words, { stdio: [stdin, 'ignore', 'pipe'], env: ENVIRONMENT });
  child.stdin?.on('error', () => {}).end(MESSAGE);
  let stderr = '';
  child.stderr?.on('data', (said) => {
    stderr += said;
  });
  const status = await new Promise((resolve) => child.once('close', resolve));
  await opened.value.close();
  assert.deepEqual([from, status, stderr], [from, 0, '']);
  assert.ok(octets > MESSAGE.length);
}

let number = 0;
for (const framing of ['DATA', 'BDAT'] as const)
  for (const isSecure of [false, true])
    test(`V2: octets that move are waited for: ${framing}${isSecure ? ' over TLS' : ''}, from a file and from a pipe`, () =>
      within(60_000, async () => {
        await Promise.all([arrives(number++, 'file', framing, isSecure), arrives(number++, 'pipe', framing, isSecure)]);
      }));

test.run();
