/**
 * A SOCKS5 and an HTTP proxy on loopback for tests, written against RFC 1928, RFC 1929 and RFC 9110 alone: they share nothing with src.
 * They know names that no name server knows, and record what they were asked.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface TestProxy {
  readonly port: number;
  /** What it was asked: `CONNECT name:port`, `user password`, or the head of an HTTP request. */
  readonly asked: readonly string[];
  stop(): Promise<void>;
}

export interface ProxyOptions {
  readonly user?: string;
  readonly password?: string;
  /** Where a name leads; other places are refused. */
  readonly places: Readonly<Record<string, number>>;
  /** Said behind the reply in one write, as a server that was quicker. */
  readonly together?: boolean;
}

/** Octets in order, as many as are asked for. */
function reading(socket: Socket) {
  let held = Buffer.alloc(0);
  let wake = () => {};
  let over = false;
  const onData = (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    wake();
  };
  const onEnd = () => {
    over = true;
    wake();
  };
  socket.on('data', onData).on('end', onEnd).on('close', onEnd);
  return {
    async until(enough: (octets: Buffer) => number | null): Promise<Buffer> {
      for (;;) {
        const count = enough(held);
        if (count !== null) {
          const taken = held.subarray(0, count);
          held = held.subarray(count);
          return taken;
        }
        if (over) throw new Error('the client closed');
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    /** No more is read here; what was read too far. */
    stop(): Buffer {
      socket.off('data', onData).off('end', onEnd).off('close', onEnd);
      return held;
    },
  };
}

type Reading = ReturnType<typeof reading>;
const count = (wanted: number) => (octets: Buffer) => (octets.length >= wanted ? wanted : null);

async function start(talk: (socket: Socket, from: Reading, asked: string[]) => Promise<void>): Promise<TestProxy> {
  const sockets = new Set<Socket>();
  const asked: string[] = [];
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
    void talk(socket, reading(socket), asked).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Connects to the place and joins the two; `reply` is said first, or in one write with the first octets of the server. */
async function join(socket: Socket, from: Reading, port: number, reply: Buffer, together: boolean): Promise<void> {
  const server = connect({ port, host: '127.0.0.1', noDelay: true });
  server.on('error', () => socket.destroy());
  await new Promise<void>((resolve) => server.once('connect', () => resolve()));
  if (together) {
    const first = await new Promise<Buffer>((resolve) => server.once('data', resolve));
    server.pause();
    socket.write(Buffer.concat([reply, first]));
  } else socket.write(reply);
  server.write(from.stop());
  socket.pipe(server);
  server.pipe(socket);
  socket.once('close', () => server.destroy());
}

export function startSocks({ user, password = '', places, together = false }: ProxyOptions): Promise<TestProxy> {
  return start(async (socket, from, asked) => {
    const [, methods = 0] = await from.until(count(2));
    const offered = [...(await from.until(count(methods)))];
    const wanted = user === undefined ? 0 : 2;
    if (!offered.includes(wanted)) {
      socket.end(Buffer.from([5, 0xff]));
      return;
    }
    socket.write(Buffer.from([5, wanted]));
    if (user !== undefined) {
      const text = async () => (await from.until(count((await from.until(count(1)))[0] as number))).toString('utf8');
      await from.until(count(1));
      const given = [await text(), await text()];
      asked.push(given.join(' '));
      const isRight = given[0] === user && given[1] === password;
      socket.write(Buffer.from([1, isRight ? 0 : 1]));
      if (!isRight) {
        socket.end();
        return;
      }
    }
    const [, , , type] = await from.until(count(4));
    const host =
      type === 1
        ? [...(await from.until(count(4)))].join('.')
        : type === 4
          ? (await from.until(count(16))).toString('hex')
          : (await from.until(count((await from.until(count(1)))[0] as number))).toString('latin1');
    const place = `${host}:${(await from.until(count(2))).readUInt16BE()}`;
    asked.push(`CONNECT ${place}`);
    const port = places[place];
    if (port === undefined) {
      socket.end(Buffer.from([5, 4, 0, 1, 0, 0, 0, 0, 0, 0]));
      return;
    }
    // An address of another kind than was asked for: its length must be read, not known.
    await join(socket, from, port, Buffer.from([5, 0, 0, 3, 3, 0x61, 0x2e, 0x62, 0, 25]), together);
  });
}

export function startHttpProxy({ user, password = '', places, together = false }: ProxyOptions): Promise<TestProxy> {
  return start(async (socket, from, asked) => {
    const head = (
      await from.until((octets) => {
        const end = octets.indexOf('\r\n\r\n');
        return end < 0 ? null : end + 4;
      })
    ).toString('latin1');
    asked.push(head);
    const credentials = Buffer.from(`${user}:${password}`).toString('base64');
    if (user !== undefined && !head.includes(`\r\nProxy-Authorization: Basic ${credentials}\r\n`)) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const port = places[/^CONNECT (\S+) HTTP\/1\.1\r\n/.exec(head)?.[1] ?? ''];
    if (port === undefined) {
      socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<p>no</p>');
      return;
    }
    await join(socket, from, port, Buffer.from('HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n'), together);
  });
}

/** Says one thing as soon as it is connected to, and nothing more; ends then, if it is told to. */
export function startSaying(text: string | Buffer, end = false): Promise<TestProxy> {
  return start(async (socket) => {
    socket.on('data', () => {});
    if (end) socket.end(text);
    else if (text.length > 0) socket.write(text);
  });
}
