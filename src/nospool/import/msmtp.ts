/**
 * msmtprc (msmtp 1.8): the default account becomes `smarthosts`, accounts with a `from` become routes by sender.
 */
import { isIPv4, isIPv6 } from '../../smtp/path.ts';
import type { HostPlan, RouterPlan, TomlTable, TomlValue } from '../print-config.ts';
import {
  type Beside,
  linesOf,
  mechanismOf,
  type Notes,
  notes,
  portOf,
  REQUIRED,
  routerName,
  type SourceFile,
  type Translation,
  urlOf,
  withoutAliases,
} from './notes.ts';

interface Line {
  readonly line: number;
  readonly value: string;
}

/** Settings in force for one account, each with the line that set it. */
interface MsmtpAccount {
  readonly name: string;
  readonly line: number;
  readonly settings: Map<string, Line>;
  /** Without the defaults: what an account that copies it gets. */
  readonly own: Map<string, Line>;
}

/** Names of older releases, with the value that they mean. */
const RENAMED: Readonly<Record<string, readonly [string, string | null]>> = {
  connect_timeout: ['timeout', null],
  tls_nocertcheck: ['tls_certcheck', 'off'],
  tls_nostarttls: ['tls_starttls', 'off'],
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

export function importMsmtp(source: SourceFile, beside: Beside): Translation {
  const collected = notes();
  const accounts = readAccounts(source, collected);
  const used = new Map<string, MsmtpAccount>();
  for (const account of accounts)
    if (used.has(account.name)) collected.dropped(source, account.line, `account ${account.name}`, 'an earlier account has that name');
    else used.set(account.name, account);
  const standard = used.get('default') ?? (used.size === 1 ? [...used.values()][0] : undefined);

  const top: TomlTable = {};
  const timeouts: TomlTable = {};
  const hosts: HostPlan[] = [];
  if (standard) {
    const host = hostOf(source, standard, collected);
    if (host) hosts.push(host);
    Object.assign(top, topOf(source, standard, beside, collected));
    const timeout = standard.settings.get('timeout');
    if (timeout && /^\d+$/.test(timeout.value) && Number(timeout.value) > 0) {
      timeouts.connect = `${timeout.value}s`;
      collected.approximated(source, timeout.line, 'timeout', 'timeouts.connect; the other time-outs are those of RFC 5321');
    }
  } else {
    collected.dropped(source, 0, 'account default', 'there is no default account: write smarthosts');
  }
  const routers = routesOf(source, [...used.values()], standard, hosts[0], collected);
  if (standard) senderIn(top, { source, settings: standard.settings, hosts, routers, collected });
  const aliases = standard?.settings.get('aliases');
  if (aliases && aliases.value !== '') aliasesOf(source, aliases, beside, { top, routers, collected });
  else withoutAliases(top, routers, { collected, source, program: 'msmtp' });
  collected.approximated(
    source,
    0,
    'recipients',
    'one without a domain gets qualify_recipient, or the name of this host; msmtp sends the bare name',
  );
  sweep(source, accounts, collected);
  return { plan: { remarks: [], top, hosts, timeouts, routers, rewrite: {} }, notes: collected };
}

/**
 * The accounts other than the default one, chosen by -f. The first account of the file with a `from` is the one that is
 * chosen by it, whether it wrote it or has it from another account.
 */
function routesOf(
  source: SourceFile,
  accounts: readonly MsmtpAccount[],
  standard: MsmtpAccount | undefined,
  standardHost: HostPlan | undefined,
  collected: Notes,
): RouterPlan[] {
  const routers: RouterPlan[] = [];
  const owners = new Map<string, MsmtpAccount>();
  for (const account of accounts) {
    const from = account.settings.get('from');
    const pattern = from ? senderOf(from.value) : null;
    if (pattern !== null && !owners.has(pattern.toLowerCase())) owners.set(pattern.toLowerCase(), account);
  }
  for (const account of accounts) {
    if (account === standard) continue;
    const key = `account ${account.name}`;
    const host = hostOf(source, account, collected);
    if (!host) continue;
    if (JSON.stringify(host) === JSON.stringify(standardHost)) {
      collected.mapped(source, account.line, key, 'its smart host is that of the default account');
      continue;
    }
    const from = account.settings.get('from');
    const pattern = from ? senderOf(from.value) : null;
    const owner = pattern === null ? undefined : owners.get(pattern.toLowerCase());
    if (!from) collected.dropped(source, account.line, key, 'without from it was used with -a only');
    else if (pattern === null) collected.dropped(source, from.line, key, `from ${from.value} is no sender that a router can match`);
    else if (owner !== account)
      collected.dropped(
        source,
        account.own.has('from') ? from.line : account.line,
        key,
        `account ${owner?.name} comes before it and has the same from, so it was used with -a only`,
      );
    else if (standard && senderOf(standard.settings.get('from')?.value ?? '')?.toLowerCase() === pattern.toLowerCase())
      collected.dropped(
        source,
        account.line,
        key,
        `the default account has the same from, ${pattern}: its mail goes there, where msmtp sends it here if -f is given`,
      );
    else {
      const name = routerName(
        account.name,
        routers.map(({ settings }) => settings.name as string),
      );
      routers.push({ settings: { name, driver: 'manualroute', senders: [pattern] }, hosts: [host] });
      collected.mapped(source, from.line, key, `router "${name}", for the sender ${pattern}`);
      if (!pattern.startsWith('*') && !pattern.includes('+'))
        collected.approximated(
          source,
          from.line,
          key,
          `msmtp takes ${pattern.replace('@', '+…@')} for it, too; add such senders to the router`,
        );
    }
  }
  return routers;
}

interface Aliased {
  readonly top: TomlTable;
  readonly routers: RouterPlan[];
  readonly collected: Notes;
}

/**
 * An alias file is kept where it means the same to us. msmtp ends an entry at any "#" and has "default" for all other
 * names, so what has one of these is written into the configuration.
 */
function aliasesOf(source: SourceFile, { line, value }: Line, beside: Beside, { top, routers, collected }: Aliased): void {
  const name = routerName(
    'aliases',
    routers.map(({ settings }) => settings.name as string),
  );
  const file = value.startsWith('/') ? beside(value) : null;
  const entries = file ? readMsmtpAliases(file) : null;
  if (file === null)
    collected.approximated(
      source,
      line,
      'aliases',
      'it was not read: an entry "default:" is to be written "*:", and no comment may follow an entry',
    );
  if (entries?.isOwn) {
    const data = Object.fromEntries([...entries.byName].map(([alias, to]) => [alias === 'default' ? '*' : alias, to]));
    routers.unshift({ settings: { name, driver: 'redirect' }, data });
    collected.mapped(
      source,
      line,
      'aliases',
      `router "${name}" has the entries of ${value}, in which comments or "default" are msmtp's own`,
    );
  } else if (routers.length > 0) {
    routers.unshift({ settings: { name, driver: 'redirect', file: value } });
    collected.mapped(source, line, 'aliases', `router "${name}"`);
  } else {
    top.aliases = [value];
    collected.mapped(source, line, 'aliases', 'aliases');
  }
}

/** Entries by their names, and whether the file has what only msmtp reads so. */
function readMsmtpAliases(file: SourceFile): { readonly byName: ReadonlyMap<string, string>; readonly isOwn: boolean } {
  const byName = new Map<string, string>();
  let isOwn = false;
  for (const { text } of linesOf(file)) {
    const [entry = ''] = text.split('#', 1);
    const [name = '', to = ''] = entry.split(':').map((part) => part.trim());
    if (name === '' || to === '') continue;
    isOwn ||= name === 'default' || entry.length < text.length;
    if (!byName.has(name)) byName.set(name, to);
  }
  return { byName, isOwn };
}

/** Says of each line that nothing was said of yet what became of it. */
function sweep(source: SourceFile, accounts: readonly MsmtpAccount[], collected: Notes): void {
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

/** Accounts in the order of the file, each with the defaults that stood before it and what it copies from other accounts. */
function readAccounts(source: SourceFile, collected: Notes): MsmtpAccount[] {
  const accounts: MsmtpAccount[] = [];
  const defaults = new Map<string, Line>();
  let inDefaults = false;
  const begin = (name: string, line: number): MsmtpAccount => {
    const account = { name, line, settings: new Map(defaults), own: new Map<string, Line>() };
    accounts.push(account);
    return account;
  };
  for (const { line, text } of linesOf(source)) {
    const found = /^\s*([^\s#]\S*)(?:\s+(.*?))?\s*$/.exec(text);
    if (!found) continue;
    const command = (found[1] as string).toLowerCase();
    const value = unquoted(found[2] ?? '');
    if (command === 'defaults') inDefaults = true;
    else if (command === 'account') {
      inDefaults = false;
      const [name = '', bases = ''] = value.split(':').map((part) => part.trim());
      const account = begin(name, line);
      for (const base of bases
        .split(',')
        .map((part) => part.trim())
        .filter(Boolean)) {
        const copied = accounts.findLast((one) => one !== account && one.name === base);
        if (copied) copyInto(account, copied);
        else collected.dropped(source, line, `account ${name} : ${base}`, 'there is no such account before it');
      }
    } else if (command === 'eval') {
      collected.dropped(source, line, 'eval', 'commands that write the configuration are not run: write what it prints');
    } else {
      const [key, meant] = RENAMED[command] ?? [command, null];
      const setting: Line = { line, value: meant ?? value };
      if (inDefaults) defaults.set(key, setting);
      else {
        // Settings before the first account belong to an account without a name.
        const account = accounts.at(-1) ?? begin('default', line);
        account.settings.set(key, setting);
        account.own.set(key, setting);
      }
    }
  }
  return accounts;
}

/** As msmtp copies: allow_from_override never, and no from where it is off. */
function copyInto(account: MsmtpAccount, copied: MsmtpAccount): void {
  for (const [key, setting] of copied.own) {
    if (key === 'allow_from_override' || (key === 'from' && isOff(account.settings.get('allow_from_override')))) continue;
    account.settings.set(key, setting);
    account.own.set(key, setting);
  }
}

const unquoted = (text: string): string => (/^".*"$/.test(text) ? text.slice(1, -1) : text);

const isOff = (setting: Line | undefined): boolean => setting?.value.toLowerCase() === 'off';

/** A switch without an argument is on. */
const isOn = (setting: Line | undefined): boolean => setting !== undefined && /^(on|)$/i.test(setting.value);

/** `*` and `*@domain` are patterns of ours, too; other globs are not. */
function senderOf(from: string): string | null {
  if (!/[*?[%]/.test(from)) return /@/.test(from) ? from : null;
  return /^\*@[^*?[%]+$/.test(from) ? from : null;
}

function hostOf(source: SourceFile, { name, line, settings }: MsmtpAccount, collected: Notes): HostPlan | null {
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

  const policy: TomlTable = isTls && !implicit ? { ...REQUIRED } : {};
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
  return { url, tls: policy, auth: readAuthSettings(source, settings, collected), ...(Object.keys(link).length > 0 ? { link } : {}) };
}

/** Its proxies speak SOCKS5 without credentials, on port 1080 unless another is written. */
function linkOf(source: SourceFile, settings: MsmtpAccount['settings'], collected: Notes): TomlTable {
  const link: TomlTable = {};
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

function tlsOf(source: SourceFile, settings: MsmtpAccount['settings'], collected: Notes): TomlTable {
  const tls: TomlTable = {};
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

function readAuthSettings(source: SourceFile, settings: MsmtpAccount['settings'], collected: Notes): TomlTable | null {
  const auth = settings.get('auth');
  if (!auth || auth.value.toLowerCase() === 'off') return null;
  const user = settings.get('user');
  const credentials: TomlTable = { user: user?.value ?? '' };
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
function topOf(source: SourceFile, { settings }: MsmtpAccount, beside: Beside, collected: Notes): TomlTable {
  const top: TomlTable = {};
  const lineOf = (key: string): number => settings.get(key)?.line ?? 0;
  const map = (key: string, ours: string, value: TomlValue): void => {
    top[ours] = value;
    collected.mapped(source, lineOf(key), key, ours);
  };
  const mailname = (text: string): string => text.replaceAll('%M', () => beside('/etc/mailname')?.text.split(/\r?\n/)[0] || '%M');
  for (const [key, { line, value }] of settings) {
    const on = isOn(settings.get(key));
    const dropped = DROPPED[key];
    if (dropped) collected.dropped(source, line, key, dropped);
    else if (key === 'from') {
      const from = mailname(value.replaceAll('%U', '{login}'));
      if (/[*?[%]/.test(from)) collected.dropped(source, line, key, 'a pattern is no address of its own: write from');
      else map(key, 'from', from);
    } else if (key === 'domain') {
      const domain = mailname(value);
      if (/%/.test(domain) || domain === 'localhost') collected.approximated(source, line, key, 'hostname is the name of the host');
      else map(key, 'hostname', domain);
    } else if ((key === 'remove_bcc_headers' && !on) || (key === 'keepbcc' && on)) map(key, 'keep_bcc', true);
    else if (key === 'logfile' && value !== '') map(key, 'log', value === '-' ? 'stderr' : value);
    else if (key === 'syslog' && value.toLowerCase() !== 'off') {
      if (!settings.get('logfile')?.value) map(key, 'log', 'syslog');
      else collected.dropped(source, line, key, 'there is one log, and logfile is set');
    } else if (!HANDLED.has(key)) collected.dropped(source, line, key, 'it is not known');
  }
  return top;
}

interface Senders {
  readonly source: SourceFile;
  readonly settings: MsmtpAccount['settings'];
  readonly hosts: HostPlan[];
  readonly routers: RouterPlan[];
  readonly collected: Notes;
}

/** Who wins over -f, and over the From field. Where -f chooses an account, it is replaced behind that choice, or not at all. */
function senderIn(top: TomlTable, { source, settings, hosts, routers, collected }: Senders): void {
  const isChosen = routers.length > 0;
  const [auto, domain] = [settings.get('auto_from'), settings.get('maildomain')];
  const override = settings.get('allow_from_override');
  let forced: { readonly key: string; readonly line: number } | null = isOff(override)
    ? { key: 'allow_from_override', line: override?.line ?? 0 }
    : null;
  if (auto && isOn(auto) && domain?.value) {
    top.from = `{login}@${domain.value}`;
    forced = { key: 'auto_from', line: auto.line };
    collected.mapped(source, domain.line, 'maildomain', 'the domain of from');
  } else {
    if (auto && isOn(auto))
      collected.dropped(source, auto.line, 'auto_from', 'there is no maildomain: the login is qualified by qualify_domain');
    if (domain) collected.dropped(source, domain.line, 'maildomain', 'auto_from is not on');
  }
  const { from } = top;
  const [host] = hosts;
  if (forced && typeof from !== 'string') collected.dropped(source, forced.line, forced.key, 'there is no from that could win over -f');
  else if (forced && !isChosen) {
    top.force_reverse_path = true;
    collected.mapped(source, forced.line, forced.key, 'force_reverse_path');
  } else if (forced && host && typeof from === 'string' && !from.includes('{login}')) {
    const name = routerName(
      'default',
      routers.map((router) => router.settings.name as string),
    );
    routers.push({ settings: { name, driver: 'manualroute', errors_to: from }, hosts: [host] });
    hosts.length = 0;
    collected.mapped(source, forced.line, forced.key, `errors_to of the router "${name}", which has the smart host`);
  } else if (forced)
    collected.dropped(source, forced.line, forced.key, '-f chooses the account, and errors_to of a router knows no {login}');
  const header = settings.get('set_from_header');
  if (!header || !isOn(header)) return;
  if (from === undefined) collected.dropped(source, header.line, 'set_from_header', 'there is no from that could be set');
  else if (isChosen) collected.dropped(source, header.line, 'set_from_header', '-f chooses the account, and force_from would not let it');
  else {
    top.force_from = true;
    if (top.force_reverse_path === true) collected.mapped(source, header.line, 'set_from_header', 'force_from');
    else collected.approximated(source, header.line, 'set_from_header', 'force_from: from wins over -f as well');
    delete top.force_reverse_path;
  }
}

/** Read with the host. */
const IN_ADDRESS = new Set(['port', 'protocol', 'tls_starttls']);

/** Read by other functions, or with a value that is our default. */
const HANDLED = new Set([
  ...['host', 'port', 'protocol', 'socket', 'timeout', 'auth', 'user', 'password', 'passwordeval', 'auto_from'],
  ...['tls', 'tls_starttls', 'tls_trust_file', 'tls_fingerprint', 'tls_key_file', 'tls_cert_file', 'tls_certcheck', 'tls_host_override'],
  ...['proxy_host', 'proxy_port', 'source_ip'],
  ...['allow_from_override', 'set_from_header', 'remove_bcc_headers', 'keepbcc', 'syslog', 'logfile', 'aliases', 'maildomain'],
]);
