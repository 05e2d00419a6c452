/**
 * Serves one client of a small SMTP or LMTP server: sockets, TLS, time-outs and bounds around the machine of
 * `smtp/server/machine.ts`. Decides nothing about a message, because its owner does. Knows no other client.
 */
import type { Socket } from 'node:net';
import { type SecureContext, type SecureContextOptions, TLSSocket } from 'node:tls';
import { never } from '../smtp/parsed.ts';
import type { Reply } from '../smtp/reply.ts';
import type { Search } from '../smtp/server/content.ts';
import { makeReception, type Performed } from '../smtp/server/input.ts';
import type { OwnerQuestion, Receiving, ServerVisit } from '../smtp/server/machine.ts';
import { now } from './clock.ts';

/** The owner's answer: null is yes; `each` is for the content in LMTP, one reply for each recipient accepted. */
export type OwnerVerdict = Reply | null | { readonly reply: Reply | null; readonly each: readonly Reply[] };

/** The part of the owner for one client. A promise that rejects is a bug. */
export interface SessionOwner {
  judge(question: OwnerQuestion, visit: ServerVisit): OwnerVerdict | Promise<OwnerVerdict>;
  /** Takes octets of the content, which stay valid. While its promise is pending nothing more is read from the client. */
  content?(octets: Uint8Array): void | Promise<void>;
  /** Hears that the transaction is over without a verdict. */
  abandon?(): void;
  /** Hears the conversation: the client's line, ours, or an event. Secrets are masked. */
  trace?(side: 'C' | 'S' | '!', line: string): void;
  closed?(): void;
}

export interface ServedClient {
  /** 1, 2, … in order of connection. */
  readonly number: number;
  /** Address and port, or '' on a unix socket. */
  readonly remote: string;
  /** The TLS socket once there is one: protocol, cipher, the client's certificate. */
  readonly tls: TLSSocket | null;
  /** Cuts the connection, without a word. */
  hangUp(): void;
}

export interface ServeOptions {
  readonly receiving: Receiving;
  /** Needed for STARTTLS; `implicit`: TLS comes before the greeting (RFC 8314 §3.3). */
  readonly tls?: SecureContextOptions & { readonly implicit?: boolean; readonly requestCert?: boolean };
  readonly owner: (client: ServedClient) => SessionOwner;
  /** Milliseconds for a command, a block of content, a handshake. Default 5 minutes: RFC 5321 §4.5.3.2.7. */
  readonly timeout?: number;
  /**
   * Milliseconds by which every reply is held back: this makes a long line, not a slow server, because replies to a pipelined
   * group wait together.
   */
  readonly delay?: number;
  /** True if content is only searched for its end, and not handed on. */
  readonly discard?: boolean;
}

const FIVE_MINUTES = 5 * 60 * 1000;
/** Milliseconds that a client has to hang up after the last reply, which are enough to read it over any line. */
export const LINGER = 2000;
const TERMINATOR = Buffer.from('\r\n.\r\n', 'latin1');
const search: Search = (chunk, from) => Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).indexOf(TERMINATOR, from);

/** A client that is being served. */
export interface Conversation {
  close(): void;
}

/** The things that leave, in order. */
type Deed = { readonly do: 'write'; readonly lines: readonly string[] } | { readonly do: 'startTls' } | { readonly do: 'close' };

/** Serves a client, until `onLeft`. */
export function converse(
  socket: Socket,
  number: number,
  options: ServeOptions,
  secureContext: SecureContext | null,
  onLeft: () => void,
): Conversation {
  const { receiving, delay = 0, timeout = FIVE_MINUTES } = options;
  let stream: Socket = socket;
  let tls: TLSSocket | null = null;
  let clock: NodeJS.Timeout | undefined;
  /** With a delay, deeds wait here until they are due. */
  let outgoing: (Deed & { readonly due: number })[] = [];
  /**
   * Replies of this turn. They leave in one write at its end, because a write for each would cost more than all the rest of a
   * turn.
   */
  let saying = '';
  let isSettling = false;
  /** The number of the owner's promises that content waits for. */
  let busy = 0;
  let isEnding = false;
  const remote = socket.remoteAddress === undefined ? '' : `${socket.remoteAddress}:${socket.remotePort}`;
  const owner = options.owner({
    number,
    remote,
    get tls() {
      return tls;
    },
    hangUp: () => void socket.destroy(),
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
        if (verdict instanceof Promise) verdict.then(answer);
        else answer(verdict);
        break;
      }
      /* c8 ignore next 2 */
      default:
        never(action);
    }
  }

  function answer(verdict: OwnerVerdict): void {
    const { reply, each } = verdict !== null && 'each' in verdict ? verdict : { reply: verdict, each: [] };
    settle(() => reception.answer(reply, each));
  }

  function hold(promise: void | Promise<void>): void {
    if (!promise) return;
    busy++;
    promise.then(() => {
      busy--;
      settle(() => {});
    });
  }

  /**
   * Everything that happens goes through this function. It sends the replies, and makes reading and the clock fit the new
   * state.
   */
  function settle(happens: () => void): void {
    // A verdict that is given at once comes within the turn that asked for it.
    if (isSettling) {
      happens();
      return;
    }
    isSettling = true;
    const before = reception.state;
    happens();
    say();
    isSettling = false;
    const { state } = reception;
    if (state !== before || state.at === 'data' || state.at === 'chunk') rearm();
    const mayRead = isEnding || (reception.mayRead && busy === 0 && !stream.writableNeedDrain);
    if (mayRead === stream.isPaused()) stream[mayRead ? 'resume' : 'pause']();
  }

  /** Measures the client's time, not the owner's, so the clock stands still while the owner judges. */
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
    // A client begins its handshake as soon as it hears the reply, so both are due together.
    const due = (deed.do === 'startTls' ? outgoing.at(-1)?.due : undefined) ?? now() + delay;
    outgoing.push({ ...deed, due });
    if (outgoing.length === 1) setTimeout(flush, delay);
  }

  function flush(): void {
    const due = outgoing.filter((deed) => deed.due <= now());
    outgoing = outgoing.slice(due.length);
    settle(() => due.forEach(carryOut));
    const [next] = outgoing;
    if (next) setTimeout(flush, Math.max(1, next.due - now()));
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
    // Octets in clear that are not read yet must not reach the handshake. RFC 3207 §6
    while (stream.read() !== null);
    secure(() => settle(() => reception.tell('secured')));
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

  /** The reply that says why must arrive, so octets that still come are read and dropped until the client hangs up. */
  function close(): void {
    isEnding = true;
    clearTimeout(clock);
    say();
    stream.end();
    stream.resume();
    setTimeout(() => stream.destroy(), LINGER).unref();
  }

  const onData = (chunk: Buffer): void => settle(() => reception.hear(chunk));
  const onEnd = (): void => settle(() => reception.end());
  const onDrain = (): void => settle(() => {});
  function hear(on: Socket): void {
    on.on('data', onData);
    on.on('end', onEnd);
    on.on('drain', onDrain);
    on.on('error', (error) => owner.trace?.('!', error.message));
    on.on('close', leave);
  }
  function unhear(on: Socket): void {
    on.pause();
    on.off('data', onData);
    on.off('end', onEnd);
    on.off('drain', onDrain);
    on.off('close', leave);
  }
  let hasLeft = false;
  function leave(): void {
    if (hasLeft) return;
    hasLeft = true;
    clearTimeout(clock);
    outgoing = [];
    reception.tell('lost');
    onLeft();
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
      // Nothing can be said before the greeting.
      if (reception.state.at === 'closed') stream.destroy();
      else settle(() => reception.tell('closing'));
    },
  };
}
