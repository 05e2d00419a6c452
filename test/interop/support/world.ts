/**
 * A world in which the command under test is /usr/sbin/sendmail: a private mount namespace, for callers that have the path
 * compiled in. Nothing outside changes. It knows nothing of any caller.
 */
import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from './command.ts';
import { confined } from './daemon.ts';

export interface CallOptions {
  /** What the caller reads on standard input. */
  readonly input?: string | Buffer;
  readonly env?: NodeJS.ProcessEnv;
  /** Shell text run before, in the namespace. */
  readonly script?: string;
  /** Run under this uid and gid. */
  readonly uid?: number;
}

export interface Called {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface World {
  /** A folder that callers may write to; also their home. */
  readonly home: string;
  call(argv: readonly string[], options?: CallOptions): Promise<Called>;
  /** Writes a file into `home` and gives its path. */
  file(name: string, text: string | Buffer, mode?: number): string;
  /** Shell text that waits until the command under test has logged since the call began; for daemons that run it on their own. */
  readonly untilLogged: string;
  /** Shell text for `script`: what programs say to syslog goes to the file `syslog` in `home`. */
  readonly syslog: string;
}

/** /dev belongs to all, so the socket of syslog needs a /dev of its own. */
const syslog = (home: string) => `
mkdir -p ${home}/dev
mount --bind /dev ${home}/dev
mount -t tmpfs -o mode=755 tmpfs /dev
for node in null zero full random urandom tty; do touch /dev/$node; mount --bind ${home}/dev/$node /dev/$node; done
ln -s /proc/self/fd /dev/fd
rm -f ${home}/syslog
/usr/bin/python3 -B -c 'import socket
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
out = open("${home}/syslog", "ab", buffering=0)
while True: out.write(log.recv(65536) + b"\\n")' &
while ! [ -S /dev/log ]; do sleep 0.02; done
chmod 666 /dev/log
`;

export function makeWorld(command: Command): World {
  const { folder } = command;
  const home = `${folder}/home`;
  mkdirSync(home, { mode: 0o777 });
  for (const [where, name] of [
    ['usr/sbin', 'sendmail'],
    ['usr/lib', 'sendmail'],
    ['usr/bin', 'mailq'],
    ['usr/bin', 'newaliases'],
  ] as const) {
    mkdirSync(`${folder}/over/${where}`, { recursive: true });
    copyFileSync(command.wrapper, `${folder}/over/${where}/${name}`);
  }
  const over = `mount -t overlay overlay -o ro,lowerdir=${folder}/over/usr:/usr /usr\n`;
  return {
    home,
    untilLogged: `i=0; while [ $(wc -c < ${command.log}) -le $LOGGED ] && [ $i -lt 400 ]; do sleep 0.05; i=$((i+1)); done; sleep 0.2`,
    syslog: syslog(home),
    file(name, text, mode = 0o644) {
      writeFileSync(`${home}/${name}`, text, { mode });
      return `${home}/${name}`;
    },
    call(argv, options = {}) {
      const { input = '', env = {}, script = '', uid } = options;
      const as = uid === undefined ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
      const [program = '', ...args] = confined([...as, ...argv], `${over}${script}`);
      const child = spawn(program, args, {
        stdio: ['pipe', 'pipe', 'pipe'],
        cwd: home,
        env: {
          LOGGED: String(command.logged().length),
          PATH: '/usr/bin:/bin',
          HOME: home,
          LOGNAME: 'root',
          USER: 'root',
          LANG: 'C.UTF-8',
          TERM: 'dumb',
          ...env,
        },
      });
      // A caller that waits for ever must not keep the tests from ending.
      const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
      const parts: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] };
      child.stdout.on('data', (part: Buffer) => parts.stdout.push(part));
      child.stderr.on('data', (part: Buffer) => parts.stderr.push(part));
      child.stdin.on('error', () => undefined);
      child.stdin.end(input);
      return new Promise((resolve, reject) => {
        child.once('error', reject);
        child.once('close', (status) => {
          clearTimeout(timer);
          resolve({ status, stdout: Buffer.concat(parts.stdout).toString(), stderr: Buffer.concat(parts.stderr).toString() });
        });
      });
    },
  };
}

export interface Read {
  readonly subject: string;
  readonly from: string;
  readonly to: string;
  readonly bcc: string;
  readonly text: string;
  /** Of the first text part. */
  readonly charset: string;
  readonly defects: readonly string[];
}

const PARSER = fileURLToPath(new URL('read_message.py', import.meta.url));

/** What Python's email package reads in a message: a parser that no one here wrote. */
export function readMessage(octets: Buffer): Promise<Read> {
  const child = spawn('/usr/bin/python3', ['-B', PARSER], { stdio: ['pipe', 'pipe', 'inherit'] });
  const parts: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  child.stdin.end(octets);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      try {
        resolve(JSON.parse(Buffer.concat(parts).toString()) as Read);
      } catch (error) {
        reject(error);
      }
    });
  });
}
