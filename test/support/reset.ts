import type { Socket } from 'node:net';

/** Ends a connection by a reset. Node never closes a socket that is to be reset while it ends, and then its process does not end. */
export function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
