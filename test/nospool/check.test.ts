/** Loopback: the subject is the report about a server. test/world walks what may be sent to which host. */

import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { probeAll } from '../../src/nospool/check/check.ts';
import { findInPlace, printInPlace, SENDMAIL } from '../../src/nospool/check/in-place.ts';
import { findExpiring, hostJson, printExpiring, printHostCheck } from '../../src/nospool/check/print-check.ts';
import type { Probe } from '../../src/nospool/check/probe.ts';
import { VERSION } from '../../src/process/version.ts';
import { DEFAULT_TLS, printSmarthost, type Smarthost } from '../../src/router/smarthost.ts';
import { systemSecurity } from '../../src/submit/security.ts';
import { configured, deadPort, nospool, sinkWith } from '../support/admin.ts';
import { scratch } from '../support/command.ts';
import { TIMEOUTS } from '../support/engine.ts';
import { within } from '../support/within.ts';

const test = suite('check');

const AUTH = '[auth]\nuser = "me"\npassword = "secret"';

/** No line is too long for a screen, except lines with the command's arguments. */
function fits(text: string): void {
  for (const line of text.split('\n')) assert.ok(line.length <= 80, line);
}

test('the report of a usable smart host has TLS, fingerprints, extensions and authentication; MAIL is never sent', () =>
  within(20_000, async () => {
    const sink = await sinkWith({ starttls: true, auth: 'me:secret' });
    const { config } = configured(
      `smarthosts = ["submission://127.0.0.1:${sink.port}"]`,
      `[tls]\nmode = "required"\nca_file = "${sink.certificate}"\n${AUTH}`,
    );
    const run = await nospool('check', '--config', config);
    // check does not wait for QUIT.
    while (!sink.verbs().includes('QUIT')) await new Promise((resolve) => setTimeout(resolve, 5));
    await sink.close();
    assert.equal(run.status, 0, run.stdout + run.stderr);
    const [first = ''] = run.stdout.split('\n');
    const title = run.stdout.split('\n').find((line) => line.startsWith('1. '));
    assert.equal(first, `configuration ${config}`);
    assert.equal(title, `1. submission://127.0.0.1:${sink.port}: usable`);
    assert.match(run.stdout, /^ {5}tls {11}TLS1\.\d:\S+, verified for 127\.0\.0\.1$/m);
    assert.match(run.stdout, /^ {5}certificate {3}localhost .*issued by localhost,\n.*valid until \d{4}-\d\d-\d\d \(29 days\)$/ms);
    assert.ok(run.stdout.includes(`\n       ${sink.told[0]?.fingerprint}\n`));
    assert.match(run.stdout, /^ {5}extensions {4}PIPELINING, /m);
    assert.match(run.stdout, /^ {5}auth {10}PLAIN as me: accepted$/m);
    assert.match(run.stdout, /\n\n1 smart host is usable\n$/);
    assert.deepEqual(sink.verbs(), ['EHLO', 'STARTTLS', 'EHLO', 'AUTH', 'QUIT']);
    fits(run.stdout.replace(/^.*\n/, ''));
  }));

test('a certificate that is not trusted is shown with its fingerprints, and no credentials are sent', () =>
  within(20_000, async () => {
    const sink = await sinkWith({ tls: true, auth: 'me:secret' });
    const { config } = configured(`smarthosts = ["submissions://127.0.0.1:${sink.port}"]`, AUTH);
    const run = await nospool('check', '--config', config);
    const json = await nospool('check', '--config', config, '--json');
    const fingerprint = String(sink.told[0]?.fingerprint);
    const before = sink.verbs();
    const pinned = configured(`smarthosts = ["submissions://127.0.0.1:${sink.port}"]`, `[tls]\nfingerprint = ["${fingerprint}"]\n${AUTH}`);
    const again = await nospool('check', '--config', pinned.config);
    await sink.close();
    assert.equal(run.status, 1);
    assert.match(run.stdout, /^ {5}problem {7}the certificate is self-signed; /m);
    assert.match(run.stdout, /, NOT verified$/m);
    assert.ok(run.stdout.includes(`\n       ${fingerprint}\n`));
    assert.match(run.stdout, /\n\n1 smart host is NOT usable\n$/);
    assert.ok(!before.includes('AUTH') && !before.includes('MAIL'), before.join(' '));
    fits(run.stdout.replace(/^.*\n/, ''));
    assert.equal(json.status, 1);
    const { usable, smarthosts } = JSON.parse(json.stdout);
    assert.equal(usable, false);
    const [address] = smarthosts[0].names[0].addresses;
    assert.deepEqual([address.usable, address.tls.verified_by, address.tls.certificates[0].fingerprint], [false, 'nothing', fingerprint]);
    assert.equal(again.status, 0, again.stdout);
    assert.match(again.stdout, /, verified by its\s+fingerprint$/m);
  }));

test('check warns of a host without a domain: what fails, and the keys', () =>
  within(20_000, async () => {
    const sink = await sinkWith();
    const warnings = async (toml: string): Promise<readonly string[]> => {
      const config = path.join(scratch(), 'nospool.toml');
      writeFileSync(config, `smarthosts = ["submission://127.0.0.1:${sink.port}"]\nlog = "none"\naliases = []\n${toml}`, { mode: 0o600 });
      const { status, stdout, stderr } = await nospool('check', '--config', config, '--json');
      assert.equal(status, 0, stderr);
      return JSON.parse(stdout).warnings.filter((text: string) => /hostname|qualify_domain/.test(text));
    };
    const fails =
      /^mail fails if its caller names no sender: the sender ".+" has no domain, and neither has this host's name: set qualify_domain$/;
    const hello = 'hostname = "vm" has no dot, so EHLO says the address of the socket';
    const [first = '', second, ...more] = await warnings('hostname = "vm"');
    assert.match(first, fails);
    assert.deepEqual([second, ...more], [`${hello}; set hostname`]);
    assert.deepEqual(await warnings('hostname = "vm"\nqualify_domain = "example.org"'), [`${hello}; set hostname`]);
    assert.deepEqual(await warnings('hostname = "vm"\nfrom = "a@example.org"'), [
      `${hello}, and bare addresses need qualify_domain; set hostname`,
    ]);
    assert.deepEqual(await warnings('hostname = "vm.example.org"'), []);
    await sink.close();
  }));

test('each smart host that cannot be used has its reason', () =>
  within(20_000, async () => {
    const [open, shut, small] = [await sinkWith({ auth: 'me:other' }), await sinkWith({ refuseAt: ['connect=421'] }), await sinkWith()];
    const dead = await deadPort();
    const { config } = configured(
      `smarthosts = [
        { url = "submission://127.0.0.1:${open.port}", auth = { user = "me", password = "secret" } },
        { url = "submission://127.0.0.1:${shut.port}", auth = "none" },
        { url = "submission://127.0.0.1:${small.port}", tls = { mode = "required" } },
        "submission://127.0.0.1:${dead}",
        "submission://nowhere.invalid",
      ]`,
      '[timeouts]\nresolve = "2s"',
    );
    const run = await nospool('check', '--config', config);
    await Promise.all([open, shut, small].map((sink) => sink.close()));
    assert.equal(run.status, 1);
    for (const reason of [
      /AUTH PLAIN.*: 535/,
      /421/,
      /does not offer STARTTLS/,
      /connection refused/,
      /no address of nowhere\.invalid|longer than 2 s/,
    ])
      assert.match(run.stdout.replaceAll(/\s+/g, ' '), reason);
    assert.match(run.stdout, /\n\n5 smart hosts are NOT usable\n$/);
    assert.ok(![open, shut, small].some((sink) => sink.verbs().includes('MAIL')));
    assert.ok(!`${run.stdout}${run.stderr}`.includes('secret'));
  }));

test('smart hosts of routers are tried, equal ones once; an error in an alias file is an error of check', () =>
  within(20_000, async () => {
    const sink = await sinkWith();
    const url = `submission://127.0.0.1:${sink.port}`;
    const { config, folder } = configured(
      `smarthosts = ["${url}"]`,
      `[[router]]\nname = "inside"\ndriver = "manualroute"\nhosts = ["${url}"]`,
    );
    const run = await nospool('check', '--config', config);
    const aliases = path.join(folder, 'aliases');
    writeFileSync(aliases, 'root: ops@example.org\n');
    const good = configured(`smarthosts = ["${url}"]`, `[[router]]\nname = "a"\ndriver = "redirect"\nfile = "${aliases}"`);
    const counted = await nospool('check', '--config', good.config);
    writeFileSync(aliases, 'root ops@example.org: "x\n: y\n');
    const bad = await nospool('check', '--config', good.config);
    await sink.close();
    assert.equal(run.status, 0, run.stderr);
    assert.equal(run.stdout.match(/^\d\. /gm)?.length, 1);
    assert.match(counted.stdout, /^aliases {7}1$/m);
    assert.equal(counted.status, 0, counted.stderr);
    assert.equal(bad.status, 1);
    assert.match(bad.stderr, /^nospool: .*aliases/);
  }));

test('W6: ignored extensions of a server are shown apart from the others', () =>
  within(20_000, async () => {
    const sink = await sinkWith();
    const { config } = configured(`smarthosts = ["submission://127.0.0.1:${sink.port}"]\nignore_extensions = ["chunking", "DSN"]`);
    const [run, json] = [await nospool('check', '--config', config), await nospool('check', '--config', config, '--json')];
    await sink.close();
    assert.match(run.stdout, /^ {3}ignored {7}CHUNKING, DSN \(ignore_extensions\)$/m);
    const [host] = JSON.parse(json.stdout).smarthosts;
    assert.deepEqual(host.ignored_extensions, ['CHUNKING', 'DSN']);
    const { extensions } = host.names[0].addresses[0];
    assert.ok(extensions.includes('PIPELINING') && !extensions.includes('CHUNKING') && !extensions.includes('DSN'));
  }));

test('no smart host is an error, and so is a configuration that cannot be read', async () => {
  const { config } = configured('');
  const run = await nospool('check', '--config', config);
  assert.deepEqual([run.status, run.stderr], [1, 'nospool: no smart host is configured: set smarthosts, or run "nospool init"\n']);
  const wrong = configured('smart_hosts = []');
  const other = await nospool('check', '--config', wrong.config);
  assert.deepEqual([other.status, other.stdout], [1, '']);
  assert.match(other.stderr, /did you mean|nearest/);
});

const HOST: Smarthost = {
  scheme: 'submission',
  host: 'mail.example.org',
  port: 587,
  expand: 'none',
  tls: { ...DEFAULT_TLS, mode: 'off' },
  auth: { user: 'me', mechanisms: [], secret: { from: 'literal', value: 'secret' }, allowPlaintext: true },
};

test('a refused password is not tried at the next address', () =>
  within(20_000, async () => {
    const sink = await sinkWith({ auth: 'me:other' });
    const endpoint = { address: '127.0.0.1', family: 4, port: sink.port } as const;
    const target = { name: 'mail.example.org', port: sink.port, unix: false, fromDns: false };
    const options = { hello: 'client.example.org', timeouts: TIMEOUTS, security: systemSecurity({}), environment: {} };
    const probes = await probeAll(HOST, target, [endpoint, endpoint], options);
    await sink.close();
    assert.equal(sink.verbs().filter((verb) => verb === 'AUTH').length, 1);
    assert.deepEqual(
      probes.map(({ usable }) => usable),
      [false, false],
    );
    assert.deepEqual(probes[1]?.problems, ['authentication failed at another address and is not tried again']);
  }));

test('only an address that answers has a time of connection', () =>
  within(20_000, async () => {
    const sink = await sinkWith();
    const host: Smarthost = { ...HOST, auth: null };
    const target = { name: 'mail.example.org', port: sink.port, unix: false, fromDns: false };
    const options = { hello: 'client.example.org', timeouts: TIMEOUTS, security: systemSecurity({}), environment: {} };
    const ports = [sink.port, await deadPort()];
    const probes = await probeAll(
      host,
      target,
      ports.map((port) => ({ address: '127.0.0.1', family: 4, port })),
      options,
    );
    await sink.close();
    assert.deepEqual(
      probes.map(({ connected, opened }) => [connected === null, opened === null]),
      [
        [false, false],
        [true, true],
      ],
    );
  }));

const DAY = 86_400_000;
const NOW = new Date('2026-06-15T12:00:00Z');

/** A probe whose certificate is valid between these days from now. */
const probed = (from: number, until: number): Probe => ({
  endpoint: { address: '192.0.2.1', family: 4, port: 587 },
  usable: true,
  problems: [],
  connected: 12,
  opened: 34,
  greeting: '220 mail.example.org ESMTP',
  tls: {
    cipher: 'TLS1.3:TLS_AES_256_GCM_SHA384:256',
    by: 'ca',
    peerName: 'mail.example.org',
    chain: [
      {
        subject: 'mail.example.org',
        issuer: 'R11',
        names: ['mail.example.org'],
        notBefore: NOW.getTime() + from * DAY,
        notAfter: NOW.getTime() + until * DAY,
        fingerprint: `sha256:${'a'.repeat(64)}`,
        keyFingerprint: `sha256:${'b'.repeat(64)}`,
      },
    ],
  },
  extensions: Array.from({ length: 12 }, (_, i) => `EXTENSION-${i}`),
  auth: null,
  failedAt: null,
});

// days from now, the text, why
const VALIDITY: readonly (readonly [number, number, string, string])[] = [
  [-60, 30, 'valid until 2026-07-15 (30 days)', 'far from its end'],
  [-60, 21, 'valid until 2026-07-06 (21 days)', 'three weeks'],
  [-60, 20, 'valid until 2026-07-05: ONLY 20 DAYS', 'less'],
  [-60, 0, 'valid until 2026-06-15: ONLY 0 DAYS', 'the last moment'],
  [-60, -1, 'EXPIRED on 2026-06-14', 'over'],
  [1, 90, 'NOT VALID before 2026-06-16', 'not yet'],
  [Number.NaN, 30, 'valid until 2026-07-15 (30 days)', 'its begin cannot be read'],
  [-60, Number.NaN, 'valid until (unknown)', 'its end cannot be read'],
];
for (const [from, until, text, why] of VALIDITY)
  test(`a certificate: ${why}`, () => {
    const names = [{ name: 'mail.example.org', port: 587, problem: null, probes: [probed(from, until)] }];
    const printed = printHostCheck({ host: HOST, router: 'inside', problem: null, names, usable: true }, 3, NOW, 21)
      .map((line) => `${line}\n`)
      .join('');
    assert.ok(printed.startsWith('3. submission://mail.example.org:587 (router "inside"): usable\n'), printed);
    assert.ok(printed.replaceAll(/\s+/g, ' ').includes(text), printed);
    assert.ok(printed.includes('     time          connected after 12 ms, ready after 34 ms\n'), printed);
    fits(printed);
  });

test('a time of a certificate that cannot be read is null in JSON, and is no end that comes soon', () => {
  const names = [{ name: 'mail.example.org', port: 587, problem: null, probes: [probed(-60, Number.NaN)] }];
  const checked = { host: HOST, router: '', problem: null, names, usable: true };
  const facts = JSON.stringify(hostJson(checked));
  assert.ok(facts.includes('"not_before":"2026-04-16T12:00:00.000Z","not_after":null'), facts);
  assert.deepEqual(findExpiring([checked], NOW, 1000), []);
});

/* ---- certificates that end soon ---- */

test('with --warn-days a certificate that ends soon has an exit status of its own, and is said', () =>
  within(30_000, async () => {
    const sink = await sinkWith({ starttls: true });
    const host = `submission://127.0.0.1:${sink.port}`;
    const { config } = configured(`smarthosts = ["${host}"]`, `[tls]\nmode = "required"\nca_file = "${sink.certificate}"`);
    const check = (...more: string[]) => nospool('check', '--config', config, ...more);
    const [plain, later, soon, json] = [
      await check(),
      await check('--warn-days', '14'),
      await check('--warn-days', '40'),
      await check('--warn-days', '40', '--json'),
    ];
    await sink.close();
    assert.deepEqual([plain.status, later.status, soon.status, json.status], [0, 0, 2, 2]);
    assert.match(soon.stdout, /ONLY 29 DAYS/);
    assert.ok(soon.stdout.endsWith(`\n1 smart host is usable\n${host}: the certificate of localhost ends in 29 days\n`), soon.stdout);
    const { usable, expiring } = JSON.parse(json.stdout);
    assert.deepEqual([usable, expiring.length, expiring[0].url, expiring[0].days], [true, 1, host, 29]);
  }));

test('what cannot be used has the status of that, however its certificate ends', () =>
  within(30_000, async () => {
    const sink = await sinkWith({ tls: true });
    const { config } = configured(`smarthosts = ["submissions://127.0.0.1:${sink.port}"]`);
    const run = await nospool('check', '--config', config, '--warn-days', '40');
    await sink.close();
    assert.equal(run.status, 1);
  }));

test('certificates that end soon are found once a smart host, and roots that a server sends do not count', () => {
  const NOW = new Date('2026-11-28T12:00:00Z');
  const certificate = (subject: string, issuer: string, days: number) => ({
    subject,
    issuer,
    names: [],
    notBefore: 0,
    notAfter: NOW.getTime() + days * 86_400_000,
    fingerprint: `${subject} ${days}`,
    keyFingerprint: '',
  });
  const probed = (...chain: readonly ReturnType<typeof certificate>[]): Probe =>
    ({ tls: { cipher: '', by: 'ca', peerName: '', chain } }) as unknown as Probe;
  const found = (...probes: readonly Probe[]) =>
    findExpiring(
      [{ host: HOST, router: '', problem: null, names: [{ name: 'x', port: 25, problem: null, probes }], usable: true }],
      NOW,
      14,
    );
  const leaf = certificate('leaf', 'middle', 1);
  const chain = [leaf, certificate('middle', 'root', 13), certificate('root', 'root', 3)];
  assert.deepEqual(
    found(probed(...chain), probed(leaf)).map(({ subject, days }) => [subject, days]),
    [
      ['leaf', 1],
      ['middle', 13],
    ],
  );
  assert.deepEqual(found(probed(certificate('self', 'self', -1))).map(printExpiring), [
    `${printSmarthost(HOST)}: the certificate of self has ended`,
  ]);
  assert.deepEqual(found(probed(certificate('leaf', 'root', 14)), { tls: null } as unknown as Probe), []);
});

/* ---- /usr/sbin/sendmail ---- */

test('check says what other programs run as sendmail', () => {
  const folder = scratch();
  const file = (name: string, text: string): string => {
    writeFileSync(path.join(folder, name), text);
    return path.join(folder, name);
  };
  const ours = file('ours', '#!/bin/sh\n# Written by "nospool install" of nospool 0.1.0; "nospool uninstall" removes it.\n');
  const link = path.join(folder, 'link');
  symlinkSync(ours, link);
  const other = file('other', 'ELF nospool 1.2.3');
  assert.deepEqual(findInPlace(link), { file: ours, version: '0.1.0' });
  assert.deepEqual(findInPlace(other), { file: other, version: null });
  assert.match(printInPlace(findInPlace(process.execPath)), /is this nospool, /, 'one file is its own runtime');
  assert.deepEqual(findInPlace(folder), { file: folder, version: null });
  const pipe = path.join(folder, 'pipe');
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  assert.deepEqual(findInPlace(pipe), { file: pipe, version: null });
  assert.deepEqual(findInPlace(path.join(folder, 'none')), { file: null, version: null });
  assert.match(printInPlace(findInPlace(link)), /sendmail is nospool 0\.1\.0, and this is .*; run nospool install$/);
  assert.match(printInPlace(findInPlace(other)), /is another program \(.*other\); run nospool install$/);
  assert.match(printInPlace(findInPlace(path.join(folder, 'none'))), /^there is no \/usr\/sbin\/sendmail; run nospool install$/);
  assert.equal(printInPlace({ file: SENDMAIL, version: VERSION }), `${SENDMAIL} is this nospool, ${VERSION}`);
});

test.run();
