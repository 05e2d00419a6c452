/**
 * A transport for `nodemailer.createTransport`: nodemailer composes the message, the library sends it. With `pool` messages share
 * sessions and wait here for their turn, else each has a session of its own. Knows no command of SMTP.
 */
import type { LookupAddress } from 'node:dns';
import { EventEmitter } from 'node:events';
import { connect as connectSocket, isIP, type LookupFunction, type Socket } from 'node:net';
import { abortReason, reasonOf, whenAborted } from '../../transport/abort.ts';
import { guard, guardCallback } from '../../transport/observer.ts';
import { isUrl } from '../../transport/realm.ts';
import { connect } from '../client.ts';
import type { Content } from '../content.ts';
import { type Envelope, parseEnvelope } from '../envelope.ts';
import { type Failure, failHere, withCause } from '../failure.ts';
import { addressOf, recordsOf } from '../names.ts';
import type { Options } from '../options.ts';
import type { Attempt, Outcome } from '../outcome.ts';
import { Pool } from '../pool.ts';
import { type Destination, type Server, unlessThrown } from '../server.ts';
import { mergeAuth, readAuth, usesTokens } from './auth.ts';
import { ContentSpent, MessageContent } from './content.ts';
import { errorOf, makeError, type TransportError } from './error.ts';
import { infoOf, type SentMessageInfo } from './info.ts';
import { type GetSocket, type GivenSocket, type LoggerLike, type MailData, type MailerLike, type MailLike, readEnvelope } from './mail.ts';
import { Tokens } from './oauth.ts';
import { type AuthSettings, type NospoolTransportOptions, readSettings, type Settings } from './options.ts';

/** Hears what became of a message. */
export type SendCallback = (error: TransportError | null, info?: SentMessageInfo) => void;
/** Hears whether messages could be sent. */
export type VerifyCallback = (error: TransportError | null, success?: true) => void;

/** How a transport is closed. */
export interface CloseOptions {
  /** What is under way is ended, too. Default false. */
  readonly force?: boolean;
}

/** Messages that the pool has for each of its sessions: one under way, and the next. */
const AHEAD = 2;
/** The build writes it in. nodemailer prints it in its log. */
declare const __VERSION__: string;
const VERSION = typeof __VERSION__ === 'string' ? __VERSION__ : '0';

/** What a copy of a transport needs. */
const COPIED = ['send', 'verify', 'isIdle', 'pendingCount', 'close'] as const;
const OWN = { enumerable: true, writable: true, configurable: true } as const;
/** Options without which a message is the same. */
const OF_LOGS: readonly string[] = ['logger', 'component', 'description'];
/** nodemailer would obey them: it has `dkim` from elsewhere, and makes a proxy of its own. */
const UNSHOWN: readonly string[] = ['dkim', 'proxy', 'url'];
const SECRETS: readonly string[] = ['auth', 'tls'];

/** A message of the pool that waits. */
interface Job {
  readonly mail: MailLike;
  readonly data: MailData;
  readonly settle: (work: Promise<SentMessageInfo>) => void;
  readonly leave: () => void;
}

/** The credentials of a transport or of one message. */
interface Login {
  readonly auth: AuthSettings | null;
  readonly tokens: Tokens | null;
}

/**
 * Throws an error with the code `ECONFIG` for options that cannot be. Emits `idle` as nodemailer's pool does, when another message
 * can be taken without waiting.
 */
export class NospoolTransport extends EventEmitter {
  readonly name: string;
  readonly version: string = VERSION;
  /** nodemailer leaves cancelling to this transport. */
  readonly supportsAbortSignal = true;
  /** As in nodemailer's own transports; not enumerable, because there is a password in it. */
  declare readonly options: NospoolTransportOptions;
  /** nodemailer sets it where a proxy is given to nodemailer itself. */
  getSocket: GetSocket | undefined;
  readonly #options: NospoolTransportOptions;
  readonly #settings: Settings;
  readonly #login: Login;
  #mailer: MailerLike | undefined;
  /** Objects of nodemailer's that have read this transport's options. */
  readonly #mailers = new WeakSet<object>();
  #pool: Pool | null = null;
  readonly #waiting: Job[] = [];
  /** Messages that the pool has, and all that have no result yet. */
  #given = 0;
  #pending = 0;
  #isClosed = false;
  #isForced = false;
  /** Messages that are composed for the pool: each is removed once the pool has it, or never will. */
  readonly #composing = new Set<Promise<unknown>>();
  #isIdle = true;
  #isDispatching = false;

  constructor(options: NospoolTransportOptions | string | URL) {
    super();
    const settings = readSettings(options);
    if (!settings.ok) throw makeError('ECONFIG', settings.detail);
    this.#settings = settings.value;
    this.#options = typeof options === 'object' && !isUrl(options) ? options : {};
    this.name = settings.value.pool ? 'nospool (pool)' : 'nospool';
    this.getSocket = settings.value.getSocket;
    this.#login = this.#loginOf(settings.value.auth);
    Object.defineProperty(this, 'options', { value: settings.value.shown, enumerable: false, writable: true, configurable: true });
    // Programs merge, spread or clone their configuration, and a copy has neither the methods nor the private fields of a class.
    for (const name of COPIED) Object.defineProperty(this, name, { value: this[name].bind(this), ...OWN });
    // Not enumerable, so that a merged copy has none: nodemailer would listen to it with every createTransport, and never leave.
    Object.defineProperty(this, 'on', { value: this.on, ...OWN, enumerable: false });
    if (settings.value.pool) setImmediate(() => this.#isIdle && this.emit('idle'));
  }

  /** nodemailer gives its `Mail` object, which has read no option of this transport. */
  set mailer(given: unknown) {
    // In a copy. `send` of the original meets the object then.
    if (!(#mailer in this)) return;
    const mailer = given as MailerLike;
    this.#mailer = mailer;
    this.#mailers.add(mailer);
    const { dkim, ...mail } = this.#settings.mail;
    this.#show(mailer);
    for (const [key, value] of Object.entries(mail)) mailer.options[key] ??= value;
    // It makes its own signer before it gives itself, and reads this one for each message.
    if (dkim !== undefined) mailer._defaults = { dkim, ...mailer._defaults };
  }

  get mailer(): undefined {
    return undefined;
  }

  /** Sends one message; calls back once. */
  send(mail: MailLike, callback: SendCallback): void;
  // The types of nodemailer 6 to 9 know no call without a result.
  send(mail: MailLike, callback: (error: Error | null, info: SentMessageInfo) => void): void;
  send(mail: MailLike, given: SendCallback | ((error: Error | null, info: SentMessageInfo) => void)): void {
    const callback = given as SendCallback;
    const data = mail.data as MailData;
    this.#pending += 1;
    const settle = (work: Promise<SentMessageInfo>): void => {
      const done = (error: TransportError | null, info?: SentMessageInfo) => {
        this.#pending -= 1;
        this.#call(callback, error, info);
      };
      work.then(
        (info) => done(null, info),
        (error: TransportError) => done(error),
      );
    };
    const fault = this.#meet(mail.mailer);
    if (fault !== null) settle(Promise.reject(makeError('ECONFIG', fault)));
    else if (this.#isClosed) settle(Promise.reject(poolClosed()));
    else if (this.#settings.pool === null) settle(this.#deliver(mail, data));
    else this.#queue(mail, data, settle);
  }

  /** Opens a session, logs in and leaves; the promise, or the callback, gets `true` or the error. */
  verify(): Promise<true>;
  verify(callback: VerifyCallback): void;
  verify(callback: (error: Error | null, success: true) => void): void;
  verify(given?: VerifyCallback | ((error: Error | null, success: true) => void)): Promise<true> | undefined {
    const callback = given as VerifyCallback | undefined;
    const work = this.#verify();
    if (callback === undefined) return work;
    work.then(
      (success) => this.#call(callback, null, success),
      (error: TransportError) => this.#call(callback, error),
    );
    return undefined;
  }

  /** True while another message would not have to wait for those before it. */
  isIdle(): boolean {
    return this.#isIdle;
  }

  /** Messages that have no result yet. */
  pendingCount(): number {
    return this.#pending;
  }

  /**
   * Finishes what is under way and takes no more; messages that wait are failed. With `force` what is under way is ended, too.
   * Resolves when all sessions are closed.
   */
  async close({ force = false }: CloseOptions = {}): Promise<void> {
    this.#isClosed = this.#settings.pool !== null;
    for (const job of this.#waiting.splice(0)) {
      job.leave();
      job.settle(Promise.reject(poolClosed()));
    }
    this.emit('close');
    this.#isForced ||= this.#isClosed && force;
    if (force) this.#pool?.destroy(new Error('the transport was closed'));
    else await Promise.all(this.#composing);
    await this.#pool?.drain();
  }

  /* ---- nodemailer's object ---- */

  /** A message comes from an object that has read no option where this transport was copied: a sentence if it should have. */
  #meet(given: object | undefined): string | null {
    if (given === undefined) return null;
    const mailer = given as MailerLike;
    // A proxy that was given to nodemailer, which tells its copy.
    this.getSocket = mailer.transporter?.getSocket ?? this.getSocket;
    if (this.#mailers.has(mailer)) return null;
    const unread = Object.keys(this.#settings.mail).filter((key) => !OF_LOGS.includes(key));
    if (unread.length > 0)
      return `a copy of the transport was given to createTransport, and nodemailer reads ${unread.join(', ')} of the original only: give the original`;
    this.#mailers.add(mailer);
    this.#mailer ??= mailer;
    this.#show(mailer);
    return null;
  }

  /** Programs read `transporter.options`. What may hold a secret is not enumerable, so that nobody prints it by accident. */
  #show(mailer: MailerLike): void {
    for (const [key, value] of Object.entries(this.#settings.shown))
      if (!UNSHOWN.includes(key) && !Object.hasOwn(mailer.options, key))
        Object.defineProperty(mailer.options, key, { value, ...OWN, enumerable: !SECRETS.includes(key) });
  }

  /* ---- messages ---- */

  async #deliver(mail: MailLike, data: MailData): Promise<SentMessageInfo> {
    const { message } = mail;
    if (message === null) throw makeError('EMESSAGE', 'Empty message');
    const given = message.getEnvelope();
    const read = unlessThrown('the envelope', () => readEnvelope(given, data, this.#settings.dsn));
    if (!read.ok) throw makeError('EENVELOPE', read.detail);
    const fault = parseEnvelope(read.value.envelope);
    if (!fault.ok) throw makeError('EENVELOPE', fault.detail);
    const messageId = message.messageId();
    const { addresses, envelope, size } = read.value;
    this.#log('info', { tnx: 'send', messageId }, `Sending message ${messageId} to <${summary(addresses.to)}>`);
    const login = this.#loginFor(data);
    const content = new MessageContent(() => message.createReadStream(), size);
    const signal = data.signal ?? undefined;
    try {
      const sent = await this.#sendRenewing(login, envelope, content, signal);
      if (sent.outcome.kind === 'failed') throw errorFor(sent.outcome, signal);
      const ended = performance.now();
      const wanted = sent.wanted ?? ended;
      return infoOf(sent.outcome, {
        envelope: addresses,
        messageId,
        envelopeTime: wanted - sent.begun,
        messageTime: ended - wanted,
        messageSize: content.sentOctets,
        ehlo: sent.outcome.server.extensions,
      });
    } catch (error) {
      this.#log('error', { tnx: 'send', messageId, err: error }, `Send error for ${messageId}: ${reasonOf(error)}`);
      throw error;
    } finally {
      content.close();
    }
  }

  /** Sends, and once more with another token where the server refuses the one that we have. */
  async #sendRenewing(login: Login, envelope: Envelope, content: MessageContent, signal: AbortSignal | undefined): Promise<Sent> {
    const { tokens } = login;
    const renewals = tokens?.renewals ?? 0;
    const sent = await this.#sendOnce(login, envelope, content, signal);
    const isRefused = sent.outcome.kind === 'failed' && sent.outcome.failure.code === 'auth-refused';
    return isRefused && !this.#isClosed && tokens?.refuse(renewals) ? this.#sendOnce(login, envelope, content, signal) : sent;
  }

  async #sendOnce(login: Login, envelope: Envelope, content: MessageContent, signal: AbortSignal | undefined): Promise<Sent> {
    if (this.#settings.pool === null) return this.#sendAlone(login, envelope, content, signal);
    let entered = (): void => {};
    const entering = new Promise<void>((resolve) => {
      entered = resolve;
    });
    this.#composing.add(entering);
    try {
      const octets = await takeContent(content, signal);
      if (this.#isForced) throw poolClosed();
      // No await: the pool has it when this returns.
      return timed((progress) => this.#openPool().send(envelope, octets, { signal, progress }));
    } finally {
      this.#composing.delete(entering);
      entered();
    }
  }

  async #sendAlone(login: Login, envelope: Envelope, content: MessageContent, signal: AbortSignal | undefined): Promise<Sent> {
    const connected = await connect(this.#serverFor(login), { ...this.#terms, signal });
    if (!connected.ok) return unsent(connected.failure, connected.attempts);
    const { client } = connected;
    try {
      const failure = await client.ready(signal);
      if (failure !== null) return unsent(failure);
      // Not before, because a thousand messages at once must not open the files of all.
      const octets = await takeContent(content, signal);
      return await timed((progress) => client.send(envelope, octets, { signal, progress }));
    } finally {
      void client.quit();
    }
  }

  async #verify(): Promise<true> {
    if (this.#isClosed) throw poolClosed();
    const failure = await this.#verifyOnce();
    if (failure === null) return true;
    throw errorOf(failure);
  }

  async #verifyOnce(isRenewed = false): Promise<Failure | null> {
    const { tokens } = this.#login;
    const renewals = tokens?.renewals ?? 0;
    const connected = await connect(this.#serverFor(this.#login), this.#terms);
    if (!connected.ok) return connected.failure;
    const { client } = connected;
    const failure = await client.ready();
    const { auth, extensions } = client.facts;
    void client.quit();
    if (failure?.code === 'auth-refused' && !isRenewed && tokens?.refuse(renewals)) return this.#verifyOnce(true);
    if (failure === null && this.#settings.forceAuth && auth === null && extensions.some((line) => /^AUTH\b/.test(line)))
      throw makeError('ENOAUTH', 'Authentication info was not provided');
    return failure;
  }

  /* ---- the pool ---- */

  #openPool(): Pool {
    this.#pool ??= new Pool(this.#serverFor(this.#login), { ...this.#terms, ...this.#settings.pool });
    return this.#pool;
  }

  #queue(mail: MailLike, data: MailData, settle: Job['settle']): void {
    const signal = data.signal ?? undefined;
    const job: Job = { mail, data, settle, leave: whenAborted(signal, () => end()) };
    const end = (): void => {
      const at = this.#waiting.indexOf(job);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      settle(Promise.reject(aborted(signal as AbortSignal)));
      this.#wake();
    };
    this.#waiting.push(job);
    if (signal?.aborted) end();
    if (this.#waiting.length >= this.#connections) this.#isIdle = false;
    this.#wake();
  }

  get #connections(): number {
    return this.#settings.pool?.connections ?? 1;
  }

  /** Later, because a program may give many messages, or close, before it lets anybody work. */
  #wake(): void {
    if (this.#isDispatching) return;
    this.#isDispatching = true;
    setImmediate(() => {
      this.#isDispatching = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    while (this.#waiting.length > 0 && this.#given < this.#connections * AHEAD) {
      const { mail, data, settle, leave } = this.#waiting.shift() as Job;
      leave();
      this.#given += 1;
      const work = this.#deliver(mail, data);
      const end = () => {
        this.#given -= 1;
        this.#wake();
      };
      work.then(end, end);
      settle(work);
    }
    if (this.#isIdle || this.#isClosed || this.#waiting.length >= this.#connections) return;
    this.#isIdle = true;
    this.emit('idle');
  }

  /* ---- servers ---- */

  get #terms(): Omit<Options, 'signal'> {
    const { terms, isTraced } = this.#settings;
    if (!isTraced) return terms;
    const tnx = { client: 'client', server: 'server', event: 'network' } as const;
    return { ...terms, trace: ({ session, side, line }) => this.#log('debug', { tnx: tnx[side], sid: String(session) }, line) };
  }

  #loginOf(auth: AuthSettings | null): Login {
    if (auth === null || !usesTokens(auth)) return { auth, tokens: null };
    const provision = () => this.#mailer?.get('oauth2_provision_cb') as AuthSettings['provisionCallback'];
    return { auth, tokens: new Tokens(auth, { provision, tell: (token) => void this.#mailer?.emit('token', token) }) };
  }

  /** The credentials of the message go over those of the transport. */
  #loginFor({ auth }: MailData): Login {
    if (auth === undefined || auth === null) return this.#login;
    if (this.#settings.pool !== null)
      throw makeError('ECONFIG', 'auth of a message needs a transport without pool, because sessions of a pool are shared');
    return this.#loginOf(mergeAuth(this.#settings.auth, auth));
  }

  #serverFor({ auth, tokens }: Login): Server {
    const { server, authMethod, isSecured } = this.#settings;
    const read = readAuth(auth ?? {}, tokens, authMethod, isSecured);
    if (!read.ok) throw makeError('EAUTH', read.detail);
    return {
      ...server,
      ...(read.value === null ? {} : { auth: read.value }),
      ...(this.getSocket === undefined ? {} : { socket: (to, signal) => this.#giveSocket(to, signal) }),
    };
  }

  /** Asks `getSocket`. */
  async #giveSocket(to: Destination, signal: AbortSignal): Promise<Socket> {
    const asked = { ...this.#options, ...to, connectStartedAt: Date.now() };
    const { isSecured } = this.#settings;
    const found = await new Promise<GivenSocket | false | undefined>((resolve, reject) =>
      guard(() => this.getSocket?.call(this, asked, (error, given) => (error ? reject(error) : resolve(given))), reject)(),
    );
    const { connection, secured = isSecured } = found || {};
    if (secured !== isSecured) {
      connection?.destroy();
      throw new Error('getSocket gave a socket that is secured already: set the option secured');
    }
    return connection ?? connectTo(to, this.#settings.server, signal);
  }

  /* ---- callbacks and logs ---- */

  /** An error of a callback is the program's, and must not end it from here. */
  #call<Result>(callback: (error: TransportError | null, result?: Result) => void, error: TransportError | null, result?: Result): void {
    const fail = (thrown: unknown): void => {
      this.#log('error', { tnx: 'callback', err: thrown }, `Callback error: ${reasonOf(thrown)}`);
      process.emitWarning(`the callback of sendMail failed: ${reasonOf(thrown)}`, 'NospoolWarning');
    };
    guard(() => (error === null ? callback(null, result) : callback(error)), fail)();
  }

  readonly #write = guardCallback((write: () => unknown) => write());

  #log(level: keyof LoggerLike, entry: object, message: string): void {
    const { logger } = this.#settings;
    const log = this.#mailer?.logger ?? (typeof logger === 'object' ? logger : undefined);
    // The message holds what servers said, so it is an argument and no format.
    if (logger) this.#write(() => log?.[level]?.({ component: 'nospool', ...entry }, '%s', message));
  }
}

/** Connects where `getSocket` gives nothing, as the other options say. */
function connectTo({ host, port }: Destination, { localAddress, family, resolver }: Server, signal: AbortSignal): Socket {
  if (port === 0) return connectSocket({ path: host });
  const wanted = family ?? (isIP(localAddress ?? '') as 0 | 4 | 6);
  const { addresses } = resolver ?? {};
  const ask = async (name: string): Promise<LookupAddress[]> => {
    const found = await addresses?.call(resolver, name, { family: wanted || 'any', signal });
    // Node's sockets take no empty list.
    return [...recordsOf('addresses', found?.length === 0 ? null : found, addressOf)];
  };
  const lookup: LookupFunction = (name, { all }, done) =>
    void ask(name).then(
      (found) => (all ? done(null, found) : done(null, found[0]?.address ?? '', found[0]?.family)),
      (error) => done(error, []),
    );
  return connectSocket({ host, port, localAddress, family: wanted, noDelay: true, ...(addresses ? { lookup } : {}) });
}

interface Sent {
  readonly outcome: Outcome;
  /** When the message was given to the session, and when the server wanted its content, by `performance.now`. */
  readonly begun: number;
  readonly wanted: number | null;
}

async function timed(send: (progress: () => void) => Promise<Outcome>): Promise<Sent> {
  const begun = performance.now();
  let wanted: number | null = null;
  const outcome = await send(() => {
    wanted ??= performance.now();
  });
  return { outcome, begun, wanted };
}

const unsent = (failure: Failure, attempts: readonly Attempt[] = []): Sent => ({
  outcome: { kind: 'failed', failure, attempts },
  begun: 0,
  wanted: null,
});

/** Composes a small message whole. */
function takeContent(content: MessageContent, signal: AbortSignal | undefined): Promise<Content> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted(signal));
    const release = whenAborted(signal, () => reject(aborted(signal as AbortSignal)));
    const fail = (error: unknown) => reject(errorOf(failHere('input', `the message could not be read: ${reasonOf(error)}`, error)));
    content.take().then(resolve, fail).finally(release);
  });
}

/** Why it was to be sent again is the reason; that it could not be is not. */
function errorFor({ failure, attempts }: Extract<Outcome, { kind: 'failed' }>, signal: AbortSignal | undefined): TransportError {
  const before = failure.cause instanceof ContentSpent ? attempts.findLast((attempt) => attempt.failure !== failure)?.failure : undefined;
  return errorOf(withCause(before ?? failure, failure.code === 'aborted' ? (failure.cause ?? signal?.reason) : undefined));
}

const poolClosed = (): TransportError => makeError('ECONNECTION', 'Connection pool was closed');

const aborted = (signal: AbortSignal): TransportError => errorOf(failHere('aborted', abortReason(signal), signal.reason));

const SHOWN = 3;
const summary = (to: readonly string[]): string =>
  to.length <= SHOWN ? to.join(', ') : `${to.slice(0, SHOWN - 1).join(', ')}, ...and ${to.length - SHOWN + 1} more`;
