/**
 * A program that sends through nodemailer, over the library's transport: it takes what others give to the library, and what nodemailer
 * says becomes an outcome. Knows no oracle.
 */
import { Readable } from 'node:stream';
import nodemailer from 'nodemailer';
import type { Content, Envelope, EnvelopeRecipient, Failure, Outcome, SendOptions, Server } from '../../../../src/library/index.ts';
import {
  NospoolTransport,
  type NospoolTransportOptions,
  type SentMessageInfo,
  type TransportError,
} from '../../../../src/library/nodemailer/index.ts';
import { GRACE, LIMIT, type ProgramPlan, spoken } from './plan.ts';

/** What nodemailer said, by the outcome that was made of it. */
export const answers = new WeakMap<Outcome, { readonly info: SentMessageInfo } | { readonly error: TransportError }>();

export interface Mailer {
  readonly isPool: boolean;
  send(envelope: Envelope, content: Content, options?: SendOptions): Promise<Outcome>;
  close(isForced: boolean): Promise<void>;
}

/** `hear`: a line of a session. */
export function openMailer(
  { options, pool }: ProgramPlan,
  server: Server,
  hear: (side: string, line: string, session: number) => void,
): Mailer {
  const { protocol, hostname, port } = new URL(String(server.url));
  const { socket, tls, auth } = server;
  const { user, password } = (auth ?? {}) as { user?: string; password?: string | (() => Promise<string>) };
  const isPool = pool.connections > 1;
  const debug = ({ tnx, sid }: { tnx: string; sid?: string }, _: string, line: string): void => {
    if (sid !== undefined) hear(tnx, line, Number(sid));
  };
  const settings: NospoolTransportOptions = {
    host: hostname,
    port,
    name: 'here.example',
    ...(protocol === 'lmtp:' ? { lmtp: true } : {}),
    allOrNothing: options.recipients === 'all',
    connectionTimeout: LIMIT,
    greetingTimeout: LIMIT,
    socketTimeout: LIMIT,
    dnsTimeout: LIMIT,
    grace: GRACE,
    debug: true,
    logger: { debug } as never,
    ...(protocol === 'submissions:' ? { secure: true } : {}),
    ...(tls === undefined || tls.mode === 'off'
      ? { ignoreTLS: true }
      : {
          ...(tls.mode === 'required' ? { requireTLS: true } : { opportunisticTLS: true }),
          tls: { ca: tls.ca as string, servername: tls.serverName as string },
        }),
    ...(user === undefined ? {} : { auth: { user, pass: password, allowPlaintext: true } }),
    ...(socket === undefined
      ? {}
      : {
          getSocket: (_, done) =>
            void Promise.resolve(socket({ host: hostname, port: Number(port) } as never, new AbortController().signal)).then(
              (connection) => done(null, { connection: connection as never }),
              (error) => done(error as Error),
            ),
        }),
    ...(isPool
      ? {
          pool: true,
          maxConnections: pool.connections,
          maxMessages: pool.messagesPerConnection,
          maxRequeues: pool.retries,
          idleTimeout: pool.idle,
          ...(pool.rate === null ? {} : { rateLimit: pool.rate.messages, rateDelta: pool.rate.per }),
        }
      : {}),
  };
  const transport = new NospoolTransport(settings);
  const transporter = nodemailer.createTransport(transport as never);
  return {
    isPool,
    async send(envelope, content, { signal } = {}) {
      try {
        const info = (await transporter.sendMail(mailOf(envelope, content, signal) as never)) as unknown as SentMessageInfo;
        return kept(outcomeOfInfo(info, envelope, server), { info });
      } catch (error) {
        return kept(outcomeOfError(error as TransportError), { error: error as TransportError });
      }
    },
    close: (isForced) => transport.close({ force: isForced }),
  };
}

const recipientsOf = ({ to }: Envelope): EnvelopeRecipient[] =>
  (typeof to === 'string' ? [to] : [...to]).map((each) => (typeof each === 'string' ? { address: each } : each));

/** One word of DSN holds for all recipients there. */
function mailOf(envelope: Envelope, content: Content, signal: AbortSignal | undefined): object {
  const { from, ret, envid, requireTls } = envelope;
  const to = recipientsOf(envelope);
  const [{ notify, original } = {}] = to as Partial<EnvelopeRecipient>[];
  // A stream of nodemailer's has a listener only once it is composed.
  if (content instanceof Readable) content.on('error', () => {});
  return {
    raw: typeof content === 'string' || content instanceof Readable ? content : Buffer.from(content as Uint8Array<ArrayBuffer>),
    envelope: { from, to: to.map(({ address }) => address) },
    dsn: {
      ...(ret ? { ret: ret === 'FULL' ? 'full' : 'headers' } : {}),
      ...(envid ? { id: envid } : {}),
      ...(notify ? { notify: notify.map((word) => word.toLowerCase()) } : {}),
      ...(original ? { recipient: original } : {}),
    },
    ...(requireTls ? { requireTLSExtensionEnabled: true } : {}),
    ...(signal ? { signal } : {}),
  };
}

function kept<Known extends Outcome>(outcome: Known, answer: { info: SentMessageInfo } | { error: TransportError }): Known {
  answers.set(outcome, answer);
  return outcome;
}

const replyOf = (response: string) => ({
  code: Number(response.slice(0, 3)),
  enhanced: null,
  lines: response.split('\n').map((line) => line.slice(4)),
});

function outcomeOfInfo(info: SentMessageInfo, envelope: Envelope, server: Server): Outcome {
  const addresses = recipientsOf(envelope).map(({ address }) => address);
  // nodemailer writes domains in ASCII.
  const named = (address: string) => {
    const index = addresses.findIndex((each) => each === address || spoken(each) === address);
    return { index, address: addresses[index] ?? address };
  };
  return {
    kind: 'accepted',
    reply: replyOf(info.response),
    server: {
      url: String(server.url),
      name: new URL(String(server.url)).hostname,
      address: null,
      port: null,
      tls: null,
      auth: null,
      extensions: [],
    },
    taken: info.accepted.map(named),
    refusals: (info.rejectedErrors ?? []).map(({ recipient = '', response = '' }) => ({
      ...named(recipient),
      verb: 'RCPT',
      reply: replyOf(response),
    })),
    attempts: [],
  };
}

/** Without a failure it is a mistake, or the transport was closed. */
function outcomeOfError(error: TransportError): Outcome {
  const { failure, code, message } = error;
  // nodemailer itself looks at a signal that has come already.
  const isClosed = code === 'ECONNECTION' || code === 'EABORT';
  const own: Failure = {
    code: isClosed ? 'aborted' : 'usage',
    message: `${message} (${code})`,
    retry: isClosed ? 'safe' : 'never',
    verb: null,
    refusals: [],
    at: null,
  };
  return { kind: 'failed', failure: failure ?? own, attempts: [] };
}
