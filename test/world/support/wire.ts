/**
 * What everybody on the way could read: the octets that clients sent, taken from the network itself by a packet socket. It
 * believes neither the client nor the server, and knows no mail.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Place } from './network.ts';

/** What a client said over one connection, latin1. */
export interface Flow {
  readonly to: string;
  readonly port: number;
  readonly octets: string;
}

export interface Wire {
  /** What the client at this place has said since it was asked for last. */
  said(client: Place): Promise<readonly Flow[]>;
  stop(): void;
}

export async function listenOn(device: string): Promise<Wire> {
  const script = fileURLToPath(new URL('wire.py', import.meta.url));
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', '/usr/bin/python3', '-B', script, device],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const answers: ((line: string) => void)[] = [];
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      answers.shift()?.(text.slice(0, end));
      text = text.slice(end + 1);
    }
  });
  const next = () => new Promise<string>((resolve) => answers.push(resolve));
  await Promise.race([next(), new Promise((_, reject) => child.once('error', reject))]);
  return {
    async said({ v4, v6 }) {
      const answer = next();
      child.stdin.write(`${v4} ${v6}\n`);
      return JSON.parse(await answer) as readonly Flow[];
    },
    stop: () => void child.kill('SIGKILL'),
  };
}
