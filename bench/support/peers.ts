/** The command lines by which each program sends one message from standard input to one port. Knows no receiver and no measuring. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { NODE_FLAGS } from '../../src/nospool/install/wrapper.ts';
import { installed } from './installed.ts';
import type { Command } from './measure.ts';
import { native } from './native.ts';
import { DIST, inCache, inSupport, ROOT } from './places.ts';
import { node, type Runtime, runtimes } from './runtimes.ts';

export interface Submission {
  readonly port: number;
  readonly tls: 'off' | 'starttls' | 'implicit';
  readonly auth: boolean;
  readonly recipients: readonly string[];
  /** PEM of the certificate to trust; '' without TLS. */
  readonly authority: string;
  /** An alias file for `bench.example`; only nospool and Exim read one. */
  readonly aliases?: string;
}

export interface Peer {
  readonly name: string;
  /** The version that the program prints. */
  readonly version: string;
  /** The program changes no line end, so its message must have CRLF. */
  readonly verbatim?: boolean;
  /** The command without its input; null when the program cannot send this. */
  command(submission: Submission): Command | null;
}

const SENDER = 'sender@example.org';
const host = (submission: Submission): string => (submission.tls === 'off' ? '127.0.0.1' : 'localhost');

/** nospool under a runtime as `nospool install` leaves it, with defaults except for the smart host. */
function nospool(runtime: Runtime): Peer | null {
  const program = path.join(DIST, 'sendmail.cjs');
  if (!existsSync(program)) return null;
  return nospoolBy(
    runtime.name === node.name ? 'nospool' : `nospool, ${runtime.name}`,
    runtime,
    installed(runtime)?.argv ?? [...runtime.argv, program],
  );
}

/** nospool, started by these words. */
export const nospoolBy = (name: string, { version }: Runtime, argv: readonly string[]): Peer => ({
  name,
  version,
  command: (submission) => ({ argv: [...argv, ...ownArguments(submission)] }),
});

/** The arguments of sendmail. */
const ownArguments = (submission: Submission): string[] => [
  ...['-C', configuration(submission), '-i', '-f', SENDER],
  ...submission.recipients,
];

/** The shell script that callers find as /usr/sbin/sendmail, so the shell's own start is added. */
export function asInstalled(runtime: Runtime): Peer | null {
  const script = installed(runtime)?.script;
  return script === undefined
    ? null
    : nospoolBy(runtime.name === node.name ? 'nospool, as installed' : `nospool, as installed, ${runtime.name}`, runtime, [script]);
}

function configuration({ port, tls, auth, authority, aliases }: Submission): string {
  const scheme = tls === 'implicit' ? 'submissions' : 'submission';
  const lines = [
    `smarthosts = ["${scheme}://${tls === 'off' ? '127.0.0.1' : 'localhost'}:${port}"]`,
    `aliases = ${JSON.stringify(aliases === undefined ? [] : [aliases])}`,
    'hostname = "bench.example"',
    `log = "${inCache('nospool.log')}"`,
    '[tls]',
    ...(tls === 'off' ? ['mode = "off"'] : ['mode = "required"', `ca_file = "${authority}"`]),
    ...(auth ? ['[auth]', 'user = "user"', 'password = "password"', 'mechanisms = ["PLAIN"]', `allow_plaintext = ${tls === 'off'}`] : []),
  ];
  const file = inCache(`nospool-${port}-${tls}-${auth}.toml`);
  // Others may not read a file with a password.
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
  return file;
}

/** Exim in mua_wrapper mode, which nospool does the work of. */
function exim(): Peer | null {
  const version = said(['exim4', '-bV'], /version (\S+)/);
  if (version === null) return null;
  return {
    name: 'Exim mua_wrapper',
    version: `Exim ${version}`,
    command: ({ port, tls, auth, authority, recipients, aliases }) => {
      // Exim needs a folder that its own user may write, although it leaves nothing there in this mode.
      const spool = inCache('exim');
      mkdirSync(spool, { recursive: true });
      spawnSync('chmod', ['777', spool]);
      const file = inCache(`exim-${port}-${tls}-${auth}.conf`);
      writeFileSync(
        file,
        `mua_wrapper = true
primary_hostname = bench.example
spool_directory = ${spool}
log_file_path = ${spool}/%slog
keep_environment =
disable_ipv6 = true
message_size_limit = 0
begin routers
${aliases === undefined ? '' : `aliases:\n  driver = redirect\n  domains = bench.example\n  data = \${lookup{$local_part}lsearch{${aliases}}}`}
smart_host:
  driver = manualroute
  transport = out
  route_list = * localhost byname
  self = send
begin transports
out:
  driver = smtp
  port = ${port}
  hosts_try_fastopen =
  max_rcpt = 0
  ${tls === 'off' ? 'hosts_avoid_tls = *' : `hosts_require_tls = *\n  tls_verify_certificates = ${authority}\n  tls_verify_hosts = *`}
  ${tls === 'implicit' ? 'protocol = smtps' : ''}
  ${auth ? 'hosts_require_auth = *' : ''}
begin authenticators
${auth ? 'plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^user^password' : ''}
`,
        { mode: 0o644 },
      );
      return { argv: ['exim4', '-C', file, '-oi', '-f', SENDER, ...recipients] };
    },
  };
}

function msmtp(): Peer | null {
  const version = said(['msmtp', '--version'], /version (\S+)/);
  if (version === null) return null;
  return {
    name: 'msmtp',
    version: `msmtp ${version}`,
    command: (submission) => {
      const { port, tls, auth, authority, recipients } = submission;
      const flags = [
        ...['--file=/dev/null', `--host=${host(submission)}`, `--port=${port}`, `--from=${SENDER}`, '--domain=bench.example'],
        ...(tls === 'off'
          ? ['--tls=off']
          : ['--tls=on', `--tls-trust-file=${authority}`, `--tls-starttls=${tls === 'starttls' ? 'on' : 'off'}`]),
        ...(auth ? ['--auth=plain', '--user=user', '--passwordeval=echo password'] : ['--auth=off']),
      ];
      return { argv: ['msmtp', ...flags, '--', ...recipients] };
    },
  };
}

function curl(): Peer | null {
  const version = said(['curl', '--version'], /^curl (\S+)/);
  if (version === null) return null;
  return {
    name: 'curl --crlf',
    version: `curl ${version}`,
    command: (submission) => {
      const { port, tls, auth, authority, recipients } = submission;
      const flags = [
        ...['-s', '-S', '--crlf', '--mail-from', SENDER, ...recipients.flatMap((each) => ['--mail-rcpt', each]), '-T', '-'],
        ...(tls === 'off' ? [] : ['--cacert', authority, '--ssl-reqd']),
        ...(auth ? ['-u', 'user:password', '--login-options', 'AUTH=PLAIN', '--sasl-ir'] : []),
      ];
      return { argv: ['curl', ...flags, `${tls === 'implicit' ? 'smtps' : 'smtp'}://${host(submission)}:${port}/bench.example`] };
    },
  };
}

function swaks(): Peer | null {
  const version = said(['swaks', '--version'], /version (\S+)/);
  if (version === null) return null;
  return {
    name: 'swaks',
    version: `swaks ${version}`,
    command: (submission) => {
      const { port, tls, auth, authority, recipients } = submission;
      const flags = [
        ...[
          '--server',
          host(submission),
          '--port',
          String(port),
          '--helo',
          'bench.example',
          '--from',
          SENDER,
          '--to',
          recipients.join(','),
        ],
        ...['--data', '@-', '--suppress-data', '--silent', '2'],
        ...(tls === 'off' ? [] : [tls === 'implicit' ? '--tls-on-connect' : '--tls', '--tls-ca-path', authority, '--tls-verify']),
        ...(auth ? ['--auth', 'PLAIN', '--auth-user', 'user', '--auth-password', 'password'] : []),
      ];
      return { argv: ['swaks', ...flags] };
    },
  };
}

function smtplib(): Peer | null {
  // The real interpreter, because a version manager's shim in front of it would count, too.
  const found = said(['python3', '-c', 'import sys, ssl; print(sys.executable, sys.version.split()[0])'], /^(.*)$/m);
  if (found === null) return null;
  const [python, version] = found.split(' ') as [string, string];
  return {
    name: 'Python smtplib',
    version: `CPython ${version}`,
    command: (submission) => ({
      argv: [python, '-I', inSupport('smtplib_send.py'), ...script(submission)],
    }),
  };
}

function nodemailer(): Peer | null {
  const folders = [process.env.BENCH_NODE_MODULES, path.join(ROOT, 'node_modules')].filter((folder) => folder !== undefined);
  const folder = folders.find((each) => existsSync(path.join(each, 'nodemailer')));
  if (folder === undefined) return null;
  const version = said(
    [process.execPath, '-p', `require(${JSON.stringify(path.join(folder, 'nodemailer/package.json'))}).version`],
    /(\S+)/,
  );
  return {
    name: 'nodemailer',
    version: `nodemailer ${version}`,
    command: (submission) => ({
      argv: [process.execPath, inSupport('nodemailer.cjs'), ...script(submission)],
      environment: { BENCH_NODE_MODULES: path.dirname(folder) },
    }),
  };
}

const script = (submission: Submission): string[] => [
  ...[host(submission), String(submission.port), submission.tls, submission.auth ? '1' : '0', submission.authority || '-', SENDER],
  ...submission.recipients,
];

/** The least that a program on this runtime can do. nospool is compared with it. */
export function nodeFloor(runtime: Runtime = node): Peer {
  return {
    name: `bare socket writer, ${runtime.name}`,
    version: runtime.version,
    verbatim: true,
    command: ({ port, tls, auth, authority, recipients }) =>
      tls === 'starttls' || auth || recipients.length > 1
        ? null
        : { argv: [...runtime.argv, inSupport('floor.cjs'), String(port), '-', ...(tls === 'off' ? [] : [authority])] },
  };
}

/** The same over TLS with the flags of the script that `nospool install` writes. */
export const flaggedFloor = (): Peer => ({
  ...nodeFloor(),
  name: `${nodeFloor().name}, ${NODE_FLAGS.join(' ')}`,
  command: (submission) => {
    const plain = submission.tls === 'off' ? null : nodeFloor().command(submission);
    const [interpreter = '', ...words] = plain?.argv ?? [];
    return plain === null ? null : { ...plain, argv: [interpreter, ...NODE_FLAGS, ...words] };
  },
});

/** The least that a program with our code can do on this runtime, with the flags of our script: the limit as long as that code is not less. */
export const loadedFloor = (runtime: Runtime = node): Peer => ({
  name: `${runtime.bun ? 'bare conversation' : 'the same'} with our code loaded, ${runtime.name}`,
  version: runtime.version,
  verbatim: true,
  command: ({ port, tls, auth, authority, recipients }) =>
    tls === 'starttls' || auth || recipients.length > 1 || installed(runtime) === null
      ? null
      : {
          argv: [
            ...runtime.argv,
            ...(runtime.bun
              ? [inSupport('floor-loaded-bun.mjs'), DIST, String(port)]
              : [...NODE_FLAGS, inSupport('floor-loaded.cjs'), DIST, String(port), '-']),
            ...(tls === 'off' ? [] : [authority]),
          ],
        },
});

/** The least that a program can do under Bun, by Bun's own sockets, with a small message. */
export const bunFloor = (runtime: Runtime): Peer => ({
  name: `bare conversation, ${runtime.name}`,
  version: runtime.version,
  verbatim: true,
  command: ({ port, tls, auth, authority, recipients }) =>
    tls === 'starttls' || auth || recipients.length > 1
      ? null
      : { argv: [...runtime.argv, inSupport('floor-bun.mjs'), String(port), ...(tls === 'off' ? [] : [authority])] },
});

/** The least that a C program can do. */
export function nativeFloor(): Peer | null {
  const floor = native('floor');
  if (floor === null) return null;
  return {
    name: 'bare socket writer, C',
    version: floor.tls ? 'OpenSSL' : 'without TLS',
    verbatim: true,
    command: ({ port, tls, auth, authority, recipients }) =>
      tls === 'starttls' || auth || recipients.length > 1 || (tls !== 'off' && !floor.tls)
        ? null
        : { argv: [floor.file, String(port), ...(tls === 'off' ? [] : [authority])] },
  };
}

/** nospool under every runtime at hand. */
export const ours = (): Peer[] => runtimes().flatMap((runtime) => nospool(runtime) ?? []);
let found: readonly Peer[] | undefined;
/** The programs of others that are installed here. */
export function others(): readonly Peer[] {
  found ??= [exim(), msmtp(), curl(), swaks(), smtplib(), nodemailer()].filter((peer) => peer !== null);
  return found;
}

function said(argv: readonly string[], pattern: RegExp): string | null {
  const { stdout } = spawnSync(argv[0] as string, argv.slice(1), { encoding: 'utf8', cwd: inCache('.') });
  return pattern.exec(stdout ?? '')?.[1] ?? null;
}
