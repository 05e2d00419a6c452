/**
 * Debian's Exim, with a configuration of its own in a folder of its own: as a smart host that delivers to Maildirs, and as
 * the client without a queue that nospool stands in for. It knows nothing of the client under test.
 */
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { HOST } from '../../world/support/addresses.ts';
import { discard, freePort, scratch, startDaemon, until } from './daemon.ts';
import { atLeast, DOMAIN, delivered, filesBelow, MAILBOXES, PASSWORD, type Peer, type PeerOptions, readMaildir, USER } from './peer.ts';

export interface EximOptions extends PeerOptions {
  /** Each is offered unless it says false; PRDR only if it says true. */
  readonly chunking?: boolean;
  readonly pipelining?: boolean;
  readonly prdr?: boolean;
  readonly smtputf8?: boolean;
  readonly dsn?: boolean;
  readonly eightBitMime?: boolean;
  /** Announced by SIZE, and enforced. Default 128 MiB. */
  readonly sizeLimit?: number;
  /** Recipients of one message, beyond which RCPT gets a 4yz or 5yz. Default: none. */
  readonly recipientsMax?: number;
  /** AUTH mechanisms, default PLAIN, LOGIN, CRAM-MD5 (and EXTERNAL to a client certificate that `tls.ca` signed). */
  readonly mechanisms?: readonly ('PLAIN' | 'LOGIN' | 'CRAM-MD5' | 'EXTERNAL')[];
  /** Who may authenticate, with PASSWORD; default: USER. */
  readonly user?: string;
  /** Further lines of the main part of its configuration. */
  readonly main?: string;
  /** SCRAM-SHA-1 and SCRAM-SHA-256, asked of a Dovecot at this socket. */
  readonly scramBy?: string;
}

const list = (offered: boolean) => (offered ? '*' : ':');

/** Exim's list separators and expansion characters in a secret. */
const literal = (text: string) => text.replaceAll(/([\\$:])/g, '\\$1');

function configuration(folder: string, ports: { readonly port: number; readonly tlsPort?: number }, options: EximOptions): string {
  const { at, tls, mechanisms = ['PLAIN', 'LOGIN', 'CRAM-MD5', 'EXTERNAL'], chunking = true, pipelining = true, prdr = false } = options;
  const {
    smtputf8 = true,
    dsn = true,
    eightBitMime = true,
    user = USER,
    sizeLimit = 128 * 1024 * 1024,
    recipientsMax = 0,
    authRequired = false,
  } = options;
  const offers = (name: (typeof mechanisms)[number], text: string) => (mechanisms.includes(name) ? text : '');
  const holds = (local: string) => `\${if match{$recipients}{${local}@}}`;
  return `
primary_hostname = exim.${DOMAIN}
qualify_domain = ${DOMAIN}
spool_directory = ${folder}/spool
log_file_path = ${folder}/log/%slog
pid_file_path = ${folder}/exim.pid
log_selector = +8bitmime +received_recipients +received_sender +smtp_connection +smtp_protocol_error +tls_sni +tls_cipher +tls_peerdn +pipelining
keep_environment =
never_users =
deliver_drop_privilege = true
trusted_users = Debian-exim
host_lookup =
rfc1413_query_timeout = 0s
hosts_connection_nolog =
local_interfaces = <; ${at?.flatMap(({ addresses }) => addresses).join(' ; ') ?? HOST}
daemon_smtp_ports = ${at === undefined ? '' : '25 : '}${ports.port}${ports.tlsPort === undefined ? '' : ` : ${ports.tlsPort}`}
smtp_accept_max = 1000
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
smtp_enforce_sync = true
message_size_limit = ${sizeLimit}
recipients_max = ${recipientsMax}
recipients_max_reject = ${recipientsMax > 0}
received_header_text =
accept_8bitmime = ${eightBitMime}
chunking_advertise_hosts = ${list(chunking)}
pipelining_advertise_hosts = ${list(pipelining)}
smtputf8_advertise_hosts = ${list(smtputf8)}
dsn_advertise_hosts = ${list(dsn)}
prdr_enable = ${prdr}
disable_ipv6 = ${at === undefined}
${
  at !== undefined
    ? `tls_advertise_hosts = \${if exists{${folder}/tls/$received_ip_address.pem}{*}{:}}
tls_certificate = <| ${folder}/tls/$received_ip_address.pem
tls_privatekey = <| ${folder}/tls/$received_ip_address.key
tls_on_connect_ports = ${ports.tlsPort}`
    : tls === undefined
      ? 'tls_advertise_hosts ='
      : `tls_advertise_hosts = *
tls_certificate = ${tls.certificate}
tls_privatekey = ${tls.key}
tls_on_connect_ports = ${ports.tlsPort}
${tls.ca === undefined ? '' : `tls_try_verify_hosts = *\ntls_verify_certificates = ${tls.ca}`}`
}
acl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt
acl_smtp_predata = acl_predata
acl_smtp_data = acl_data
${prdr ? 'acl_smtp_data_prdr = acl_prdr' : ''}
domainlist ours = ${DOMAIN}
localpartlist boxes = ${MAILBOXES.join(' : ')}
${options.main ?? ''}

begin acl
acl_mail:
${authRequired ? '  deny message = 530 5.7.0 authentication required\n    !authenticated = *' : ''}
  accept
acl_rcpt:
  deny message = 550 5.7.1 relaying to $domain denied
    !domains = +ours
  deny message = 550 5.1.1 <$local_part@$domain>: no such mailbox here
    local_parts = ^refused
  defer message = 451 4.7.1 <$local_part@$domain>: try again later
    local_parts = ^later\\$
  deny message = 550 5.1.1 <$local_part@$domain>: unknown
    !local_parts = +boxes : atdata : afterdot : laterdot : notprdr
  accept
acl_predata:
  deny message = 550 5.7.1 no content wanted
    condition = ${holds('atdata')}
  accept
acl_data:
# With BDAT the ACL of the DATA command is not asked.
  deny message = 550 5.7.1 no content wanted
    condition = ${holds('atdata')}
  deny message = 552 5.3.4 content not wanted
    condition = ${holds('afterdot')}
  defer message = 451 4.3.0 content not wanted now
    condition = ${holds('laterdot')}
  accept
acl_prdr:
  deny message = 550 5.7.1 not for this one
    local_parts = notprdr
  accept

begin routers
mailbox:
  driver = accept
  local_parts = +boxes
  transport = maildir
nowhere:
  driver = redirect
  data = :blackhole:

begin transports
maildir:
  driver = appendfile
  directory = ${folder}/mail/$local_part_data
  maildir_format
  return_path_add
  user = Debian-exim
  group = Debian-exim
  delivery_date_add = false
  envelope_to_add = false

begin retry
* * F,1h,1m

begin authenticators
${offers(
  'CRAM-MD5',
  `cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = \${if eq{$auth1}{${user}}{${literal(PASSWORD)}}fail}
  server_set_id = $auth1
`,
)}${offers(
  'PLAIN',
  `plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if and{{eq{$auth2}{${user}}}{eq{$auth3}{${literal(PASSWORD)}}}}}
  server_set_id = $auth2
`,
)}${offers(
  'LOGIN',
  `login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = \${if and{{eq{$auth1}{${user}}}{eq{$auth2}{${literal(PASSWORD)}}}}}
  server_set_id = $auth1
`,
)}${
  tls?.ca === undefined
    ? ''
    : offers(
        'EXTERNAL',
        `external:
  driver = external
  public_name = EXTERNAL
  server_advertise_condition = $tls_in_certificate_verified
  server_param2 = ${user}
  server_condition = \${if eq{$auth1}{${user}}}
  server_set_id = $auth1
`,
      )
}${
  options.scramBy === undefined
    ? ''
    : ['SCRAM-SHA-1', 'SCRAM-SHA-256']
        .map(
          (name) => `${name.toLowerCase().replaceAll('-', '_')}:
  driver = dovecot
  public_name = ${name}
  server_socket = ${options.scramBy}
  server_set_id = $auth1
`,
        )
        .join('')
}`;
}

/** A folder for Exim, with what it writes to belonging to it. */
function eximFolder(...names: readonly string[]): string {
  const folder = scratch('exim');
  const [uid = 0, gid = 0] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'Debian-exim'], { encoding: 'utf8' })));
  for (const name of names) {
    mkdirSync(`${folder}/${name}`, { mode: 0o755 });
    chownSync(`${folder}/${name}`, uid, gid);
  }
  return folder;
}

export interface Wrapper {
  /** Runs it with these arguments; a string is latin1. */
  run(
    args: readonly string[],
    input: string,
  ): Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }>;
  stop(): void;
}

/** Exim's `mua_wrapper` with a smart host at this port of loopback. It adds no Received and no Sender field, and believes -f. */
export function wrapExim(port: number): Wrapper {
  const folder = eximFolder('spool', 'log');
  const file = `${folder}/exim.conf`;
  writeFileSync(
    file,
    `mua_wrapper = true
primary_hostname = exim.${DOMAIN}
qualify_domain = ${DOMAIN}
spool_directory = ${folder}/spool
log_file_path = ${folder}/log/%slog
keep_environment =
never_users =
received_header_text =
local_from_check = false
extract_addresses_remove_arguments = false
disable_ipv6 = true
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin routers
smarthost:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = smarthost
begin transports
smarthost:
  driver = smtp
  port = ${port}
  allow_localhost
`,
    { mode: 0o644 },
  );
  return {
    run: (args, input) =>
      new Promise((resolve, reject) => {
        const child = spawn('/usr/sbin/exim4', ['-C', file, ...args], { env: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' }, cwd: folder });
        const said = { stdout: '', stderr: '' };
        for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('latin1').on('data', (part) => (said[name] += part));
        child.once('error', reject).once('close', (status) => resolve({ status, ...said }));
        child.stdin.on('error', () => undefined).end(Buffer.from(input, 'latin1'));
      }),
    stop: () => discard(folder),
  };
}

export async function startExim(options: EximOptions = {}): Promise<Peer> {
  const folder = eximFolder('spool', 'log', 'mail');
  const { at } = options;
  const port = at === undefined ? await freePort() : 587;
  const tlsPort = at !== undefined ? 465 : options.tls === undefined ? undefined : await freePort();
  mkdirSync(`${folder}/tls`);
  for (const { addresses, tls } of at ?? [])
    for (const address of tls === null ? [] : addresses)
      for (const [from, ending] of [
        [tls?.certificate, 'pem'],
        [tls?.key, 'key'],
      ])
        copyFileSync(from ?? '', `${folder}/tls/${address}.${ending}`);
  const host = at?.[0]?.addresses[0] ?? HOST;
  const file = `${folder}/exim.conf`;
  writeFileSync(file, configuration(folder, { port, ...(tlsPort !== undefined && { tlsPort }) }, options), { mode: 0o644 });
  const daemon = await startDaemon(['/usr/sbin/exim4', '-C', file, '-bdf', '-q1m'], {
    log: `${folder}/output`,
    host,
    ports: tlsPort === undefined ? [port] : [port, tlsPort],
  });
  const said = () =>
    ['log/mainlog', 'log/rejectlog', 'log/paniclog', 'output']
      .map((name) => {
        try {
          return readFileSync(`${folder}/${name}`, 'utf8');
        } catch {
          return '';
        }
      })
      .join('');
  const read = (mailbox: string) => readMaildir(`${folder}/mail/${mailbox}`).map((octets) => delivered(octets, ['Return-path']));
  const settled = () => until('Exim delivers what it has', () => filesBelow(`${folder}/spool/input`) === 0);
  return {
    name: 'Exim',
    host,
    port,
    ...(tlsPort !== undefined && { tlsPort }),
    log: `${folder}/log/mainlog`,
    said,
    received: (mailbox, count = 1) => atLeast(() => read(mailbox), mailbox, count, said),
    async total() {
      await settled();
      return MAILBOXES.reduce((sum, mailbox) => sum + read(mailbox).length, 0);
    },
    async clear() {
      await settled();
      for (const mailbox of MAILBOXES) rmSync(`${folder}/mail/${mailbox}`, { recursive: true, force: true });
    },
    async stop() {
      await daemon.stop();
      discard(folder);
    },
  };
}
