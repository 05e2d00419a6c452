/**
 * A small SMTP or LMTP server over node:net and node:tls: sockets, TLS, time-outs and bounds around the machine of
 * `smtp/server/machine.ts`. Decides nothing about a message: its owner does. Knows no file and no output.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, type SecureContextOptions, TLSSocket } from 'node:tls';
import { isLoopback } from '../router/loopback.ts';
import { never, type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { isIPv6 } from '../smtp/path.ts';
import type { Reply } from '../smtp/reply.ts';
import type { Search } from '../smtp/server/content.ts';
import { makeReception, type Performed } from '../smtp/server/input.ts';
import { makeReply, type Question, type Receiving, replyLines, type Visit } from '../smtp/server/machine.ts';

/** The owner's answer: null is yes; `each` is for the content in LMTP, one reply for each recipient accepted. */
export type Verdict = Reply | null | { readonly reply: Reply | null; readonly each: readonly Reply[] };

/** What the owner does for one client. A promise that rejects is a bug. */
export interface Owner {
  judge(question: Question, visit: Visit): Verdict | Promise<Verdict>;
  /** Octets of the content, kept valid. While a promise is pending nothing more is read from the client. */
  content?(octets: Uint8Array): void | Promise<void>;
  /** The transaction is over without a verdict. */
  abandon?(): void;
  /** The conversation: the client's line, ours, or what happened. Secrets are masked. */
  trace?(side: 'C' | 'S' | '!', line: string): void;
  closed?(): void;
}

export interface Client {
  /** 1, 2, … in order of connection. */
  readonly number: number;
  /** Address and port, or '' on a unix socket. */
  readonly remote: string;
  /** The TLS socket once there is one: protocol, cipher, the client's certificate. */
  readonly tls: TLSSocket | null;
}

export interface ListenOptions {
  readonly receiving: Receiving;
  /** Port 0: any free one. */
  readonly at: { readonly host: string; readonly port: number } | { readonly path: string };
  /** Other addresses than loopback are allowed. */
  readonly anywhere?: boolean;
  /** Needed for STARTTLS; `implicit`: TLS comes before the greeting (RFC 8314 §3.3). */
  readonly tls?: SecureContextOptions & { readonly implicit?: boolean; readonly requestCert?: boolean };
  readonly owner: (client: Client) => Owner;
  /** Clients at a time; others hear 421. Default 100. */
  readonly connections?: number;
  /** Milliseconds for a command, a block of content, a handshake. Default 5 minutes: RFC 5321 §4.5.3.2.7. */
  readonly timeout?: number;
  /** Milliseconds by which every reply is held back: a long line, not a slow server (replies to a pipelined group wait together). */
  readonly delay?: number;
  /** Content is looked through for its end and not handed on. */
  readonly discard?: boolean;
}

export interface Listener {
  /** As a client says it: `127.0.0.1:2525`, `[::1]:2525`, or the path. */
  readonly address: string;
  /** 0 on a unix socket. */
  readonly port: number;
  /** No new clients; those there are hear 421 and have two seconds to hang up. */
  close(): Promise<void>;
}

const FIVE_MINUTES = 5 * 60 * 1000;
/** What a client that does not hang up has after the last reply: enough to read it over any line. */
const LINGER = 2000;
const TERMINATOR = Buffer.from('\r\n.\r\n', 'latin1');
const search: Search = (chunk, from) => Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).indexOf(TERMINATOR, from);

/** Listens; a detail when the address cannot be had or is not allowed. */
export async function listen(options: ListenOptions): Promise<Parsed<Listener>> {
  const { at } = options;
  if ('host' in at && options.anywhere !== true && !isLoopback(at.host))
    return unparsed(
      `${at.host} is not a loopback address; everybody who reaches it could send here, so it must be asked for by --anywhere`,
    );
  let secureContext: SecureContext | null = null;
  try {
    if (options.tls) secureContext = createSecureContext(options.tls);
  } catch (error) {
    return unparsed(`the certificate or key cannot be used: ${(error as Error).message}`);
  }
  const clients = new Set<Conversation>();
  let number = 0;
  /** Called when the last client has gone. */
  let left = (): void => {};
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    if (clients.size >= (options.connections ?? 100)) return turnAway(socket);
    number++;
    const conversation = converse(socket, number, options, secureContext, () => {
      clients.delete(conversation);
      if (clients.size === 0) left();
    });
    clients.add(conversation);
  });
  const failure = await opened(server, at);
  if (failure) return unparsed(failure);
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  const host = typeof bound === 'object' && bound !== null ? (isIPv6(bound.address) ? `[${bound.address}]` : bound.address) : '';
  return parsed({
    address: 'path' in at ? at.path : `${host}:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          left = resolve;
          if (clients.size === 0) resolve();
        });
        for (const client of clients) client.close();
      }),
  });
}

function opened(server: Server, at: ListenOptions['at']): Promise<string | null> {
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(explainListenError(at, error)));
    server.listen('path' in at ? { path: at.path } : { host: at.host, port: at.port }, () => resolve(null));
  });
}

export function explainListenError(at: ListenOptions['at'], { code, message }: Pick<NodeJS.ErrnoException, 'code' | 'message'>): string {
  const isSocket = 'path' in at;
  const where = isSocket ? at.path : `${at.host}:${at.port}`;
  if (code === 'EADDRINUSE')
    return `${where} is in use already; ${isSocket ? 'remove it if nothing listens there' : 'choose another with --port'}`;
  if (code === 'EADDRNOTAVAIL') return `${where} cannot be listened on: this host does not have that address`;
  if (code !== 'EACCES' && code !== 'EPERM') return `${where} cannot be listened on: ${message}`;
  const reason = isSocket ? 'this user may not write in its folder' : 'ports below 1024 are for root, so choose another with --port';
  return `${where} cannot be listened on: ${reason}`;
}

function turnAway(socket: Socket): void {
  socket.on('error', () => {});
  socket.end(`${replyLines(makeReply(421, '4.3.2', 'too many clients at a time')).join('\r\n')}\r\n`);
  socket.resume();
  setTimeout(() => socket.destroy(), LINGER).unref();
}

interface Conversation {
  close(): void;
}

/** What leaves, in order. */
type Deed = { readonly do: 'write'; readonly lines: readonly string[] } | { readonly do: 'startTls' } | { readonly do: 'close' };

function converse(
  socket: Socket,
  number: number,
  options: ListenOptions,
  secureContext: SecureContext | null,
  gone: () => void,
): Conversation {
  const { receiving, delay = 0, timeout = FIVE_MINUTES } = options;
  let stream: Socket = socket;
  let tls: TLSSocket | null = null;
  let clock: NodeJS.Timeout | undefined;
  /** With a delay, deeds wait here until they are due. */
  let outgoing: (Deed & { readonly due: number })[] = [];
  /** Replies of this turn, which leave in one write at its end: a write for each would cost more than all the rest of a turn. */
  let saying = '';
  let settling = false;
  /** Promises of the owner that content waits for. */
  let busy = 0;
  let ending = false;
  const remote = socket.remoteAddress === undefined ? '' : `${socket.remoteAddress}:${socket.remotePort}`;
  const owner = options.owner({
    number,
    remote,
    get tls() {
      return tls;
    },
  });
  const reception = makeReception(receiving, perform, options.discard ? search : null);

  function perform(action: Performed): void {
    switch (action.do) {
      case 'reply':
        send({ do: 'write', lines: action.lines });
        break;
      case 'startTls':
      case 'close':
        send({ do: action.do });
        break;
      case 'heard':
        owner.trace?.('C', action.line);
        break;
      case 'abandon':
        owner.abandon?.();
        break;
      case 'content':
        hold(owner.content?.(action.octets));
        break;
      case 'ask': {
        const verdict = owner.judge(action.question, action.visit);
        if (verdict instanceof Promise) verdict.then(tell);
        else tell(verdict);
        break;
      }
      /* c8 ignore next 2 */
      default:
        never(action);
    }
  }

  function tell(verdict: Verdict): void {
    const { reply, each } = verdict !== null && 'each' in verdict ? verdict : { reply: verdict, each: [] };
    settle(() => reception.verdict(reply, each));
  }

  function hold(promise: void | Promise<void>): void {
    if (!promise) return;
    busy++;
    promise.then(() => {
      busy--;
      settle(() => {});
    });
  }

  /** Everything that happens goes through here: afterwards replies are on their way, and reading and the clock fit the new state. */
  function settle(happens: () => void): void {
    // A verdict that is given at once comes within the turn that asked for it.
    if (settling) {
      happens();
      return;
    }
    settling = true;
    const before = reception.state;
    happens();
    say();
    settling = false;
    const { state } = reception;
    if (state !== before || state.at === 'data' || state.at === 'chunk') rearm();
    const wanted = ending || (reception.mayRead && busy === 0 && !stream.writableNeedDrain);
    if (wanted === stream.isPaused()) stream[wanted ? 'resume' : 'pause']();
  }

  /** The client's time, not the owner's: nothing runs while the owner judges. */
  function rearm(): void {
    clearTimeout(clock);
    if (reception.state.at === 'judging' || reception.state.at === 'closed') return;
    clock = setTimeout(() => {
      owner.trace?.('!', 'time-out');
      settle(() => reception.tell('timeout'));
    }, timeout);
  }

  function send(deed: Deed): void {
    if (delay === 0) {
      carryOut(deed);
      return;
    }
    outgoing.push({ ...deed, due: Date.now() + delay });
    if (outgoing.length === 1) setTimeout(flush, delay);
  }

  function flush(): void {
    const now = Date.now();
    const due = outgoing.filter((deed) => deed.due <= now);
    outgoing = outgoing.slice(due.length);
    settle(() => due.forEach(carryOut));
    const [next] = outgoing;
    if (next) setTimeout(flush, Math.max(1, next.due - now));
  }

  function carryOut(deed: Deed): void {
    if (deed.do === 'startTls') startTls();
    else if (deed.do === 'close') close();
    else {
      for (const text of deed.lines) owner.trace?.('S', text);
      saying += `${deed.lines.join('\r\n')}\r\n`;
    }
  }

  function say(): void {
    if (saying !== '' && stream.writable) stream.write(saying, 'latin1');
    saying = '';
  }

  function startTls(): void {
    say();
    unhear(stream);
    // What was said in the clear and not yet read must not reach the handshake. RFC 3207 §6
    while (stream.read() !== null);
    secure(() => settle(() => reception.secured()));
  }

  function secure(done: () => void): void {
    const secured = new TLSSocket(stream, {
      isServer: true,
      ...(secureContext ? { secureContext } : {}),
      requestCert: options.tls?.requestCert ?? false,
      rejectUnauthorized: false,
    });
    tls = secured;
    stream = secured;
    hear(secured);
    secured.once('secure', () => {
      owner.trace?.('!', `TLS: ${secured.getProtocol()} ${secured.getCipher().name}`);
      done();
    });
  }

  /** The reply that says why must arrive: what still comes is read and dropped until the client hangs up. */
  function close(): void {
    ending = true;
    clearTimeout(clock);
    say();
    stream.end();
    stream.resume();
    setTimeout(() => stream.destroy(), LINGER).unref();
  }

  const onData = (chunk: Buffer): void => settle(() => reception.octets(chunk));
  const onEnd = (): void => settle(() => reception.ended());
  const onDrain = (): void => settle(() => {});
  function hear(on: Socket): void {
    on.on('data', onData);
    on.on('end', onEnd);
    on.on('drain', onDrain);
    on.on('error', (error) => owner.trace?.('!', error.message));
    on.on('close', over);
  }
  function unhear(on: Socket): void {
    on.pause();
    on.off('data', onData);
    on.off('end', onEnd);
    on.off('drain', onDrain);
    on.off('close', over);
  }
  let told = false;
  function over(): void {
    if (told) return;
    told = true;
    clearTimeout(clock);
    outgoing = [];
    reception.tell('lost');
    gone();
    owner.closed?.();
    socket.destroy();
  }

  owner.trace?.('!', `client ${number}${remote === '' ? '' : ` from ${remote}`}`);
  if (options.tls?.implicit) {
    clock = setTimeout(() => stream.destroy(), timeout);
    secure(() => settle(() => reception.begin(true)));
  } else {
    hear(stream);
    settle(() => reception.begin(false));
  }
  return {
    close() {
      // Before the greeting nothing can be said.
      if (reception.state.at === 'closed') stream.destroy();
      else settle(() => reception.tell('closing'));
    },
  };
}
