/** Where the servers of a walk are: in memory, behind a socket that the program makes itself, or on ports of loopback. */

import type { AddressInfo } from 'node:net';
import { createServer, type Server as Listener, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import type { Server } from '../../../../src/library/index.ts';
import { type Certificate, makeCertificate } from '../../../../src/transport/tls/certificate.ts';
import { reset } from '../../../support/reset.ts';
import { Conversation, type HostTerms, type Taken } from '../worlds/host.ts';
import { Dice } from '../worlds/time.ts';
import { LIMIT, PASSWORD, type ServerPlan } from './plan.ts';

export interface Ground {
  readonly conversations: readonly Conversation[];
  readonly taken: readonly Taken[];
  /** The server at this place of the plan, for one program. */
  serverOf(at: number, program: number): Server;
  /** Resolves when nothing moves any more. */
  settle(): Promise<void>;
}

const authOf = ({ hasAuth }: ServerPlan, dice: Dice): Pick<Server, 'auth'> => {
  if (!hasAuth) return {};
  const isAsked = dice.isIn(0.5);
  const ask = async (): Promise<string> => {
    if (dice.isIn(0.05)) throw new Error('nobody knows the password');
    return PASSWORD;
  };
  return { auth: { user: 'tim', password: isAsked ? ask : PASSWORD, allowPlaintext: true } };
};

export function openMemory(plans: readonly ServerPlan[]): Ground {
  const conversations: Conversation[] = [];
  const taken: Taken[] = [];
  return {
    conversations,
    taken,
    settle: async () => {},
    serverOf(at, program) {
      const plan = plans[at] as ServerPlan;
      // The connections of a program go the same way whatever others do.
      let connections = 0;
      const seed = plan.seed ^ program;
      return {
        url: `${plan.lmtp ? 'lmtp' : 'smtp'}://${plan.name}:25`,
        tls: { mode: 'off' },
        ...authOf(plan, new Dice(seed)),
        async socket() {
          const dice = new Dice(seed + 7919 * ++connections);
          if (dice.isIn(plan.refuses)) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED', errno: -111 });
          if (dice.isIn(plan.refuses / 3)) await new Promise(() => {});
          if (dice.isIn(0.2)) await new Promise((resolve) => setTimeout(resolve, dice.below(plan.limit / 2)));
          const conversation = new Conversation(plan, dice, (each) => void taken.push(each));
          conversations.push(conversation);
          return conversation.stream;
        },
      };
    },
  };
}

/** The first octet of a TLS handshake. RFC 8446 §5.1 */
const HANDSHAKE = 22;

/** Milliseconds in which a client that has ended still hears the last words. */
const GONE = 100;

const contextOf = ({ key, cert }: Certificate): SecureContext => createSecureContext({ key, cert });

/** The terms of a server, as far as TLS changes them. */
function termsOf(plan: ServerPlan): HostTerms {
  const { tls, offers } = plan;
  if (tls === null) return plan;
  const saysStartTls = tls.kind !== 'implicit' && tls.kind !== 'stripped';
  return {
    ...plan,
    isSecuredApart: true,
    ...(tls.kind === 'refused' ? { refusesTls: '454 4.7.0 not now' } : {}),
    offers: saysStartTls ? [...offers, 'STARTTLS'] : offers,
  };
}

/** Joins a conversation with a socket; it goes on within TLS once the client begins that. `shake` gives null where it breaks. */
function join(socket: Socket, begin: () => Conversation, isImplicit: boolean, shake: (plain: Socket) => Duplex | null): void {
  let conversation: Conversation | null = null;
  let isDeaf = false;
  const tell = (from: Duplex, stream: Duplex, chunk: Buffer): void => {
    if (isDeaf || stream.write(chunk)) return;
    from.pause();
    stream.once('drain', () => from.resume());
    // Who never reads on does not see that the client has gone.
    const listen = (): void => {
      isDeaf = stream.writableNeedDrain;
      from.resume();
    };
    setTimeout(listen, 2 * LIMIT).unref();
  };
  const start = (): Conversation => {
    const begun = begin();
    begun.stream.on('error', () => reset(socket));
    socket.on('close', () => begun.stream.destroy());
    return begun;
  };
  const secure = (first: Buffer): void => {
    conversation?.stream.unpipe(socket);
    socket.unshift(first);
    const secured = shake(socket)
      ?.on('error', () => socket.destroy())
      .on('close', () => socket.destroy());
    if (secured === undefined) {
      socket.destroy();
      return;
    }
    conversation ??= start();
    conversation.secured();
    const { stream } = conversation;
    stream.pipe(secured);
    const leave = (): void => {
      stream.end();
      // The socket below may not hear of the end of what is above it.
      setTimeout(() => secured.destroy(), GONE);
    };
    secured
      .on('data', (octets) => tell(secured, stream, octets))
      .on('end', leave)
      .on('close', () => stream.destroy());
  };
  const hear = (chunk: Buffer): void => {
    if (chunk[0] === HANDSHAKE) {
      socket.off('data', hear).off('end', end).pause();
      secure(chunk);
    } else if (conversation !== null) tell(socket, conversation.stream, chunk);
  };
  // A host that hears nothing any more would hold the socket for ever.
  const end = (): void => {
    conversation?.stream.end();
    setTimeout(() => socket.destroy(), GONE);
  };
  socket.on('data', hear).on('end', end);
  if (isImplicit) return;
  conversation = start();
  conversation.stream.pipe(socket);
}

/** The same servers behind sockets. */
export async function openLoopback(plans: readonly ServerPlan[]): Promise<Ground & { stop(): Promise<void> }> {
  const conversations: Conversation[] = [];
  const taken: Taken[] = [];
  const listeners: Listener[] = [];
  const sockets = new Set<Socket>();
  const [own, strange] = [makeCertificate({ names: ['there.example'] }), makeCertificate({ names: ['there.example'] })];
  const contexts = { own: contextOf(own), strange: contextOf(strange) };
  for (const plan of plans) {
    let connections = 0;
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      sockets.add(socket);
      const seed = plan.seed + 7919 * ++connections;
      const begin = (): Conversation => {
        const conversation = new Conversation(termsOf(plan), new Dice(seed), (each) => void taken.push(each));
        conversations.push(conversation);
        return conversation;
      };
      const secureContext = plan.tls?.kind === 'stranger' ? contexts.strange : contexts.own;
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
      join(socket, begin, plan.tls?.kind === 'implicit', (plain) =>
        plan.tls?.kind === 'broken' ? null : new TLSSocket(plain, { isServer: true, secureContext }),
      );
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    listeners.push(listener);
  }
  return {
    conversations,
    taken,
    serverOf(at, program) {
      const plan = plans[at] as ServerPlan;
      const { port } = (listeners[at] as Listener).address() as AddressInfo;
      const scheme = plan.tls?.kind === 'implicit' ? 'submissions' : plan.lmtp ? 'lmtp' : 'smtp';
      return {
        url: `${scheme}://127.0.0.1:${port}`,
        ...(plan.tls === null ? {} : { tls: { mode: plan.tls.mode, ca: own.own, serverName: 'there.example' } }),
        ...authOf(plan, new Dice(plan.seed ^ program)),
      };
    },
    async settle() {
      // What is under way when the client has gone still arrives.
      for (let i = 0; i < 500 && sockets.size > 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
      await new Promise((resolve) => setImmediate(resolve));
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
    },
  };
}
