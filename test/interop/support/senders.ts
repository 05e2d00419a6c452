/**
 * The programs whose configurations `nospool import` reads, as Debian 12 has them, and nospool beside them: each runs in a
 * private mount namespace whose /etc and /usr are its own, and speaks to a smart host that writes down what it got. Knows no
 * configuration.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ForeignProgram } from '../../../src/nospool/import/import-from.ts';
import { makeCertificate } from '../../../src/transport/tls/certificate.ts';
import { confined, type Daemon, freePort, scratch, startDaemon } from './daemon.ts';
import { SENDERS_UNPACKED } from './needs.ts';

/** One message as the smart host got it. */
export interface Recorded {
  /** `user:password`; null without authentication. */
  readonly login: string | null;
  readonly tls: boolean;
  readonly hello: string;
  readonly reversePath: string;
  readonly recipients: readonly string[];
  /** Addresses of the From field, as they stand there. */
  readonly from: readonly string[];
  readonly sender: readonly string[];
}

export interface Recorder {
  readonly port: number;
  readonly tlsPort: number;
  /** PEM of the authority that signed the certificate of smtp.example.org. */
  readonly authority: string;
  /** What came since the last call. */
  taken(): readonly Recorded[];
  stop(): Promise<void>;
}

const SCRIPT = fileURLToPath(new URL('./recorder.py', import.meta.url));

export async function startRecorder(): Promise<Recorder> {
  const folder = scratch('recorder');
  const issuer = makeCertificate({ commonName: 'test CA', ca: true });
  const server = makeCertificate({
    commonName: 'smtp.example.org',
    names: ['smtp.example.org', 'backup.example.org'],
    ips: ['127.0.0.1'],
    issuer,
  });
  writeFileSync(`${folder}/server.pem`, server.cert);
  writeFileSync(`${folder}/key.pem`, server.key);
  const [port, tlsPort] = [await freePort(), await freePort()];
  const record = `${folder}/record`;
  const want = { port, tls_port: tlsPort, certificate: `${folder}/server.pem`, key: `${folder}/key.pem`, record };
  const daemon: Daemon = await startDaemon(['/usr/bin/python3', '-B', SCRIPT, JSON.stringify(want)], {
    log: `${folder}/log`,
    host: '127.0.0.1',
    ports: [port, tlsPort],
  });
  let seen = 0;
  return {
    port,
    tlsPort,
    authority: issuer.own,
    taken() {
      const lines = existsSync(record) ? readFileSync(record, 'utf8').split('\n').slice(0, -1) : [];
      const fresh = lines.slice(seen);
      seen = lines.length;
      return fresh.map((line) => JSON.parse(line) as Recorded);
    },
    stop: () => daemon.stop(),
  };
}

export interface Sender {
  /** Where its configuration is, and what belongs to it. */
  readonly file: string;
  /** Folders over /usr, the first on top. */
  readonly over: readonly string[];
  /** Shell text before, in the namespace. */
  readonly script: string;
  readonly argv: readonly string[];
  /** Shell text after: what it left in a queue is sent. */
  readonly after: string;
}

/** Waits until a queue is empty. */
const emptied = (queue: string) => `i=0; while [ -n "$(ls -A ${queue})" ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done`;

const unpacked = (name: string) => `${SENDERS_UNPACKED}/${name}/usr`;

export const SENDERS: Readonly<Record<ForeignProgram, Sender>> = {
  msmtp: { file: '/etc/msmtprc', over: [], script: '', argv: ['/usr/bin/msmtp'], after: '' },
  ssmtp: {
    file: '/etc/ssmtp/ssmtp.conf',
    over: [unpacked('ssmtp'), unpacked('libgnutls-openssl27')],
    script: '',
    argv: ['/usr/sbin/ssmtp'],
    after: '',
  },
  dma: {
    file: '/etc/dma/dma.conf',
    over: [unpacked('dma')],
    script: 'mkdir -p /var/spool/dma; mount -t tmpfs -o mode=2775,gid=8 tmpfs /var/spool/dma',
    argv: ['/usr/sbin/dma'],
    after: emptied('/var/spool/dma'),
  },
  nullmailer: {
    file: '/etc/nullmailer/remotes',
    over: [unpacked('nullmailer')],
    script: `mkdir -p /var/spool/nullmailer
mount -t tmpfs tmpfs /var/spool/nullmailer
cd /var/spool/nullmailer
mkdir queue tmp failed
mkfifo -m 622 trigger
chown -R mail:mail .`,
    argv: ['/usr/sbin/sendmail'],
    after: `setpriv --reuid=mail --regid=mail --clear-groups /usr/sbin/nullmailer-send & ${emptied('/var/spool/nullmailer/queue')}`,
  },
  esmtp: { file: '/etc/esmtprc', over: [unpacked('esmtp'), unpacked('libesmtp6')], script: '', argv: ['/usr/bin/esmtp'], after: '' },
};

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Files of /etc by their paths. */
export type Files = Readonly<Record<string, string>>;

export interface Etc {
  /** A folder that stands over /etc. */
  readonly folder: string;
  readonly files: Files;
}

/** What /etc has in every run: the smart host's name and authority, and nobody's own settings. */
export function etcOf(files: Files, recorder: Recorder): Etc {
  const folder = scratch('etc');
  const all: Files = {
    '/etc/hosts': '127.0.0.1 localhost smtp.example.org backup.example.org\n127.0.1.1 web1.example.net web1\n',
    '/etc/mailname': 'web1.example.net\n',
    '/etc/ssl/certs/ca-certificates.crt': recorder.authority,
    ...files,
  };
  for (const [file, text] of Object.entries(all)) {
    const place = `${folder}/${file.replace(/^\/etc\//, '')}`;
    mkdirSync(path.dirname(place), { recursive: true, mode: 0o755 });
    writeFileSync(place, text, { mode: 0o644 });
  }
  return { folder, files: all };
}

const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', USER: 'root', LOGNAME: 'root', HOME: '/nonexistent' };

function runIn(
  etc: Etc,
  { over, script, after }: Pick<Sender, 'over' | 'script' | 'after'>,
  argv: readonly string[],
  input: string,
): Promise<Ran> {
  const usr = over.length === 0 ? '' : `mount -t overlay overlay -o ro,lowerdir=${[...over, '/usr'].join(':')} /usr\n`;
  const mounts = `${usr}mount -t overlay overlay -o ro,lowerdir=${etc.folder}:/etc /etc\nhostname web1.example.net\n${script}\n`;
  const words = after === '' ? argv : ['/bin/sh', '-c', `"$@"; status=$?; ${after}; exit $status`, 'sh', ...argv];
  // A name of its own, which programs qualify by.
  const [program = '', ...args] = ['unshare', '--uts', ...confined(words, mounts)];
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: ENVIRONMENT, cwd: '/' });
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (part: Buffer) => (stdout += part));
  child.stderr.on('data', (part: Buffer) => (stderr += part));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      clearTimeout(timer);
      resolve({ status, stdout, stderr });
    });
  });
}

/** The program itself sends. */
export const sendBy = (program: ForeignProgram, etc: Etc, args: readonly string[], input: string): Promise<Ran> =>
  runIn(etc, SENDERS[program], [...SENDERS[program].argv, ...args], input);

/** nospool does what it is told, in the same world. */
export const runOurs = (etc: Etc, argv: readonly string[], input: string): Promise<Ran> =>
  runIn(etc, { over: [], script: '', after: '' }, [process.execPath, ...argv], input);
