/** Starts Python's aiosmtpd (smart_host.py) as a smart host that offers no PIPELINING. It knows nothing of the client under test. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HOST } from '../../world/support/addresses.ts';
import { discard, freePort, scratch, startDaemon } from './daemon.ts';
import { atLeast, delivered, MAILBOXES, PASSWORD, type Peer, type PeerOptions, readMaildir, USER } from './peer.ts';

export async function startAiosmtpd(options: PeerOptions = {}): Promise<Peer> {
  const { tls, authRequired = false } = options;
  const folder = scratch('aiosmtpd');
  const [port, tlsPort] = [await freePort(), await freePort()];
  mkdirSync(`${folder}/mail`);
  const wanted = {
    host: HOST,
    port,
    tls_port: tlsPort,
    certificate: tls?.certificate,
    key: tls?.key,
    auth_required: authRequired,
    mail: `${folder}/mail`,
    user: USER,
    password: PASSWORD,
    mailboxes: MAILBOXES,
  };
  // Debian's Python has Debian's package; another one earlier in PATH has not.
  const daemon = await startDaemon(
    ['/usr/bin/python3', '-B', fileURLToPath(new URL('smart_host.py', import.meta.url)), JSON.stringify(wanted)],
    { log: `${folder}/log`, ports: tls === undefined ? [port] : [port, tlsPort] },
  );
  const said = () => readFileSync(`${folder}/log`, 'utf8');
  const read = (mailbox: string) => readMaildir(`${folder}/mail/${mailbox}`).map((octets) => delivered(octets, ['Return-Path']));
  return {
    name: 'aiosmtpd',
    host: HOST,
    port,
    ...(tls !== undefined && { tlsPort }),
    log: `${folder}/log`,
    said,
    received: (mailbox, count = 1) => atLeast(() => read(mailbox), mailbox, count, said),
    total: async () => MAILBOXES.reduce((sum, mailbox) => sum + read(mailbox).length, 0),
    async clear() {
      for (const mailbox of MAILBOXES) rmSync(`${folder}/mail/${mailbox}`, { recursive: true, force: true });
    },
    async stop() {
      await daemon.stop();
      discard(folder);
    },
  };
}
