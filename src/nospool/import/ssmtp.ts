/**
 * ssmtp.conf and revaliases (ssmtp 2.64, as Debian has it). ssmtp verifies no certificate; the configuration made here does.
 */

import type { HostPlan, RouterPlan, TomlTable } from '../print-config.ts';
import {
  mechanismOf,
  NO_PASSWORD,
  NOT_KNOWN,
  NULL_STAYS,
  PASSWORD_IN_FILE,
  portOr,
  REQUIRED,
  routerName,
  STRONGEST_MECHANISM,
  splitHost,
  TLS_REQUIRED,
  TLS_WAS_OFF,
  turnOffAliases,
  urlOf,
} from './counterparts.ts';
import {
  collectNotes,
  type FindFile,
  type ForeignFile,
  type Notes,
  noteSettings,
  numberLines,
  printLaterCounts,
  type SettingNotes,
  setLast,
  type Translation,
  type WrittenSetting,
  type WrittenSettings,
} from './foreign-file.ts';

/** A blank before a key or a login, or beside "=". */
const HIDDEN = 'ssmtp does not see it, because of the blank; now it counts';

export function importSsmtp(file: ForeignFile, findFile: FindFile): Translation {
  const notes = collectNotes();
  const settings = readSettings(file, notes);
  const get = (key: string): string => settings.get(key)?.value ?? '';
  const isOn = (key: string): boolean => get(key).toLowerCase() === 'yes';
  const noted = noteSettings(file, settings, notes);
  const { map, approximate, drop } = noted;

  const top: TomlTable = {};
  const routers: RouterPlan[] = [];
  const rewrite: TomlTable = {};
  const hub = readHub(settings, noted);
  const security = readSecurity(settings);
  const host: HostPlan = {
    url: urlOf(hub.name, hub.port, security === 'tls' ? 'tls' : 'smtp'),
    tls: readTls(settings, security, noted),
    auth: readAuthSettings(file, settings, notes),
  };
  if (settings.has('mailhub')) map('mailhub', host.url);
  else approximate('mailhub', 'the host "mailhub", as ssmtp takes it');
  map('remoteport', host.url);
  if (security === 'none') approximate('usetls', TLS_WAS_OFF);
  else {
    map('usetls', security === 'tls' ? 'submissions://' : TLS_REQUIRED);
    map('usestarttls', security === 'tls' ? 'submissions://' : TLS_REQUIRED);
    approximate('tls', 'the certificate of the server is verified now');
  }

  if (get('hostname')) {
    top.hostname = get('hostname');
    map('hostname', 'hostname');
  }
  const domain = get('rewritedomain').replace(/^.*@/, '') || get('hostname');
  if (domain) {
    top.qualify_domain = domain;
    map('rewritedomain', 'qualify_domain');
  }
  if (isOn('fromlineoverride'))
    approximate(
      'fromlineoverride',
      'ssmtp takes the envelope sender from the From field and never from -f; here -f, else from, else the login at qualify_domain: set from, or have the callers give -f',
    );
  else {
    // Without the key the sender would be the same address, but -f would win over it.
    top.from = domain ? `{login}@${domain}` : '{login}';
    top.force_reverse_path = true;
    approximate('fromlineoverride', `force_reverse_path: -f is not obeyed, and the From field stays as it is; ${NULL_STAYS}`);
  }

  const root = get('root');
  if (root) {
    const logins = systemLogins(findFile('/etc/passwd'));
    routers.push({ settings: { name: 'root', driver: 'redirect' }, data: Object.fromEntries(logins.map((login) => [login, root])) });
    map(
      'root',
      `a router for the ${logins.length} logins of this host with a uid below 1000; it does not know logins that are added later`,
    );
    const names = [...new Set([domain, get('hostname') || 'the name of this host', 'localhost'])].filter(Boolean);
    approximate('root', `the router also takes mail in which ${names.join(' or ')} is written behind such a login; ssmtp does not`);
  } else map('root', 'as it is without a key');
  const revaliases = findFile('revaliases');
  if (revaliases) readRevaliases(revaliases, { notes, rewrite, routers, host, hub, security });
  turnOffAliases(top, routers, { notes, file, program: 'ssmtp' });
  for (const [key, why] of Object.entries(WITHOUT_COUNTERPART)) drop(key, why);
  for (const key of settings.keys()) if (!KNOWN_KEYS.has(key)) drop(key, NOT_KNOWN);
  return { plan: { remarks: [], top, hosts: [host], timeouts: {}, routers, rewrite }, notes };
}

const WITHOUT_COUNTERPART: Readonly<Record<string, string>> = {
  addheader: 'write headers_add in a [[router]]',
  debug: 'give -v to a call',
  useoldauth: 'AUTH is spoken as RFC 4954 has it',
  tls_ca_dir: 'write ca_file, one file with all certificates',
};

const KNOWN_KEYS = new Set([
  ...['root', 'mailhub', 'remoteport', 'hostname', 'rewritedomain', 'fromlineoverride', 'usetls', 'usestarttls', 'usetlscert'],
  ...['tlscert', 'tlskey', 'tls_ca_file', 'authuser', 'authpass', 'authmethod', ...Object.keys(WITHOUT_COUNTERPART)],
]);

/** The first line of these keys counts, because arguments of a call come before them. Of all others the last line counts. */
const FIRST_COUNTS = new Set(['authuser', 'authpass', 'authmethod']);

/** Reads the settings in the order of the file, by keys in lower case, because ssmtp disregards case. */
function readSettings(file: ForeignFile, notes: Notes): WrittenSettings {
  const settings = new Map<string, WrittenSetting>();
  let port = '';
  for (const { line, text } of numberLines(file)) {
    // "#" begins a comment anywhere, even within a password.
    const found = /^([^=\s]+)\s*=\s*(.*)$/s.exec(text.replace(/#.*$/s, '').trim());
    if (!found) continue;
    const written = found[1] as string;
    const key = written.toLowerCase();
    const [read = ''] = key === 'addheader' ? [found[2]] : (found[2] as string).split(/[=\s]/, 1);
    if (key !== 'addheader' && read !== found[2])
      notes.approximated(file, line, written, 'it was read as ssmtp does, up to the first blank or "="');
    if (/^\s|^[^=]*\s=|^[^=]*=\s/.test(text)) notes.approximated(file, line, written, HIDDEN);
    const before = settings.get(key);
    if (before && FIRST_COUNTS.has(key)) {
      notes.dropped(file, line, written, `line ${before.line} is the first, and counts`);
      continue;
    }
    if (key === 'remoteport') port = read;
    else if (key === 'mailhub') port = splitHost(read).port || port;
    // A hub without a port keeps that of an earlier line.
    const value = key === 'mailhub' && read !== '' && port !== '' ? `${splitHost(read).name}:${port}` : read;
    setLast(settings, key, { line, key: written, value }, { file, notes });
  }
  return settings;
}

interface Hub {
  readonly name: string;
  readonly port: number;
}

/** The port is that of MailHub or of RemotePort, whichever comes later. */
function readHub(settings: WrittenSettings, { approximate }: SettingNotes): Hub {
  const { name, port } = splitHost(settings.get('mailhub')?.value || 'mailhub');
  const remote = settings.get('remoteport');
  const isLater = remote && (port === '' || remote.line > (settings.get('mailhub')?.line ?? 0));
  return { name, port: portOr(25, isLater ? remote.value : port, (text) => approximate(isLater ? 'remoteport' : 'mailhub', text)) };
}

/** UseSTARTTLS turns TLS on, and UseTLS = NO turns both off, so the order of the lines counts. */
function readSecurity(settings: WrittenSettings): 'none' | 'starttls' | 'tls' {
  let [tls, starttls] = [false, false];
  for (const [key, { value }] of settings) {
    const isOn = value.toLowerCase() === 'yes';
    if (key === 'usetls') [tls, starttls] = [isOn, isOn && starttls];
    else if (key === 'usestarttls') [tls, starttls] = [tls || isOn, isOn];
  }
  return tls ? (starttls ? 'starttls' : 'tls') : 'none';
}

function readTls(settings: WrittenSettings, security: ReturnType<typeof readSecurity>, { map, drop }: SettingNotes): TomlTable {
  const tls: TomlTable = security === 'starttls' ? { ...REQUIRED } : {};
  if (settings.get('usetlscert')?.value.toLowerCase() === 'yes') {
    tls.certificate = settings.get('tlscert')?.value || '/etc/ssl/certs/ssmtp.pem';
    map('tlscert', 'tls.certificate');
    const key = settings.get('tlskey');
    if (key?.value) tls.certificate_key = key.value;
    map('tlskey', 'tls.certificate_key');
  } else for (const key of ['tlscert', 'tlskey']) drop(key, 'UseTLSCert is not on');
  map('usetlscert', 'tls.certificate');
  const ca = settings.get('tls_ca_file');
  if (ca?.value) tls.ca_file = ca.value;
  map('tls_ca_file', 'tls.ca_file');
  return tls;
}

function readAuthSettings(file: ForeignFile, settings: WrittenSettings, notes: Notes): TomlTable | null {
  const { map, approximate, drop } = noteSettings(file, settings, notes);
  const user = settings.get('authuser');
  if (!user?.value) {
    for (const key of ['authpass', 'authmethod']) drop(key, 'there is no AuthUser');
    return null;
  }
  const auth: TomlTable = { user: user.value };
  map('authuser', 'auth.user');
  const method = settings.get('authmethod')?.value;
  const mechanism = method === undefined ? null : mechanismOf(method);
  if (mechanism === 'LOGIN') map('authmethod', STRONGEST_MECHANISM);
  else if (mechanism !== null) {
    auth.mechanisms = [mechanism];
    map('authmethod', 'auth.mechanisms');
  } else if (method !== undefined) approximate('authmethod', STRONGEST_MECHANISM);
  const password = settings.get('authpass')?.value ?? '';
  if (password !== '') {
    auth.password = password;
    map('authpass', `auth.password, which ends before any "#"; ${PASSWORD_IN_FILE}`);
  } else {
    auth.password_file = '/etc/nospool/password';
    notes.approximated(file, user.line, 'AuthPass', NO_PASSWORD);
  }
  return auth;
}

/** The last uid of the system's own accounts. */
const LAST_SYSTEM_UID = 999;

/** Logins whose mail goes to the address of Root. */
function systemLogins(passwd: ForeignFile | null): readonly string[] {
  const logins = (passwd?.text ?? '').split('\n').flatMap((line) => {
    const [login = '', , uid = ''] = line.split(':');
    return /^\d+$/.test(uid) && Number(uid) <= LAST_SYSTEM_UID && login !== '' ? [login] : [];
  });
  return [...new Set(['root', ...logins])];
}

interface Revaliases {
  readonly notes: Notes;
  readonly rewrite: TomlTable;
  readonly routers: RouterPlan[];
  readonly host: HostPlan;
  readonly hub: Hub;
  readonly security: ReturnType<typeof readSecurity>;
}

/** `login:address[:mailhub[:port]]`; the last line of a login counts. */
function readRevaliases(file: ForeignFile, { notes, rewrite, routers, host, hub, security }: Revaliases): void {
  const last = new Map<string, { readonly line: number; readonly parts: readonly string[] }>();
  for (const { line, text } of numberLines(file)) {
    const [login = '', ...written] = text
      .replace(/#.*$/, '')
      .split(':')
      .map((part) => part.trim());
    // ssmtp skips empty parts.
    const parts = written.filter((part) => part !== '');
    if (login === '' || parts.length === 0) continue;
    if (/^\s|^[^:]*\s:/.test(text)) notes.approximated(file, line, login, HIDDEN);
    const before = last.get(login);
    if (before) notes.dropped(file, before.line, login, printLaterCounts(line));
    last.set(login, { line, parts });
  }
  // Routers match addresses, so the first login of an address decides.
  const urls = new Map<string, string>();
  for (const [login, { line, parts }] of last) {
    const [address = '', name = hub.name, written = ''] = parts;
    if (address === '') continue;
    rewrite[login] = address;
    notes.mapped(file, line, login, `rewrite: ${address}`);
    notes.approximated(file, line, login, 'the From field is rewritten as well where it names that login; ssmtp leaves it');
    const port = portOr(hub.port, written, (text) => notes.approximated(file, line, login, text));
    const url = urlOf(name, port, security === 'tls' ? 'tls' : 'smtp');
    const before = urls.get(address);
    urls.set(address, before ?? url);
    if (before !== undefined && before !== url)
      notes.dropped(file, line, login, `an earlier login has this address, and its smart host, ${before}`);
    if (before !== undefined || url === host.url) continue;
    const router = routerName(login, routers);
    routers.push({
      settings: { name: router, driver: 'manualroute', senders: [address] },
      hosts: [{ url, tls: host.tls, auth: host.auth === null ? null : 'default' }],
    });
    notes.mapped(file, line, login, `router "${router}", to ${url}${host.auth === null ? '' : ', with the same password'}`);
  }
}
