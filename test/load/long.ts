/**
 * Sends one long message from a pipe by the built `sendmail`, and looks at what each quick collection leaves on its heap. A whole one, as a
 * snapshot makes it, would hide what a quick one cannot free, by which the process grows until V8 makes a whole one by itself.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { COMMAND, setUp } from '../support/command.ts';

export interface LongRun {
  readonly status: number | null;
  /** What it wrote, and the engine's lines but those of collections. */
  readonly said: string;
  /** Octets that the server has, with commands. */
  readonly received: number;
  /** Megabytes of the heap in use behind each quick collection. */
  readonly left: readonly number[];
  /** Megabytes that the heap has from the system then, whether in use or not. */
  readonly taken: readonly number[];
  /** Whole collections. */
  readonly whole: number;
}

/** A server that takes all content and keeps nothing; `extensions`: its lines in answer to EHLO. */
function discard(socket: Socket, extensions: string, count: (octets: number) => void): void {
  let isContent = false;
  let last = '';
  socket.on('error', () => {}).write('220 discard.example\r\n');
  socket.on('data', (octets: Buffer) => {
    count(octets.length);
    last = (last + octets.toString('latin1', Math.max(0, octets.length - 5))).slice(-5);
    if (isContent && last !== '\r\n.\r\n') return;
    const lines = isContent ? ['.'] : octets.toString('latin1').split('\r\n').slice(0, -1);
    for (const line of lines) {
      isContent = /^DATA/i.test(line);
      if (/^QUIT/i.test(line)) socket.end('221 bye\r\n');
      else socket.write(isContent ? '354 go on\r\n' : /^EHLO/i.test(line) ? extensions : '250 ok\r\n');
    }
  });
}

/** So many times 64 KiB of content, which is what a pipe gives at once at most. Without `eightBit` the server has no 8BITMIME. */
export async function runLong(chunks: number, flags: readonly string[], eightBit = true): Promise<LongRun> {
  let received = 0;
  const server = createServer((socket) =>
    discard(socket, eightBit ? '250-discard.example\r\n250 8BITMIME\r\n' : '250 discard.example\r\n', (count) => {
      received += count;
    }),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { config } = setUp(`smarthosts = ["smtp://127.0.0.1:${port}"]\nqualify_domain = "example.org"`);
  const line = 'a line of a dump that somebody mails to the one who asked for it';
  const words = [
    '-c',
    `yes '${line}' | dd bs=64k iflag=fullblock count=${chunks} status=none | "$@"`,
    'sh',
    process.execPath,
    ...flags,
    COMMAND,
    '-C',
    config,
    'bob@example.org',
  ];
  const child = spawn('/bin/sh', words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (part: Buffer) => {
      text += part;
    });
  const [status] = (await once(child, 'close')) as [number | null];
  server.close();
  const lines = text.split('\n');
  return {
    status,
    said: lines.filter((each) => !/ ms: (?:Scavenge|Mark-Compact)/.test(each)).join('\n'),
    received,
    left: lines.flatMap((each) => / Scavenge .* -> ([\d.]+) /.exec(each)?.slice(1).map(Number) ?? []),
    taken: lines.flatMap((each) => / Scavenge .* -> [\d.]+ \(([\d.]+)\) /.exec(each)?.slice(1).map(Number) ?? []),
    whole: lines.filter((each) => each.includes(' Mark-Compact ')).length,
  };
}
