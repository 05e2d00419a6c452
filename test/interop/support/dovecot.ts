/**
 * Starts Debian's Dovecot with a configuration and folders of its own: LMTP to Maildirs, submission in front of another
 * server, or only its authentication service (for Postfix). It knows nothing of the client under test.
 */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { HOST } from '../../world/support/addresses.ts';
import { discard, freePort, scratch, startDaemon, until } from './daemon.ts';
import { type Appearance, atLeast, delivered, MAILBOXES, PASSWORD, type Peer, type PeerOptions, readMaildir, USER } from './peer.ts';

export interface DovecotOptions extends PeerOptions {
  /** Submission hands what it gets to this server, and answers with that server's replies. */
  readonly submitTo?: { readonly host: string; readonly port: number };
  readonly mechanisms?: readonly string[];
  /** LMTP runs this Sieve script on each message, and this program to redirect it. */
  readonly sieve?: { readonly script: string; readonly sendmail: string };
  /** Also OAUTHBEARER and XOAUTH2, with JSON web tokens that are signed with this key (HS256). */
  readonly tokenKey?: string;
}

export interface Dovecot extends Peer {
  /** The LMTP port; `port` and `tlsPort` are submission's. */
  readonly lmtpPort: number;
  /** LMTP on a unix socket. */
  readonly lmtpSocket: string;
  /** The socket at which another server may ask for authentication. */
  readonly authSocket: string;
}

/** Local parts whose mailbox is full: accepted at RCPT, refused after the content, each on its own (LMTP). */
export const FULL = ['afterdot'] as const;

/** In the order in which SASL's users would have them. */
const MECHANISMS = ['plain', 'login', 'cram-md5', 'digest-md5', 'scram-sha-1', 'scram-sha-256'];

export async function startDovecot(options: DovecotOptions = {}): Promise<Dovecot> {
  const { at, tls, submitTo, sieve, tokenKey } = options;
  const mechanisms = [...(options.mechanisms ?? MECHANISMS), ...(tokenKey === undefined ? [] : ['oauthbearer', 'xoauth2'])];
  const folder = scratch('dovecot');
  const [port, tlsPort, lmtpPort] = at === undefined ? [await freePort(), await freePort(), await freePort()] : [587, 465, 24];
  const addresses = at?.flatMap((one) => one.addresses) ?? [HOST];
  const host = addresses[0] ?? HOST;
  /** Keys of the certificate; `local` is the address that the client sees. */
  const shown = (own: Appearance['tls']) =>
    own === null ? 'ssl = no' : `ssl = yes\nssl_cert = <${own.certificate}\nssl_key = <${own.key}`;
  const appearances = (at ?? []).flatMap((one) => one.addresses.map((address) => `local ${address} {\n${shown(one.tls)}\n}`));
  const usual = at?.find((one) => one.tls !== null)?.tls ?? tls ?? null;
  const [uid = 0, gid = 0] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' })));
  for (const name of ['run', 'state', 'mail']) mkdirSync(`${folder}/${name}`, { mode: 0o755 });
  chownSync(`${folder}/mail`, uid, gid);
  const secret = `{PLAIN.b64}${Buffer.from(PASSWORD).toString('base64')}`;
  const user = (name: string, extra = '') => `${name}:${secret}:${uid}:${gid}::${folder}/mail/${name}::${extra}`;
  const users = [user(USER), ...MAILBOXES.map((name) => user(name)), ...FULL.map((name) => user(name, 'userdb_quota_rule=*:bytes=10'))];
  writeFileSync(`${folder}/users`, `${users.join('\n')}\n`, { mode: 0o644 });
  if (tokenKey !== undefined) {
    mkdirSync(`${folder}/keys/default/HS256`, { recursive: true, mode: 0o755 });
    writeFileSync(`${folder}/keys/default/HS256/default`, Buffer.from(tokenKey).toString('base64'), { mode: 0o644 });
    const local = `introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix=${folder}/keys/\nusername_attribute = sub\n`;
    writeFileSync(`${folder}/oauth2.conf`, local, { mode: 0o644 });
  }
  if (sieve !== undefined) writeFileSync(`${folder}/before.sieve`, sieve.script, { mode: 0o644 });
  const authSocket = `${folder}/run/auth-for-others`;
  const file = `${folder}/dovecot.conf`;
  writeFileSync(
    file,
    `
base_dir = ${folder}/run
state_dir = ${folder}/state
instance_name = test
log_path = ${folder}/log
listen = ${addresses.join(', ')}
protocols = lmtp ${submitTo === undefined ? '' : 'submission'}
hostname = dovecot.peer.test
disable_plaintext_auth = no
auth_mechanisms = ${mechanisms.join(' ')}
auth_username_format = %Ln
auth_verbose = yes
auth_failure_delay = 0
${tokenKey === undefined ? '' : `passdb {\n  driver = oauth2\n  mechanisms = oauthbearer xoauth2\n  args = ${folder}/oauth2.conf\n}`}
passdb {
  driver = passwd-file
  args = ${folder}/users
}
userdb {
  driver = passwd-file
  args = ${folder}/users
}
${shown(usual)}
${appearances.join('\n')}
${tls?.ca === undefined ? '' : `ssl_ca = <${tls.ca}\nssl_verify_client_cert = yes\nssl_require_crl = no`}
mail_location = maildir:~/
mail_plugins = quota
plugin {
  quota = maildir
}
${
  sieve === undefined
    ? ''
    : `sendmail_path = ${sieve.sendmail}
protocol lmtp {
  mail_plugins = quota sieve
}
plugin {
  sieve_before = ${folder}/before.sieve
}`
}
lmtp_add_received_header = no
lmtp_hdr_delivery_address = none
lmtp_rcpt_check_quota = no
first_valid_uid = 1
first_valid_gid = 1
service auth {
  unix_listener auth-for-others {
    mode = 0666
  }
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    address = ${addresses.join(' ')}
    port = ${lmtpPort}
  }
}
# No waiting longer from one wrong password to the next.
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  client_limit = 1000
}
${
  submitTo === undefined
    ? ''
    : `submission_relay_host = ${submitTo.host}
submission_relay_port = ${submitTo.port}
submission_relay_ssl = no
submission_max_mail_size = 128M
service submission-login {
  inet_listener submission {
    port = ${port}
  }
  inet_listener submissions {
    port = ${usual === null ? 0 : tlsPort}
    ssl = yes
  }
}`
}
`,
    { mode: 0o644 },
  );
  const ports = [lmtpPort, ...(submitTo === undefined ? [] : [port, ...(usual === null ? [] : [tlsPort])])];
  const daemon = await startDaemon(['/usr/sbin/dovecot', '-F', '-c', file], { log: `${folder}/output`, host, ports });
  const said = () =>
    ['log', 'output']
      .map((name) => {
        try {
          return readFileSync(`${folder}/${name}`, 'utf8');
        } catch {
          return '';
        }
      })
      .join('');
  const read = (mailbox: string) => readMaildir(`${folder}/mail/${mailbox}`).map((octets) => delivered(octets, ['Return-Path']));
  await until('Dovecot listens for authentication', () => said().includes('starting up'));
  return {
    name: 'Dovecot',
    host,
    port,
    ...(tls !== undefined && { tlsPort }),
    lmtpPort,
    lmtpSocket: `${folder}/run/lmtp`,
    authSocket,
    log: `${folder}/log`,
    said,
    received: (mailbox, count = 1) => atLeast(() => read(mailbox), mailbox, count, said),
    // LMTP answers when the message is in the mailbox: nothing is ever on its way.
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
