/** Chooses the sockets of a command that ends by `process.exit`, whatever is still connecting. Knows no host. */
import type { Connect } from '../transport/wire.ts';

/** Undefined: those that everybody has. */
export const chooseSockets = async (): Promise<Connect | undefined> =>
  process.versions.bun === undefined ? undefined : (await import('../transport/bun-wire.ts')).connectBun;
