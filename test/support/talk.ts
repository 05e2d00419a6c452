/** One connection as a server of the tests has it: what the client said and nobody has used yet. Knows no SMTP. */
import type { Socket } from 'node:net';

export interface Talk {
  readonly socket: Socket;
  /** Without its line end; null at the end of the connection. */
  line(): Promise<string | null>;
  /** So many octets; null if the connection ends before. */
  exactly(count: number): Promise<Buffer | null>;
  /** Says octets; each line ends with CR LF however it is written. */
  say(text: string): void;
  /** Resolves at the end of the connection with all that nobody has used, latin1. */
  rest(): Promise<string>;
  /** Leaves the socket to somebody else, for TLS. */
  detach(): void;
}

export function talkOn(socket: Socket): Talk {
  let octets: Buffer = Buffer.alloc(0);
  let wake: (() => void) | undefined;
  let ended = false;
  const onData = (chunk: Buffer) => {
    octets = octets.length === 0 ? chunk : Buffer.concat([octets, chunk]);
    wake?.();
  };
  const onEnd = () => {
    ended = true;
    wake?.();
  };
  socket.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onEnd);
  const more = async (): Promise<boolean> => {
    if (ended) return false;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    return true;
  };
  return {
    socket,
    say: (text) => void socket.write(text.replace(/\r?\n/g, '\r\n'), 'latin1'),
    detach: () => void socket.off('data', onData).off('end', onEnd).off('close', onEnd),
    async line() {
      for (let from = 0; ; ) {
        const end = octets.indexOf('\r\n', from);
        if (end >= 0) {
          const line = octets.subarray(0, end).toString('latin1');
          octets = octets.subarray(end + 2);
          return line;
        }
        from = Math.max(0, octets.length - 1);
        if (!(await more())) return null;
      }
    },
    async exactly(count) {
      while (octets.length < count) if (!(await more())) return null;
      const taken = octets.subarray(0, count);
      octets = octets.subarray(count);
      return taken;
    },
    async rest() {
      while (await more());
      return octets.toString('latin1');
    },
  };
}
