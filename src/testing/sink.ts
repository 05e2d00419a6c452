/**
 * A smart host in a test: it takes messages over TCP or a unix socket and keeps them, with what is known of their sessions. Knows no test runner
 * and delivers nothing.
 */
import { never } from '../smtp/parsed.ts';
import { printMailbox, type ReversePath } from '../smtp/path.ts';
import type { Reply } from '../smtp/reply.ts';
import { makeReply } from '../smtp/server/answers.ts';
import { type OwnerQuestion, RECEIVING, type Receiving, type ServerVisit, USUAL_EXTENSIONS } from '../smtp/server/machine.ts';
import type { Parameter } from '../smtp/server/parse.ts';
import { printable } from '../smtp/text.ts';
import { listen } from '../transport/listen.ts';
import type { OwnerVerdict, ServedClient, SessionOwner } from '../transport/serve.ts';
import { makeCertificate } from '../transport/tls/certificate.ts';
import { makeRefusals, type RefusalPoint, type RefusalScope, replyToThrown } from './refusals.ts';

export type { RefusalPoint, RefusalScope } from './refusals.ts';

/** A command at which the sink hangs up in place of an answer. CONTENT: when the first octets of the content have come; END: when all have. */
export type DropPoint = 'GREETING' | 'EHLO' | 'STARTTLS' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA' | 'CONTENT' | 'END' | 'RSET' | 'NOOP' | 'QUIT';

/** 'implicit': TLS comes before the greeting. */
export interface SinkTls {
  readonly mode: 'starttls' | 'implicit';
  /** PEM; default: the sink makes a key and a certificate for localhost, 127.0.0.1 and ::1 that it has signed itself. */
  readonly key?: string | undefined;
  readonly cert?: string | undefined;
}

/** Who may log in; a function decides it itself. */
export type SinkLogin =
  | { readonly user: string; readonly password: string }
  | ((user: string, password: string) => boolean | Promise<boolean>);

/** The options of a sink. */
export interface SinkOptions {
  /** Default: 127.0.0.1. */
  readonly host?: string | undefined;
  /** Default: any free one. */
  readonly port?: number | undefined;
  /** The path of a unix socket, in place of `host` and `port`. */
  readonly socket?: string | undefined;
  readonly lmtp?: boolean | undefined;
  /** Default: no TLS. */
  readonly tls?: 'starttls' | 'implicit' | SinkTls | undefined;
  /** The sink offers AUTH PLAIN and LOGIN, after STARTTLS where it offers that, and takes no MAIL before. */
  readonly auth?: SinkLogin | undefined;
  /** EHLO keywords with their parameters; default: `USUAL_EXTENSIONS` of `nospool/smtp/server`. STARTTLS and AUTH come by `tls` and `auth`. */
  readonly extensions?: readonly string[] | undefined;
  /** Milliseconds by which each answer is late, as over a long line. */
  readonly latency?: number | undefined;
  /** The most octets of a message; default: 50 MiB. */
  readonly size?: number | undefined;
}

/** An address of the envelope, without angle brackets; the null reverse-path is `''`. Keywords of parameters are in upper case. RFC 5321 §4.1.2 */
export interface SinkAddress {
  readonly address: string;
  /** null: the parameter has no value. */
  readonly parameters: Readonly<Record<string, string | null>>;
}

/** The facts of the session in which a message came. */
export interface SinkSession {
  /** 1, 2, … in the order of connections. */
  readonly number: number;
  /** Address and port of the client; `''` on a unix socket. */
  readonly remote: string;
  /** What the client called itself. */
  readonly hello: string | null;
  /** The protocol, such as `TLSv1.3`. */
  readonly tls: string | null;
  /** The user that has logged in. */
  readonly user: string | null;
}

/** A message that the sink has taken. */
export interface SinkMessage {
  readonly from: SinkAddress;
  /** The recipients that the sink has accepted. */
  readonly to: readonly SinkAddress[];
  /** The octets of the message, without what the transport adds. */
  readonly content: Uint8Array;
  /** The content as UTF-8; what is no UTF-8 becomes U+FFFD. */
  readonly text: string;
  readonly session: SinkSession;
}

/** A smart host in a test. */
export interface SmtpSink extends AsyncDisposable {
  /** The sink as a server of `submit`, `connect` or `Pool`. */
  readonly url: string;
  /** 0 on a unix socket. */
  readonly port: number;
  /** PEM of the certificate that the sink has made, for `tls.ca` of the client; null where there is none. */
  readonly certificate: string | null;
  /** All messages so far, in the order in which they were taken. */
  readonly messages: readonly SinkMessage[];
  /** How many connections there were. */
  readonly connections: number;
  /** What was said: `C: EHLO example.org`, `S: 250 2.1.0 ok`, `! TLS: …`. Secrets are masked, and content is left out. */
  readonly transcript: readonly string[];
  /** The first message that no call of `next` has had; waits for one. Rejects when the sink is closed before it comes. */
  next(): Promise<SinkMessage>;
  /**
   * Refuses from now on, for so many times, with a reply such as `550 5.1.1 No such user`; 421 also ends the session. The newest refusal that fits
   * counts. Throws if the reply is none, or does not refuse.
   */
  refuse(at: RefusalPoint, reply: string, scope?: number | RefusalScope): void;
  /** Hangs up at this point, for so many times, as a number or as `refuse` takes it; default: once. */
  drop(at: DropPoint, times?: number | Pick<RefusalScope, 'times'>): void;
  /** Forgets messages, transcript, refusals and drops. */
  reset(): void;
  /** Ends all sessions and stops listening. */
  close(): Promise<void>;
}

/** Milliseconds in which a client may read that the sink closes. */
const PARTING = 100;

const REFUSAL_POINTS: Readonly<Record<OwnerQuestion['about'], RefusalPoint>> = {
  connection: 'GREETING',
  credentials: 'AUTH',
  sender: 'MAIL',
  recipient: 'RCPT',
  data: 'DATA',
  content: 'END',
};

/** Starts a smart host for a test. Rejects if it cannot listen. */
export async function sink(options: SinkOptions = {}): Promise<SmtpSink> {
  const refusals = makeRefusals();
  const drops = new Map<DropPoint, number>();
  const clients = new Set<ServedClient>();
  let messages: SinkMessage[] = [];
  let transcript: string[] = [];
  let connections = 0;
  /** How many messages `next` has given out. */
  let given = 0;
  let waiting: { resolve(message: SinkMessage): void; reject(error: Error): void }[] = [];
  let closing: Promise<void> | null = null;

  function keep(message: SinkMessage): void {
    messages.push(message);
    const [first, ...rest] = waiting;
    if (first === undefined) return;
    waiting = rest;
    given += 1;
    first.resolve(message);
  }

  /** Whether to hang up now, which uses up one time. */
  function isDropped(at: DropPoint): boolean {
    const left = drops.get(at) ?? 0;
    if (left > 0) drops.set(at, left - 1);
    return left > 0;
  }

  function receive(client: ServedClient): SessionOwner {
    const number = ++connections;
    clients.add(client);
    let from: SinkAddress = { address: '', parameters: {} };
    let to: SinkAddress[] = [];
    let chunks: Uint8Array[] = [];
    /** The sink has hung up, so what had come before counts no more. */
    let isOver = false;

    function hangUpAt(at: DropPoint): void {
      if (isOver || !isDropped(at)) return;
      isOver = true;
      client.hangUp();
    }

    function judge(question: OwnerQuestion, visit: ServerVisit): OwnerVerdict | Promise<OwnerVerdict> {
      const point = REFUSAL_POINTS[question.about];
      if (point === 'GREETING' || point === 'END') hangUpAt(point);
      if (isOver) return new Promise(() => {});
      switch (question.about) {
        case 'connection':
        case 'data':
          return refusals.find(point, '');
        case 'credentials':
          return refusals.find(point, question.user) ?? login(question.user, question.password);
        case 'sender':
          from = addressOf(question.path, question.parameters);
          to = [];
          chunks = [];
          return refusals.find(point, from.address);
        case 'recipient': {
          const recipient = addressOf(question.path, question.parameters);
          const refusal = refusals.find(point, recipient.address);
          if (refusal === null) to.push(recipient);
          return refusal;
        }
        case 'content':
          return options.lmtp === true ? takeForEach(visit) : (refusals.find(point, '') ?? take(visit, to));
        /* c8 ignore next 2 */
        default:
          return never(question);
      }
    }

    async function login(user: string, password: string): Promise<OwnerVerdict> {
      const { auth } = options;
      try {
        const isKnown = typeof auth === 'function' ? await auth(user, password) : auth?.user === user && auth.password === password;
        return isKnown ? null : makeReply(535, '5.7.8', 'wrong user or password');
      } catch (error) {
        return replyToThrown(454, '4.7.0', error);
      }
    }

    function take(visit: ServerVisit, recipients: readonly SinkAddress[]): null {
      const content = new Uint8Array(Buffer.concat(chunks));
      chunks = [];
      keep({
        from,
        to: recipients,
        content,
        get text() {
          return new TextDecoder('utf-8', { ignoreBOM: true }).decode(content);
        },
        session: { number, remote: client.remote, hello: visit.hello, tls: client.tls?.getProtocol() ?? null, user: visit.user },
      });
      return null;
    }

    /** LMTP: each recipient has an answer of its own. RFC 2033 §4.2 */
    function takeForEach(visit: ServerVisit): OwnerVerdict {
      const answers = to.map(({ address }): Reply | null => refusals.find('END', address));
      const taken = to.filter((_, i) => answers[i] === null);
      if (taken.length > 0) take(visit, taken);
      return { reply: null, each: answers.map((reply) => reply ?? makeReply(250, '2.0.0', 'ok')) };
    }

    return {
      judge,
      content(octets) {
        hangUpAt('CONTENT');
        if (!isOver) chunks.push(octets);
      },
      trace(side, line) {
        transcript.push(`${side}${side === '!' ? '' : ':'} ${printable(line)}`);
        const point = side === 'C' ? DROP_POINTS.get(line.replace(/[^A-Za-z].*/s, '').toUpperCase()) : undefined;
        if (point !== undefined) hangUpAt(point);
      },
      closed: () => void clients.delete(client),
    };
  }

  const { socket, host = '127.0.0.1', port = 0, latency = 0 } = options;
  const tls = typeof options.tls === 'string' ? { mode: options.tls } : options.tls;
  const made =
    tls === undefined || tls.key !== undefined
      ? null
      : makeCertificate({
          names: ['localhost'],
          ips: [...new Set(['127.0.0.1', '::1', ...(/^[\d.]+$|:/.test(host) ? [host] : [])])],
          // A test may have a clock of its own, and what verifies a certificate has the real one.
          notBefore: Date.UTC(2000, 0),
          notAfter: Date.UTC(2049, 11),
        });
  const listener = await listen({
    receiving: receivingOf(options, tls),
    at: socket === undefined ? { host, port } : { path: socket },
    anywhere: true,
    connections: Number.POSITIVE_INFINITY,
    delay: latency,
    owner: receive,
    ...(tls === undefined ? {} : { tls: { key: made?.key ?? tls.key, cert: made?.cert ?? tls.cert, implicit: tls.mode === 'implicit' } }),
  });
  if (!listener.ok) throw new Error(listener.detail);

  const close = (): Promise<void> => {
    closing ??= listener.value.close();
    for (const { reject } of waiting) reject(new Error('the sink is closed, and no further message has come'));
    waiting = [];
    const cut = (): void => {
      for (const client of clients) client.hangUp();
    };
    setTimeout(cut, latency + PARTING).unref();
    return closing;
  };
  return {
    url: `${schemeOf(options, tls)}${listener.value.address}`,
    port: listener.value.port,
    certificate: made?.own ?? null,
    get messages() {
      return messages;
    },
    get connections() {
      return connections;
    },
    get transcript() {
      return transcript;
    },
    next() {
      const message = messages[given];
      if (message !== undefined) {
        given += 1;
        return Promise.resolve(message);
      }
      if (closing !== null) return Promise.reject(new Error('the sink is closed'));
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    refuse: (at, reply, scope = {}) => refusals.add(at, reply, scope),
    drop: (at, scope = 1) => void drops.set(at, typeof scope === 'number' ? scope : (scope.times ?? 1)),
    reset() {
      messages = [];
      transcript = [];
      given = 0;
      refusals.clear();
      drops.clear();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The points that a command leads to, by its verb. */
const DROP_POINTS: ReadonlyMap<string, DropPoint> = new Map([
  ['HELO', 'EHLO'],
  ['LHLO', 'EHLO'],
  ['BDAT', 'DATA'],
  ...(['EHLO', 'STARTTLS', 'AUTH', 'MAIL', 'RCPT', 'DATA', 'RSET', 'NOOP', 'QUIT'] as const).map((verb) => [verb, verb] as const),
]);

function receivingOf({ lmtp, auth, extensions, size }: SinkOptions, tls: SinkTls | undefined): Receiving {
  return {
    ...RECEIVING,
    protocol: lmtp === true ? 'lmtp' : 'smtp',
    extensions: extensions ?? USUAL_EXTENSIONS,
    tls: tls?.mode === 'starttls' ? 'offered' : 'none',
    mechanisms: auth === undefined ? [] : ['PLAIN', 'LOGIN'],
    authRequired: auth !== undefined,
    authInClear: tls?.mode !== 'starttls',
    sizeLimit: size ?? RECEIVING.sizeLimit,
  };
}

function schemeOf({ socket, lmtp }: SinkOptions, tls: SinkTls | undefined): string {
  if (socket !== undefined) return lmtp === true ? 'lmtp+unix:' : 'unix:';
  if (lmtp === true) return 'lmtp://';
  if (tls === undefined) return 'smtp://';
  return tls.mode === 'implicit' ? 'submissions://' : 'submission://';
}

const addressOf = (path: ReversePath, parameters: readonly Parameter[]): SinkAddress => ({
  address: path === null ? '' : printMailbox(path),
  parameters: Object.fromEntries(parameters.map(({ keyword, value }) => [keyword, value])),
});
