/**
 * ssmtp.conf and revaliases (ssmtp 2.64, as Debian has it). ssmtp verifies no certificate; what is made here does.
 */

import type { HostPlan, RouterPlan, TomlTable } from '../print-config.ts';
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
  readonly key: string;
  readonly value: string;
}

export function importSsmtp(source: SourceFile, beside: Beside): Translation {
  const collected = notes();
  const settings = readSettings(source, collected);
  const get = (key: string): string => settings.get(key)?.value ?? '';
  const isOn = (key: string): boolean => get(key).toLowerCase() === 'yes';
  const mapped = (key: string, text: string): void => {
    const setting = settings.get(key);
    if (setting) collected.mapped(source, setting.line, setting.key, text);
  };
  const approximated = (key: string, text: string): void =>
    collected.approximated(source, settings.get(key)?.line ?? 0, settings.get(key)?.key ?? key, text);

  const top: TomlTable = {};
  const routers: RouterPlan[] = [];
  const rewrite: TomlTable = {};
  const hub = hubOf(settings);
  const security = securityOf(settings);
  const host: HostPlan = {
    url: urlOf(hub.name, hub.port, security === 'tls' ? 'tls' : 'smtp'),
    tls: tlsOf(settings, security, source, collected),
    auth: readAuthSettings(settings, source, collected),
  };
  if (settings.has('mailhub')) mapped('mailhub', host.url);
  else approximated('mailhub', 'the host "mailhub", as ssmtp takes it');
  mapped('remoteport', host.url);
  if (security === 'none') approximated('usetls', 'was off; TLS is now required, but on loopback: tls.mode = "off" undoes that');
  else {
    mapped('usetls', security === 'tls' ? 'submissions://' : 'tls.mode = "required"');
    mapped('usestarttls', security === 'tls' ? 'submissions://' : 'tls.mode = "required"');
    approximated('tls', 'the certificate of the server is verified now');
  }

  if (get('hostname')) {
    top.hostname = get('hostname');
    mapped('hostname', 'hostname');
  }
  const domain = get('rewritedomain').replace(/^.*@/, '') || get('hostname');
  if (domain) {
    top.qualify_domain = domain;
    mapped('rewritedomain', 'qualify_domain');
  }
  if (isOn('fromlineoverride'))
    approximated(
      'fromlineoverride',
      'ssmtp takes the envelope sender from the From field and never from -f; here -f, else from, else the login at qualify_domain: set from, or have the callers give -f',
    );
  else {
    // From is what {login} is qualified to without a key, too, but without one nothing would win over -f.
    top.from = domain ? `{login}@${domain}` : '{login}';
    top.force_reverse_path = true;
    mapped('fromlineoverride', 'force_reverse_path = true: -f is not obeyed, and the From field stays as it is');
  }

  const root = get('root');
  if (root) {
    const logins = systemLogins(beside('/etc/passwd'));
    routers.push({ settings: { name: 'root', driver: 'redirect' }, data: Object.fromEntries(logins.map((login) => [login, root])) });
    mapped('root', `a router for the ${logins.length} logins of this host with a uid below 1000; those that come later are not in it`);
    collected.approximated(
      source,
      settings.get('root')?.line ?? 0,
      'root',
      'it also takes them where this host is written as their domain',
    );
  } else mapped('root', 'as it is without a key');
  const revaliases = beside('revaliases');
  if (revaliases) readRevaliases(revaliases, { collected, rewrite, routers, host, hub, security });
  withoutAliases(top, routers, { collected, source, program: 'ssmtp' });
  for (const [key, why] of Object.entries(DROPPED)) {
    const setting = settings.get(key);
    if (setting) collected.dropped(source, setting.line, setting.key, why);
  }
  for (const [key, setting] of settings) if (!KNOWN.has(key)) collected.dropped(source, setting.line, setting.key, 'it is not known');
  return { plan: { remarks: [], top, hosts: [host], timeouts: {}, routers, rewrite }, notes: collected };
}

const DROPPED: Readonly<Record<string, string>> = {
  addheader: 'write headers_add in a [[router]]',
  debug: 'give -v to a call',
  useoldauth: 'AUTH is spoken as RFC 4954 has it',
  tls_ca_dir: 'write ca_file, one file with all certificates',
};

const KNOWN = new Set([
  ...['root', 'mailhub', 'remoteport', 'hostname', 'rewritedomain', 'fromlineoverride', 'usetls', 'usestarttls', 'usetlscert'],
  ...['tlscert', 'tlskey', 'tls_ca_file', 'authuser', 'authpass', 'authmethod', ...Object.keys(DROPPED)],
]);

/** Of these the first line counts, because arguments of a call come before them; of all others the last. */
const FIRST_COUNTS = new Set(['authuser', 'authpass', 'authmethod']);

/** Keys in lower case: ssmtp does not regard case. In the order of the file. */
function readSettings(source: SourceFile, collected: Notes): ReadonlyMap<string, Line> {
  const settings = new Map<string, Line>();
  for (const { line, text } of linesOf(source)) {
    // "#" begins a comment anywhere, within a password, too.
    const found = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(text.replace(/#.*$/, ''));
    if (!found) continue;
    const written = found[1] as string;
    const key = written.toLowerCase();
    const [value = ''] = key === 'addheader' ? [found[2]] : (found[2] as string).split(/[=\s]/, 1);
    if (key !== 'addheader' && value !== found[2])
      collected.approximated(source, line, written, 'ssmtp reads a value up to the first blank or "=", and so it was read');
    const before = settings.get(key);
    if (before && FIRST_COUNTS.has(key)) {
      collected.dropped(source, line, written, `line ${before.line} is the first, and counts`);
      continue;
    }
    if (before) collected.dropped(source, before.line, before.key, `line ${line} comes later, and counts`);
    // What comes later stands later, also in the map.
    settings.delete(key);
    settings.set(key, { line, key: written, value });
  }
  return settings;
}

interface Hub {
  readonly name: string;
  readonly port: number;
}

/** The later one of MailHub with a port and RemotePort says the port. */
function hubOf(settings: ReadonlyMap<string, Line>): Hub {
  const [, name = '', written] = /^(.*?)(?::([^:\]]+))?$/.exec(settings.get('mailhub')?.value || 'mailhub') ?? [];
  const remote = settings.get('remoteport');
  const isLater = remote && (written === undefined || remote.line > (settings.get('mailhub')?.line ?? 0));
  return { name, port: portOf((isLater ? remote.value : written) ?? '') ?? 25 };
}

/** UseSTARTTLS turns TLS on, UseTLS = NO turns both off: the order of the lines counts. */
function securityOf(settings: ReadonlyMap<string, Line>): 'none' | 'starttls' | 'tls' {
  let [tls, starttls] = [false, false];
  for (const [key, { value }] of settings) {
    const isOn = value.toLowerCase() === 'yes';
    if (key === 'usetls') [tls, starttls] = [isOn, isOn && starttls];
    else if (key === 'usestarttls') [tls, starttls] = [tls || isOn, isOn];
  }
  return tls ? (starttls ? 'starttls' : 'tls') : 'none';
}

function tlsOf(
  settings: ReadonlyMap<string, Line>,
  security: ReturnType<typeof securityOf>,
  source: SourceFile,
  collected: Notes,
): TomlTable {
  const tls: TomlTable = security === 'starttls' ? { ...REQUIRED } : {};
  const certificate = settings.get('tlscert');
  const key = settings.get('tlskey');
  const use = settings.get('usetlscert');
  if (use?.value.toLowerCase() === 'yes') {
    tls.certificate = certificate?.value ?? '/etc/ssl/certs/ssmtp.pem';
    if (certificate) collected.mapped(source, certificate.line, certificate.key, 'tls.certificate');
    if (key) {
      tls.certificate_key = key.value;
      collected.mapped(source, key.line, key.key, 'tls.certificate_key');
    }
  } else for (const unused of [certificate, key]) if (unused) collected.dropped(source, unused.line, unused.key, 'UseTLSCert is not on');
  if (use) collected.mapped(source, use.line, use.key, 'tls.certificate');
  const ca = settings.get('tls_ca_file');
  if (ca) {
    tls.ca_file = ca.value;
    collected.mapped(source, ca.line, ca.key, 'tls.ca_file');
  }
  return tls;
}

function readAuthSettings(settings: ReadonlyMap<string, Line>, source: SourceFile, collected: Notes): TomlTable | null {
  const user = settings.get('authuser');
  const password = settings.get('authpass');
  const method = settings.get('authmethod');
  if (!user?.value) {
    for (const unused of [password, method]) if (unused) collected.dropped(source, unused.line, unused.key, 'there is no AuthUser');
    return null;
  }
  const auth: TomlTable = { user: user.value };
  collected.mapped(source, user.line, user.key, 'auth.user');
  const mechanism = method && mechanismOf(method.value);
  if (method && mechanism === 'LOGIN') collected.mapped(source, method.line, method.key, 'the strongest mechanism that both sides have');
  else if (method && mechanism) {
    auth.mechanisms = [mechanism];
    collected.mapped(source, method.line, method.key, 'auth.mechanisms');
  } else if (method) collected.approximated(source, method.line, method.key, 'the strongest mechanism that both sides have');
  if (password?.value) {
    auth.password = password.value;
    collected.mapped(
      source,
      password.line,
      password.key,
      `auth.password, which ends before any "#"; better in a file of its own, named by auth.password_file`,
    );
  } else {
    auth.password_file = '/etc/nospool/password';
    collected.approximated(source, user.line, 'AuthPass', 'no password is written: put it into /etc/nospool/password');
  }
  return auth;
}

/** The last uid of the system's own accounts. */
const LAST_SYSTEM_UID = 999;

/** Who has no mail of their own: "root" goes for all of them. */
function systemLogins(passwd: SourceFile | null): readonly string[] {
  const logins = (passwd?.text ?? '').split('\n').flatMap((line) => {
    const [login = '', , uid = ''] = line.split(':');
    return /^\d+$/.test(uid) && Number(uid) <= LAST_SYSTEM_UID && login !== '' ? [login] : [];
  });
  return [...new Set(['root', ...logins])];
}

interface Revaliases {
  readonly collected: Notes;
  readonly rewrite: TomlTable;
  readonly routers: RouterPlan[];
  readonly host: HostPlan;
  readonly hub: Hub;
  readonly security: ReturnType<typeof securityOf>;
}

/** `login:address[:mailhub[:port]]`; the last line of a login counts. */
function readRevaliases(source: SourceFile, { collected, rewrite, routers, host, hub, security }: Revaliases): void {
  const last = new Map<string, { readonly line: number; readonly parts: readonly string[] }>();
  for (const { line, text } of linesOf(source)) {
    const [login = '', ...parts] = text
      .replace(/#.*$/, '')
      .trim()
      .split(/\s*:\s*/);
    if (login === '' || parts.length === 0) continue;
    const before = last.get(login);
    if (before) collected.dropped(source, before.line, login, `line ${line} comes later, and counts`);
    last.set(login, { line, parts });
  }
  for (const [login, { line, parts }] of last) {
    const [address = '', name = hub.name, written = ''] = parts;
    if (address === '') continue;
    rewrite[login] = address;
    collected.mapped(source, line, login, `rewrite: ${address}`);
    collected.approximated(source, line, login, 'the From field is rewritten as well where it names that login; ssmtp leaves it');
    const port = portOf(written) ?? hub.port;
    if (name === hub.name && port === hub.port) continue;
    const url = urlOf(name, port, security === 'tls' ? 'tls' : 'smtp');
    const router = routerName(
      login,
      routers.map(({ settings }) => settings.name as string),
    );
    routers.push({
      settings: { name: router, driver: 'manualroute', senders: [address] },
      hosts: [{ url, tls: host.tls, auth: host.auth === null ? null : 'default' }],
    });
    collected.mapped(source, line, login, `router "${router}", to ${url}${host.auth === null ? '' : ', with the same password'}`);
  }
}
