/**
 * A real Exim far away: a round trip of a fifth of a second, and a line of 512 kbit/s, over STARTTLS and TLS at once with a
 * password, and in clear without. The kernel makes the distance where it can (netem), else a proxy does.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { type FaultProxy, startProxy } from '../faults/support/proxy.ts';
import { type Command, installCommand } from '../interop/support/command.ts';
import { scratch } from '../interop/support/daemon.ts';
import { startExim } from '../interop/support/exim.ts';
import { kibibytes300, lines, message, threeLines } from '../interop/support/messages.ts';
import { suiteWith } from '../interop/support/needs.ts';
import { normalised, PASSWORD, type Peer, USER } from '../interop/support/peer.ts';
import { within } from '../support/within.ts';
import { caFile, goodFor } from './support/faces.ts';
import { type Client, placeAt, theNetwork, UID, writeSecret } from './support/network.ts';

const test = suiteWith('distance', 'root', 'unshare', 'exim4-daemon-heavy');

const [EXIM, PROXY] = [placeAt(20), placeAt(21)];
/** Milliseconds, each way. */
const HALF = 100;
const NAME = 'far.example';

let command: Command;
let exim: Peer;
const clients: Client[] = [];
const proxies: FaultProxy[] = [];

test.before(() =>
  within(60_000, async () => {
    for (const last of [20, 21]) theNetwork().add(last);
    const folder = scratch('distance');
    const [certificate, key] = [`${folder}/server.pem`, `${folder}/server.key`];
    const made = goodFor(NAME);
    writeFileSync(certificate, made.cert, { mode: 0o644 });
    writeFileSync(key, made.key, { mode: 0o644 });
    exim = await startExim({ at: [{ addresses: [EXIM.v4], tls: { certificate, key } }] });
    command = installCommand();
  }),
);
test.after(async () => {
  for (const client of clients) client.stop();
  for (const each of [...proxies, exim]) await each?.stop();
});
test.before.each(() => exim.clear());

/** 512 kbit/s by the proxy: octets at a time, milliseconds in between. */
const NARROW = { octets: 3200, every: 50 };

/** A client from which the port is far, or behind a narrow line, and where it is then. */
async function far(port: number, kind: 'delay' | 'rate'): Promise<{ readonly client: Client; readonly port: number }> {
  const client = await theNetwork().client();
  clients.push(client);
  const isDone = client.slow(kind, kind === 'delay' ? `${HALF}ms` : '512kbit');
  client.know(`${isDone ? EXIM.v4 : PROXY.v4} ${NAME}\n`);
  if (isDone) return { client, port };
  const how = kind === 'delay' ? { latency: HALF } : { segment: NARROW };
  const proxy = await startProxy({ at: PROXY.v4, host: EXIM.v4, port, ...how });
  proxies.push(proxy);
  return { client, port: proxy.port };
}

const PORTS = { smtp: 25, submission: 587, submissions: 465 } as const;
type Scheme = keyof typeof PORTS;

async function send(client: Client, scheme: Scheme, port: number, octets: Buffer): Promise<void> {
  const password = writeSecret(`${client.folder}/password`, `${PASSWORD}\n`);
  const policy =
    scheme === 'smtp'
      ? '[tls]\nmode = "off"\n'
      : `[tls]\nca_file = "${caFile()}"\n[auth]\nuser = "${USER}"\npassword_file = "${password}"\n`;
  const config = `${client.folder}/${scheme}.toml`;
  const top = `smarthosts = ["${scheme}://${NAME}:${port}"]\nhostname = "client.example"\naliases = []\nlog = "none"\n`;
  writeFileSync(config, `${top}${policy}`, { mode: 0o644 });
  const argv = [...command.runtime, command.file, '-C', config, '-i', '-f', 'me@client.example', 'ann@peer.test'];
  const { status, stderr } = await client.run(argv, { uid: UID, input: octets });
  assert.deepEqual([status, stderr], [0, '']);
  const [arrived, ...more] = await exim.received('ann');
  assert.deepEqual(more, []);
  assert.equal(normalised(arrived?.octets ?? ''), normalised(octets));
  const how = { smtp: /P=esmtp /, submission: /P=esmtpsa /, submissions: /P=esmtpsa / }[scheme];
  assert.match(
    exim
      .said()
      .split('\n')
      .findLast((line) => line.includes(' <= ')) ?? '',
    how,
  );
}

for (const scheme of Object.keys(PORTS) as Scheme[])
  for (const [title, kind, messages] of [
    ['far away: three lines and 300 KiB', 'delay', [threeLines(), kibibytes300()]],
    ['over a narrow line: 100 KiB', 'rate', [message('100 KiB', lines(100 * 1024))]],
  ] as const)
    test(`${scheme}, ${title}`, () =>
      within(120_000, async () => {
        const { client, port } = await far(PORTS[scheme], kind);
        for (const { octets } of messages) {
          await exim.clear();
          await send(client, scheme, port, octets);
        }
      }));

test.run();
