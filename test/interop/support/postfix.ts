/**
 * Starts Debian's Postfix as a smart host out of the folder where .ci/run unpacked it, in a private mount namespace: it is
 * never installed, since Debian lets only one mail transport agent be. It knows nothing of the client under test.
 */
import { chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { HOST } from '../../world/support/addresses.ts';
import { discard, freePort, scratch, startDaemon, until } from './daemon.ts';
import { startDovecot } from './dovecot.ts';
import { POSTFIX_UNPACKED } from './needs.ts';
import { type Appearance, atLeast, DOMAIN, delivered, filesBelow, MAILBOXES, type Peer, type PeerOptions, readMaildir } from './peer.ts';

export interface PostfixOptions extends PeerOptions {
  /** Lines of main.cf that replace or add to ours. */
  readonly main?: string;
  /** EHLO keywords not to be offered, for example CHUNKING. */
  readonly withhold?: readonly string[];
}

/** Ids of its user, its group and its set-gid group: they exist only in its own namespace. */
const UID = 64990;
const GID = 64990;
const DROP = 64991;

/** Shell text that makes the unpacked Postfix appear as installed, and its user exist. */
export const asInstalled = (folder: string) => `
sed 's/^postfix:.*//; /^$/d' /etc/passwd > ${folder}/passwd
echo 'postfix:x:${UID}:${GID}::/:/usr/sbin/nologin' >> ${folder}/passwd
sed 's/^postfix:.*//; s/^postdrop:.*//; /^$/d' /etc/group > ${folder}/group
echo 'postfix:x:${GID}:' >> ${folder}/group
echo 'postdrop:x:${DROP}:' >> ${folder}/group
mount --bind ${folder}/passwd /etc/passwd
mount --bind ${folder}/group /etc/group
mount -t overlay overlay -o ro,lowerdir=${POSTFIX_UNPACKED}/usr:/usr /usr
`;

const SERVICES = `
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`;

/**
 * What Postfix asks at RCPT, at DATA and after the content, it asks a policy service. At DATA it no longer tells the
 * recipients when there are several, so they are remembered by its name for the transaction.
 */
async function startPolicy() {
  const held = new Map<string, Set<string>>();
  const server = createServer((socket) => {
    let text = '';
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      text += chunk;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const asked = new Map(
          text
            .slice(0, end)
            .split('\n')
            .map((line): [string, string] => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
        );
        text = text.slice(end + 2);
        const local = asked.get('recipient')?.split('@')[0] ?? '';
        const name = asked.get('instance') ?? '';
        const recipients = held.get(name) ?? new Set();
        held.set(name, recipients);
        socket.write(`action=${verdict(asked.get('protocol_state') ?? '', local, recipients)}\n\n`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0, stop: () => server.close() };
}

function verdict(state: string, local: string, recipients: Set<string>): string {
  if (state === 'RCPT') {
    if (local === 'refused') return '550 5.1.1 no such mailbox here';
    if (local === 'later') return '451 4.7.1 try again later';
    recipients.add(local);
  }
  if (state === 'DATA' && recipients.has('atdata')) return '550 5.7.1 no content wanted';
  if (state === 'END-OF-MESSAGE') {
    if (recipients.has('afterdot')) return '552 5.3.4 content not wanted';
    if (recipients.has('laterdot')) return '451 4.3.0 content not wanted now';
  }
  return 'DUNNO';
}

export async function startPostfix(options: PostfixOptions = {}): Promise<Peer> {
  const { at, tls, withhold = [], authRequired = false } = options;
  const folder = scratch('postfix');
  const dovecot = await startDovecot();
  const policy = await startPolicy();
  const [port, tlsPort] = at === undefined ? [await freePort(), await freePort()] : [587, 465];
  const host = at?.[0]?.addresses[0] ?? HOST;
  for (const name of ['config', 'spool', 'data', 'mail', 'log']) mkdirSync(`${folder}/${name}`, { mode: 0o755 });
  for (const name of ['data', 'mail', 'log']) chownSync(`${folder}/${name}`, UID, GID);
  const queues = ['active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming', 'private', 'saved', 'trace'];
  for (const queue of queues) {
    mkdirSync(`${folder}/spool/${queue}`, { mode: 0o700 });
    chownSync(`${folder}/spool/${queue}`, UID, GID);
  }
  mkdirSync(`${folder}/spool/pid`, { mode: 0o755 });
  mkdirSync(`${folder}/spool/public`, { mode: 0o710 });
  chownSync(`${folder}/spool/public`, UID, DROP);
  mkdirSync(`${folder}/spool/maildrop`, { mode: 0o730 });
  chownSync(`${folder}/spool/maildrop`, UID, DROP);

  const boxes = [...MAILBOXES, 'atdata', 'afterdot', 'laterdot', 'refused', 'later'];
  writeFileSync(`${folder}/config/boxes`, boxes.map((name) => `${name}@${DOMAIN} ${name}/\n`).join(''));
  // The one field that this Postfix adds is taken out again, so that what it stores is what it got.
  writeFileSync(`${folder}/config/fields`, `/^Received: from .*by postfix\\.${DOMAIN}/ IGNORE\n`);
  writeFileSync(`${folder}/config/dynamicmaps.cf`, '');
  writeFileSync(
    `${folder}/config/main.cf`,
    `
compatibility_level = 3.6
config_directory = ${folder}/config
meta_directory = ${folder}/config
queue_directory = ${folder}/spool
data_directory = ${folder}/data
maillog_file = ${folder}/log/mail.log
maillog_file_prefixes = ${folder}
myhostname = postfix.${DOMAIN}
mydestination =
mynetworks = 127.0.0.1/32
inet_interfaces = ${at?.flatMap(({ addresses }) => addresses).join(' ') ?? HOST}
inet_protocols = all
alias_maps =
alias_database =
local_recipient_maps =
always_add_missing_headers = no
local_header_rewrite_clients =
header_checks = regexp:${folder}/config/fields
message_size_limit = 134217728
virtual_mailbox_domains = ${DOMAIN}
virtual_mailbox_base = ${folder}/mail
virtual_mailbox_maps = texthash:${folder}/config/boxes
virtual_mailbox_limit = 0
virtual_uid_maps = static:${UID}
virtual_gid_maps = static:${GID}
virtual_minimum_uid = 100
smtpd_delay_reject = no
smtpd_helo_required = yes
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
smtpd_discard_ehlo_keywords = ${withhold.join(' ')}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_sender_restrictions = ${authRequired ? 'permit_sasl_authenticated, reject' : ''}
smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:${policy.port}
smtpd_data_restrictions = check_policy_service inet:127.0.0.1:${policy.port}
smtpd_end_of_data_restrictions = check_policy_service inet:127.0.0.1:${policy.port}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = ${dovecot.authSocket}
smtpd_sasl_security_options = noanonymous
${
  tls === undefined
    ? ''
    : `smtpd_tls_security_level = may
smtpd_tls_cert_file = ${tls.certificate}
smtpd_tls_key_file = ${tls.key}
smtpd_tls_loglevel = 1
${tls.ca === undefined ? '' : `smtpd_tls_CAfile = ${tls.ca}\nsmtpd_tls_ask_ccert = yes`}`
}
${options.main ?? ''}
`,
  );
  const smtpd = (address: string, at: number, options: readonly string[] = []) =>
    `${address.includes(':') ? `[${address}]` : address}:${at} inet n - n - - smtpd${options.map((option) => ` -o ${option}`).join('')}\n`;
  const wrapped = 'smtpd_tls_wrappermode=yes';
  const appear = ({ addresses, tls: own }: Appearance) => {
    const shown = own ? ['smtpd_tls_security_level=may', `smtpd_tls_cert_file=${own.certificate}`, `smtpd_tls_key_file=${own.key}`] : [];
    return addresses.flatMap((address) => [
      ...[25, port].map((each) => smtpd(address, each, shown)),
      ...(own ? [smtpd(address, tlsPort, [...shown, wrapped])] : []),
    ]);
  };
  const listening = at?.flatMap(appear) ?? [smtpd(HOST, port), ...(tls === undefined ? [] : [smtpd(HOST, tlsPort, [wrapped])])];
  writeFileSync(`${folder}/config/master.cf`, `${listening.join('')}${SERVICES.trimStart()}`);
  const daemon = await startDaemon(['/usr/lib/postfix/sbin/master', '-c', `${folder}/config`, '-d'], {
    log: `${folder}/log/output`,
    host,
    ports: tls === undefined ? [port] : [port, tlsPort],
    script: asInstalled(folder),
    env: { MAIL_CONFIG: `${folder}/config` },
  });
  const said = () =>
    ['log/mail.log', 'log/output']
      .map((name) => {
        try {
          return readFileSync(`${folder}/${name}`, 'utf8');
        } catch {
          return '';
        }
      })
      .join('');
  const read = (mailbox: string) =>
    readMaildir(`${folder}/mail/${mailbox}`).map((octets) => delivered(octets, ['Return-Path', 'X-Original-To', 'Delivered-To']));
  const settled = () =>
    until('Postfix delivers what it has', () =>
      ['maildrop', 'incoming', 'active', 'deferred'].every((queue) => filesBelow(`${folder}/spool/${queue}`) === 0),
    );
  return {
    name: 'Postfix',
    host,
    port,
    ...(tls !== undefined && { tlsPort }),
    log: `${folder}/log/mail.log`,
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
      policy.stop();
      await dovecot.stop();
      discard(folder);
    },
  };
}
