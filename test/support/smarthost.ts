/**
 * A smart host that works, one of the two SMTP servers of the tests: it behaves, except for what it is told to do at a phase. It
 * records every message it holds whole, and what it answered to it. Written against RFC 5321 alone: it shares nothing with src. The
 * other one (scripted.ts) knows no SMTP and does what its script says.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, type SecureContextOptions, TLSSocket } from 'node:tls';
import { reset } from './reset.ts';
import { type Talk, talkOn } from './talk.ts';

/** Where a session stands. RCPT is counted, `RCPT 1`, `RCPT 2`; alone it stands for each. */
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
  | 'RCPT'
  | `RCPT ${number}`
  | 'DATA'
  | 'content'
  | 'BDAT'
  | 'end'
  | 'NOOP'
  | 'QUIT';

export type { Talk };

/**
 * A reply (lines by `\n`, codes are added; with CRLF octets as they are), an end of the connection ('drop': as a process that dies
 * ends it), no answer ('hang': nothing is read either), or anything. After a function the session is over unless it returns a reply.
 */
export type Deed =
  | string
  | 'close'
  | 'reset'
  | 'drop'
  | 'silence'
  | 'hang'
  | ((talk: Talk) => Promise<string | undefined> | string | undefined);

export interface SmarthostOptions {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  /** EHLO keywords. */
  readonly offers?: readonly string[];
  readonly tls?: SecureContextOptions;
  /** TLS from the first octet. */
  readonly secure?: boolean;
  readonly script?: Partial<Record<Phase, Deed>>;
  /** Called at each phase; the host goes on as its script says when this has resolved. */
  readonly watch?: (phase: Phase) => Promise<void>;
  /** Octets of content that are read before the deed of `content` is done. */
  readonly contentOctets?: number;
  /**
   * Milliseconds for which the client must be silent before the host answers all it was asked: each answer then ends a flight,
   * however the client's octets were cut on their way. Without it the host answers at once.
   */
  readonly patience?: number;
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
  /** With `patience`: the first octets of each flight. */
  readonly flights: readonly string[];
  stop(): Promise<void>;
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
  const flights: string[] = [];
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    // A test that failed must not keep the others' process alive.
    socket.unref();
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    const heard: string[] = [];
    sessions.push(heard);
    void converse(socket, options, { heard, held, partial, flights }).catch((error: unknown) => {
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
    flights,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** What a host records, of one connection in `heard`. */
export interface Books {
  readonly heard: string[];
  readonly held: Held[];
  readonly partial: number[];
  readonly flights: string[];
}

/** To make one costs more than a handshake. */
const contexts = new WeakMap<SecureContextOptions, SecureContext>();

function securedBy(plain: Socket, tls: SmarthostOptions['tls']): TLSSocket {
  if (!tls) throw new Error('no certificate was given');
  const secureContext = contexts.get(tls) ?? createSecureContext(tls);
  contexts.set(tls, secureContext);
  const secured = new TLSSocket(plain, { isServer: true, secureContext });
  secured.on('error', () => undefined);
  return secured;
}

/** Collects what is said until the client has been silent for so many milliseconds, and records how its flights begin. */
function waitPatiently(talk: Talk, patience: number, flights: string[]): Talk {
  let collected = '';
  let isAnswered = true;
  let timer: NodeJS.Timeout | undefined;
  const answer = (): void => {
    if (collected === '') return;
    isAnswered = true;
    talk.say(collected);
    collected = '';
  };
  const wait = (): void => {
    clearTimeout(timer);
    timer = setTimeout(answer, patience);
  };
  talk.socket.on('data', (octets: Buffer) => {
    if (isAnswered) flights.push(octets.toString('latin1', 0, 4));
    isAnswered = false;
    wait();
  });
  return {
    ...talk,
    say(text) {
      collected += text;
      wait();
    },
  };
}

/** Has the session of one connection, also of one that is no socket of the system. */
export async function converse(plain: Socket, options: SmarthostOptions, { heard, held, partial, flights }: Books): Promise<void> {
  const { offers = [], script = {}, tls, secure = false, patience } = options;
  let talk = secure ? talkOn(securedBy(plain, tls)) : talkOn(plain);
  if (patience !== undefined) talk = waitPatiently(talk, patience, flights);
  let over = false;

  /** Does what the script has for a phase, else says `usual`; the reply that was said, '' when the session is over. */
  const act = async (phase: Phase, usual: string): Promise<string> => {
    await options.watch?.(phase);
    const deed = script[phase] ?? (phase.startsWith('RCPT') ? script.RCPT : undefined);
    const said = typeof deed === 'function' ? await deed(talk) : (deed ?? usual);
    if (said === 'close') talk.socket.end();
    else if (said === 'reset') reset(talk.socket instanceof TLSSocket ? plain : talk.socket);
    else if (said === 'drop') talk.socket.destroy();
    else if (said === 'hang') talk.socket.pause();
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
      if (options.watch !== undefined) {
        // What comes meanwhile waits for the handshake.
        plain.pause();
        await options.watch('handshake');
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
        if ((script.content ?? options.watch) !== undefined && !interrupted && octets >= (options.contentOctets ?? 0)) {
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
    } else if (verb === 'NOOP') await act('NOOP', '250 2.0.0 here');
    else if (verb === 'QUIT') {
      await act('QUIT', '221 2.0.0 bye');
      if (!over) talk.socket.end();
      over = true;
    } else talk.say('500 5.5.2 what\n');
  }
  if (!over) talk.socket.end();
}
