/**
 * dma.conf and auth.conf (DragonFly Mail Agent). Without SMARTHOST dma delivers to the hosts of each recipient, for
 * which there is no counterpart.
 */
import { type Draft, linesOf, type Notes, notes, portOf, REQUIRED, type Source, urlOf } from './import-notes.ts';
import type { Settings } from './print.ts';

interface Line {
  readonly line: number;
  readonly value: string;
}

const DROPPED: Readonly<Record<string, string>> = {
  SPOOLDIR: 'there is no queue',
  DEFER: 'there is no queue: a message is delivered at once or fails',
  FULLBOUNCE: 'there are no bounces: the caller is told',
};

export function importDma(source: Source, auth: Source | null): Draft {
  const collected = notes();
  const settings = new Map<string, Line>();
  for (const { line, text } of linesOf(source)) {
    const found = /^\s*([A-Z_]+)(?:\s+(.*?))?\s*$/.exec(text.replace(/#.*$/, ''));
    if (found) settings.set(found[1] as string, { line, value: found[2] ?? '' });
  }
  const map = (key: string, text: string): void => {
    const setting = settings.get(key);
    if (setting) collected.mapped(source, setting.line, key, text);
  };
  const approximate = (key: string, text: string): void => collected.approximated(source, settings.get(key)?.line ?? 0, key, text);
  const drop = (key: string, text: string): void => {
    const setting = settings.get(key);
    if (setting) collected.dropped(source, setting.line, key, text);
  };

  const top: Settings = {};
  const name = settings.get('SMARTHOST')?.value ?? '';
  const secure = settings.has('SECURETRANSFER') || settings.has('SECURETRANS');
  const implicit = secure && !settings.has('STARTTLS');
  const port = portOf(settings.get('PORT')?.value ?? '') ?? 25;
  const tls: Settings = secure && !implicit ? { ...REQUIRED } : {};
  const url = urlOf(name, port, implicit ? 'tls' : 'smtp');
  if (name === '') collected.dropped(source, 0, 'SMARTHOST', 'without a smart host dma asks MX records; here smarthosts must be written');
  else map('SMARTHOST', url);
  map('PORT', 'part of the smart host');
  for (const key of ['SECURETRANSFER', 'SECURETRANS']) map(key, implicit ? 'submissions://' : 'tls.mode = "required"');
  if (secure) map('STARTTLS', 'tls.mode = "required"');
  else approximate('STARTTLS', 'TLS was off; it is now required, but on loopback: tls.mode = "off" undoes that');
  if (settings.has('OPPORTUNISTIC_TLS')) approximate('OPPORTUNISTIC_TLS', 'TLS is required; tls.mode = "opportunistic" undoes that');
  if (settings.has('VERIFYCERT')) map('VERIFYCERT', 'as it is without a key');
  else approximate('VERIFYCERT', 'certificates were not verified; now they are');
  tlsOf(settings, tls, { map, drop });

  const credentials = name !== '' && auth ? readAuth(auth, name, collected) : null;
  map('AUTHPATH', auth ? `see ${auth.path}` : 'it was not read: write [auth]');
  drop('INSECURE', 'credentials go over TLS only; auth.allow_plaintext undoes that');
  identityOf(settings, top, { map, drop, approximate });
  const aliases = settings.get('ALIASES')?.value || '/etc/aliases';
  if (settings.has('NULLCLIENT')) {
    top.aliases = [];
    map('NULLCLIENT', 'aliases = []');
    drop('ALIASES', 'NULLCLIENT turns it off');
  } else {
    if (aliases !== '/etc/aliases') top.aliases = [aliases];
    map('ALIASES', 'aliases');
    approximate(
      'NULLCLIENT',
      'mailboxes of this host are not delivered to: their mail goes to the smart host, unless aliases says otherwise',
    );
  }
  for (const [key, why] of Object.entries(DROPPED)) drop(key, why);
  const known = [...KNOWN, ...Object.keys(DROPPED)];
  for (const key of settings.keys()) if (!known.includes(key)) drop(key, 'it is not known');
  const hosts = name === '' ? [] : [{ url, tls, auth: credentials }];
  return { plan: { remarks: [], top, hosts, timeouts: {}, routers: [], rewrite: {} }, notes: collected };
}

const KNOWN = [
  ...['SMARTHOST', 'PORT', 'ALIASES', 'AUTHPATH', 'SECURETRANSFER', 'SECURETRANS', 'STARTTLS', 'OPPORTUNISTIC_TLS', 'FINGERPRINT'],
  ...['VERIFYCERT', 'CERTFILE', 'INSECURE', 'MAILNAME', 'MASQUERADE', 'NULLCLIENT'],
];

type Say = (key: string, text: string) => void;

function tlsOf(settings: ReadonlyMap<string, Line>, tls: Settings, { map, drop }: { readonly map: Say; readonly drop: Say }): void {
  const certificate = settings.get('CERTFILE')?.value ?? '';
  if (certificate !== '') tls.certificate = certificate;
  map('CERTFILE', 'tls.certificate');
  const digits = (settings.get('FINGERPRINT')?.value ?? '').replaceAll(':', '').toLowerCase();
  if (/^[0-9a-f]{64}$/.test(digits)) {
    tls.fingerprint = [`sha256:${digits}`];
    map('FINGERPRINT', 'tls.fingerprint');
  } else drop('FINGERPRINT', 'it is not SHA-256; "nospool check" prints the right one');
}

/** MAILNAME and MASQUERADE: `user@host`, `user@` or `host`. */
function identityOf(
  settings: ReadonlyMap<string, Line>,
  top: Settings,
  { map, drop, approximate }: { readonly map: Say; readonly drop: Say; readonly approximate: Say },
): void {
  const name = settings.get('MAILNAME')?.value ?? '';
  if (name.startsWith('/')) drop('MAILNAME', `write what is in ${name} as qualify_domain`);
  else if (name !== '') {
    top.hostname = name;
    map('MAILNAME', 'hostname');
  }
  const masquerade = settings.get('MASQUERADE')?.value ?? '';
  if (masquerade === '') return;
  const at = masquerade.lastIndexOf('@');
  const user = at < 0 ? '{login}' : masquerade.slice(0, at) || '{login}';
  const domain = at < 0 ? masquerade : masquerade.slice(at + 1);
  if (domain !== '') top.qualify_domain = domain;
  top.from = domain === '' ? user : `${user}@${domain}`;
  top.force_from = true;
  approximate('MASQUERADE', `from = "${top.from}" with force_from, which changes the From field as well`);
}

/** `user|host:password` or, in newer releases, `user|host|password`; the first for the host counts. */
function readAuth(source: Source, host: string, collected: Notes): Settings | null {
  let credentials: Settings | null = null;
  for (const { line, text } of linesOf(source)) {
    if (/^\s*(#|$)/.test(text)) continue;
    const found = /^\s*([^|]*)\|([^|:]*)[|:](.*?)\s*$/.exec(text);
    const key = found ? `${found[1]}|${found[2]}` : 'line';
    if (!found) collected.dropped(source, line, key, 'it is not of the form user|host:password');
    else if (found[2] !== host) collected.dropped(source, line, key, `the smart host is ${host}`);
    else if (credentials) collected.dropped(source, line, key, 'an earlier line is for the same host');
    else {
      credentials = { user: found[1] as string, password: found[3] as string };
      collected.mapped(source, line, key, 'auth.user, auth.password; better in a file of its own, named by auth.password_file');
    }
  }
  return credentials;
}
