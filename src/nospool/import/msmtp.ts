/**
 * msmtprc (msmtp 1.8): the default account becomes `smarthosts`, accounts with a `from` become routes by sender.
 */
import { isIPv4, isIPv6 } from '../../smtp/path.ts';
import type { HostPlan, RouterPlan, TomlTable, TomlValue } from '../print-config.ts';
import {
  ADDS_MESSAGE_ID,
  hostOf,
  mechanismOf,
  NO_IP_ADDRESS,
  NOT_KNOWN,
  NOT_SHA_256,
  NULL_STAYS,
  PASSWORD_IN_FILE,
  portOr,
  REQUIRED,
  routerName,
  STRONGEST_MECHANISM,
  sha256Of,
  TLS_REQUIRED,
  turnOffAliases,
  urlOf,
} from './counterparts.ts';
import {
  collectNotes,
  type FindFile,
  type ForeignFile,
  type Notes,
  numberLines,
  type Translation,
  type WrittenSetting,
} from './foreign-file.ts';
import { isOff, isOn, type MsmtpAccount, readAccounts } from './msmtp-accounts.ts';

/** Why a key has no counterpart, or what to do in its place. */
const WITHOUT_COUNTERPART: Readonly<Record<string, string>> = {
  tls_crl_file: 'revocation lists are not read; fingerprint pins a certificate',
  tls_priorities: 'the syntax is that of GnuTLS; only min_version is here',
  tls_min_dh_prime_bits: 'the TLS library decides that',
  ntlmdomain: 'NTLM is not spoken',
  from_full_name: 'the name is that of the password database; -F and $NAME override it',
  set_date_header: 'Date is added where it is missing',
  set_msgid_header: ADDS_MESSAGE_ID,
  set_to_header: 'To is not added',
  add_missing_from_header: 'From is added where it is missing',
  add_missing_date_header: 'Date is added where it is missing',
  undisclosed_recipients: 'To is not added',
  dsn_notify: 'give -N to each call',
  dsn_return: 'give -R to each call',
  logfile_time_format: 'the time has the form of Exim or, in JSON, of RFC 3339',
};

export function importMsmtp(file: ForeignFile, findFile: FindFile): Translation {
  const notes = collectNotes();
  const accounts = readAccounts(file, notes);
  const used = new Map<string, MsmtpAccount>();
  for (const account of accounts)
    if (used.has(account.name)) notes.dropped(file, account.line, `account ${account.name}`, 'an earlier account has that name');
    else used.set(account.name, account);
  const standard = used.get('default') ?? (used.size === 1 ? [...used.values()][0] : undefined);

  const top: TomlTable = {};
  const timeouts: TomlTable = {};
  const hosts: HostPlan[] = [];
  if (standard) {
    const host = readHost(file, standard, notes);
    if (host) hosts.push(host);
    Object.assign(top, readTop(file, standard, findFile, notes));
    const timeout = standard.settings.get('timeout');
    if (timeout && /^\d+$/.test(timeout.value) && Number(timeout.value) > 0) {
      timeouts.connect = `${timeout.value}s`;
      notes.approximated(file, timeout.line, 'timeout', 'timeouts.connect; the other time-outs are those of RFC 5321');
    }
  } else {
    notes.dropped(file, 0, 'account default', 'there is no default account: write smarthosts');
  }
  const { routers, alive } = makeRouters(file, [...used.values()], standard, hosts[0], notes);
  if (standard) setSender(top, { file, settings: standard.settings, hosts, routers, notes });
  const aliases = standard?.settings.get('aliases');
  if (aliases && aliases.value !== '') setAliases(file, aliases, findFile, { top, routers, notes });
  else turnOffAliases(top, routers, { notes, file, program: 'msmtp' });
  notes.approximated(
    file,
    0,
    'recipients',
    'one without a domain gets qualify_recipient, or the name of this host; msmtp sends the bare name, that of -f as well',
  );
  noteTheRest(file, accounts, alive, notes);
  return { plan: { remarks: [], top, hosts, timeouts, routers, rewrite: {} }, notes };
}

interface Routed {
  readonly routers: RouterPlan[];
  /** The accounts that are not dropped. Settings that only others have are without effect. */
  readonly alive: ReadonlySet<MsmtpAccount>;
}

/**
 * Routers for the accounts other than the default one, which -f chooses. Of several accounts with the same `from`, written or
 * copied, msmtp takes the first of the file.
 */
function makeRouters(
  file: ForeignFile,
  accounts: readonly MsmtpAccount[],
  standard: MsmtpAccount | undefined,
  standardHost: HostPlan | undefined,
  notes: Notes,
): Routed {
  const routers: RouterPlan[] = [];
  const alive = new Set(standard && standardHost ? [standard] : []);
  const owners = new Map<string, MsmtpAccount>();
  for (const account of accounts) {
    const from = account.settings.get('from');
    const pattern = from ? patternOf(from.value) : null;
    if (pattern !== null && !owners.has(pattern.toLowerCase())) owners.set(pattern.toLowerCase(), account);
  }
  for (const account of accounts) {
    if (account === standard) continue;
    const key = `account ${account.name}`;
    // Its settings are mapped only if the account is.
    const ofHost = collectNotes();
    const host = readHost(file, account, ofHost);
    if (!host) {
      notes.take(ofHost);
      continue;
    }
    const keep = (): void => {
      alive.add(account);
      notes.take(ofHost);
    };
    if (JSON.stringify(host) === JSON.stringify(standardHost)) {
      keep();
      notes.mapped(file, account.line, key, 'its smart host is that of the default account');
      continue;
    }
    const from = account.settings.get('from');
    const pattern = from ? patternOf(from.value) : null;
    const owner = pattern === null ? undefined : owners.get(pattern.toLowerCase());
    if (!from) notes.dropped(file, account.line, key, 'without from it was used with -a only');
    else if (pattern === null) notes.dropped(file, from.line, key, `from ${from.value} is no sender that a router can match`);
    else if (owner !== account)
      notes.dropped(
        file,
        account.own.has('from') ? from.line : account.line,
        key,
        `account ${owner?.name} comes before it and has the same from, so it was used with -a only`,
      );
    else if (standard && patternOf(standard.settings.get('from')?.value ?? '')?.toLowerCase() === pattern.toLowerCase())
      notes.dropped(
        file,
        account.line,
        key,
        `the default account has the same from, ${pattern}: its mail goes there, where msmtp sends it here if -f is given`,
      );
    else {
      keep();
      const name = routerName(account.name, routers);
      routers.push({ settings: { name, driver: 'manualroute', senders: [pattern] }, hosts: [host] });
      notes.mapped(file, from.line, key, `router "${name}", for the sender ${pattern}`);
      if (!pattern.startsWith('*') && !pattern.includes('+'))
        notes.approximated(file, from.line, key, `msmtp takes ${pattern.replace('@', '+…@')} for it, too; add such senders to the router`);
    }
  }
  return { routers, alive };
}

interface Aliased {
  readonly top: TomlTable;
  readonly routers: RouterPlan[];
  readonly notes: Notes;
}

/**
 * Names the alias file where it means the same to us. msmtp ends an entry at any "#", reads an indented one, and takes
 * "default" for all other names, so the entries of a file with one of these go into the configuration.
 *
 * msmtp has aliases for recipients without a domain. With a "default" these get a domain that no mailbox has, because
 * `*` would take the mail of everybody at the name of this host, which may be that of the whole company.
 */
function setAliases(file: ForeignFile, { line, value }: WrittenSetting, findFile: FindFile, { top, routers, notes }: Aliased): void {
  const name = routerName('aliases', routers);
  const found = value.startsWith('/') ? findFile(value) : null;
  const entries = found ? readMsmtpAliases(found) : null;
  if (found === null)
    notes.approximated(file, line, 'aliases', 'it was not read: write "*:" for an entry "default:", and no comment behind an entry');
  if (entries?.isOwn) {
    const takesAll = entries.byName.has('default');
    const data = Object.fromEntries([...entries.byName].map(([alias, to]) => [alias === 'default' ? '*' : alias, to]));
    routers.unshift({ settings: { name, driver: 'redirect', ...(takesAll ? { domains: [LOCAL] } : {}) }, data });
    if (takesAll) top.qualify_recipient = LOCAL;
    const own = 'comments, indented entries or "default"';
    notes.mapped(file, line, 'aliases', `router "${name}" has the entries of ${value}, in which ${own} are msmtp's own`);
  } else if (routers.length > 0) {
    routers.unshift({ settings: { name, driver: 'redirect', file: value } });
    notes.mapped(file, line, 'aliases', `router "${name}"`);
  } else {
    top.aliases = [value];
    notes.mapped(file, line, 'aliases', 'aliases');
  }
  const where = top.qualify_recipient === LOCAL ? `${LOCAL}, which bare recipients get` : 'the name of this host, or at localhost';
  notes.approximated(file, line, 'aliases', `they hold for recipients at ${where}; msmtp has them for bare ones alone`);
}

const LOCAL = 'localhost';

/** Entries by their names; `isOwn` = only msmtp reads the file so. */
function readMsmtpAliases(file: ForeignFile): { readonly byName: ReadonlyMap<string, string>; readonly isOwn: boolean } {
  const byName = new Map<string, string>();
  let isOwn = false;
  for (const { text } of numberLines(file)) {
    const [entry = ''] = text.split('#', 1);
    const [name = '', to = ''] = entry.split(':').map((part) => part.trim());
    if (name === '' || to === '') continue;
    isOwn ||= name === 'default' || entry.length < text.length || /^\s/.test(text);
    if (!byName.has(name)) byName.set(name, to);
  }
  return { byName, isOwn };
}

/** Adds a note for every setting that has none yet. */
function noteTheRest(file: ForeignFile, accounts: readonly MsmtpAccount[], alive: ReadonlySet<MsmtpAccount>, notes: Notes): void {
  const noted = new Set(notes.list.map(({ place }) => place));
  const left = new Map(
    [...accounts.filter((account) => !alive.has(account)), ...alive].flatMap((account) =>
      [...account.settings].map(([key, { line, value }]) => [line, { account, key, line, value }] as const),
    ),
  );
  for (const { account, key, line, value } of left.values()) {
    if (noted.has(`${file.path}:${line}`)) continue;
    if (!alive.has(account)) {
      notes.dropped(file, line, key, `account ${account.name} is dropped`);
      continue;
    }
    const why = WITHOUT_COUNTERPART[key];
    if (why) notes.dropped(file, line, key, why);
    else if (IN_ADDRESS.has(key)) notes.mapped(file, line, key, 'part of the smart host');
    else if (key === 'set_from_header' && /^off$/i.test(value)) notes.approximated(file, line, key, 'From is added where it is missing');
    else if (HANDLED.has(key) && /^(on|off|auto|system|)$/i.test(value)) notes.mapped(file, line, key, 'as it is without a key');
    else notes.dropped(file, line, key, HANDLED.has(key) ? 'it has no effect on this account' : 'it holds for the default account only');
  }
}

/** `from` as a pattern of `senders`, which has `*` and `*@domain` only; null for another glob. */
function patternOf(from: string): string | null {
  if (!/[*?[%]/.test(from)) return /@/.test(from) ? from : null;
  return /^\*@[^*?[%]+$/.test(from) ? from : null;
}

function readHost(file: ForeignFile, { name, line, settings }: MsmtpAccount, notes: Notes): HostPlan | null {
  const host = settings.get('host');
  const socket = settings.get('socket');
  if (!host && !socket) {
    notes.dropped(file, line, `account ${name}`, 'it has no host');
    return null;
  }
  const lmtp = settings.get('protocol')?.value.toLowerCase() === 'lmtp';
  const tls = settings.get('tls');
  const isTls = isOn(tls);
  const starttls = settings.get('tls_starttls');
  const implicit = isTls && starttls !== undefined && !isOn(starttls);
  const written = settings.get('port');
  const usual = lmtp ? 24 : implicit ? 465 : 25;
  const port = portOr(usual, written?.value ?? '', (text) => notes.approximated(file, written?.line ?? 0, 'port', text));
  const url = socket
    ? `${lmtp ? 'lmtp+' : ''}unix:${socket.value}`
    : urlOf((host as WrittenSetting).value, port, lmtp ? 'lmtp' : implicit ? 'tls' : 'smtp');
  const at = (host ?? socket) as WrittenSetting;
  notes.mapped(file, at.line, host ? 'host' : 'socket', url);

  const policy: TomlTable = isTls && !implicit ? { ...REQUIRED } : {};
  if (isTls) notes.mapped(file, (tls as WrittenSetting).line, 'tls', implicit ? 'submissions://' : TLS_REQUIRED);
  else
    notes.approximated(
      file,
      tls?.line ?? 0,
      'tls',
      `was off for "${name}"; TLS is now required, except on loopback: tls.mode = "off" undoes that`,
    );
  Object.assign(policy, readTls(file, settings, notes));
  const link = socket ? {} : readLinkKeys(file, settings, notes);
  return { url, tls: policy, auth: readAuthSettings(file, settings, notes), ...(Object.keys(link).length > 0 ? { link } : {}) };
}

/** The proxies of msmtp speak SOCKS5 without credentials, on port 1080 unless another is written. */
function readLinkKeys(file: ForeignFile, settings: MsmtpAccount['settings'], notes: Notes): TomlTable {
  const link: TomlTable = {};
  const [proxy, port, from] = [settings.get('proxy_host'), settings.get('proxy_port'), settings.get('source_ip')];
  if (proxy && proxy.value !== '') {
    let isPort = true;
    const number = portOr(1080, port?.value ?? '', (text) => {
      isPort = false;
      notes.approximated(file, port?.line ?? 0, 'proxy_port', text);
    });
    link.proxy = `socks5://${hostOf(proxy.value)}:${number}`;
    notes.mapped(file, proxy.line, 'proxy_host', `proxy = "${link.proxy}"`);
    if (port && port.value !== '' && isPort) notes.mapped(file, port.line, 'proxy_port', 'the port of proxy');
  }
  if (from && (isIPv4(from.value) || isIPv6(from.value))) {
    link.source_address = from.value;
    notes.mapped(file, from.line, 'source_ip', 'source_address');
  } else if (from && from.value !== '') notes.dropped(file, from.line, 'source_ip', NO_IP_ADDRESS);
  return link;
}

function readTls(file: ForeignFile, settings: MsmtpAccount['settings'], notes: Notes): TomlTable {
  const tls: TomlTable = {};
  const take = (key: string, ours: string): void => {
    const setting = settings.get(key);
    if (!setting || setting.value === '' || setting.value === 'system') return;
    tls[ours] = setting.value;
    notes.mapped(file, setting.line, key, `tls.${ours}`);
  };
  take('tls_cert_file', 'certificate');
  if (tls.certificate) take('tls_key_file', 'certificate_key');
  take('tls_host_override', 'server_name');
  const pin = settings.get('tls_fingerprint');
  const fingerprint = sha256Of(pin?.value ?? '');
  if (pin && fingerprint !== null) {
    tls.fingerprint = [fingerprint];
    notes.mapped(file, pin.line, 'tls_fingerprint', 'tls.fingerprint');
  } else {
    if (pin && pin.value !== '') notes.dropped(file, pin.line, 'tls_fingerprint', NOT_SHA_256);
    take('tls_trust_file', 'ca_file');
  }
  const check = settings.get('tls_certcheck');
  if (check && !isOn(check))
    notes.dropped(
      file,
      check.line,
      'tls_certcheck',
      'certificates are verified; pin this one with tls.fingerprint, which "nospool check" prints',
    );
  return tls;
}

function readAuthSettings(file: ForeignFile, settings: MsmtpAccount['settings'], notes: Notes): TomlTable | null {
  const auth = settings.get('auth');
  if (!auth || auth.value.toLowerCase() === 'off') return null;
  const user = settings.get('user');
  const credentials: TomlTable = { user: user?.value ?? '' };
  if (user) notes.mapped(file, user.line, 'user', 'auth.user');
  const word = auth.value.toLowerCase();
  const mechanism = mechanismOf(word);
  if (mechanism) {
    credentials.mechanisms = [mechanism];
    notes.mapped(file, auth.line, 'auth', `auth.mechanisms = ["${mechanism}"]`);
  } else if (word === 'on' || word === '') notes.mapped(file, auth.line, 'auth', STRONGEST_MECHANISM);
  else notes.approximated(file, auth.line, 'auth', `${word} is not spoken; ${STRONGEST_MECHANISM}`);
  const password = settings.get('password');
  const command = settings.get('passwordeval');
  if (password?.value) {
    credentials.password = password.value;
    notes.mapped(file, password.line, 'password', `auth.password; ${PASSWORD_IN_FILE}`);
    if (command) notes.dropped(file, command.line, 'passwordeval', 'password is written, too, and counts');
  } else if (command) {
    credentials.password_command = ['/bin/sh', '-c', command.value];
    notes.mapped(file, command.line, 'passwordeval', 'auth.password_command');
  } else if (mechanism !== 'EXTERNAL') {
    credentials.password_file = '~/.config/nospool/password';
    notes.approximated(
      file,
      (password ?? auth).line,
      'password',
      'it was in a keyring or in ~/.netrc: write it into ~/.config/nospool/password, mode 0600',
    );
  }
  if (!user) notes.approximated(file, auth.line, 'user', 'no user is written: fill in auth.user');
  return credentials;
}

/** Keys for the top of the file, from the default account. */
function readTop(file: ForeignFile, { settings }: MsmtpAccount, findFile: FindFile, notes: Notes): TomlTable {
  const top: TomlTable = {};
  const lineOf = (key: string): number => settings.get(key)?.line ?? 0;
  const map = (key: string, ours: string, value: TomlValue): void => {
    top[ours] = value;
    notes.mapped(file, lineOf(key), key, ours);
  };
  const mailname = (text: string): string => text.replaceAll('%M', () => findFile('/etc/mailname')?.text.split(/\r?\n/)[0] || '%M');
  for (const [key, { line, value }] of settings) {
    const on = isOn(settings.get(key));
    const dropped = WITHOUT_COUNTERPART[key];
    if (dropped) notes.dropped(file, line, key, dropped);
    else if (key === 'from' && isOn(settings.get('auto_from'))) notes.dropped(file, line, key, 'auto_from counts');
    else if (key === 'from') {
      const from = mailname(value.replaceAll('%U', '{login}'));
      if (/[*?[%]/.test(from)) notes.dropped(file, line, key, 'a pattern is no address of its own: write from');
      else map(key, 'from', from);
    } else if (key === 'domain') {
      const domain = mailname(value);
      if (/%/.test(domain) || domain === 'localhost') notes.approximated(file, line, key, 'hostname is the name of the host');
      else map(key, 'hostname', domain);
    } else if ((key === 'remove_bcc_headers' && !on) || (key === 'keepbcc' && on)) {
      top.keep_bcc = true;
      notes.approximated(file, line, key, 'keep_bcc; with -t no Bcc field stays');
    } else if (key === 'logfile' && value !== '') map(key, 'log', value === '-' ? 'stderr' : value);
    else if (key === 'syslog' && value.toLowerCase() !== 'off') {
      if (!settings.get('logfile')?.value) map(key, 'log', 'syslog');
      else notes.dropped(file, line, key, 'there is one log, and logfile is set');
    } else if (!HANDLED.has(key)) notes.dropped(file, line, key, NOT_KNOWN);
  }
  return top;
}

interface Senders {
  readonly file: ForeignFile;
  readonly settings: MsmtpAccount['settings'];
  readonly hosts: HostPlan[];
  readonly routers: RouterPlan[];
  readonly notes: Notes;
}

/** Makes `from` win over -f and over the From field. Where -f chooses an account, only a router may replace it behind that choice. */
function setSender(top: TomlTable, { file, settings, hosts, routers, notes }: Senders): void {
  const isChosen = routers.length > 0;
  const [auto, domain] = [settings.get('auto_from'), settings.get('maildomain')];
  const override = settings.get('allow_from_override');
  let forced: { readonly key: string; readonly line: number } | null = isOff(override)
    ? { key: 'allow_from_override', line: override?.line ?? 0 }
    : null;
  if (auto && isOn(auto)) {
    forced = { key: 'auto_from', line: auto.line };
    top.from = '{login}';
    if (domain?.value) {
      top.from += `@${domain.value}`;
      notes.mapped(file, domain.line, 'maildomain', 'the domain of from');
    } else notes.approximated(file, auto.line, 'auto_from', 'from = "{login}"; msmtp sends the bare login');
  } else if (domain) notes.dropped(file, domain.line, 'maildomain', 'auto_from is not on');
  const { from } = top;
  const [host] = hosts;
  if (forced && typeof from !== 'string') notes.dropped(file, forced.line, forced.key, 'there is no from that could win over -f');
  else if (forced && !isChosen) {
    top.force_reverse_path = true;
    notes.approximated(file, forced.line, forced.key, `force_reverse_path; ${NULL_STAYS}`);
  } else if (forced && host && typeof from === 'string' && !from.includes('{login}')) {
    const name = routerName('default', routers);
    routers.push({ settings: { name, driver: 'manualroute', errors_to: from }, hosts: [host] });
    hosts.length = 0;
    notes.mapped(file, forced.line, forced.key, `errors_to of the router "${name}", which has the smart host`);
  } else if (forced) notes.dropped(file, forced.line, forced.key, '-f chooses the account, and errors_to of a router knows no {login}');
  const header = settings.get('set_from_header');
  if (!header || !isOn(header)) return;
  if (from === undefined) notes.dropped(file, header.line, 'set_from_header', 'there is no from that could be set');
  else if (isChosen) notes.dropped(file, header.line, 'set_from_header', '-f chooses the account, and force_from would not let it');
  else {
    top.force_from = true;
    if (top.force_reverse_path === true) notes.mapped(file, header.line, 'set_from_header', 'force_from');
    else notes.approximated(file, header.line, 'set_from_header', 'force_from: from wins over -f as well');
    delete top.force_reverse_path;
  }
}

/** Keys that are read with the host. */
const IN_ADDRESS = new Set(['port', 'protocol', 'tls_starttls']);

/** Keys that other functions read, or whose value is our default. */
const HANDLED = new Set([
  ...['host', 'port', 'protocol', 'socket', 'timeout', 'auth', 'user', 'password', 'passwordeval', 'auto_from'],
  ...['tls', 'tls_starttls', 'tls_trust_file', 'tls_fingerprint', 'tls_key_file', 'tls_cert_file', 'tls_certcheck', 'tls_host_override'],
  ...['proxy_host', 'proxy_port', 'source_ip'],
  ...['allow_from_override', 'set_from_header', 'remove_bcc_headers', 'keepbcc', 'syslog', 'logfile', 'aliases', 'maildomain'],
]);
