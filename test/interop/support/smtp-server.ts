/** Starts nodemailer's smtp-server, in this process, as a smart host. It knows nothing of the client under test. */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { HOST } from '../../world/support/addresses.ts';
import { type Arrived, atLeast, MAILBOXES, PASSWORD, type Peer, type PeerOptions, USER } from './peer.ts';

/** What we use of the package, which brings no types. */
interface Session {
  readonly envelope: { readonly mailFrom: { readonly address: string } | false; readonly rcptTo: readonly { readonly address: string }[] };
  readonly user?: string;
}
type Done = (error?: Error | null, answer?: unknown) => void;
interface Server {
  listen(port: number, host: string, ready: () => void): { address(): AddressInfo };
  close(done: () => void): void;
  on(event: 'error', heard: (error: Error) => void): void;
}
type ServerClass = new (options: Record<string, unknown>) => Server;

const refusal = (code: number, text: string) => Object.assign(new Error(text), { responseCode: code });
const local = (address: string) => address.slice(0, address.lastIndexOf('@'));

export async function startSmtpServer(options: PeerOptions = {}): Promise<Peer> {
  const { tls, authRequired = false } = options;
  const name = 'smtp-server';
  const { SMTPServer } = (await import(name)) as { SMTPServer: ServerClass };
  const boxes = new Map<string, Arrived[]>();
  const log: string[] = [];

  function onRcptTo({ address }: { address: string }, _session: Session, done: Done) {
    const who = local(address);
    if (who === 'refused') return done(refusal(550, '5.1.1 no such mailbox here'));
    if (who === 'later') return done(refusal(451, '4.7.1 try again later'));
    if (![...MAILBOXES, 'atdata', 'afterdot', 'laterdot'].includes(who)) return done(refusal(550, '5.1.1 unknown'));
    done();
  }
  function onData(stream: Readable, session: Session, done: Done) {
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('end', () => {
      const names = session.envelope.rcptTo.map(({ address }) => local(address));
      log.push(`${session.user ?? '-'} ${names.join(' ')}`);
      if (names.includes('afterdot')) return done(refusal(552, '5.3.4 content not wanted'));
      if (names.includes('laterdot')) return done(refusal(451, '4.3.0 content not wanted now'));
      const { mailFrom } = session.envelope;
      const arrived = { reversePath: mailFrom === false ? '' : mailFrom.address, octets: Buffer.concat(parts) };
      for (const box of names) boxes.set(box, [...(boxes.get(box) ?? []), arrived]);
      done();
    });
  }
  function onAuth(auth: { username: string; password?: string; validatePassword?(password: string): boolean }, _: Session, done: Done) {
    const good = auth.username === USER && (auth.validatePassword?.(PASSWORD) ?? auth.password === PASSWORD);
    done(good ? null : refusal(535, '5.7.8 authentication failed'), good ? { user: USER } : undefined);
  }

  async function listen(secure: boolean) {
    const server = new SMTPServer({
      secure,
      name: 'smtp-server.peer.test',
      banner: 'nodemailer',
      ...(tls === undefined ? { disabledCommands: ['STARTTLS'] } : { cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }),
      authMethods: ['PLAIN', 'LOGIN', 'CRAM-MD5'],
      authOptional: !authRequired,
      allowInsecureAuth: true,
      size: 128 * 1024 * 1024,
      logger: false,
      onRcptTo,
      onData,
      onAuth,
    });
    server.on('error', (error) => log.push(error.message));
    const port = await new Promise<number>((resolve) => {
      const listener = server.listen(0, HOST, () => resolve(listener.address().port));
    });
    return { port, close: () => new Promise<void>((resolve) => server.close(resolve)) };
  }

  const clear = await listen(false);
  const secure = tls === undefined ? undefined : await listen(true);
  const said = () => log.join('\n');
  return {
    name: 'smtp-server',
    host: HOST,
    port: clear.port,
    ...(secure !== undefined && { tlsPort: secure.port }),
    log: '',
    said,
    received: (mailbox, count = 1) => atLeast(() => boxes.get(mailbox) ?? [], mailbox, count, said),
    total: async () => [...boxes.values()].reduce((sum, box) => sum + box.length, 0),
    clear: async () => boxes.clear(),
    async stop() {
      await clear.close();
      await secure?.close();
    },
  };
}
