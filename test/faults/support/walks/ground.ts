/** Where the servers of a walk are: in memory, behind a socket that the program makes itself, or on ports of loopback. */

import type { AddressInfo } from 'node:net';
import { createServer, type Server as Listener, type Socket } from 'node:net';
import type { Server } from '../../../../src/library/index.ts';
import { Conversation, type Taken } from '../worlds/host.ts';
import { Dice } from '../worlds/time.ts';
import { PASSWORD, type ServerPlan } from './plan.ts';

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

/** The same servers behind sockets. */
export async function openLoopback(plans: readonly ServerPlan[]): Promise<Ground & { stop(): Promise<void> }> {
  const conversations: Conversation[] = [];
  const taken: Taken[] = [];
  const listeners: Listener[] = [];
  const sockets = new Set<Socket>();
  for (const plan of plans) {
    let connections = 0;
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      sockets.add(socket);
      const conversation = new Conversation(plan, new Dice(plan.seed + 7919 * ++connections), (each) => void taken.push(each));
      conversations.push(conversation);
      const { stream } = conversation;
      socket
        .on('error', () => {})
        .on('close', () => {
          sockets.delete(socket);
          stream.destroy();
        });
      stream.on('error', () => socket.resetAndDestroy());
      socket.pipe(stream).pipe(socket);
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
      return { url: `${plan.lmtp ? 'lmtp' : 'smtp'}://127.0.0.1:${port}`, ...authOf(plan, new Dice(plan.seed ^ program)) };
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
