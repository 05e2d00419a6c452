/**
 * msmtprc (msmtp 1.8): the default account becomes `smarthosts`, accounts with a `from` become routes by sender.
 */
import { isIPv4, isIPv6 } from '../smtp/path.ts';
import {
  type Draft,
  linesOf,
  mechanismOf,
  type Notes,
  noteAliases,
  notes,
  portOf,
  REQUIRED,
  routerName,
  type Source,
  urlOf,
} from './import-notes.ts';
import type { HostPlan, RouterPlan, Setting, Settings } from './print.ts';

interface Line {
  readonly line: number;
  readonly value: string;
}

/** Settings in force for one account, each with the line that set it. */
interface Account {
  readonly name: string;
  readonly line: number;
  readonly settings: Map<string, Line>;
}

/** Names of older releases. */
const RENAMED: Readonly<Record<string, string>> = {
  connect_timeout: 'timeout',
  tls_nocertcheck: 'tls_certcheck',
};

/** What has no counterpart, and what to do about it. */
const DROPPED: Readonly<Record<string, string>> = {
  tls_crl_file: 'revocation lists are not read; fingerprint pins a certificate',
  tls_priorities: 'the syntax is that of GnuTLS; min_version is what there is',
  tls_min_dh_prime_bits: 'left to the TLS library',
  ntlmdomain: 'NTLM is not spoken',
  from_full_name: 'the name is that of the password database; -F and $NAME override it',
  set_date_header: 'Date is added where it is missing',
  set_msgid_header: 'Message-ID is added where it is missing',
  set_to_header: 'To is not added',
  add_missing_from_header: 'From is added where it is missing',
  add_missing_date_header: 'Date is added where it is missing',
  undisclosed_recipients: 'To is not added',
  dsn_notify: 'give -N to each call',
  dsn_return: 'give -R to each call',
  logfile_time_format: 'the time has the form of Exim or, in JSON, of RFC 3339',
};

export function importMsmtp(source: Source): Draft {
  const collected = notes();
  const accounts = readAccounts(source, collected);
  const used = new Map<string, Account>();
  for (const account of accounts) used.set(account.name, account);
  const standard = used.get('default') ?? (used.size === 1 ? [...used.values()][0] : undefined);

  const top: Settings = {};
  const timeouts: Settings = {};
  const hosts: HostPlan[] = [];
  const routers: RouterPlan[] = [];
  const senders = new Set<string>();
  if (standard) {
    const host = hostOf(source, standard, collected);
    if (host) hosts.push(host);
    Object.assign(top, topOf(source, standard, collected));
    const timeout = standard.settings.get('timeout');
    if (timeout && /^\d+$/.test(timeout.value) && Number(timeout.value) > 0) {
      timeouts.connect = `${timeout.value}s`;
      collected.approximated(source, timeout.line, 'timeout', 'timeouts.connect; the other time-outs are those of RFC 5321');
    }
  } else {
    collected.dropped(source, 0, 'account default', 'there is no default account: write smarthosts');
  }

  for (const account of used.values()) {
    if (account === standard || account.name === 'default') continue;
    const host = hostOf(source, account, collected);
    if (!host) continue;
    const key = `account ${account.name}`;
    if (JSON.stringify(host) === JSON.stringify(hosts[0])) {
      collected.mapped(source, account.line, key, 'its smart host is that of the default account');
      continue;
    }
    const from = account.settings.get('from');
    const pattern = from ? senderOf(from.value) : null;
    if (!from) collected.dropped(source, account.line, key, 'without from it was used with -a only');
    else if (pattern === null) collected.dropped(source, from.line, key, `from ${from.value} is no sender that a router can match`);
    else if (senders.has(pattern)) collected.dropped(source, from.line, key, 'an earlier account has the same from');
    else {
      senders.add(pattern);
      const name = routerName(
        account.name,
        routers.map(({ settings }) => settings.name as string),
      );
      routers.push({ settings: { name, driver: 'manualroute', senders: [pattern] }, hosts: [host] });
      collected.mapped(source, from.line, key, `router "${name}", for the sender ${pattern}`);
    }
  }

  const aliases = top.aliases;
  if (aliases === undefined) noteAliases(collected, source);
  else if (routers.length > 0 && Array.isArray(aliases)) {
    delete top.aliases;
    routers.unshift({
      settings: {
        name: routerName(
          'aliases',
          routers.map((router) => router.settings.name as string),
        ),
        driver: 'redirect',
        file: aliases[0] as string,
      },
    });
  }
  sweep(source, accounts, collected);
  return { plan: { remarks: [], top, hosts, timeouts, routers, rewrite: {} }, notes: collected };
}

/** Says of each line that nothing was said of yet what became of it. */
function sweep(source: Source, accounts: readonly Account[], collected: Notes): void {
  const said = new Set(collected.list.map(({ place }) => place));
  const left = new Map(
    accounts.flatMap(({ settings }) => [...settings].map(([key, setting]) => [setting.line, { key, ...setting }] as const)),
  );
  for (const { key, line, value } of left.values()) {
    if (said.has(`${source.path}:${line}`)) continue;
    const why = DROPPED[key];
    if (why) collected.dropped(source, line, key, why);
    else if (IN_ADDRESS.has(key)) collected.mapped(source, line, key, 'part of the smart host');
    else if (HANDLED.has(key) && /^(on|off|auto|)$/i.test(value)) collected.mapped(source, line, key, 'as it is without a key');
    else
      collected.dropped(source, line, key, HANDLED.has(key) ? 'it has no effect on this account' : 'it holds for the default account only');
  }
}

/** Accounts in the order of the file, each with the defaults and the accounts it copies. */
function readAccounts(source: Source, collected: Notes): Account[] {
  const accounts: Account[] = [];
  let defaults = new Map<string, Line>();
  let current: Map<string, Line> | null = null;
  for (const { line, text } of linesOf(source)) {
    const found = /^\s*([^\s#]\S*)(?:\s+(.*?))?\s*$/.exec(text);
    if (!found) continue;
    const command = (found[1] as string).toLowerCase();
    const value = unquoted(found[2] ?? '');
    if (command === 'defaults') {
      defaults = new Map(defaults);
      current = defaults;
    } else if (command === 'account') {
      const [name = '', bases = ''] = value.split(':').map((part) => part.trim());
      current = new Map(defaults);
      for (const base of bases
        .split(',')
        .map((part) => part.trim())
        .filter(Boolean)) {
        const copied = accounts.findLast((account) => account.name === base);
        if (copied) for (const [key, setting] of copied.settings) current.set(key, setting);
        else collected.dropped(source, line, `account ${name} : ${base}`, 'there is no such account before it');
      }
      accounts.push({ name, line, settings: current });
    } else if (command === 'eval') {
      collected.dropped(source, line, 'eval', 'commands that write the configuration are not run: write what it prints');
    } else {
      // Settings before the first account belong to an account without a name.
      if (current === null) {
        current = new Map(defaults);
        accounts.push({ name: 'default', line, settings: current });
      }
      const key = RENAMED[command] ?? command;
      current.set(key, { line, value: command === 'tls_nocertcheck' ? 'off' : value });
    }
  }
  return accounts;
}

const unquoted = (text: string): string => (/^".*"$/.test(text) ? text.slice(1, -1) : text);

/** A switch without an argument is on. */
const isOn = (setting: Line | undefined): boolean => setting !== undefined && /^(on|)$/i.test(setting.value);

/** `*` and `*@domain` are patterns of ours, too; other globs are not. */
function senderOf(from: string): string | null {
  if (!/[*?[%]/.test(from)) return /@/.test(from) ? from : null;
  return /^\*@[^*?[%]+$/.test(from) ? from : null;
}

function hostOf(source: Source, { name, line, settings }: Account, collected: Notes): HostPlan | null {
  const host = settings.get('host');
  const socket = settings.get('socket');
  if (!host && !socket) {
    collected.dropped(source, line, `account ${name}`, 'it has no host');
    return null;
  }
  const lmtp = settings.get('protocol')?.value.toLowerCase() === 'lmtp';
  const tls = settings.get('tls');
  const isTls = isOn(tls);
  const starttls = settings.get('tls_starttls');
  const implicit = isTls && starttls !== undefined && !isOn(starttls);
  const written = settings.get('port');
  const port = (written && portOf(written.value)) ?? (lmtp ? 24 : implicit ? 465 : 25);
  const url = socket
    ? `${lmtp ? 'lmtp+' : ''}unix:${socket.value}`
    : urlOf((host as Line).value, port, lmtp ? 'lmtp' : implicit ? 'tls' : 'smtp');
  const at = (host ?? socket) as Line;
  collected.mapped(source, at.line, host ? 'host' : 'socket', url);

  const policy: Settings = isTls && !implicit ? { ...REQUIRED } : {};
  if (isTls) collected.mapped(source, (tls as Line).line, 'tls', implicit ? 'submissions://' : 'tls.mode = "required"');
  else
    collected.approximated(
      source,
      tls?.line ?? 0,
      'tls',
      `was off for "${name}"; TLS is now required, but on loopback: tls.mode = "off" undoes that`,
    );
  Object.assign(policy, tlsOf(source, settings, collected));
  const link = socket ? {} : linkOf(source, settings, collected);
  return { url, tls: policy, auth: authOf(source, settings, collected), ...(Object.keys(link).length > 0 ? { link } : {}) };
}

/** Its proxies speak SOCKS5 without credentials, on port 1080 unless another is written. */
function linkOf(source: Source, settings: Account['settings'], collected: Notes): Settings {
  const link: Settings = {};
  const [proxy, port, from] = [settings.get('proxy_host'), settings.get('proxy_port'), settings.get('source_ip')];
  if (proxy && proxy.value !== '') {
    const number = (port && portOf(port.value)) ?? 1080;
    link.proxy = `socks5://${isIPv6(proxy.value) ? `[${proxy.value}]` : proxy.value}:${number}`;
    collected.mapped(source, proxy.line, 'proxy_host', `proxy = "${link.proxy}"`);
    if (port && port.value !== '') collected.mapped(source, port.line, 'proxy_port', 'the port of proxy');
  }
  if (from && (isIPv4(from.value) || isIPv6(from.value))) {
    link.source_address = from.value;
    collected.mapped(source, from.line, 'source_ip', 'source_address');
  } else if (from && from.value !== '') collected.dropped(source, from.line, 'source_ip', 'it is no IP address');
  return link;
}

function tlsOf(source: Source, settings: Account['settings'], collected: Notes): Settings {
  const tls: Settings = {};
  const file = (key: string, ours: string): void => {
    const setting = settings.get(key);
    if (!setting || setting.value === '' || setting.value === 'system') return;
    tls[ours] = setting.value;
    collected.mapped(source, setting.line, key, `tls.${ours}`);
  };
  file('tls_cert_file', 'certificate');
  if (tls.certificate) file('tls_key_file', 'certificate_key');
  file('tls_host_override', 'server_name');
  const pin = settings.get('tls_fingerprint');
  const digits = pin?.value.replaceAll(':', '').toLowerCase() ?? '';
  if (pin && /^[0-9a-f]{64}$/.test(digits)) {
    tls.fingerprint = [`sha256:${digits}`];
    collected.mapped(source, pin.line, 'tls_fingerprint', 'tls.fingerprint');
  } else {
    if (pin && digits !== '') collected.dropped(source, pin.line, 'tls_fingerprint', 'only SHA-256 is accepted; "nospool check" prints it');
    file('tls_trust_file', 'ca_file');
  }
  const check = settings.get('tls_certcheck');
  if (check && !isOn(check))
    collected.dropped(
      source,
      check.line,
      'tls_certcheck',
      'certificates are verified; pin this one with tls.fingerprint, which "nospool check" prints',
    );
  return tls;
}

function authOf(source: Source, settings: Account['settings'], collected: Notes): Settings | null {
  const auth = settings.get('auth');
  if (!auth || auth.value.toLowerCase() === 'off') return null;
  const user = settings.get('user');
  const credentials: Settings = { user: user?.value ?? '' };
  if (user) collected.mapped(source, user.line, 'user', 'auth.user');
  const word = auth.value.toLowerCase();
  const mechanism = mechanismOf(word);
  if (mechanism) {
    credentials.mechanisms = [mechanism];
    collected.mapped(source, auth.line, 'auth', `auth.mechanisms = ["${mechanism}"]`);
  } else if (word === 'on' || word === '') collected.mapped(source, auth.line, 'auth', 'the strongest mechanism that both sides have');
  else collected.approximated(source, auth.line, 'auth', `${word} is not spoken; the strongest mechanism that both sides have`);
  const password = settings.get('password');
  const command = settings.get('passwordeval');
  if (command) {
    credentials.password_command = ['/bin/sh', '-c', command.value];
    collected.mapped(source, command.line, 'passwordeval', 'auth.password_command');
  } else if (password) {
    credentials.password = password.value;
    collected.mapped(source, password.line, 'password', 'auth.password; better in a file of its own, named by auth.password_file');
  } else if (mechanism !== 'EXTERNAL') {
    credentials.password_file = '~/.config/nospool/password';
    collected.approximated(
      source,
      auth.line,
      'password',
      'it was in a keyring or in ~/.netrc: write it into ~/.config/nospool/password, mode 0600',
    );
  }
  if (!user) collected.approximated(source, auth.line, 'user', 'no user is written: fill in auth.user');
  return credentials;
}

/** What holds for the whole file here, from the default account. */
function topOf(source: Source, { settings }: Account, collected: Notes): Settings {
  const top: Settings = {};
  const map = (key: string, ours: string, value: Setting): void => {
    top[ours] = value;
    collected.mapped(source, settings.get(key)?.line ?? 0, key, ours);
  };
  for (const [key, { line, value }] of settings) {
    const on = isOn(settings.get(key));
    const dropped = DROPPED[key];
    if (dropped) collected.dropped(source, line, key, dropped);
    else if (key === 'from') {
      const from = value.replaceAll('%U', '{login}');
      if (/[*?[%]/.test(from)) collected.dropped(source, line, key, 'a pattern is no address of its own: write from');
      else map(key, 'from', from);
    } else if (key === 'domain') {
      if (/%/.test(value) || value === 'localhost') collected.approximated(source, line, key, 'hostname is the name of the host');
      else map(key, 'hostname', value);
    } else if (key === 'maildomain') map(key, 'qualify_domain', value);
    else if (key === 'allow_from_override' && !on) map(key, 'force_from', true);
    else if (key === 'set_from_header' && on) {
      top.force_from = true;
      collected.approximated(source, line, key, 'force_from: from wins over -f as well');
    } else if ((key === 'remove_bcc_headers' && !on) || (key === 'keepbcc' && on)) map(key, 'keep_bcc', true);
    else if (key === 'logfile') map(key, 'log', value === '-' ? 'stderr' : value);
    else if (key === 'syslog' && value.toLowerCase() !== 'off') {
      if (!settings.get('logfile')) map(key, 'log', 'syslog');
      else collected.dropped(source, line, key, 'there is one log, and logfile is set');
    } else if (key === 'aliases') {
      map(key, 'aliases', [value]);
      collected.approximated(source, line, key, 'an entry "default:" is to be written "*:"');
    } else if (!HANDLED.has(key)) collected.dropped(source, line, key, 'it is not known');
  }
  if (top.from === undefined) delete top.force_from;
  return top;
}

/** Read with the host. */
const IN_ADDRESS = new Set(['port', 'protocol', 'tls_starttls']);

/** Read by other functions, or with a value that is our default. */
const HANDLED = new Set([
  ...['host', 'port', 'protocol', 'socket', 'timeout', 'auth', 'user', 'password', 'passwordeval', 'auto_from'],
  ...['tls', 'tls_starttls', 'tls_trust_file', 'tls_fingerprint', 'tls_key_file', 'tls_cert_file', 'tls_certcheck', 'tls_host_override'],
  ...['proxy_host', 'proxy_port', 'source_ip'],
  ...['allow_from_override', 'set_from_header', 'remove_bcc_headers', 'keepbcc', 'syslog'],
]);
