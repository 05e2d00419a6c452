/** Plays the server's side of a transcript on a real socket, and checks what the client says against it. */
import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { Source } from '../../src/message/source.ts';
import { type Certificate, makeCertificate } from '../../src/transport/tls/certificate.ts';
import { serverText, type Transcript } from './transcript.ts';

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
  readonly fail: () => void;
}

export function steered(): Steered {
  const queue: (Uint8Array | { end: 'clean' } | { end: 'failed'; detail: string })[] = [];
  let wake: (() => void) | undefined;
  const put = (item: (typeof queue)[number]) => {
    queue.push(item);
    wake?.();
  };
  return {
    give: (octets) => put(octets),
    end: () => put({ end: 'clean' }),
    fail: () => put({ end: 'failed', detail: 'read error' }),
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

/** Reads lines and counted octets off a socket, in order. */
class Reader {
  #octets = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #ended = false;
  readonly #listener = (chunk: Buffer) => {
    this.#octets = Buffer.concat([this.#octets, chunk]);
    this.#wake?.();
  };
  constructor(socket: Socket) {
    socket.on('data', this.#listener);
    const end = () => {
      this.#ended = true;
      this.#wake?.();
    };
    socket.on('end', end).on('close', end).on('error', end);
  }
  detach(socket: Socket): void {
    socket.off('data', this.#listener);
  }
  get rest(): string {
    return this.#octets.toString('latin1');
  }
  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    return true;
  }
  async line(): Promise<string | null> {
    for (;;) {
      const end = this.#octets.indexOf('\r\n');
      if (end >= 0) {
        const line = this.#octets.subarray(0, end).toString('latin1');
        this.#octets = this.#octets.subarray(end + 2);
        return line;
      }
      if (!(await this.#more())) return null;
    }
  }
  async exactly(count: number): Promise<Buffer> {
    while (this.#octets.length < count) if (!(await this.#more())) break;
    const taken = this.#octets.subarray(0, count);
    this.#octets = this.#octets.subarray(count);
    return taken;
  }
  async end(): Promise<void> {
    while (await this.#more());
  }
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Listens on a loopback port; `done` resolves when the script is through, and rejects where the client said something else. */
export async function serveTranscript(
  transcript: Transcript,
  hooks: Hooks,
  content: Steered,
): Promise<{ port: number; done: Promise<void>; close: () => void }> {
  let finish: (work: Promise<void>) => void = () => {};
  const done = new Promise<void>((resolve, reject) => {
    finish = (work) => void work.then(resolve, reject);
  });
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    finish(play(transcript, socket, hooks, content));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { port, done, close: () => server.close() };
}

async function play({ file, lines }: Transcript, plain: Socket, hooks: Hooks, content: Steered): Promise<void> {
  let socket = plain;
  let reader = new Reader(socket);
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
      assert.equal(await reader.line(), line.slice(3), at);
      const [, , count, last] = line.split(' ');
      // The end of the last block is the commit, and comes apart.
      held = last === undefined ? 0 : Math.min(Number(count), 2);
      const before = Number(count) - held;
      assert.equal((await reader.exactly(before)).length, before, at);
    } else if (line === '! commit') {
      assert.equal((await reader.exactly(held)).length, held, at);
    } else if (line === 'C: .') {
      // The content comes first, its leading dot doubled.
      const received: string[] = [];
      for (let got = await reader.line(); got !== '.'; got = await reader.line()) {
        assert.notEqual(got, null, `${at}: the client closed within the content`);
        received.push(`${got}\r\n`);
      }
      assert.equal(received.join(''), CONTENT.replace('\r\n.', '\r\n..'), at);
    } else if (/^C\*?: /.test(line)) assert.equal(await reader.line(), line.replace(/^C\*?: /, ''), at);
    else if (line.startsWith('=') || word === 'next' || word === 'flush' || word === 'note' || word === 'secured') continue;
    else if (word === 'startTls' && lines[i + 1] === '! timeout') continue;
    else if (word === 'startTls') {
      reader.detach(socket);
      const { key, cert } = serverCertificate();
      socket = new TLSSocket(socket, { isServer: true, secureContext: createSecureContext({ key, cert }) });
      socket.on('error', () => {});
      reader = new Reader(socket);
    } else if (word === 'insecure') continue;
    else if (word === 'content') content.give(Buffer.from(CONTENT));
    else if (word === 'block' || word === 'last') {
      if (Number(rest) > 0) content.give(Buffer.from(`${'x'.repeat(Number(rest) - 2)}\r\n`));
      if (word === 'last') content.end();
    } else if (word === 'sent' || word === 'failed' || word === 'abort' || word === 'lost') {
      // The server's words before must have reached the client, and the client's must have left it.
      await pause(15);
      if (word === 'sent') content.end();
      else if (word === 'failed') content.fail();
      else if (word === 'abort') hooks.abort();
      else socket.destroy();
    } else if (word === 'timeout') continue;
    else if (word === 'close' || word === 'destroy') {
      await reader.end();
      if (word === 'close') assert.equal(reader.rest, '', `${at}: octets after QUIT`);
      else assert.doesNotMatch(reader.rest, /(^|\r\n)\.\r\n|LAST\r\n|QUIT\r\n/, `${at}: a terminator or QUIT before the end`);
      socket.destroy();
    } else throw new Error(`no such line: ${at}`);
  }
  socket.destroy();
  plain.destroy();
}
