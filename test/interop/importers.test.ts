/**
 * `nospool import` beside the programs themselves: the same message through msmtp, ssmtp, dma, nullmailer or esmtp and through
 * nospool with what was made of its configuration has the same reverse-path, recipients, From and login. Where one of
 * them cannot be the same, the row says which, and the import must have said so.
 *
 * Loopback: what goes in clear there is required to be TLS elsewhere, which is what the import says and not what is compared.
 * Whatever has TLS or asks for it is named by a name, for which nothing is relaxed.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import type { ForeignProgram } from '../../src/nospool/import/import-from.ts';
import { within } from '../support/within.ts';
import { suiteWith } from './support/needs.ts';
import { type Etc, etcOf, type Files, type Recorded, type Recorder, runOurs, SENDERS, sendBy, startRecorder } from './support/senders.ts';

const NOSPOOL = fileURLToPath(new URL('../../dist/nospool.mjs', import.meta.url));
const SENDMAIL = fileURLToPath(new URL('../../dist/sendmail.cjs', import.meta.url));

type Fact = 'reversePath' | 'recipients' | 'from' | 'login';

interface Message {
  readonly args: readonly string[];
  readonly fields: string;
}

/** What callers really send. */
const MESSAGES = {
  /** A web application. */
  fields: { args: ['-t'], fields: 'From: App <app@x.example>\nTo: alice@there.example\nCc: bob@there.example\nBcc: carol@there.example\n' },
  /** cron, in a way. */
  plain: { args: ['alice@there.example'], fields: 'To: alice@there.example\n' },
  named: { args: ['alice@there.example', 'bob@there.example'], fields: 'From: App <app@x.example>\n' },
  bounce: { args: ['-f', 'bounce@x.example', 'alice@there.example'], fields: 'From: App <app@x.example>\n' },
  bare: { args: ['-f', 'bounce@x.example', 'alice@there.example'], fields: '' },
  root: { args: ['root'], fields: 'Subject: for root\n' },
  daemon: { args: ['alice@there.example', 'daemon', 'nobody-we-know'], fields: 'Subject: for daemon\n' },
  stranger: { args: ['nobody-we-know'], fields: 'From: App <app@x.example>\n' },
  local: { args: ['root@localhost', 'alice@example.net'], fields: 'From: App <app@x.example>\n' },
  shop: { args: ['-f', 'cart@shop.example', 'alice@there.example'], fields: 'From: cart@shop.example\n' },
  work: { args: ['-f', 'me@work.example', 'alice@there.example'], fields: 'From: me@work.example\n' },
  colleague: { args: ['boss@example.org', 'root'], fields: 'Subject: for a colleague\n' },
  null: { args: ['-f', '<>', 'alice@there.example'], fields: 'From: App <app@x.example>\n' },
} as const satisfies Readonly<Record<string, Message>>;

type Kind = keyof typeof MESSAGES;

/** @PORT@ and @TLS@ stand for the smart host's ports. */
interface Row {
  readonly title: string;
  /** By the names of SENDERS; '' is the program's own file. */
  readonly files: Files;
  readonly messages: readonly Kind[];
  /** What differs for a message, and what the import says of it. */
  readonly differs?: Partial<Readonly<Record<Kind, readonly [RegExp, ...Fact[]]>>>;
}

const OWN = '';
const STARTTLS = 'tls on\ntls_starttls on\n';
const SECRET = 'auth plain\nuser me\npassword secret\n';
const CLEAR = 'host 127.0.0.1\nport @PORT@\n';
const SHOP = 'account shop\nhost backup.example.org\nport @PORT@\ntls on\nfrom *@shop.example\nauth login\nuser shop\npassword s3\n';

const BARE_LOGIN = [/auto_from: approximated: .*; msmtp sends the bare login/, 'reversePath'] as const;

const MSMTP: readonly Row[] = [
  {
    title: 'one account, STARTTLS and a password',
    files: { [OWN]: `defaults\n${STARTTLS}account default\nhost smtp.example.org\nport @PORT@\nfrom web1@example.org\n${SECRET}` },
    messages: ['fields', 'plain', 'bounce', 'bare'],
  },
  {
    title: 'TLS at once, by the switch of old releases',
    files: { [OWN]: `account default\nhost smtp.example.org\ntls on\ntls_nostarttls\nport @TLS@\nfrom web1@example.org\n${SECRET}` },
    messages: ['fields', 'bounce'],
  },
  {
    title: 'nothing but a host, before any account',
    files: { [OWN]: `${CLEAR}from web1@example.org\n` },
    messages: ['named', 'plain', 'bare', 'null'],
  },
  {
    title: 'the login and the name of /etc/mailname',
    files: { [OWN]: `account default\n${CLEAR}from %U@%M\n` },
    messages: ['plain', 'bounce'],
  },
  {
    title: 'accounts by sender',
    files: {
      [OWN]: `account default\nhost smtp.example.org\nport @TLS@\ntls on\ntls_starttls off\nfrom web1@example.org\n${SECRET}${SHOP}account work\nhost smtp.example.org\nport @PORT@\ntls on\nfrom me@work.example\nauth plain\nuser work\npassword w\n`,
    },
    messages: ['plain', 'bounce', 'shop', 'work'],
  },
  {
    title: 'accounts that have the same from from the defaults',
    files: {
      [OWN]: `defaults\ntls on\nfrom me@work.example\n${SECRET}account a\nhost smtp.example.org\nport @PORT@\naccount b\nhost nowhere.invalid\nport 25\naccount default : a\n`,
    },
    messages: ['fields', 'plain', 'work', 'bounce'],
  },
  {
    title: 'an account that copies another, from and all',
    files: {
      [OWN]: `account work\nhost smtp.example.org\nport @PORT@\ntls on\nfrom me@work.example\nauth plain\nuser work\npassword w\naccount backup : work\nhost nowhere.invalid\naccount default : work\nuser other\n`,
    },
    messages: ['plain', 'bounce'],
  },
  {
    title: 'from wins over -f',
    files: { [OWN]: `account default\n${CLEAR}from web1@example.org\nallow_from_override off\n` },
    messages: ['fields', 'plain', 'bounce', 'bare', 'null'],
    differs: { null: [/allow_from_override: approximated: .*-f '<>' stays as it is/, 'reversePath'] },
  },
  {
    title: 'from wins over -f where it chooses no account',
    files: {
      [OWN]: `account default\nhost smtp.example.org\nport @PORT@\ntls on\nfrom web1@example.org\nallow_from_override off\n${SECRET}${SHOP}`,
    },
    messages: ['fields', 'bounce', 'shop', 'null'],
  },
  {
    title: 'from in the From field, always',
    files: { [OWN]: `account default\n${CLEAR}from web1@example.org\nset_from_header on\n` },
    messages: ['fields', 'plain', 'bounce'],
    differs: { bounce: [/set_from_header: approximated: force_from: from wins over -f as well/, 'reversePath', 'from'] },
  },
  {
    title: 'from in the From field and over -f',
    files: { [OWN]: `account default\n${CLEAR}from web1@example.org\nset_from_header on\nallow_from_override off\n` },
    messages: ['fields', 'bounce', 'bare'],
  },
  {
    title: 'aliases with comments and a default',
    files: {
      [OWN]: `account default\n${CLEAR}from web1@example.org\naliases /etc/msmtp-aliases\n`,
      '/etc/msmtp-aliases': 'root: admin@example.org # me\n# others\ndefault: all@example.org, more@example.org\n',
    },
    messages: ['root', 'stranger', 'fields'],
  },
  {
    title: 'an alias for all others where EHLO says the domain of everybody',
    files: {
      [OWN]: `account default\n${CLEAR}from web1@example.org\ndomain example.org\naliases /etc/msmtp-aliases\n`,
      '/etc/msmtp-aliases': 'default: all@example.net\n',
    },
    messages: ['colleague', 'stranger'],
  },
  {
    title: 'indented aliases',
    files: {
      [OWN]: `account default\n${CLEAR}from web1@example.org\naliases /etc/msmtp-aliases\n`,
      '/etc/msmtp-aliases': 'daemon: admin@example.org\n  root: ops@example.org\n',
    },
    messages: ['root'],
  },
  {
    title: 'a plain alias file, beside accounts',
    files: {
      [OWN]: `account default\nhost smtp.example.org\nport @PORT@\ntls on\nfrom web1@example.org\naliases /etc/msmtp-aliases\n${SHOP}`,
      '/etc/msmtp-aliases': 'root: admin@example.org\n',
    },
    messages: ['root', 'shop'],
  },
  {
    title: 'no aliases, though the host has some',
    files: {
      [OWN]: `account default\n${CLEAR}from web1@example.org\n`,
      '/etc/aliases': 'alice: bob@elsewhere.example\nroot: bob@elsewhere.example\n',
    },
    messages: ['plain', 'root'],
    differs: { root: [/recipients: approximated: one without a domain gets/, 'recipients'] },
  },
  {
    title: 'a password beside a command that gives another',
    files: { [OWN]: `account default\n${CLEAR}from web1@example.org\nauth plain\nuser me\npassword "a"b #c"\npasswordeval "echo other"\n` },
    messages: ['plain'],
  },
  {
    title: 'the sender of releases up to 1.8.7',
    files: { [OWN]: `account default\n${CLEAR}auto_from on\nmaildomain example.org\nfrom web1@example.net\n` },
    messages: ['named', 'plain', 'bounce', 'null'],
    differs: { null: [/auto_from: approximated: .*-f '<>' stays as it is/, 'reversePath'] },
  },
  {
    title: 'the login is the sender, without a domain',
    files: { [OWN]: `account default\n${CLEAR}auto_from on\nfrom web1@example.net\n` },
    messages: ['named', 'bounce', 'bare'],
    differs: { named: BARE_LOGIN, bounce: BARE_LOGIN, bare: [...BARE_LOGIN, 'from'] },
  },
];

const HUB = 'mailhub=127.0.0.1:@PORT@\n';
const HOST = 'hostname=host.example.org\n';
const CREDENTIALS = 'AuthUser=web1@example.net\nAuthPass=secret\n';

const SSMTP: readonly Row[] = [
  {
    title: 'as Debian installs it',
    files: { [OWN]: `root=postmaster\n${HUB}#rewriteDomain=\n${HOST}#FromLineOverride=YES\n`, '/etc/ssmtp/revaliases': '# nothing\n' },
    messages: ['fields', 'plain', 'bounce', 'bare', 'root'],
  },
  {
    title: 'root goes for every login of the system',
    files: { [OWN]: `root=noc@example.net\n${HUB}${HOST}` },
    messages: ['root', 'daemon', 'local', 'null'],
    differs: {
      local: [/root: approximated: the router also takes mail in which host.example.org or localhost is written/, 'recipients'],
      null: [/fromlineoverride: approximated: .*-f '<>' stays as it is/, 'reversePath'],
    },
  },
  {
    title: 'STARTTLS and a password',
    files: { [OWN]: `root=\nmailhub=smtp.example.org:@PORT@\n${HOST}UseTLS=YES\nUseSTARTTLS=YES\n${CREDENTIALS}` },
    messages: ['fields', 'root'],
  },
  {
    title: 'TLS at once',
    files: { [OWN]: `mailhub=smtp.example.org:@TLS@\n${HOST}UseTLS=YES\n${CREDENTIALS}AuthMethod=LOGIN\n` },
    messages: ['named', 'plain'],
  },
  {
    title: 'the switches of TLS in the other order',
    files: { [OWN]: `mailhub=smtp.example.org:@PORT@\n${HOST}UseSTARTTLS=YES\nUseTLS=YES\n${CREDENTIALS}` },
    messages: ['plain'],
  },
  {
    title: 'TLS that a later line turns off',
    files: { [OWN]: `${HUB}${HOST}UseSTARTTLS=YES\nUseTLS=NO\n` },
    messages: ['plain'],
  },
  {
    title: 'another domain',
    files: { [OWN]: `root=noc\n${HUB}rewriteDomain=example.net\n${HOST}` },
    messages: ['plain', 'root', 'bounce'],
  },
  {
    title: 'credentials written twice',
    files: { [OWN]: `${HUB}${HOST}AuthUser=first\nAuthUser=second\nAuthPass=p1\nAuthPass=p2\n` },
    messages: ['plain'],
  },
  {
    title: 'a hub written twice, and its port on a line of its own',
    files: { [OWN]: `mailhub=nowhere.invalid\nmailhub=127.0.0.1\nRemotePort=@PORT@\n${HOST}` },
    messages: ['plain'],
  },
  {
    title: 'values end at a blank, at "=" and at "#"',
    files: { [OWN]: `${HUB}hostname=host.example.org # ours\nAuthUser=me\nAuthPass=a=b\nRoot=noc@example.net of this host\n` },
    messages: ['plain', 'root'],
  },
  {
    title: 'the sender of a login',
    files: { [OWN]: `${HUB}${HOST}`, '/etc/ssmtp/revaliases': 'root:old@example.net\nroot:ops@example.net\nbob:bob@example.net\n' },
    messages: ['plain', 'fields', 'bounce'],
  },
  {
    title: 'the sender of a login, behind a blank',
    files: { [OWN]: `${HUB}${HOST}`, '/etc/ssmtp/revaliases': ' root:ops@example.net\n' },
    messages: ['plain'],
    differs: { plain: [/revaliases:1: root: approximated: ssmtp does not see it/, 'reversePath', 'from'] },
  },
  {
    title: 'a hub for a login, with the port and the password of the other',
    files: {
      [OWN]: `mailhub=nowhere.invalid:@PORT@\n${HOST}UseSTARTTLS=YES\n${CREDENTIALS}`,
      '/etc/ssmtp/revaliases': 'root:ops@example.net:smtp.example.org\n',
    },
    messages: ['plain', 'named'],
  },
  {
    title: 'a hub for a login, with its port, and TLS at once',
    files: {
      [OWN]: `mailhub=nowhere.invalid:465\n${HOST}UseTLS=YES\n`,
      '/etc/ssmtp/revaliases': 'root:ops@example.net:smtp.example.org:@TLS@\n',
    },
    messages: ['plain'],
  },
  {
    title: 'a hub without a port behind one with a port',
    files: { [OWN]: `mailhub=nowhere.invalid:@PORT@\nmailhub=127.0.0.1\n${HOST}` },
    messages: ['plain'],
  },
  {
    title: 'the From field is the sender',
    files: { [OWN]: `${HUB}${HOST}FromLineOverride=YES\n` },
    messages: ['plain', 'fields', 'bounce'],
    differs: {
      fields: [/FromLineOverride: approximated: ssmtp takes the envelope sender from the From field/, 'reversePath'],
      bounce: [/FromLineOverride: approximated: .* never from -f/, 'reversePath'],
    },
  },
  {
    title: 'no alias file, though the host has one',
    files: { [OWN]: `${HUB}${HOST}`, '/etc/aliases': 'root: bob@elsewhere.example\n' },
    messages: ['root'],
  },
];

const SMARTHOST = 'SMARTHOST 127.0.0.1\nPORT @PORT@\n';
const SECURE = 'SMARTHOST smtp.example.org\nPORT @PORT@\nAUTHPATH /etc/dma/auth.conf\nSECURETRANSFER\nSTARTTLS\n';

const DMA: readonly Row[] = [
  {
    title: 'as Debian installs it, with a smart host',
    files: { [OWN]: `${SMARTHOST}MAILNAME /etc/mailname\n`, '/etc/aliases': 'root: ops@there.example\n' },
    messages: ['fields', 'plain', 'bounce', 'bare', 'root'],
  },
  {
    title: 'STARTTLS and a password',
    files: { [OWN]: SECURE, '/etc/dma/auth.conf': 'web1@example.net|smtp.example.org:se:cret \n' },
    messages: ['named', 'plain'],
  },
  {
    title: 'a password line behind another for the same host',
    files: { [OWN]: SECURE, '/etc/dma/auth.conf': 'old@example.org|smtp.example.org:oldpw\nnew@example.org|smtp.example.org:newpw\n' },
    messages: ['plain'],
  },
  {
    title: 'a password behind a blank',
    files: { [OWN]: SECURE, '/etc/dma/auth.conf': '# ours\nnew@example.org|smtp.example.org newpw\nx|other.example.org:no\n' },
    messages: ['plain'],
  },
  {
    title: 'passwords for other hosts only',
    files: { [OWN]: SECURE, '/etc/dma/auth.conf': 'x|other.example.org:no\n' },
    messages: ['plain'],
  },
  {
    title: 'TLS at once',
    files: {
      [OWN]: 'SMARTHOST smtp.example.org\nPORT @TLS@\nSECURETRANSFER\nAUTHPATH auth.conf\nMAILNAME h.example.net\n'.replace(
        'auth.conf',
        '/etc/dma/auth.conf',
      ),
      '/etc/dma/auth.conf': 'me|smtp.example.org:pw\n',
    },
    messages: ['fields', 'plain'],
  },
  { title: 'another name', files: { [OWN]: `${SMARTHOST}MAILNAME h.example.net\n` }, messages: ['plain', 'bare'] },
  { title: 'a name from a file that is not there', files: { [OWN]: `${SMARTHOST}MAILNAME /etc/none\n` }, messages: ['plain'] },
  {
    title: 'one sender for all',
    files: { [OWN]: `${SMARTHOST}MASQUERADE alerts@example.net\n` },
    messages: ['fields', 'plain', 'bounce', 'bare', 'null'],
    differs: { null: [/MASQUERADE: approximated: .*-f '<>' stays as it is/, 'reversePath'] },
  },
  { title: 'one domain for all logins', files: { [OWN]: `${SMARTHOST}MASQUERADE example.net\n` }, messages: ['fields', 'plain', 'bounce'] },
  {
    title: 'one user for all',
    files: { [OWN]: `${SMARTHOST}MASQUERADE alerts@\nMAILNAME h.example.net\n` },
    messages: ['plain', 'bounce', 'bare'],
  },
  {
    title: 'a null client',
    files: { [OWN]: `${SMARTHOST}MAILNAME h.example.net\nNULLCLIENT\n`, '/etc/aliases': 'root: ops@there.example\n' },
    messages: ['plain', 'root'],
    differs: { root: [/NULLCLIENT: approximated: .*where dma sends the bare name/, 'recipients'] },
  },
  {
    title: 'an alias file of its own, with a default',
    files: {
      [OWN]: `${SMARTHOST}MAILNAME h.example.net\nALIASES /etc/dma/aliases\n`,
      '/etc/dma/aliases': '# ours\nroot: ops@there.example, noc@there.example\n*: all@there.example\n',
    },
    messages: ['root', 'daemon'],
  },
  {
    title: 'settings written twice',
    files: { [OWN]: `SMARTHOST nowhere.invalid\n${SMARTHOST}MAILNAME a.example.net\nMAILNAME b.example.net\n` },
    messages: ['plain'],
  },
];

const REMOTE = '127.0.0.1 smtp port=@PORT@\n';

const NULLMAILER: readonly Row[] = [
  { title: 'one remote', files: { [OWN]: REMOTE }, messages: ['fields', 'plain', 'bounce', 'bare', 'null'] },
  {
    title: 'STARTTLS and a password with a blank',
    files: { [OWN]: "smtp.example.org smtp --port=@PORT@ --starttls --user=me --pass='hunter 2'\n" },
    messages: ['named', 'plain'],
  },
  {
    title: 'TLS at once, LOGIN, quotes and backslashes',
    files: { [OWN]: 'smtp.example.org smtp port=@TLS@ tls user=me "pass=hunter \\"3\\"" auth-login\n' },
    messages: ['plain'],
  },
  { title: 'a user without a password', files: { [OWN]: '127.0.0.1 smtp port=@PORT@ user=me\n' }, messages: ['plain'] },
  {
    title: 'remotes in order, comments between them',
    files: { [OWN]: `# first\nnowhere.invalid\n\n${REMOTE}nowhere.invalid smtp\n` },
    messages: ['plain'],
  },
  {
    title: 'a default host',
    files: { [OWN]: REMOTE, '/etc/nullmailer/defaulthost': 'example.net\n' },
    messages: ['plain', 'root', 'bare'],
  },
  {
    title: 'a default host that the default domain completes',
    files: { [OWN]: REMOTE, '/etc/nullmailer/defaulthost': 'mail\n', '/etc/nullmailer/defaultdomain': 'example.net\n' },
    messages: ['plain', 'root'],
  },
  {
    title: 'the administrator’s address',
    files: { [OWN]: REMOTE, '/etc/nullmailer/adminaddr': 'noc@there.example,ops@there.example\n' },
    messages: ['root', 'local', 'named'],
  },
  {
    title: 'the administrator’s address is not that of everybody at the default host',
    files: { [OWN]: REMOTE, '/etc/nullmailer/adminaddr': 'noc@there.example\n', '/etc/nullmailer/defaulthost': 'example.net\n' },
    messages: ['root', 'local'],
  },
  {
    title: 'one sender for all, without a domain',
    files: { [OWN]: REMOTE, '/etc/nullmailer/allmailfrom': 'all\n' },
    messages: ['fields', 'null'],
    differs: { fields: [/allmailfrom: approximated: .*; nullmailer sends the bare name/, 'reversePath'] },
  },
  {
    title: 'one sender for all',
    files: { [OWN]: REMOTE, '/etc/nullmailer/allmailfrom': 'all@example.net\n' },
    messages: ['fields', 'bounce', 'plain', 'null'],
    differs: { plain: [/allmailfrom: approximated: .*a From field that has to be added/, 'from'] },
  },
  {
    title: 'a name for EHLO',
    files: { [OWN]: REMOTE, '/etc/nullmailer/helohost': 'helo.example.net\n', '/etc/nullmailer/adminaddr': 'noc@there.example\n' },
    messages: ['plain', 'root', 'local'],
  },
  {
    title: 'empty files, as the package makes them, and one that Debian disregards',
    files: {
      [OWN]: REMOTE,
      '/etc/nullmailer/adminaddr': '',
      '/etc/nullmailer/defaultdomain': '',
      '/etc/nullmailer/me': 'other.example.net\n',
    },
    messages: ['plain', 'root'],
  },
  {
    title: 'no alias file, though the host has one',
    files: { [OWN]: REMOTE, '/etc/aliases': 'root: bob@elsewhere.example\n' },
    messages: ['root'],
  },
];

const ESMTP: readonly Row[] = [
  { title: 'a host', files: { [OWN]: 'hostname = 127.0.0.1:@PORT@\n' }, messages: ['named', 'plain', 'bounce', 'bare'] },
  {
    title: 'a user in double quotes, a password in single ones, comments',
    files: { [OWN]: '# ours\nhostname=localhost:@PORT@\nusername = "ops"  # me\npassword = \'hunter 2\'\n' },
    messages: ['plain'],
  },
  {
    title: 'escaped characters within quotes, as esmtp reads them',
    files: { [OWN]: 'hostname 127.0.0.1:@PORT@\nusername "o\\"ps"\npassword "a\\\\b"\n' },
    messages: ['plain'],
  },
  { title: 'a "#" within a word', files: { [OWN]: 'hostname 127.0.0.1:@PORT@\nusername ops\npassword plain#x\n' }, messages: ['plain'] },
  {
    title: 'several settings on a line, by short names, and a value on the next line',
    files: { [OWN]: 'hostname=127.0.0.1:@PORT@ user = ops\npass\n  "se cret" force  reverse_path me@example.net\n' },
    messages: ['plain'],
  },
  {
    title: 'characters by their numbers, and words that are keys, too',
    files: { [OWN]: 'hostname 127.0.0.1:@PORT@\nusername helo\npassword p\\x41\\102\\060d\\q"\n' },
    messages: ['plain'],
  },
  {
    title: 'another name for EHLO',
    files: { [OWN]: 'hostname 127.0.0.1:@PORT@\nhelo h.example.net\n' },
    messages: ['plain', 'work'],
    differs: { plain: [/helo: approximated: .*write qualify_domain/, 'reversePath', 'from'] },
  },
  {
    title: 'settings written twice',
    files: { [OWN]: 'hostname nowhere.invalid\nhostname 127.0.0.1:@PORT@\nusername a\nusername b\npassword c\n' },
    messages: ['plain'],
  },
  {
    title: 'a domain for names without one',
    files: { [OWN]: 'hostname 127.0.0.1:@PORT@\nqualifydomain example.net\n' },
    messages: ['plain', 'root', 'daemon'],
  },
  {
    title: 'a reverse-path for all',
    files: { [OWN]: 'hostname 127.0.0.1:@PORT@\nforce reverse_path "%u@example.net"\n' },
    messages: ['fields', 'plain', 'bounce', 'bare', 'null'],
    differs: {
      bare: [/force reverse_path: approximated: .*where esmtp takes the one of -f/, 'from'],
      null: [/force reverse_path: approximated: .*-f '<>' stays as it is/, 'reversePath'],
    },
  },
  {
    title: 'one identity, which is the default',
    files: { [OWN]: 'identity = me@work.example\nhostname = 127.0.0.1:@PORT@\nusername = me\npassword = secret\n' },
    messages: ['named', 'plain', 'work', 'bounce'],
  },
  {
    title: 'identities by sender',
    files: {
      [OWN]: `hostname = 127.0.0.1:@PORT@\nusername = all\npassword = a\nidentity me@work.example\nhostname=localhost:@PORT@\nusername=work\npassword=w\nidentity cart@shop.example\nhostname=localhost:@PORT@\nusername=shop\npassword=s\n`,
    },
    messages: ['plain', 'work', 'shop', 'bounce'],
  },
  {
    title: 'an identity that says it is the default',
    files: {
      [OWN]: `identity me@work.example\nhostname nowhere.invalid:25\nidentity cart@shop.example\nhostname 127.0.0.1:@PORT@\nusername shop\npassword s\ndefault\n`,
    },
    messages: ['plain', 'shop', 'bounce'],
  },
  {
    title: 'identities with a reverse-path of their own',
    files: {
      [OWN]: `hostname = 127.0.0.1:@PORT@\nforce reverse_path = all@example.net\nidentity me@work.example\nhostname=localhost:@PORT@\nforce reverse_path forced@work.example\nusername=work\npassword=w\n`,
    },
    messages: ['named', 'work', 'bounce'],
  },
  {
    title: 'two identities of one address',
    files: {
      [OWN]: `hostname = nowhere.invalid:25\nidentity me@work.example\nhostname=nowhere.invalid:25\nidentity me@work.example\nhostname=localhost:@PORT@\n`,
    },
    messages: ['work'],
  },
  {
    title: 'with -t the From field is the sender',
    files: { [OWN]: 'hostname 127.0.0.1:@PORT@\n' },
    messages: ['fields'],
    differs: { fields: [/From: approximated: with -t esmtp takes the sender/, 'reversePath'] },
  },
  {
    title: 'no alias file, though the host has one',
    files: { [OWN]: 'hostname 127.0.0.1:@PORT@\nqualifydomain example.net\n', '/etc/aliases': 'root: bob@elsewhere.example\n' },
    messages: ['root'],
  },
];

const ROWS: Readonly<Record<ForeignProgram, readonly Row[]>> = {
  msmtp: MSMTP,
  ssmtp: SSMTP,
  dma: DMA,
  nullmailer: NULLMAILER,
  esmtp: ESMTP,
};

type Facts = Readonly<Record<Fact, unknown>>;

/** dma has a transaction for each recipient; what is the same in all of them is one fact. */
function factsOf(recorded: readonly Recorded[]): Facts {
  const only = (values: readonly string[]): unknown => (new Set(values).size === 1 ? values[0] : values);
  return {
    reversePath: only(recorded.map(({ reversePath }) => reversePath)),
    recipients: recorded.flatMap(({ recipients }) => recipients).sort(),
    from: only(recorded.map(({ from }) => from.join())),
    login: only(recorded.map(({ login }) => login ?? 'none')),
  };
}

for (const [program, rows] of Object.entries(ROWS) as [ForeignProgram, readonly Row[]][]) {
  const test = suiteWith(`import: ${program}`, 'root', 'unshare', 'python3-aiosmtpd', program);
  let recorder: Recorder;
  test.before(async () => {
    recorder = await startRecorder();
  });
  test.after(() => recorder?.stop());

  const etcFor = (files: Files): Etc => {
    const ports = (text: string): string => text.replaceAll('@PORT@', String(recorder.port)).replaceAll('@TLS@', String(recorder.tlsPort));
    return etcOf(Object.fromEntries(Object.entries(files).map(([file, text]) => [file || SENDERS[program].file, ports(text)])), recorder);
  };

  for (const { title, files, messages, differs = {} } of rows)
    test(`O7: ${title}`, () =>
      within(120_000, async () => {
        const etc = etcFor(files);
        const config = `${etc.folder}/nospool.toml`;
        const imported = await runOurs(etc, [NOSPOOL, 'import', '--program', program, '--output', config, SENDERS[program].file], '');
        assert.equal(imported.status, 0, imported.stderr);
        for (const kind of messages) {
          const { args, fields }: Message = MESSAGES[kind];
          const input = `${fields}${/^Subject/m.test(fields) ? '' : 'Subject: a test\n'}\nHello.\n`;
          recorder.taken();
          const theirs = await sendBy(program, etc, args, input);
          const expected = recorder.taken();
          assert.notEqual(expected.length, 0, `${program} itself: ${theirs.status} ${theirs.stderr}`);
          const ours = await runOurs(etc, [SENDMAIL, '-C', config, ...args], input);
          const got = recorder.taken();
          const said = `${kind}: ${ours.stderr}\n${imported.stderr}`;
          assert.deepEqual([ours.status, got.length], [0, 1], said);
          const [note, ...facts]: readonly [RegExp | null, ...Fact[]] = differs[kind] ?? [null];
          if (note !== null) assert.match(imported.stderr, note);
          const [mine, their] = [factsOf(got), factsOf(expected)];
          for (const fact of Object.keys(their) as Fact[])
            if (facts.includes(fact)) assert.notDeepEqual(mine[fact], their[fact], `${fact} no longer differs: ${said}`);
            else assert.deepEqual({ [fact]: mine[fact] }, { [fact]: their[fact] }, said);
        }
      }));

  test.run();
}
