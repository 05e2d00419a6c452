/** An error of the system as the end of standard input. Knows no descriptor. */
import type { Ended, Source } from '../../message/source.ts';

/** The end of an input that cannot be read, in the system's words. */
export function endOf(error: unknown): Ended {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  const words = (errno === undefined ? undefined : process.getBuiltinModule('node:util').getSystemErrorMap().get(errno)?.[1]) ?? message;
  return { end: 'failed', detail: `standard input cannot be read: ${words}${code === undefined ? '' : ` (${code})`}` };
}

/** A source that has ended already. */
export const endedSource = (ended: Ended): Source => ({ read: async () => ended, close: () => undefined });
