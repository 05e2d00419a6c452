/** The sockets that the sendmail command has under this runtime, so that tests under Bun run on Bun's own. */
import { connectBun } from '../../src/transport/bun-wire.ts';
import { connectNode } from '../../src/transport/node-wire.ts';
import type { Connect, Wire } from '../../src/transport/wire.ts';

/** What the command chooses: nothing under Node. */
export const chosen: Connect | undefined = process.versions.bun === undefined ? undefined : connectBun;
export const connect: Connect = chosen ?? connectNode;

/** A wire to a port on loopback. */
export const wireTo = (port: number, by: Connect = connect): Promise<Wire> =>
  new Promise((resolve, reject) =>
    by({ address: '127.0.0.1', family: 4, port }, undefined, resolve, ({ detail }) => reject(new Error(detail))),
  );

export async function untilClosed(wire: Wire): Promise<void> {
  while (wire.isOpen) await new Promise((resolve) => setTimeout(resolve, 1));
}
