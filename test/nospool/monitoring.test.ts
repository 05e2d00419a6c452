/** Runs the programs of docs/monitoring.md. Loopback: the subject is what they say of a smart host. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { configured, deadPort, sinkWith } from '../support/admin.ts';
import { scratch } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suite('monitoring');

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = readFileSync(path.join(ROOT, 'docs/monitoring.md'), 'utf8');

/** Writes the program of the page whose second line has this name, and `nospool` beside it; the value runs the former. */
function programOf(name: string, config: string): (...args: string[]) => Promise<{ status: number | null; stdout: string }> {
  const folder = scratch();
  const [text] = [...PAGE.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, code = '']) => code).filter((code) => code.includes(`\n# ${name} `));
  assert.ok(text, name);
  writeFileSync(path.join(folder, name), text, { mode: 0o755 });
  writeFileSync(path.join(folder, 'nospool'), `#!/bin/sh\nexec ${process.execPath} ${ROOT}/dist/nospool.mjs "$@"\n`, { mode: 0o755 });
  const env = { PATH: `${folder}:/usr/bin:/bin`, NOSPOOL_CONFIG: config };
  return (...args) =>
    new Promise((resolve) => {
      const child = spawn(path.join(folder, name), args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
      let stdout = '';
      child.stdout.on('data', (octets) => (stdout += octets));
      child.on('close', (status) => resolve({ status, stdout }));
    });
}

async function secured(): Promise<{ readonly config: string; readonly log: string; close(): Promise<void> }> {
  const sink = await sinkWith({ starttls: true });
  const host = `smarthosts = ["submission://127.0.0.1:${sink.port}"]`;
  return { ...configured(host, `[tls]\nmode = "required"\nca_file = "${sink.certificate}"`), close: sink.close };
}

test('the plugin for Icinga has the status that Icinga wants', () =>
  within(60_000, async () => {
    const host = await secured();
    const check = programOf('check_nospool', host.config);
    assert.deepEqual(await check(), { status: 0, stdout: 'OK: 1 smart host is usable\n' });
    const soon = await check('40');
    assert.equal(soon.status, 1);
    assert.match(soon.stdout, /^WARNING: submission:\S+: the certificate of localhost ends in \d+ days\n$/);
    await host.close();
    const dead = await programOf('check_nospool', configured(`smarthosts = ["smtp://127.0.0.1:${await deadPort()}"]`).config)();
    assert.equal(dead.status, 2);
    assert.match(dead.stdout, /^CRITICAL: 1 smart host is NOT usable\nconfiguration .*\n[\s\S]* problem {7}connection refused\n/);
  }));

test('the first line for Icinga says what the status is for, whatever else ends soon', () =>
  within(60_000, async () => {
    const host = await secured();
    const text = readFileSync(host.config, 'utf8');
    writeFileSync(host.config, text.replace(/(smarthosts = \[.*)\]/, `$1, "smtp://127.0.0.1:${await deadPort()}"]`));
    const dead = await programOf('check_nospool', host.config)('40');
    assert.equal(dead.status, 2);
    assert.match(dead.stdout, /^CRITICAL: 1 smart host is NOT usable\n[\s\S]*: the certificate of localhost ends in \d+ days\n/);
    const aliases = path.join(scratch(), 'aliases');
    writeFileSync(aliases, 'root: "a\n');
    writeFileSync(host.config, text.replace(/^aliases = .*$/m, '').replace(/^/, `aliases = ["${aliases}"]\n`));
    const wrong = await programOf('check_nospool', host.config)('40');
    await host.close();
    assert.equal(wrong.status, 2);
    assert.match(wrong.stdout, /^CRITICAL: nospool: \S+\/aliases:1: /);
  }));

test('what a server says is never a number for Icinga', () =>
  within(60_000, async () => {
    const server = createServer((socket) => socket.on('error', () => undefined).end("554 no|'a'=1;2;3\r\n"));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const said = await programOf('check_nospool', configured(`smarthosts = ["smtp://127.0.0.1:${port}"]`).config)();
    server.close();
    assert.equal(said.status, 2);
    assert.match(said.stdout, /554 no\/'a'=1/);
    assert.doesNotMatch(said.stdout, /\|/);
  }));

test('the metrics for Prometheus are whole', () =>
  within(60_000, async () => {
    const host = await secured();
    const time = '2026-11-22 16:01:04 +0000';
    writeFileSync(host.log, `${time} 1xVA00-000001-AA <= a@b.example\n${time} 1xVA00-000001-AA Failed: nobody has the message\n`);
    const file = path.join(scratch(), 'nospool.prom');
    assert.equal((await programOf('nospool_metrics', host.config)(file)).status, 0);
    await host.close();
    const text = readFileSync(file, 'utf8');
    const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    assert.deepEqual(samples.slice(0, 2), ['nospool_check_status 0', 'nospool_failed_messages 1']);
    assert.match(samples[2] ?? '', /^nospool_check_time_seconds \d{10}$/);
    for (const line of text.trim().split('\n')) assert.match(line, /^(# (HELP|TYPE) nospool_\w+ \S.*|nospool_\w+ \d+)$/);
  }));

test.run();
