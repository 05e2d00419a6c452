/**
 * ssmtp.conf and revaliases (ssmtp 2.64). ssmtp verifies no certificate; what is made here does.
 */
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
import type { HostPlan, RouterPlan, Settings } from './print.ts';

interface Line {
  readonly line: number;
  readonly key: string;
  readonly value: string;
}

export function importSsmtp(source: Source, revaliases: Source | null): Draft {
  const collected = notes();
  const settings = readSettings(source);
  const get = (key: string): string => settings.get(key)?.value ?? '';
  const isOn = (key: string): boolean => get(key).toLowerCase() === 'yes';
  const mapped = (key: string, text: string): void => {
    const setting = settings.get(key);
    if (setting) collected.mapped(source, setting.line, setting.key, text);
  };
  const approximated = (key: string, text: string): void =>
    collected.approximated(source, settings.get(key)?.line ?? 0, settings.get(key)?.key ?? key, text);

  const top: Settings = {};
  const routers: RouterPlan[] = [];
  const rewrite: Settings = {};
  const hub = get('mailhub') || 'mail';
  const protocol = isOn('usetls') && !isOn('usestarttls') ? 'tls' : 'smtp';
  const host: HostPlan = { url: hubUrl(hub, protocol), tls: tlsOf(settings, source, collected), auth: authOf(settings, source, collected) };
  if (settings.has('mailhub')) mapped('mailhub', host.url);
  else approximated('mailhub', 'the host "mail", as ssmtp takes it');
  if (isOn('usetls') || isOn('usestarttls')) {
    mapped('usetls', protocol === 'tls' ? 'submissions://' : 'tls.mode = "required"');
    mapped('usestarttls', 'tls.mode = "required"');
    approximated('tls', 'the certificate of the server is verified now');
  } else approximated('usetls', 'was off; TLS is now required, but on loopback: tls.mode = "off" undoes that');

  if (get('hostname')) {
    top.hostname = get('hostname');
    mapped('hostname', 'hostname');
  }
  const domain = get('rewritedomain') || get('hostname');
  if (get('rewritedomain')) {
    top.qualify_domain = domain;
    mapped('rewritedomain', 'qualify_domain');
  }
  if (!isOn('fromlineoverride')) {
    top.force_from = true;
    if (domain) top.from = `{login}@${domain}`;
    approximated('fromlineoverride', 'force_from = true: the sender is always the one of from, in the envelope, too');
  } else mapped('fromlineoverride', 'as it is without a key');

  const root = get('root');
  if (root) {
    routers.push({ settings: { name: 'root', driver: 'redirect' }, data: { root } });
    approximated('root', 'a router for root; ssmtp does it for all logins with a uid below 1000');
    collected.approximated(source, 0, 'aliases', '/etc/aliases is not used, because there is a router: give it a router of its own');
  } else if (settings.has('root')) mapped('root', 'as it is without a key');
  if (revaliases) readRevaliases(revaliases, { collected, rewrite, routers, host, hub, protocol });
  // `force_from` would undo what [rewrite] says of each login.
  if (Object.keys(rewrite).length > 0) {
    delete top.force_from;
    delete top.from;
    if (!top.qualify_domain && domain) top.qualify_domain = domain;
  }
  if (routers.length === 0) noteAliases(collected, source);
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
  ...['root', 'mailhub', 'hostname', 'rewritedomain', 'fromlineoverride', 'usetls', 'usestarttls', 'usetlscert', 'tlscert', 'tlskey'],
  ...['tls_ca_file', 'authuser', 'authpass', 'authmethod', ...Object.keys(DROPPED)],
]);

/** Keys in lower case: ssmtp does not regard case. The last one wins. */
function readSettings(source: Source): ReadonlyMap<string, Line> {
  const settings = new Map<string, Line>();
  for (const { line, text } of linesOf(source)) {
    const found = /^\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/.exec(text);
    if (!found) continue;
    const key = found[1] as string;
    // "#" ends a value, that of AuthPass, too.
    const value = (found[2] as string).replace(/\s*#.*$/, '');
    settings.set(key.toLowerCase(), { line, key, value });
  }
  return settings;
}

function hubUrl(hub: string, protocol: 'smtp' | 'tls'): string {
  const [, host = hub, port] = /^(.*?)(?::([^:\]]+))?$/.exec(hub) ?? [];
  return urlOf(host, portOf(port ?? '') ?? (protocol === 'tls' ? 465 : 25), protocol);
}

function tlsOf(settings: ReadonlyMap<string, Line>, source: Source, collected: Notes): Settings {
  const isOn = (key: string): boolean => settings.get(key)?.value.toLowerCase() === 'yes';
  const tls: Settings = isOn('usestarttls') ? { ...REQUIRED } : {};
  const certificate = settings.get('tlscert');
  const key = settings.get('tlskey');
  if (certificate && isOn('usetlscert')) {
    tls.certificate = certificate.value;
    collected.mapped(source, certificate.line, certificate.key, 'tls.certificate');
    if (key) {
      tls.certificate_key = key.value;
      collected.mapped(source, key.line, key.key, 'tls.certificate_key');
    }
  } else for (const unused of [certificate, key]) if (unused) collected.dropped(source, unused.line, unused.key, 'UseTLSCert is not on');
  const use = settings.get('usetlscert');
  if (use) collected.mapped(source, use.line, use.key, 'tls.certificate');
  const ca = settings.get('tls_ca_file');
  if (ca) {
    tls.ca_file = ca.value;
    collected.mapped(source, ca.line, ca.key, 'tls.ca_file');
  }
  return tls;
}

function authOf(settings: ReadonlyMap<string, Line>, source: Source, collected: Notes): Settings | null {
  const user = settings.get('authuser');
  const password = settings.get('authpass');
  const method = settings.get('authmethod');
  if (!user?.value) {
    for (const unused of [password, method]) if (unused) collected.dropped(source, unused.line, unused.key, 'there is no AuthUser');
    return null;
  }
  const auth: Settings = { user: user.value };
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

interface Revaliases {
  readonly collected: Notes;
  readonly rewrite: Settings;
  readonly routers: RouterPlan[];
  readonly host: HostPlan;
  readonly hub: string;
  readonly protocol: 'smtp' | 'tls';
}

/** `login:address[:mailhub[:port]]` */
function readRevaliases(source: Source, { collected, rewrite, routers, host, hub, protocol }: Revaliases): void {
  for (const { line, text } of linesOf(source)) {
    const [login, address, ...rest] = text.replace(/#.*$/, '').trim().split(':');
    if (!login || !address) continue;
    rewrite[login] = address;
    collected.mapped(source, line, login, `rewrite: ${address}`);
    const own = rest.join(':');
    if (own === '' || own === hub) continue;
    const url = hubUrl(own, protocol);
    const name = routerName(
      login,
      routers.map((router) => router.settings.name as string),
    );
    // ssmtp gives every hub the same password. Here each other hub must be told.
    const auth = host.auth === null ? null : 'none';
    routers.push({ settings: { name, driver: 'manualroute', senders: [address] }, hosts: [{ url, tls: host.tls, auth }] });
    if (auth === null) collected.mapped(source, line, login, `router "${name}", to ${url}`);
    else
      collected.approximated(
        source,
        line,
        login,
        `router "${name}", to ${url}, without the password: write its own, or auth = "default" if it may see that of ${hub}`,
      );
  }
}
