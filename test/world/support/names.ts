/**
 * Name servers of the network: BIND with a zone of the whole tree, so that every other name does not exist; and one of our own
 * for what a real server does not do on request. They know no mail.
 */
import { createSocket } from 'node:dgram';
import { mkdirSync, writeFileSync } from 'node:fs';
import { discard, scratch, startDaemon } from '../../interop/support/daemon.ts';
import type { Place } from './network.ts';

/** Labels under which BIND answers SERVFAIL: a zone that it cannot load. */
export const BROKEN = 'broken.example';

export interface NameServer {
  stop(): Promise<void>;
}

/** BIND at this place, with these records of the root zone. Answers of more than 512 octets are truncated over UDP. */
export async function startNameServer({ v4, v6 }: Place, records: string): Promise<NameServer> {
  const folder = scratch('names');
  mkdirSync(`${folder}/keys`);
  const zone = `$TTL 60\n. SOA ns.example. hostmaster.example. 1 3600 3600 3600 60\n. NS ns.example.\nns.example. A ${v4}\n${records}\n`;
  writeFileSync(`${folder}/zone`, zone);
  writeFileSync(
    `${folder}/named.conf`,
    `options {
  directory "${folder}";
  managed-keys-directory "${folder}/keys";
  listen-on { ${v4}; };
  listen-on-v6 { ${v6}; };
  pid-file none;
  session-keyfile none;
  lock-file none;
  recursion no;
  dnssec-validation no;
  check-names primary ignore;
  max-udp-size 512;
  notify no;
};
controls { };
zone "." { type primary; file "zone"; };
zone "${BROKEN}" { type primary; file "missing"; };
`,
  );
  const daemon = await startDaemon(['/usr/sbin/named', '-g', '-n', '1', '-c', `${folder}/named.conf`], {
    log: `${folder}/log`,
    host: v4,
    ports: [53],
  });
  return {
    async stop() {
      await daemon.stop();
      discard(folder);
    },
  };
}

/** What a scripted name server does with a question; a number is a reply code without records (RFC 1035 §4.1.1). */
export type Oddity = 'silence' | 'truncated' | 'garbage' | 'another id' | number;

export interface ScriptedNameServer extends NameServer {
  /** Names and types that it was asked for. */
  readonly asked: string[];
}

/** A name server that does the same with every question, over UDP alone: who asks over TCP is refused the connection. */
export async function startOddServer({ v4 }: Place, oddity: Oddity): Promise<ScriptedNameServer> {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (question, { address, port }) => {
    asked.push(readQuestion(question));
    const answer = answerTo(question, oddity);
    if (answer !== null) socket.send(answer, port, address);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(53, v4, resolve);
  });
  return { asked, stop: () => new Promise((resolve) => socket.close(() => resolve())) };
}

const TYPES: Readonly<Record<number, string>> = { 1: 'A', 15: 'MX', 28: 'AAAA', 33: 'SRV' };

/** RFC 1035 §4.1.2 */
function readQuestion(message: Buffer): string {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = message.readUInt16BE(at + 1);
  return `${labels.join('.')} ${TYPES[type] ?? type}`;
}

function answerTo(question: Buffer, oddity: Oddity): Buffer | null {
  if (oddity === 'silence') return null;
  if (oddity === 'garbage') return Buffer.from('garbage');
  const answer = Buffer.from(question);
  if (oddity === 'another id') answer[0] = (answer[0] ?? 0) ^ 0xff;
  // QR, and TC where it is asked for; RA and the reply code. RFC 1035 §4.1.1
  answer[2] = 0x80 | ((answer[2] ?? 0) & 0x79) | (oddity === 'truncated' ? 0x02 : 0);
  answer[3] = 0x80 | (typeof oddity === 'number' ? oddity : 0);
  return answer;
}
