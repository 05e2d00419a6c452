/**
 * A server that follows a script, one of the two SMTP servers of the tests: what it says and does, octet by octet, is the script's
 * alone, and it knows no SMTP. A script is a function of the connection, a list of lines, or a transcript. The other server
 * (smarthost.ts) works.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createSecureContext, createServer as createTlsServer, TLSSocket, type TlsOptions } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { Ended, Source } from '../../src/message/source.ts';
import { type Certificate, makeCertificate } from '../../src/transport/tls/certificate.ts';
import { reset } from './reset.ts';
import { type Talk, talkOn } from './talk.ts';
import { serverText, type Transcript } from './transcript.ts';

/* ---- the server ---- */

/** What is done to a connection; the first is 0. */
export type Script = (socket: Socket, connection: number) => void;

export interface ScriptedServer {
  readonly port: number;
  /** Connections so far. */
  readonly connections: number;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** Listens on a free port of loopback. `tls`: from the first octet. The client may close its side and still listen. */
export async function startScripted(script: Script, tls?: TlsOptions): Promise<ScriptedServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const accept = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
    script(socket, connections++);
  };
  const options = { noDelay: true, allowHalfOpen: true };
  const server = tls ? createTlsServer({ ...options, ...tls }, accept).on('tlsClientError', () => {}) : createServer(options, accept);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    get connections() {
      return connections;
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/* ---- answers, line by line ---- */

/** A whole session that is answered line by line, as `answer` says; '' says nothing. DATA's content ends at the dot. */
export function conversing(answer: (line: string, socket: Socket) => string, greeting = '220 raw.example\r\n'): (socket: Socket) => void {
  return (socket) => {
    let text = '';
    let isContent = false;
    socket.write(greeting, 'latin1');
    socket.on('end', () => socket.end());
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (isContent && line !== '.') continue;
        isContent = false;
        const reply = answer(line, socket);
        isContent = line === 'DATA' && reply.startsWith('354');
        if (reply !== '') socket.write(reply, 'latin1');
      }
    });
  };
}

/** The usual answers. */
export function usual(line: string, offers: readonly string[] = []): string {
  if (/^EHLO/.test(line)) return ['raw.example', ...offers].map((word, i) => `250${i === offers.length ? ' ' : '-'}${word}\r\n`).join('');
  if (line === 'DATA') return '354 go\r\n';
  return line === 'QUIT' ? '221 bye\r\n' : '250 fine\r\n';
}

/* ---- a list of lines ---- */

/**
 * One connection. A line with a reply code is said; `.` waits for the end of a content; any other is the beginning of the next command.
 * `*wait 20` reads and forgets what comes for so many milliseconds, and all that comes after; `*starttls` begins TLS; `*close`,
 * `*reset` and `*destroy` end the connection; `*deaf` reads nothing more, `*silence` says nothing more. After the last line the
 * server closes.
 */
export type Lines = readonly string[];

export interface Followed extends ScriptedServer {
  /** Commands in the order they came, and `.` for a content that came to its end. */
  readonly heard: readonly string[];
  /** Faults: what came in place of what the script expects. */
  readonly unexpected: readonly string[];
  readonly contents: readonly string[];
}

/** Plays a list of lines for each connection. */
export async function startFollowing(linesOf: (connection: number) => Lines, tls?: Pick<Certificate, 'key' | 'cert'>): Promise<Followed> {
  const [heard, unexpected, contents]: [string[], string[], string[]] = [[], [], []];
  const follow = async (plain: Socket, lines: Lines): Promise<void> => {
    let talk = talkOn(plain);
    for (const line of lines) {
      const [word, count] = line.split(' ');
      if (word === '*silence') return;
      else if (word === '*deaf') talk.socket.pause();
      else if (word === '*reset') return reset(plain);
      else if (word === '*destroy') return void plain.destroy();
      else if (word === '*close') break;
      else if (word === '*wait') {
        talk.detach();
        talk.socket.resume();
        await pause(Number(count));
      } else if (word === '*starttls') {
        talk.detach();
        if (!tls) throw new Error('no certificate was given');
        const secured = new TLSSocket(plain, { isServer: true, secureContext: createSecureContext(tls) });
        talk = talkOn(secured.on('error', () => {}));
      } else if (/^\d/.test(line)) await new Promise((resolve) => talk.socket.write(`${line}\r\n`, resolve));
      else if (line === '.') {
        const content = await readContent(talk);
        if (content === null) break;
        contents.push(content);
        heard.push('.');
      } else {
        const command = await talk.line();
        if (command === null) break;
        heard.push(command);
        if (!command.startsWith(line)) unexpected.push(`${command} in place of ${line}`);
      }
    }
    talk.socket.end();
  };
  const server = await startScripted((socket, connection) => {
    socket.on('end', () => socket.end());
    void follow(socket, linesOf(connection));
  });
  return Object.assign(server, { heard, unexpected, contents });
}

/** Reads content up to the dot, as it came; null if the connection ends before. */
async function readContent(talk: Talk): Promise<string | null> {
  let content = '';
  for (let line = await talk.line(); line !== '.'; line = await talk.line()) {
    if (line === null) return null;
    content += `${line}\r\n`;
  }
  return content;
}

/** The same in a process of its own, which does as it will whatever the client's process is busy with. */
export async function followApart(
  lines: Lines,
  tls?: Pick<Certificate, 'key' | 'cert'>,
): Promise<{ readonly port: number; readonly stop: () => void }> {
  const program = `
    const { startFollowing } = await import(${JSON.stringify(import.meta.url)});
    const [lines, tls] = JSON.parse(process.argv.at(-1));
    process.stdout.write(String((await startFollowing(() => lines, tls ?? undefined)).port));`;
  const loading = process.versions.bun === undefined ? ['--import', 'tsx', '--input-type=module'] : [];
  const child = spawn(process.execPath, [...loading, '-e', program, '--', JSON.stringify([lines, tls ?? null])], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [port] = (await once(child.stdout, 'data')) as [Buffer];
  return { port: Number(port), stop: () => void child.kill('SIGKILL') };
}

/* ---- a transcript ---- */

let certificate: Certificate | undefined;
export const serverCertificate = (): Certificate => {
  certificate ??= makeCertificate({ names: ['foo.com'] });
  return certificate;
};

/** Octets of content that a DATA transcript carries; a dotted line among them. */
export const CONTENT = 'Subject: test\r\n\r\nhello\r\n.dotted\r\n';

/** The script does this to the client. */
export interface Hooks {
  readonly abort: () => void;
}

/** A source under the script's control: gives what it is told, ends or fails when it is told. */
export interface Steered {
  readonly source: Source;
  readonly give: (octets: Uint8Array) => void;
  readonly end: () => void;
  readonly fail: (lacks?: '8bitmime') => void;
}

export function steered(): Steered {
  const queue: (Uint8Array | Ended)[] = [];
  let wake: (() => void) | undefined;
  const put = (item: (typeof queue)[number]) => {
    queue.push(item);
    wake?.();
  };
  return {
    give: (octets) => put(octets),
    end: () => put({ end: 'clean' }),
    fail: (lacks) => put(lacks ? { end: 'failed', detail: '8-bit text', lacks } : { end: 'failed', detail: 'read error' }),
    source: {
      async read() {
        while (queue.length === 0)
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        const [item] = queue as [(typeof queue)[number]];
        if (item instanceof Uint8Array) queue.shift();
        return item;
      },
      close() {},
    },
  };
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Plays the server's side of a transcript; `done` resolves when it is through, and rejects where the client said something else. */
export async function serveTranscript(
  transcript: Transcript,
  hooks: Hooks,
  content: Steered,
): Promise<{ port: number; done: Promise<void>; close: () => void }> {
  let finish: (work: Promise<void>) => void = () => {};
  const done = new Promise<void>((resolve, reject) => {
    finish = (work) => void work.then(resolve, reject);
  });
  const server = await startScripted((socket) => finish(play(transcript, socket, hooks, content)));
  return { port: server.port, done, close: () => void server.close() };
}

async function play({ file, lines }: Transcript, plain: Socket, hooks: Hooks, content: Steered): Promise<void> {
  let socket = plain;
  let talk = talkOn(socket);
  let text = '';
  let held = 0;
  for (const [i, line] of lines.entries()) {
    const at = `${file} line ${i + 1}: ${line}`;
    const [word, rest] = [line.slice(2).split(' ')[0], line.slice(2).split(' ').slice(1).join(' ')];
    if (line.startsWith('S:')) {
      text += serverText(line);
      if (!lines[i + 1]?.startsWith('S:')) {
        // A reply to content that is under way must not arrive together with the one that asked for it.
        if (/^! (content|next)/.test(lines.slice(0, i).findLast((before) => !before.startsWith('S:')) ?? '')) await pause(15);
        socket.write(text, 'latin1');
        text = '';
      }
    } else if (line.startsWith('C: BDAT')) {
      assert.equal(await talk.line(), line.slice(3), at);
      const [, , count, last] = line.split(' ');
      // The end of the last block is the commit, and comes apart.
      held = last === undefined ? 0 : Math.min(Number(count), 2);
      const before = Number(count) - held;
      assert.equal((await talk.exactly(before))?.length, before, at);
    } else if (line === '! commit') {
      assert.equal((await talk.exactly(held))?.length, held, at);
    } else if (line === 'C: .') {
      // The content comes first, its leading dot doubled.
      const received = await readContent(talk);
      assert.notEqual(received, null, `${at}: the client closed within the content`);
      assert.equal(received, CONTENT.replace('\r\n.', '\r\n..'), at);
    } else if (/^C\*?: /.test(line)) assert.equal(await talk.line(), line.replace(/^C\*?: /, ''), at);
    else if (line.startsWith('=') || word === 'next' || word === 'flush' || word === 'note' || word === 'secured') continue;
    else if (word === 'startTls' && lines[i + 1] === '! timeout') continue;
    else if (word === 'startTls') {
      talk.detach();
      const { key, cert } = serverCertificate();
      socket = new TLSSocket(socket, { isServer: true, secureContext: createSecureContext({ key, cert }) });
      socket.on('error', () => {});
      talk = talkOn(socket);
    } else if (word === 'insecure') continue;
    else if (word === 'content') content.give(Buffer.from(CONTENT));
    else if (word === 'block' || word === 'last') {
      if (Number(rest) > 0) content.give(Buffer.from(`${'x'.repeat(Number(rest) - 2)}\r\n`));
      if (word === 'last') content.end();
    } else if (word === 'sent' || word === 'failed' || word === 'lacking' || word === 'abort' || word === 'lost') {
      // The server's words before must have reached the client, and the client's must have left it.
      await pause(15);
      if (word === 'sent') content.end();
      else if (word === 'failed') content.fail();
      else if (word === 'lacking') content.fail('8bitmime');
      else if (word === 'abort') hooks.abort();
      else socket.destroy();
    } else if (word === 'timeout') continue;
    else if (word === 'close' || word === 'destroy') {
      const rest = await talk.rest();
      if (word === 'close') assert.equal(rest, '', `${at}: octets after QUIT`);
      else assert.doesNotMatch(rest, /(^|\r\n)\.\r\n|LAST\r\n|QUIT\r\n/, `${at}: a terminator or QUIT before the end`);
      socket.destroy();
    } else throw new Error(`no such line: ${at}`);
  }
  socket.destroy();
  plain.destroy();
}
