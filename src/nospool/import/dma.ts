/**
 * dma.conf and auth.conf (DragonFly Mail Agent 0.13, as Debian 12 has it, and 0.14). Without SMARTHOST dma delivers to the
 * hosts of each recipient, for which there is no counterpart.
 */

import type { TomlTable } from '../print-config.ts';
import { type Beside, linesOf, type Notes, notes, portOf, REQUIRED, type SourceFile, type Translation, urlOf } from './notes.ts';

interface Line {
  readonly line: number;
  readonly value: string;
}

const DROPPED: Readonly<Record<string, string>> = {
  SPOOLDIR: 'there is no queue',
  DEFER: 'there is no queue: a message is delivered at once or fails',
  FULLBOUNCE: 'there are no bounces: the caller is told',
};

export function importDma(source: SourceFile, beside: Beside): Translation {
  const collected = notes();
  const settings = new Map<string, Line>();
  for (const { line, text } of linesOf(source)) {
    const found = /^\s*([A-Z_]+)(?:\s+(.*?))?\s*$/.exec(text.replace(/#.*$/, ''));
    if (!found) continue;
    const key = found[1] as string;
    const before = settings.get(key);
    if (before) collected.dropped(source, before.line, key, `line ${line} comes later, and counts`);
    settings.set(key, { line, value: found[2] ?? '' });
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

  const top: TomlTable = {};
  const name = settings.get('SMARTHOST')?.value ?? '';
  const secure = settings.has('SECURETRANSFER') || settings.has('SECURETRANS');
  const implicit = secure && !settings.has('STARTTLS');
  const port = portOf(settings.get('PORT')?.value ?? '') ?? 25;
  const tls: TomlTable = secure && !implicit ? { ...REQUIRED } : {};
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

  const path = settings.get('AUTHPATH')?.value ?? '';
  const auth = path === '' ? null : beside(path);
  const credentials = name !== '' && auth ? readAuth(auth, name, collected) : null;
  if (auth === null) drop('AUTHPATH', 'it cannot be read: write [auth]');
  else map('AUTHPATH', `see ${auth.path}`);
  if (credentials) approximate('AUTHPATH', 'dma sends without authentication where the server offers none; here that fails');
  drop('INSECURE', 'credentials go over TLS only; auth.allow_plaintext undoes that');
  identityOf(settings, top, beside, { map, drop, approximate });
  const aliases = settings.get('ALIASES')?.value || '/etc/aliases';
  if (settings.has('NULLCLIENT')) {
    top.aliases = [];
    approximate('NULLCLIENT', 'aliases = []; a recipient without a domain gets one, where dma sends the bare name');
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

function tlsOf(settings: ReadonlyMap<string, Line>, tls: TomlTable, { map, drop }: { readonly map: Say; readonly drop: Say }): void {
  const certificate = settings.get('CERTFILE')?.value ?? '';
  if (certificate !== '') tls.certificate = certificate;
  map('CERTFILE', 'tls.certificate');
  const digits = (settings.get('FINGERPRINT')?.value ?? '').replaceAll(':', '').toLowerCase();
  if (/^[0-9a-f]{64}$/.test(digits)) {
    tls.fingerprint = [`sha256:${digits}`];
    map('FINGERPRINT', 'tls.fingerprint');
  } else drop('FINGERPRINT', 'it is not SHA-256; "nospool check" prints the right one');
}

/** MAILNAME, a name or a file that holds it, and MASQUERADE: `user@host`, `user@` or `host`. */
function identityOf(
  settings: ReadonlyMap<string, Line>,
  top: TomlTable,
  beside: Beside,
  { map, drop, approximate }: { readonly map: Say; readonly drop: Say; readonly approximate: Say },
): void {
  const written = settings.get('MAILNAME')?.value ?? '';
  const name = written.startsWith('/') ? (/^[\w.-]+/.exec(beside(written)?.text ?? '')?.[0] ?? '') : written;
  if (name !== '') {
    top.hostname = name;
    top.qualify_domain = name;
    map('MAILNAME', written === name ? 'hostname and qualify_domain' : `hostname and qualify_domain, as ${written} has them`);
  } else if (written !== '') drop('MAILNAME', `${written} names no host, so it is the name of this one`);
  const masquerade = settings.get('MASQUERADE')?.value ?? '';
  if (masquerade === '') return;
  const at = masquerade.lastIndexOf('@');
  const user = at < 0 ? '' : masquerade.slice(0, at);
  const domain = at < 0 ? masquerade : masquerade.slice(at + 1);
  const sender = domain || name;
  top.from = `${user || '{login}'}${sender === '' ? '' : `@${sender}`}`;
  if (user === '') {
    // A bare -f gets this domain, too.
    top.qualify_domain = domain;
    approximate('MASQUERADE', `from = "${top.from}"; releases from 0.14 on also replace the domain of -f, which is kept here`);
    return;
  }
  top.force_reverse_path = true;
  map('MASQUERADE', `from = "${top.from}" with force_reverse_path`);
}

/** `user|host:password`, where "|" (from 0.14 on) or a blank may stand for ":"; the last line for a host counts. */
function readAuth(source: SourceFile, host: string, collected: Notes): TomlTable | null {
  let credentials: { readonly line: number; readonly key: string; readonly settings: TomlTable } | null = null;
  for (const { line, text } of linesOf(source)) {
    if (/^(#|$)/.test(text)) continue;
    const [, user = '', name = '', password] = /^([^|]*)\|([^|: \t]*)[|: \t](.*)$/.exec(text) ?? [];
    const key = password === undefined ? 'line' : `${user}|${name}`;
    if (password === undefined) collected.dropped(source, line, key, 'it is not of the form user|host:password');
    else if (name !== host) collected.dropped(source, line, key, `the smart host is ${host}`);
    else {
      if (credentials) collected.dropped(source, credentials.line, credentials.key, `line ${line} is for the same host, and counts`);
      credentials = { line, key, settings: { user, password } };
    }
  }
  if (credentials === null) return null;
  collected.mapped(
    source,
    credentials.line,
    credentials.key,
    'auth.user, auth.password; better in a file of its own, named by auth.password_file',
  );
  return credentials.settings;
}
