/**
 * Extensions shown against real Exim and Postfix: what goes over the wire, seen by a proxy in clear, and what they make of it.
 * Also what Exim itself does wrong as a client of such servers (reference: its mua_wrapper mode), as tests.
 */
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { type FaultProxy, startProxy } from '../faults/support/proxy.ts';
import { within } from '../support/within.ts';
import { HOST, NAME } from '../world/support/addresses.ts';
import { type TlsFiles, tlsFiles } from './support/certificates.ts';
import { type Command, installCommand, type Run, run } from './support/command.ts';
import { type EximOptions, startExim } from './support/exim.ts';
import { assertArrived, assertDelivered, assertSame, configuration } from './support/matrix.ts';
import { eightBit, kibibytes300, type Message, mebibytes, message, SMALL, threeLines } from './support/messages.ts';
import { suiteWith } from './support/needs.ts';
import { at, normalised, type Peer, REFUSED } from './support/peer.ts';
import { startPostfix } from './support/postfix.ts';
import { readMessage } from './support/world.ts';

const test = suiteWith('extensions', 'root', 'unshare', 'exim4-daemon-heavy', 'postfix', 'dovecot-core', 'python3');

let command: Command;
let tls: TlsFiles;
test.before(() => {
  tls = tlsFiles();
  command = installCommand();
});

/** Runs the work with a peer and a proxy before it, and ends both. */
async function withPeer(
  start: () => Promise<Peer>,
  work: (peer: Peer, proxy: FaultProxy) => Promise<void>,
  options?: TlsFiles,
): Promise<void> {
  const peer = await start();
  const proxy = await startProxy({ at: HOST, host: HOST, port: peer.port });
  try {
    command.configure(configuration(command, `submission://${HOST}:${proxy.port}`, options));
    await work(peer, proxy);
  } finally {
    await proxy.stop();
    await peer.stop();
  }
}

const send = ({ octets }: Message, boxes: readonly string[], args: readonly string[] = []): Promise<Run> =>
  run(command, ['-i', '-f', at('sender'), ...args, ...boxes.map(at)], octets);
const said = (proxy: FaultProxy) => proxy.connections.map((connection) => connection.said('toServer')).join('');
const exim = (options: EximOptions) => () => startExim(options);

const OFFERS: readonly (readonly [name: string, start: () => Promise<Peer>])[] = [
  ['Exim with everything, also PRDR', exim({ prdr: true })],
  ['Exim without CHUNKING', exim({ chunking: false })],
  ['Exim without PIPELINING', exim({ pipelining: false })],
  ['Exim without CHUNKING and PIPELINING', exim({ chunking: false, pipelining: false })],
  ['Exim without 8BITMIME, SMTPUTF8 and DSN', exim({ eightBitMime: false, smtputf8: false, dsn: false, chunking: false })],
  ['Postfix without CHUNKING', () => startPostfix({ withhold: ['CHUNKING'] })],
  ['Postfix without PIPELINING', () => startPostfix({ withhold: ['PIPELINING'] })],
];

for (const [name, start] of OFFERS) {
  test(`${name}: messages to one and to three`, () =>
    within(120_000, () =>
      withPeer(start, async (peer) => {
        for (const [i, make] of [...SMALL, () => mebibytes(4)].entries()) {
          const one = make();
          // Without 8BITMIME text is converted when it has 8-bit octets, or may have some beyond the window: that is another test.
          if (name.includes('8BITMIME') && (one.name.startsWith('8-bit') || one.octets.length > 256 * 1024)) continue;
          const boxes = i % 2 === 0 ? ['ann', 'bob', 'eve'] : ['ann'];
          await peer.clear();
          assertDelivered(await send(one, boxes));
          for (const box of boxes) assertArrived((await peer.received(box))[0], one);
        }
      }),
    ));

  test(`${name}: one of three refused at each point: nobody has it, in a small and in a large message`, () =>
    within(180_000, () =>
      withPeer(start, async (peer) => {
        for (const [local, { code }] of Object.entries(REFUSED))
          for (const make of [threeLines, kibibytes300]) {
            const result = await send(make(), ['ann', local, 'bob']);
            assert.equal(result.status, 1, `${local}: ${result.said}`);
            assert.match(result.stderr, new RegExp(`${code}`), result.said);
          }
        assert.equal(await peer.total(), 0);
      }),
    ));
}

test('PRDR is never asked for, and BDAT waits for every recipient', () =>
  within(60_000, () =>
    withPeer(exim({ prdr: true }), async (peer, proxy) => {
      assertDelivered(await send(threeLines(), ['ann', 'bob']));
      assert.doesNotMatch(said(proxy), /PRDR/);
      const result = await send(threeLines(), ['ann', 'refused']);
      assert.equal(result.status, 1, result.said);
      assert.match(result.stderr, /refused@peer\.test.*550/, result.said);
      assert.doesNotMatch(proxy.connections[1]?.said('toServer') ?? '', /BDAT|DATA/);
      assert.equal(await peer.total(), 2);
    }),
  ));

test('101 and 1000 recipients are one transaction', () =>
  within(60_000, () =>
    withPeer(exim({}), async (peer, proxy) => {
      // Addresses that differ only in case of the domain are the same; these differ in a subaddress the peer ignores.
      for (const count of [101, 1000]) {
        const boxes = Array.from({ length: count }, (_, index) => (index % 2 === 0 ? 'ann' : 'bob'));
        const result = await run(
          command,
          ['-i', '-f', at('sender'), ...boxes.map((box, index) => `${box}+${index}@peer.test`)],
          threeLines().octets,
        );
        // The peer has no such mailboxes: what is tested is that one transaction asked for them all, and sent to none.
        assert.equal(result.status, 1, result.said.slice(0, 2000));
        assert.match(result.stderr, /550/, result.said.slice(0, 2000));
      }
      for (const connection of proxy.connections) assert.equal(connection.said('toServer').match(/MAIL FROM/g)?.length, 1);
      assert.deepEqual(
        proxy.connections.map((connection) => connection.said('toServer').match(/RCPT TO/g)?.length),
        [101, 1000],
      );
      assert.equal(await peer.total(), 0);
    }),
  ));

test('the limit on recipients: all or none', () =>
  within(60_000, () =>
    withPeer(exim({ recipientsMax: 2 }), async (peer) => {
      const result = await send(threeLines(), ['ann', 'bob', 'eve']);
      assert.equal(result.status, 1, result.said);
      assert.match(result.stderr, /too many recipients/, result.said);
      assert.equal(await peer.total(), 0);
      assertDelivered(await send(threeLines(), ['ann', 'bob']));
    }),
  ));

test('SIZE: exact for a small message, and a limit below it condemns the host before MAIL', () =>
  within(60_000, () =>
    withPeer(exim({ sizeLimit: 50_000 }), async (peer, proxy) => {
      const one = threeLines();
      assertDelivered(await send(one, ['ann']));
      const octets = one.octets.toString('latin1').replaceAll('\n', '\r\n').length;
      assert.match(said(proxy), new RegExp(`MAIL FROM:<sender@peer\\.test> SIZE=${octets}\\b`));
      const result = await send(message('60 kB', `${'x'.repeat(70)}\n`.repeat(900)), ['ann']);
      assert.equal(result.status, 1, result.said);
      assert.match(result.stderr, /50000/, result.said);
      assert.doesNotMatch(proxy.connections[1]?.said('toServer') ?? '', /MAIL FROM/);
      assert.equal(await peer.total(), 1);
    }),
  ));

for (const [name, start] of [
  ['Exim', exim({})],
  ['Postfix', () => startPostfix()],
] as const) {
  test(`${name}: SMTPUTF8 for a local part that is not ASCII, and only then`, () =>
    within(60_000, () =>
      withPeer(start, async (peer, proxy) => {
        const one = threeLines();
        assertDelivered(await send(one, ['ann', 'j\u00f6rg']));
        assert.match(said(proxy), /MAIL FROM:<sender@peer\.test>.* SMTPUTF8/);
        assertArrived((await peer.received('j\u00f6rg'))[0], one);
        assertDelivered(await send(one, ['ann']));
        assert.doesNotMatch(proxy.connections[1]?.said('toServer') ?? '', /SMTPUTF8/);
      }),
    ));

  test(`${name}: DSN parameters`, () =>
    within(60_000, () =>
      withPeer(start, async (peer, proxy) => {
        assertDelivered(await send(threeLines(), ['ann', 'bob'], ['-N', 'success,delay', '-R', 'hdrs', '-V', 'id+7=x']));
        const wire = said(proxy);
        assert.match(wire, /MAIL FROM:\S+.* RET=HDRS/);
        assert.match(wire, /ENVID=id\+2B7\+3Dx/);
        for (const box of ['ann', 'bob']) assert.match(wire, new RegExp(`RCPT TO:<${box}@peer\\.test>.* NOTIFY=SUCCESS,DELAY`));
        assert.ok((await peer.received('ann')).length > 0);
        assertDelivered(await send(threeLines(), ['ann'], ['-N', 'never']));
        assert.match(proxy.connections[1]?.said('toServer') ?? '', /NOTIFY=NEVER/);
      }),
    ));

  test(`${name}: BODY=8BITMIME is said, and 8-bit text arrives as it is`, () =>
    within(60_000, () =>
      withPeer(start, async (peer, proxy) => {
        const one = eightBit();
        assertDelivered(await send(one, ['ann']));
        assert.match(said(proxy), /BODY=8BITMIME/);
        assertArrived((await peer.received('ann'))[0], one);
      }),
    ));
}

test('a local part that is not ASCII, to a server without SMTPUTF8: nobody has it', () =>
  within(60_000, () =>
    withPeer(exim({ smtputf8: false }), async (peer, proxy) => {
      const result = await send(threeLines(), ['ann', 'j\u00f6rg']);
      assert.equal(result.status, 1, result.said);
      assert.match(result.stderr, /SMTPUTF8/, result.said);
      assert.doesNotMatch(said(proxy), /MAIL FROM/);
      assert.equal(await peer.total(), 0);
    }),
  ));

test('DSN asked for and not offered: dropped', () =>
  within(60_000, () =>
    withPeer(exim({ dsn: false }), async (peer, proxy) => {
      assertDelivered(await send(threeLines(), ['ann'], ['-N', 'success']));
      assert.doesNotMatch(said(proxy), /NOTIFY/);
      await peer.received('ann');
    }),
  ));

test('without 8BITMIME, 8-bit text is converted: the same to whoever reads it', () =>
  within(60_000, () =>
    withPeer(exim({ eightBitMime: false, smtputf8: false, chunking: false }), async (peer, proxy) => {
      const text = Buffer.from('Gr\u00fc\u00dfe = \u041f\u0440\u0438\u0432\u0435\u0442 \n'.repeat(20_000));
      const labelled = [
        ['Content-Type', 'text/plain; charset=utf-8'],
        ['Content-Transfer-Encoding', '8bit'],
      ] as const;
      for (const one of [eightBit(), kibibytes300(), message('800 KiB of 8-bit text', text, labelled)]) {
        await peer.clear();
        assertDelivered(await send(one, ['ann']));
        const [arrived] = await peer.received('ann');
        const [before, after] = [await readMessage(one.octets), await readMessage(arrived?.octets ?? Buffer.alloc(0))];
        assertSame(after.text, before.text);
        assert.deepEqual({ ...after, text: '' }, { ...before, text: '' });
      }
      assert.match(said(proxy), /^[\0-\x7f]*$/);
    }),
  ));

test('AUTH EXTERNAL with a client certificate', () =>
  within(60_000, () =>
    withPeer(exim({ tls, mechanisms: ['EXTERNAL'], authRequired: true }), async (peer) => {
      const client = `certificate = "${tls.clientCertificate}"\ncertificate_key = "${tls.clientKey}"\n`;
      const host = `submission://${HOST}:${peer.port}`;
      command.configure(configuration(command, host, tls, { tls: client, auth: 'mechanisms = ["EXTERNAL"]\n' }));
      const one = threeLines();
      assertDelivered(await send(one, ['ann']));
      assertArrived((await peer.received('ann'))[0], one);
      assert.match(peer.said(), /A=external:host1/);
      command.configure(configuration(command, host, tls, { auth: 'mechanisms = ["EXTERNAL"]\n' }));
      const result = await send(one, ['ann']);
      assert.equal(result.status, 1, result.said);
      assert.match(result.stderr, /authentication/, result.said);
    }),
  ));

test('TLS 1.2 alone, and TLS 1.1 refused', () =>
  within(60_000, async () => {
    for (const [priority, status] of [
      ['NORMAL:-VERS-ALL:+VERS-TLS1.2', 0],
      ['NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT', 1],
    ] as const)
      await withPeer(
        exim({ tls, main: `tls_require_ciphers = ${priority}` }),
        async (peer) => {
          command.configure(configuration(command, `submission://${HOST}:${peer.port}`, tls));
          const result = await send(threeLines(), ['ann']);
          assert.equal(result.status, status, result.said);
          assert.match(result.stderr, status === 0 ? /^$/ : /TLS|protocol/, result.said);
          assert.equal(await peer.total(), status === 0 ? 1 : 0);
        },
        tls,
      );
  }));

test('a unix socket instead of a port', () =>
  within(60_000, () =>
    withPeer(exim({}), async (peer) => {
      const path = `${command.folder}/socket`;
      const bridge = createServer((client) => {
        const server = connect(peer.port, HOST);
        client.on('error', () => server.destroy()).pipe(server);
        server.on('error', () => client.destroy()).pipe(client);
      });
      await new Promise<void>((resolve) => bridge.listen(path, resolve));
      try {
        command.configure(`smarthosts = ["unix:${path}"]\n`);
        const one = threeLines();
        assertDelivered(await send(one, ['ann', 'bob']));
        assertArrived((await peer.received('bob'))[0], one);
      } finally {
        bridge.close();
      }
    }),
  ));

test('two hosts: the first dead, the first without TLS, the first gone after MAIL: the second has all of it, once', () =>
  within(120_000, async () => {
    const second = await startExim({ tls });
    const bare = await startExim({});
    const proxies: FaultProxy[] = [];
    try {
      const cut = await startProxy({
        at: HOST,
        host: HOST,
        port: second.port,
        rules: [{ direction: 'toServer', at: 1, fault: { kind: 'reset' } }],
      });
      proxies.push(cut);
      for (const port of [1, bare.port, cut.port]) {
        await second.clear();
        const hosts = `smarthosts = ["submission://${HOST}:${port}", "submission://${NAME}:${second.port}"]`;
        command.configure(`${hosts}\n[tls]\nmode = "required"\nca_file = "${tls.ca}"\n`);
        const one = kibibytes300();
        assertDelivered(await send(one, ['ann', 'bob']));
        for (const box of ['ann', 'bob']) assertArrived((await second.received(box))[0], one);
        assert.equal(await second.total(), 2);
        assert.equal(await bare.total(), 0);
      }
    } finally {
      for (const proxy of proxies) await proxy.stop();
      await second.stop();
      await bare.stop();
    }
  }));

test('a message larger than all socket buffers, cut at many octets: the second host has all of it, once', () =>
  within(180_000, async () => {
    const peer = await startExim({});
    const one = mebibytes(24);
    try {
      for (const point of [1, 60, 150, 1000, 65_536, 4_000_000]) {
        await peer.clear();
        const proxy = await startProxy({
          at: HOST,
          host: HOST,
          port: peer.port,
          rules: [{ direction: 'toServer', at: point, fault: { kind: 'reset' } }],
        });
        command.configure(
          `replay_window = "32MiB"\nsmarthosts = ["smtp://${HOST}:${proxy.port}", "smtp://${HOST}:${peer.port}"]\n[tls]\nmode = "off"\n`,
        );
        assertDelivered(await send(one, ['ann', 'bob']));
        for (const box of ['ann', 'bob']) {
          const arrived = await peer.received(box);
          assert.equal(arrived.length, 1);
          assertSame(normalised(arrived[0]?.octets ?? ''), normalised(one.octets));
        }
        await proxy.stop();
      }
    } finally {
      await peer.stop();
    }
  }));

test.run();
