/**
 * What is tried against every real smart host: the message set over every kind of connection, and everything it refuses. It
 * knows the command under test by its command line, and the peer by `Peer`.
 */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import type { Test } from 'uvu';
import { connect, smarthost } from '../../support/engine.ts';
import { within } from '../../support/within.ts';
import { HOST, NAME } from '../../world/support/addresses.ts';
import { type TlsFiles, tlsFiles } from './certificates.ts';
import { type Command, installCommand, type Run, run } from './command.ts';
import { type Message, mebibytes, SMALL, threeLines } from './messages.ts';
import { type Arrived, at, normalised, PASSWORD, type Peer, type PeerOptions, REFUSED, USER } from './peer.ts';

export interface MatrixOptions {
  /** Starts the peer, with TLS and with AUTH required, or with neither. */
  readonly start: (options: PeerOptions) => Promise<Peer>;
  /** Mechanisms it offers without a client certificate. */
  readonly mechanisms: readonly string[];
  /** MiB of the largest message. */
  readonly large: number;
  /** Takes off what the peer adds on its way to the mailbox. */
  readonly strip?: (octets: string) => string;
  /** Local parts of REFUSED which this peer does not refuse. */
  readonly accepts?: readonly (keyof typeof REFUSED)[];
  /** What runs the command; default: this Node. */
  readonly runtime?: readonly string[];
}

export interface Way {
  readonly name: string;
  readonly url: (peer: Peer) => string;
  readonly tls: boolean;
}

const THREE = ['ann', 'bob', 'eve'] as const;

/** The ways to the peer that speaks TLS and wants AUTH. */
export const WAYS: readonly Way[] = [
  { name: 'STARTTLS with AUTH', url: (peer) => `submission://${HOST}:${peer.port}`, tls: true },
  { name: 'STARTTLS with AUTH, by name', url: (peer) => `submission://${NAME}:${peer.port}`, tls: true },
  { name: 'implicit TLS with AUTH', url: (peer) => `submissions://${HOST}:${peer.tlsPort}`, tls: true },
];

/** TOML for one smart host, with the user's password in a file of its own. */
export function configuration(
  command: Command,
  host: string,
  tls?: TlsFiles,
  more: { auth?: string; tls?: string; top?: string } = {},
): string {
  const secret = `${command.folder}/password`;
  writeFileSync(secret, `${PASSWORD}\n`);
  chmodSync(secret, 0o600);
  const auth = `\n[auth]\nuser = "${USER}"\npassword_file = "${secret}"\n${more.auth ?? ''}`;
  return `smarthosts = ["${host}"]\nhostname = "client.example.org"\n${more.top ?? ''}\n[tls]\n${
    tls === undefined ? 'mode = "off"' : `mode = "required"\nca_file = "${tls.ca}"`
  }\n${more.tls ?? ''}${tls === undefined && more.auth === undefined ? '' : auth}`;
}

export function assertDelivered(result: Run): void {
  assert.equal(result.status, 0, result.said);
  assert.equal(result.stderr, '', result.said);
  assert.equal(result.stdout, '', result.said);
  assert.notEqual(result.logged, '', 'a delivery is logged');
}

/** Two texts of many megabytes are not for a diff. */
export function assertSame(arrived: string, sent: string): void {
  if (arrived === sent) return;
  let first = 0;
  while (arrived[first] === sent[first]) first += 1;
  const around = (text: string) => JSON.stringify(text.slice(Math.max(0, first - 60), first + 60));
  assert.fail(
    `octet ${first} differs (arrived ${arrived.length}, sent ${sent.length}):\n  arrived ${around(arrived)}\n  sent    ${around(sent)}`,
  );
}

export function assertArrived(found: Arrived | undefined, sent: Message, strip: (octets: string) => string = (octets) => octets): void {
  assert.ok(found, 'nothing arrived');
  assertSame(strip(normalised(found.octets)), normalised(sent.octets));
}

export function matrix(test: Test, options: MatrixOptions): void {
  const { start, mechanisms, large, strip, accepts = [], runtime } = options;
  let tls: TlsFiles;
  let command: Command;
  let guarded: Peer;
  let open: Peer;

  test.before(() =>
    within(60_000, async () => {
      tls = tlsFiles();
      command = installCommand(runtime);
      guarded = await start({ tls, authRequired: true });
      open = await start({});
    }),
  );
  test.after(() => Promise.all([guarded?.stop(), open?.stop()]).then(() => undefined));
  test.before.each(() => within(30_000, () => Promise.all([guarded.clear(), open.clear()]).then(() => undefined)));

  async function deliver(peer: Peer, message: Message, boxes: readonly string[], file = false): Promise<void> {
    let input: Buffer | { file: string } = message.octets;
    if (file) {
      input = { file: `${command.folder}/message` };
      writeFileSync(input.file, message.octets);
    }
    assertDelivered(await run(command, ['-i', '-f', at('sender'), ...boxes.map(at)], input));
    for (const box of boxes) {
      const arrived = await peer.received(box);
      assert.equal(arrived.length, 1, `${box} got it once`);
      if (arrived[0]?.reversePath !== undefined) assert.equal(arrived[0].reversePath, at('sender'));
      assertArrived(arrived[0], message, strip);
    }
    assert.equal(await peer.total(), boxes.length);
  }

  for (const way of WAYS)
    for (const make of SMALL) {
      const sample = make();
      test(`${way.name}: ${sample.name}`, () =>
        within(60_000, async () => {
          command.configure(configuration(command, way.url(guarded), tls));
          await deliver(guarded, sample, ['ann']);
          await guarded.clear();
          await deliver(guarded, sample, THREE);
        }));
    }

  for (const make of SMALL) {
    const sample = make();
    test(`in clear, without AUTH: ${sample.name}`, () =>
      within(60_000, async () => {
        command.configure(configuration(command, `smtp://${HOST}:${open.port}`));
        await deliver(open, sample, ['ann']);
        await open.clear();
        await deliver(open, sample, THREE);
      }));
  }

  test('the library: messages given at once to one session arrive once each, in order, around one that is refused', () =>
    within(60_000, async () => {
      for (const [peer, url, policy] of [
        [open, `smtp://${HOST}:${open.port}`, { mode: 'off' }],
        [guarded, `submission://${HOST}:${guarded.port}`, { mode: 'required', caFile: tls.ca }],
      ] as const) {
        const auth = { user: USER, password: PASSWORD };
        const host = smarthost(url, peer === guarded ? { tls: policy, auth } : { tls: policy });
        assert.ok(host.ok, host.ok ? '' : host.detail);
        const connected = await connect(host.value, { hello: 'client.example.org' });
        assert.ok(connected.ok);
        const client = connected.value;
        const subjects = ['one', 'two', 'three', 'four', 'five', 'six'];
        const outcomes = await Promise.all(
          subjects.map((subject, i) =>
            client.send({ from: at('sender'), to: [i === 3 ? at('refused') : at('ann')] }, `Subject: ${subject}\r\n\r\n.${subject}\r\n`),
          ),
        );
        await client.quit();
        assert.deepEqual(
          outcomes.map(({ kind }) => kind),
          subjects.map((_, i) => (i === 3 ? 'failed' : 'accepted')),
        );
        const arrived = await peer.received('ann', 5);
        assert.deepEqual(
          arrived.map(({ octets }) => /^Subject: (\w+)$/m.exec(normalised(octets))?.[1]).sort(),
          subjects.filter((_, i) => i !== 3).sort(),
        );
        assert.equal(await peer.total(), 5);
      }
    }));

  test(`${large} MiB from a pipe, over STARTTLS with AUTH, to one and to three`, () =>
    within(180_000, async () => {
      command.configure(configuration(command, `submission://${HOST}:${guarded.port}`, tls));
      const message = mebibytes(large);
      await deliver(guarded, message, ['ann']);
      await guarded.clear();
      await deliver(guarded, message, THREE);
    }));

  test(`${large} MiB from a file, in clear`, () =>
    within(180_000, async () => {
      command.configure(configuration(command, `smtp://${HOST}:${open.port}`));
      await deliver(open, mebibytes(large), ['ann'], true);
    }));

  test('the null reverse-path', () =>
    within(30_000, async () => {
      command.configure(configuration(command, `smtp://${HOST}:${open.port}`));
      assertDelivered(await run(command, ['-i', '-f', '<>', at('ann')], threeLines().octets));
      const [arrived] = await open.received('ann');
      assert.equal(arrived?.reversePath ?? '', '');
    }));

  test('recipients from the header, Bcc removed', () =>
    within(30_000, async () => {
      command.configure(configuration(command, `smtp://${HOST}:${open.port}`));
      const { octets } = threeLines();
      const hidden = Buffer.concat([Buffer.from(`Bcc: ${at('root')}\n`), octets]);
      assertDelivered(await run(command, ['-t', '-i', '-f', at('sender')], hidden));
      for (const box of [...THREE, 'root'])
        assertSame((strip ?? String)(normalised((await open.received(box))[0]?.octets ?? '')), normalised(octets));
    }));

  for (const mechanism of mechanisms)
    test(`AUTH ${mechanism}`, () =>
      within(30_000, async () => {
        const only = { auth: `mechanisms = ["${mechanism}"]\n` };
        command.configure(configuration(command, `submission://${HOST}:${guarded.port}`, tls, only));
        await deliver(guarded, threeLines(), ['ann']);
      }));

  for (const [local, { code }] of Object.entries(REFUSED).filter(([name]) => !accepts.includes(name as keyof typeof REFUSED)))
    for (const boxes of [[local], ['ann', local, 'bob'], ['ann', 'bob', local]])
      test(`${boxes.join(', ')}: nobody gets it`, () =>
        within(30_000, async () => {
          command.configure(configuration(command, `submission://${HOST}:${guarded.port}`, tls));
          const result = await run(command, ['-i', '-f', at('sender'), ...boxes.map(at)], threeLines().octets);
          assert.equal(result.status, 1, result.said);
          assert.equal(result.stdout, '', result.said);
          assert.match(result.stderr, new RegExp(`${code}`), result.said);
          if (REFUSED[local as keyof typeof REFUSED].at === 'RCPT') assert.match(result.stderr, new RegExp(`${local}@`), result.said);
          assert.match(result.logged, new RegExp(`${code}`), result.said);
          assert.equal(await guarded.total(), 0);
        }));

  test('a wrong password: nobody gets it, and it is told nowhere', () =>
    within(30_000, async () => {
      command.configure(configuration(command, `submission://${HOST}:${guarded.port}`, tls));
      const wrong = 'wrong: secret 7';
      writeFileSync(`${command.folder}/password`, wrong);
      const result = await run(command, ['-v', '-i', '-f', at('sender'), at('ann')], threeLines().octets);
      assert.equal(result.status, 1, result.said);
      assert.match(result.stderr, /535|[Aa]uth/, result.said);
      const plain = Buffer.from(`\0${USER}\0${wrong}`).toString('base64');
      for (const secret of [
        wrong,
        Buffer.from(wrong).toString('base64'),
        plain,
        Buffer.from(wrong).toString('hex'),
        encodeURIComponent(wrong),
      ])
        assert.ok(!`${result.stdout}${result.stderr}${result.logged}`.includes(secret), `${secret} is told`);
      assert.equal(await guarded.total(), 0);
    }));

  const mistrusted = [
    ['a certificate of another CA', (files: TlsFiles) => ({ ...files, ca: files.otherCa }), ''],
    ['a certificate for another name', (files: TlsFiles) => files, 'server_name = "elsewhere.example.org"\n'],
    ['another fingerprint', (files: TlsFiles) => files, `fingerprint = ["sha256:${'0'.repeat(64)}"]\n`],
  ] as const;
  for (const [name, files, more] of mistrusted)
    test(`${name}: nobody gets it, over STARTTLS and implicit TLS`, () =>
      within(30_000, async () => {
        for (const way of WAYS) {
          command.configure(configuration(command, way.url(guarded), files(tls), { tls: more }));
          const result = await run(command, ['-i', '-f', at('sender'), at('ann')], threeLines().octets);
          assert.equal(result.status, 1, `${way.name}: ${result.said}`);
          assert.match(result.stderr, /certificate|fingerprint/, `${way.name}: ${result.said}`);
        }
        assert.equal(await guarded.total(), 0);
      }));

  test('the right fingerprint instead of a CA', () =>
    within(30_000, async () => {
      const pinned = { tls: `fingerprint = ["${tls.fingerprint}"]\n` };
      command.configure(configuration(command, `submission://${HOST}:${guarded.port}`, { ...tls, ca: '' }, pinned));
      await deliver(guarded, threeLines(), ['ann']);
    }));

  test('TLS required of a peer that has none: nobody gets it', () =>
    within(30_000, async () => {
      command.configure(configuration(command, `submission://${HOST}:${open.port}`, tls));
      const result = await run(command, ['-i', '-f', at('sender'), at('ann')], threeLines().octets);
      assert.equal(result.status, 1, result.said);
      assert.match(result.stderr, /STARTTLS/, result.said);
      assert.equal(await open.total(), 0);
    }));
}
