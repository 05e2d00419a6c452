/** What a delivery is made of, with defaults that suit a smart host on loopback. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { takeBody } from '../../src/message/body.ts';
import { type Source, sourceOf } from '../../src/message/source.ts';
import { DEFAULT_TLS, type Smarthost, type TlsPolicy } from '../../src/router/smarthost.ts';
import type { Transaction } from '../../src/smtp/client/print.ts';
import type { Plan } from '../../src/smtp/client/session.ts';
import type { Delivery, DeliveryOptions } from '../../src/submit/delivery.ts';
import { type Outcome, printOutcome } from '../../src/submit/outcome.ts';
import { systemSecurity } from '../../src/submit/security.ts';
import { type Certificate, makeCertificate } from '../../src/transport/tls/certificate.ts';
import { mailbox } from './mailbox.ts';
import { chosen } from './sockets.ts';

const OFF: TlsPolicy = { ...DEFAULT_TLS, mode: 'off' };

export const hostAt = (port: number, changes: Partial<Smarthost> = {}): Smarthost => ({
  scheme: 'smtp',
  host: '127.0.0.1',
  port,
  expand: 'none',
  tls: OFF,
  auth: null,
  ...changes,
});

let made: { certificate: Certificate; caFile: string } | undefined;

/** A certificate for smart.example and 127.0.0.1, and a file that trusts it. */
export function tlsWorld(): { readonly certificate: Certificate; readonly caFile: string } {
  if (made) return made;
  const folder = mkdtempSync(join(tmpdir(), 'nospool-delivery-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const certificate = makeCertificate({ names: ['smart.example'], ips: ['127.0.0.1', '127.0.0.2'] });
  writeFileSync(join(folder, 'ca.pem'), certificate.own);
  made = { certificate, caFile: join(folder, 'ca.pem') };
  return made;
}

/** TLS is required, and its certificate is for smart.example. */
export const tlsRequired = (changes: Partial<TlsPolicy> = {}): TlsPolicy => ({
  ...OFF,
  mode: 'required',
  caFile: tlsWorld().caFile,
  serverName: 'smart.example',
  ...changes,
});

export const withPassword = (value: string): Smarthost['auth'] => ({
  user: 'tim',
  mechanisms: [],
  secret: { from: 'literal', value },
  allowPlaintext: true,
});

export const MESSAGE = 'Subject: test\r\n\r\nhello\r\n.dotted\r\n';

/** A session of many messages, in clear and without a password. */
export const PLAN_OF_MANY: Plan = {
  protocol: 'smtp',
  hello: 'here.example',
  tls: 'off',
  authenticate: null,
  transactions: 'many',
  framing: 'auto',
  partial: 'never',
};

export const transactionTo = (recipients: number, changes: Partial<Transaction> = {}): Transaction => ({
  reversePath: mailbox('tim@here.example'),
  recipients: Array.from({ length: recipients }, (_, i) => ({ path: mailbox(`r${i + 1}@there.example`) })),
  size: null,
  estimate: null,
  eightBit: 'none',
  withoutEightBit: 'convert',
  smtputf8: false,
  dsn: 'drop',
  ...changes,
});

/** Content that can be had as often as it is asked for. */
export const contentOf = (message: string | Uint8Array = MESSAGE): Delivery['content'] => ({
  replayable: true,
  open: () => sourceOf(...slices(Buffer.from(message as string))),
});

/** As much at a time as a pipe gives. */
const slices = (octets: Uint8Array): Uint8Array[] =>
  Array.from({ length: Math.ceil(octets.length / 65_536) }, (_, i) => octets.subarray(i * 65_536, (i + 1) * 65_536));

/** Content of a pipe that is longer than its window: the first octet beyond it ends replay. */
export async function streamedContent(source: Source, window: number): Promise<Delivery['content']> {
  const body = await takeBody(new Uint8Array(0), source, { window, again: null, fileSize: null });
  if (!body.ok) throw new Error(body.detail);
  return {
    get replayable() {
      return body.value.replayable;
    },
    open: () => body.value.open(),
  };
}

/** `limit`: milliseconds for everything that has a time-out. */
export const optionsFor = (limit = 10_000, changes: Partial<DeliveryOptions> = {}): DeliveryOptions => ({
  timeouts: {
    resolve: limit,
    connect: limit,
    handshake: limit,
    greeting: limit,
    command: limit,
    data: limit,
    block: limit,
    final: limit,
  },
  hello: 'here.example',
  partial: 'never',
  framing: 'auto',
  security: systemSecurity({}),
  connect: chosen,
  ...changes,
});

/** The outcome in a word: accepted, uncertain or failed, and whether replay was in the way. */
export const verdictOf = (outcome: Outcome): 'accepted' | 'uncertain' | 'failed' | 'failed, no replay' => {
  if (outcome.kind !== 'failed') return 'accepted';
  if (outcome.failure.kind === 'uncertain') return 'uncertain';
  return outcome.unreplayable ? 'failed, no replay' : 'failed';
};

/** Every sentence of an outcome, for messages of assertions. */
export const sentences = (outcome: Outcome): string => printOutcome(outcome, '<id@here.example>').join('\n');
