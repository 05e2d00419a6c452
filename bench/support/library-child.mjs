// Sends many short messages by one library: `library-child.mjs LIBRARY PORT CONNECTIONS MESSAGES DIST`. CONNECTIONS sessions
// are open at once, and each sends its share one after another. Prints as JSON: messages a second, messages taken and not
// taken, the resident set in MiB, and the part of it that each session holds in KiB.
import { createRequire } from 'node:module';
import net from 'node:net';
import { pathToFileURL } from 'node:url';

const [library, portText, connectionsText, messagesText, dist] = process.argv.slice(2);
const [port, connections, messages] = [portText, connectionsText, messagesText].map(Number);
const FROM = 'sender@example.org';
const TO = 'recipient@example.org';
const line = `${'QWxsIG1lbiBieSBuYXR1cmUg'.repeat(4).slice(0, 76)}\r\n`;
const MESSAGE = Buffer.from(`From: ${FROM}\r\nTo: ${TO}\r\nSubject: a bench\r\n\r\n${line.repeat(25)}`, 'latin1');
const inNodeModules = createRequire(process.env.BENCH_NODE_MODULES ? `${process.env.BENCH_NODE_MODULES}/` : import.meta.url);

/** Opens senders of one pool, which is closed when the last of them has ended. */
function sendersOf(send, close) {
  let open = connections;
  return async () => ({
    send,
    async end() {
      open--;
      if (open === 0) await close();
    },
  });
}

/**
 * Each opens a session: `send` resolves to true when the message was taken, `end` when the session is over. With `given` 2
 * the session gets the next message while the last one is under way.
 */
const LIBRARIES = {
  async 'nospool-queued'() {
    const open = await LIBRARIES.nospool();
    return async () => ({ ...(await open()), given: 2 });
  },

  async 'nospool-together'() {
    return LIBRARIES.nospool({ commit: 'together' });
  },

  async 'nospool-together-queued'() {
    const open = await LIBRARIES.nospool({ commit: 'together' });
    return async () => ({ ...(await open()), given: 2 });
  },

  async nospool(options = {}) {
    const { connect } = await import(pathToFileURL(`${dist}/lib/index.mjs`));
    return async () => {
      const connected = await connect({ url: `smtp://127.0.0.1:${port}`, tls: { mode: 'off' } }, { hello: 'bench.example', ...options });
      if (!connected.ok) throw new Error(connected.failure.message);
      const { client } = connected;
      return {
        send: async () => (await client.send({ from: FROM, to: [TO] }, MESSAGE)).kind === 'accepted',
        end: () => client.quit(),
      };
    };
  },

  async nodemailer() {
    const SMTPConnection = inNodeModules('nodemailer/lib/smtp-connection');
    return () =>
      new Promise((resolve, reject) => {
        const connection = new SMTPConnection({ host: '127.0.0.1', port, ignoreTLS: true });
        connection.once('error', reject);
        connection.connect(() =>
          resolve({
            send: () => new Promise((done) => connection.send({ from: FROM, to: [TO] }, MESSAGE, (error) => done(!error))),
            end: async () => connection.quit(),
          }),
        );
      });
  },

  /** All sessions share one pool; a session here is a sender that waits for its turn. */
  async 'nospool-pool'() {
    const { Pool } = await import(pathToFileURL(`${dist}/lib/index.mjs`));
    const server = { url: `smtp://127.0.0.1:${port}`, tls: { mode: 'off' } };
    const pool = new Pool(server, { hello: 'bench.example', connections, messagesPerConnection: Infinity });
    return sendersOf(
      async () => (await pool.send({ from: FROM, to: [TO] }, MESSAGE)).kind === 'accepted',
      () => pool.drain(),
    );
  },

  /** The same by nodemailer, over our transport. */
  async 'nospool-nodemailer-pool'() {
    const { NospoolTransport } = await import(pathToFileURL(`${dist}/lib/nodemailer.mjs`));
    return LIBRARIES['nodemailer-pool']((options) => new NospoolTransport(options));
  },

  /** The same by nodemailer alone. */
  async 'nodemailer-pool'(transportOf = (options) => options) {
    const nodemailer = inNodeModules('nodemailer');
    const pool = nodemailer.createTransport(
      transportOf({
        host: '127.0.0.1',
        port,
        ignoreTLS: true,
        pool: true,
        maxConnections: connections,
        maxMessages: Infinity,
      }),
    );
    return sendersOf(
      () =>
        pool.sendMail({ envelope: { from: FROM, to: TO }, raw: MESSAGE }).then(
          () => true,
          () => false,
        ),
      () => pool.close(),
    );
  },

  /** The same with the terminator in a write of its own, when the content is written and the loop has turned twice: nospool's promise, and nothing else. */
  async 'floor-apart'() {
    return LIBRARIES.floor(false, true);
  },

  /** The same, with the next envelope behind the terminator: one round trip a message, and an envelope too many at the end. */
  async 'floor-apart-queued'() {
    return LIBRARIES.floor(true, true);
  },

  /** The same, all of it in one write. */
  async 'floor-queued'() {
    return LIBRARIES.floor(true);
  },

  /** The least possible work: four strings a message, and of each reply only the first digit is read. Two round trips, like nospool. */
  async floor(queued = false, apart = false) {
    const envelope = `MAIL FROM:<${FROM}>\r\nRCPT TO:<${TO}>\r\nDATA\r\n`;
    const end = `.\r\n${queued ? envelope : ''}`;
    const content = apart ? MESSAGE : Buffer.concat([MESSAGE, Buffer.from(end)]);
    return () =>
      new Promise((resolve, reject) => {
        const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
        let isOpen = false;
        let wanted = 0;
        let settle = () => {};
        let text = '';
        const expect = (lines) =>
          new Promise((done) => {
            wanted = lines;
            settle = done;
          });
        socket.on('error', reject);
        socket.on('data', (octets) => {
          text += octets.latin1Slice();
          const lines = text.match(/^\d{3} .*\r\n/gm) ?? [];
          if (lines.length < wanted) return;
          text = '';
          settle(lines.every((each) => each[0] < '4'));
        });
        (async () => {
          await expect(1);
          socket.write('EHLO bench.example\r\n');
          await expect(1);
          resolve({
            async send() {
              let ready = true;
              if (!isOpen) {
                socket.write(envelope);
                ready = await expect(3);
                isOpen = queued;
              }
              if (apart) {
                await new Promise((done) => socket.write(content, done));
                await new Promise((done) => setImmediate(() => setImmediate(done)));
                socket.write(end);
              } else socket.write(content);
              return (await expect(queued ? 4 : 1)) && ready;
            },
            async end() {
              socket.end('QUIT\r\n');
            },
          });
        })();
      });
  },
};

/** Twice, because octets outside of the heap are freed behind the first collection, while the loop turns. */
const collect = async () => {
  for (let times = 0; times < 2; times++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};
const open = await LIBRARIES[library]();
await collect();
const before = process.memoryUsage.rss();
const sessions = [];
// Some at a time, because the receiver's queue of connections is finite.
while (sessions.length < connections)
  sessions.push(...(await Promise.all(Array.from({ length: Math.min(200, connections - sessions.length) }, () => open()))));
let lost = 0;
let sent = 0;
const share = Math.max(1, Math.round(messages / connections));
const turns = async (count) => {
  const begun = performance.now();
  await Promise.all(
    sessions.flatMap((session) => {
      let given = 0;
      return Array.from({ length: session.given ?? 1 }, async () => {
        while (given < count) {
          given++;
          if (await session.send()) sent++;
          else lost++;
        }
      });
    }),
  );
  return performance.now() - begun;
};
// Each session sends one message to warm up, unless that is all it has to send.
if (share > 1) await turns(1);
const elapsed = await turns(share);
await collect();
const rss = process.memoryUsage.rss();
process.stdout.write(
  JSON.stringify({
    rate: (share * connections * 1000) / elapsed,
    lost,
    sent,
    rss: rss / 2 ** 20,
    session: (rss - before) / 1024 / connections,
  }),
);
await Promise.all(sessions.map((session) => session.end()));
process.exit(lost === 0 ? 0 : 1);
