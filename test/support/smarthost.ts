/**
 * A smart host under a test's control: it behaves, but for the one thing it is told to do at one phase. It records every
 * message it holds whole, and what it answered to it. Written against RFC 5321 alone: it shares nothing with src.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';

/** Where a session stands; RCPT is counted: `RCPT 1`, `RCPT 2`. The name alone means the first. */
export type Phase =
  | 'connect'
  | 'greeting'
  | 'EHLO'
  | 'HELO'
  | 'STARTTLS'
  | 'handshake'
  | 'second EHLO'
  | 'AUTH'
  | 'MAIL'
  | `RCPT ${number}`
  | 'DATA'
  | 'content'
  | 'BDAT'
  | 'end'
  | 'QUIT';

/** A socket and what was read from it and not yet used. */
export interface Talk {
  socket: Socket;
  /** Without its line end; null at the end of the connection. */
  line(): Promise<string | null>;
  exactly(count: number): Promise<Buffer | null>;
  say(text: string): void;
}

/** A reply (lines by `\n`, codes are added; with CRLF octets as they are), an end of the connection, nothing at all, or anything. After a function the session is over unless it returns a reply. */
export type Deed = string | 'close' | 'reset' | 'silence' | ((talk: Talk) => Promise<string | undefined> | string | undefined);

export interface SmarthostOptions {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  /** EHLO keywords. */
  readonly offers?: readonly string[];
  readonly tls?: { readonly key: string; readonly cert: string };
  /** TLS from the first octet. */
  readonly secure?: boolean;
  readonly script?: Partial<Record<Phase, Deed>>;
  /** Octets of content that are read before the deed of `content` is done. */
  readonly contentOctets?: number;
}

export interface Held {
  readonly recipients: readonly string[];
  /** Lines heard in its session so far. */
  readonly session: readonly string[];
  readonly octets: Buffer;
  /** What was answered to it, '' = nothing. */
  reply: string;
}

export interface TestHost {
  readonly port: number;
  readonly path: string;
  /** Lines heard, by connection. */
  readonly sessions: readonly (readonly string[])[];
  /** Messages that are here whole. */
  readonly held: readonly Held[];
  /** Content that ended without its terminator: octets. */
  readonly partial: readonly number[];
  stop(): Promise<void>;
}

export function talkOn(plain: Socket): Talk & { detach(): void } {
  let octets: Buffer = Buffer.alloc(0);
  let wake: (() => void) | undefined;
  let ended = false;
  const onData = (chunk: Buffer) => {
    octets = octets.length === 0 ? chunk : Buffer.concat([octets, chunk]);
    wake?.();
  };
  const onEnd = () => {
    ended = true;
    wake?.();
  };
  plain.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onEnd);
  const more = async (): Promise<boolean> => {
    if (ended) return false;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    return true;
  };
  return {
    socket: plain,
    say: (text) => void plain.write(text.replace(/\r?\n/g, '\r\n'), 'latin1'),
    detach: () => plain.off('data', onData).off('end', onEnd).off('close', onEnd),
    async line() {
      for (let from = 0; ; ) {
        const end = octets.indexOf('\r\n', from);
        if (end >= 0) {
          const line = octets.subarray(0, end).toString('latin1');
          octets = octets.subarray(end + 2);
          return line;
        }
        from = Math.max(0, octets.length - 1);
        if (!(await more())) return null;
      }
    },
    async exactly(count) {
      while (octets.length < count) if (!(await more())) return null;
      const taken = octets.subarray(0, count);
      octets = octets.subarray(count);
      return taken;
    },
  };
}

const reply = (text: string): string => {
  if (text.includes('\r\n')) return text;
  const lines = text.split('\n');
  const code = /^\d{3}/.exec(lines[0] as string)?.[0] ?? '';
  // A text of several lines is made a reply of several lines; what is no reply at all is said as it is.
  return code === '' || lines.length === 1
    ? `${text}\n`
    : `${lines.map((line, i) => `${code}${i < lines.length - 1 ? '-' : ' '}${line.replace(/^\d{3} /, '')}`).join('\n')}\n`;
};

const isPositive = (text: string): boolean => /^[23]/.test(text);

export async function startHost(options: SmarthostOptions = {}): Promise<TestHost> {
  const sockets = new Set<Socket>();
  const sessions: string[][] = [];
  const held: Held[] = [];
  const partial: number[] = [];
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    // A test that failed must not keep the others' process alive.
    socket.unref();
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    const heard: string[] = [];
    sessions.push(heard);
    void converse(socket, options, { heard, held, partial }).catch((error: unknown) => {
      console.log(`smart host: ${error}`);
      socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (options.path) server.listen(options.path, resolve);
    else server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  });
  server.unref();
  return {
    port: options.path ? 0 : (server.address() as AddressInfo).port,
    path: options.path ?? '',
    sessions,
    held,
    partial,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

interface Books {
  readonly heard: string[];
  readonly held: Held[];
  readonly partial: number[];
}

function securedBy(plain: Socket, tls: SmarthostOptions['tls']): TLSSocket {
  if (!tls) throw new Error('no certificate was given');
  const secured = new TLSSocket(plain, { isServer: true, secureContext: createSecureContext(tls) });
  secured.on('error', () => undefined);
  return secured;
}

async function converse(plain: Socket, options: SmarthostOptions, { heard, held, partial }: Books): Promise<void> {
  const { offers = [], script = {}, tls, secure = false } = options;
  let talk = secure ? talkOn(securedBy(plain, tls)) : talkOn(plain);
  let over = false;

  /** Does what the script has for a phase, else says `usual`; the reply that was said, '' when the session is over. */
  const act = async (phase: Phase, usual: string): Promise<string> => {
    const deed = script[phase];
    const said = typeof deed === 'function' ? await deed(talk) : (deed ?? usual);
    if (said === 'close') talk.socket.end();
    else if (said === 'reset') (talk.socket instanceof TLSSocket ? plain : talk.socket).resetAndDestroy();
    else if (said !== undefined && said !== 'silence') {
      if (said !== '') talk.say(reply(said));
      return said;
    }
    over = true;
    return '';
  };
  const ehlo = (): string => ['250 smart.example', ...offers.filter((word) => word !== 'STARTTLS' || talk.socket === plain)].join('\n');

  if (script.connect !== undefined) await act('connect', '');
  if (over || !isPositive(await act('greeting', '220 smart.example ESMTP'))) return;
  let recipients: string[] = [];
  let chunks: Buffer[] = [];
  const whole = async (octets: Buffer): Promise<void> => {
    const message: Held = { recipients, session: heard, octets, reply: '' };
    held.push(message);
    message.reply = await act('end', '250 2.0.0 taken');
    recipients = [];
    chunks = [];
  };
  for (let count = 0; !over; ) {
    const line = await talk.line();
    if (line === null) break;
    heard.push(line);
    const verb = line.split(' ')[0]?.toUpperCase() ?? '';
    if (verb === 'EHLO' || verb === 'LHLO') await act(talk.socket === plain ? 'EHLO' : 'second EHLO', ehlo());
    else if (verb === 'HELO') await act('HELO', '250 smart.example');
    else if (verb === 'STARTTLS') {
      if (!isPositive(await act('STARTTLS', '220 go ahead')) || over) continue;
      talk.detach();
      if (script.handshake !== undefined) {
        talk = talkOn(plain);
        await act('handshake', '');
        continue;
      }
      talk = talkOn(securedBy(plain, tls));
    } else if (verb === 'AUTH') await act('AUTH', '235 2.7.0 welcome');
    else if (verb === 'MAIL') {
      recipients = [];
      count = 0;
      await act('MAIL', '250 2.1.0 sender ok');
    } else if (verb === 'RCPT') {
      count++;
      if (isPositive(await act(`RCPT ${count}`, '250 2.1.5 recipient ok'))) recipients.push(/<(.*)>/.exec(line)?.[1] ?? '');
    } else if (verb === 'DATA') {
      const said = await act('DATA', recipients.length > 0 ? '354 go ahead' : '503 5.5.1 no recipients');
      if (!said.startsWith('354')) continue;
      const parts: string[] = [];
      let octets = 0;
      let interrupted = false;
      for (;;) {
        if (script.content !== undefined && !interrupted && octets >= (options.contentOctets ?? 0)) {
          interrupted = true;
          await act('content', '');
          if (over) {
            partial.push(octets);
            break;
          }
        }
        const next = await talk.line();
        if (next === null) {
          partial.push(octets);
          talk.socket.end();
          over = true;
          break;
        }
        if (next === '.') {
          await whole(Buffer.from(parts.map((part) => `${part}\r\n`).join(''), 'latin1'));
          break;
        }
        octets += next.length + 2;
        parts.push(next.startsWith('.') ? next.slice(1) : next);
      }
    } else if (verb === 'BDAT') {
      const chunk = await talk.exactly(Number(line.split(' ')[1]));
      if (chunk === null) {
        partial.push(0);
        break;
      }
      chunks.push(chunk);
      if (/ LAST$/i.test(line)) await whole(Buffer.concat(chunks));
      else await act('BDAT', '250 2.0.0 more');
    } else if (verb === 'RSET') {
      recipients = [];
      chunks = [];
      talk.say('250 2.0.0 reset\n');
    } else if (verb === 'NOOP') talk.say('250 2.0.0 here\n');
    else if (verb === 'QUIT') {
      await act('QUIT', '221 2.0.0 bye');
      if (!over) talk.socket.end();
      over = true;
    } else talk.say('500 5.5.2 what\n');
  }
  if (!over) talk.socket.end();
}
