/**
 * What every real smart host of the tests has in common: its address, one user, its mailboxes, and the local parts that it
 * refuses. It does not know how any of them is configured.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { until } from './daemon.ts';

export const DOMAIN = 'peer.test';
export const USER = 'host1';
/** Blank, colon and equals sign are legal in a password and have broken clients. */
export const PASSWORD = 'open sesame: 4=2';

/** Local parts with a mailbox. A peer accepts these, and those below, at RCPT unless it says otherwise. */
export const MAILBOXES = ['ann', 'bob', 'eve', 'root', 'jörg'] as const;

/** Local parts that a peer refuses, where and with which reply code. */
export const REFUSED = {
  refused: { at: 'RCPT', code: 550 },
  later: { at: 'RCPT', code: 451 },
  atdata: { at: 'DATA', code: 550 },
  afterdot: { at: 'content', code: 552 },
  laterdot: { at: 'content', code: 451 },
} as const;

export const at = (local: string) => `${local}@${DOMAIN}`;

/** One message in one mailbox. */
export interface Arrived {
  /** Without angle brackets; empty for the null reverse-path; undefined when the peer does not tell. */
  readonly reversePath: string | undefined;
  /** As the peer stored it, without the fields that its delivery put before it. */
  readonly octets: Buffer;
}

export interface Peer {
  readonly name: string;
  readonly host: string;
  /** In clear, with STARTTLS where the peer was started with TLS. */
  readonly port: number;
  /** TLS from the first octet. */
  readonly tlsPort?: number;
  readonly log: string;
  /** Waits for so many messages in a mailbox and gives all that are there, the oldest first. */
  received(mailbox: string, atLeast?: number): Promise<readonly Arrived[]>;
  /** Waits until nothing is on its way inside the peer and gives the number of messages in all mailboxes. */
  total(): Promise<number>;
  /** What the log says. */
  said(): string;
  /** Empties all mailboxes, when nothing is on its way any more. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** Addresses at which a peer shows this certificate, or none: files, as `tls`. */
export interface Appearance {
  readonly addresses: readonly string[];
  readonly tls: { readonly certificate: string; readonly key: string } | null;
}

export interface PeerOptions {
  /** The standard ports (25, 587; 465; 24 for LMTP) at these addresses in place of free ones at HOST. */
  readonly at?: readonly Appearance[];
  /** Files of the certificate: without it the peer speaks no TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly ca?: string };
  /** MAIL is refused before AUTH. AUTH is offered always. */
  readonly authRequired?: boolean;
}

/** Line ends of any kind become LF: mail stores keep LF, the wire CRLF. */
export const normalised = (octets: Buffer | string) =>
  (typeof octets === 'string' ? octets : octets.toString('latin1')).replaceAll(/\r\n?/g, '\n');

/** Takes the fields a final delivery puts before a message, and reads the reverse-path from them. */
export function delivered(file: Buffer, fields: readonly string[]): Arrived {
  let rest = file;
  let reversePath: string | undefined;
  for (const field of fields) {
    const end = rest.indexOf(0x0a) + 1;
    const line = rest.subarray(0, end).toString('latin1').trimEnd();
    if (!line.toLowerCase().startsWith(`${field.toLowerCase()}:`)) throw new Error(`expected ${field}: before the message, found ${line}`);
    if (field.toLowerCase() === 'return-path') reversePath = /<(.*)>/.exec(line)?.[1];
    rest = rest.subarray(end);
  }
  return { reversePath, octets: rest };
}

/** The messages of a Maildir, the oldest first. A file that is gone before it is read has not arrived yet. */
export function readMaildir(folder: string): readonly Buffer[] {
  return ['new', 'cur']
    .flatMap((part) => {
      try {
        return readdirSync(path.join(folder, part)).map((name) => path.join(folder, part, name));
      } catch {
        return [];
      }
    })
    .map((file) => ({ file, time: statSync(file).mtimeMs }))
    .sort((a, b) => a.time - b.time)
    .map(({ file }) => readFileSync(file));
}

/** Number of files below a folder, at any depth. */
export function filesBelow(folder: string): number {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
  } catch {
    return 0;
  }
}

export async function atLeast(
  read: () => readonly Arrived[],
  mailbox: string,
  count: number,
  peer: () => string,
): Promise<readonly Arrived[]> {
  try {
    return await until(`${count} message(s) for ${mailbox}`, () => {
      const there = read();
      return there.length >= count ? there : undefined;
    });
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}; the peer says:\n${peer().slice(-1500)}`);
  }
}
