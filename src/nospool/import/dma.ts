/**
 * dma.conf and auth.conf (DragonFly Mail Agent 0.13, as Debian 12 has it, and 0.14). Without SMARTHOST dma delivers to the
 * hosts of each recipient, which nospool cannot do.
 */
import type { TomlTable } from '../print-config.ts';
import {
  NO_BOUNCES,
  NO_PASSWORD,
  NO_QUEUE,
  NOT_KNOWN,
  NULL_STAYS,
  PASSWORD_IN_FILE,
  portOr,
  REQUIRED,
  sha256Of,
  TLS_REQUIRED,
  TLS_WAS_OFF,
  urlOf,
} from './counterparts.ts';
import {
  collectNotes,
  type FindFile,
  type ForeignFile,
  type Notes,
  noteSettings,
  numberLines,
  type SettingNotes,
  setLast,
  type Translation,
  type WrittenSetting,
  type WrittenSettings,
} from './foreign-file.ts';

const WITHOUT_COUNTERPART: Readonly<Record<string, string>> = { SPOOLDIR: 'there is no queue', DEFER: NO_QUEUE, FULLBOUNCE: NO_BOUNCES };

const KNOWN_KEYS = [
  ...['SMARTHOST', 'PORT', 'ALIASES', 'AUTHPATH', 'SECURETRANSFER', 'SECURETRANS', 'STARTTLS', 'OPPORTUNISTIC_TLS', 'FINGERPRINT'],
  ...['VERIFYCERT', 'CERTFILE', 'INSECURE', 'MAILNAME', 'MASQUERADE', 'NULLCLIENT', ...Object.keys(WITHOUT_COUNTERPART)],
];

export function importDma(file: ForeignFile, findFile: FindFile): Translation {
  const notes = collectNotes();
  const settings = readSettings(file, notes);
  const noted = noteSettings(file, settings, notes);
  const { map, approximate, drop } = noted;

  const top: TomlTable = {};
  const name = settings.get('SMARTHOST')?.value ?? '';
  const isSecure = settings.has('SECURETRANSFER') || settings.has('SECURETRANS');
  const isImplicit = isSecure && !settings.has('STARTTLS');
  let isPort = true;
  const port = portOr(25, settings.get('PORT')?.value ?? '', (text) => {
    isPort = false;
    approximate('PORT', text);
  });
  const tls: TomlTable = isSecure && !isImplicit ? { ...REQUIRED } : {};
  const url = urlOf(name, port, isImplicit ? 'tls' : 'smtp');
  if (name === '') notes.dropped(file, 0, 'SMARTHOST', 'without a smart host dma asks MX records; here smarthosts must be written');
  else map('SMARTHOST', url);
  if (isPort) map('PORT', 'part of the smart host');
  for (const key of ['SECURETRANSFER', 'SECURETRANS']) map(key, isImplicit ? 'submissions://' : TLS_REQUIRED);
  if (isSecure) map('STARTTLS', TLS_REQUIRED);
  else approximate('STARTTLS', TLS_WAS_OFF);
  if (settings.has('OPPORTUNISTIC_TLS')) approximate('OPPORTUNISTIC_TLS', 'TLS is required; tls.mode = "opportunistic" undoes that');
  if (settings.has('VERIFYCERT')) map('VERIFYCERT', 'as it is without a key');
  else approximate('VERIFYCERT', 'certificates were not verified; now they are');
  setTls(tls, settings, noted);

  const path = settings.get('AUTHPATH')?.value ?? '';
  const auth = path === '' ? null : findFile(path);
  const credentials = name !== '' && auth ? readAuth(auth, name, notes) : null;
  if (auth === null) drop('AUTHPATH', 'it cannot be read: write [auth]');
  else map('AUTHPATH', `see ${auth.path}`);
  if (credentials) approximate('AUTHPATH', 'dma sends without authentication where the server offers none; here that fails');
  drop('INSECURE', 'credentials go over TLS only; auth.allow_plaintext undoes that');
  setNames(top, settings, findFile, noted);
  setAliases(top, settings, findFile, noted);
  for (const [key, why] of Object.entries(WITHOUT_COUNTERPART)) drop(key, why);
  for (const key of settings.keys()) if (!KNOWN_KEYS.includes(key)) drop(key, NOT_KNOWN);
  const hosts = name === '' ? [] : [{ url, tls, auth: credentials }];
  return { plan: { remarks: [], top, hosts, timeouts: {}, routers: [], rewrite: {} }, notes };
}

function readSettings(file: ForeignFile, notes: Notes): WrittenSettings {
  const settings = new Map<string, WrittenSetting>();
  for (const { line, text } of numberLines(file)) {
    const setting = text.replace(/#.*$/s, '').trim();
    const [, key, value = ''] = /^([A-Z_]+)(?:\s+(.*))?$/s.exec(setting) ?? [];
    if (key !== undefined) setLast(settings, key, { line, key, value }, { file, notes });
    else if (setting !== '') notes.dropped(file, line, 'line', 'dma would refuse it: keys are in capital letters');
  }
  return settings;
}

function setTls(tls: TomlTable, settings: WrittenSettings, { map, drop }: SettingNotes): void {
  const certificate = settings.get('CERTFILE')?.value ?? '';
  if (certificate !== '') tls.certificate = certificate;
  map('CERTFILE', 'tls.certificate');
  const fingerprint = sha256Of(settings.get('FINGERPRINT')?.value ?? '');
  if (fingerprint !== null) {
    tls.fingerprint = [fingerprint];
    map('FINGERPRINT', 'tls.fingerprint');
  } else drop('FINGERPRINT', 'it is not SHA-256; "nospool check" prints the right one');
}

/** MAILNAME is a name or a file that holds it; MASQUERADE is `user@host`, `user@` or `host`. */
function setNames(top: TomlTable, settings: WrittenSettings, findFile: FindFile, { map, drop, approximate }: SettingNotes): void {
  const written = settings.get('MAILNAME')?.value ?? '';
  const name = written.startsWith('/') ? (/^[\w.-]+/.exec(findFile(written)?.text ?? '')?.[0] ?? '') : written;
  if (name !== '') {
    top.hostname = name;
    top.qualify_domain = name;
    map('MAILNAME', written === name ? 'hostname and qualify_domain' : `hostname and qualify_domain, as ${written} has them`);
  } else if (written !== '') drop('MAILNAME', `${written} names no host, so the name of this one is used`);
  const masquerade = settings.get('MASQUERADE')?.value ?? '';
  if (masquerade === '') return;
  const at = masquerade.lastIndexOf('@');
  const user = at < 0 ? '' : masquerade.slice(0, at);
  const domain = at < 0 ? masquerade : masquerade.slice(at + 1);
  const sender = domain || name;
  top.from = `${user || '{login}'}${sender === '' ? '' : `@${sender}`}`;
  if (user === '') {
    // dma gives this domain to a bare -f, too.
    top.qualify_domain = domain;
    approximate('MASQUERADE', `from = "${top.from}"; releases from 0.14 on also replace the domain of -f, which is kept here`);
    return;
  }
  top.force_reverse_path = true;
  approximate('MASQUERADE', `from = "${top.from}" with force_reverse_path; ${NULL_STAYS}`);
}

function setAliases(top: TomlTable, settings: WrittenSettings, findFile: FindFile, { map, drop, approximate }: SettingNotes): void {
  if (settings.has('NULLCLIENT')) {
    top.aliases = [];
    approximate('NULLCLIENT', 'aliases = []; a recipient without a domain gets one, where dma sends the bare name');
    drop('ALIASES', 'NULLCLIENT turns it off');
    return;
  }
  const aliases = settings.get('ALIASES')?.value || '/etc/aliases';
  if (aliases !== '/etc/aliases') top.aliases = [aliases];
  map('ALIASES', 'aliases');
  if (/^[ \t]*[^#\s][^#\n]*#/m.test(findFile(aliases)?.text ?? ''))
    approximate('ALIASES', `in ${aliases} a comment stands behind an entry, which fails here: give it a line of its own`);
  const { hostname, qualify_domain: domain } = top;
  if (domain !== undefined && domain !== hostname)
    approximate('ALIASES', `they also hold for recipients at ${domain}; dma has them for those of this host alone`);
  approximate('NULLCLIENT', 'mail for mailboxes of this host goes to the smart host, unless aliases names another address');
}

/** `user|host:password`, where "|" (from 0.14 on) or a blank may stand for ":"; the last line for a host counts. */
function readAuth(file: ForeignFile, host: string, notes: Notes): TomlTable | null {
  let credentials: { readonly line: number; readonly key: string; readonly settings: TomlTable } | null = null;
  for (const { line, text } of numberLines(file)) {
    if (/^(#|$)/.test(text)) continue;
    const [, user = '', name = '', password] = /^([^|]*)\|([^|: \t]*)[|: \t](.*)$/.exec(text) ?? [];
    const key = password === undefined ? 'line' : `${user}|${name}`;
    if (password === undefined) notes.dropped(file, line, key, 'it is not of the form user|host:password');
    else if (name !== host) notes.dropped(file, line, key, `the smart host is ${host}`);
    else {
      if (credentials) notes.dropped(file, credentials.line, credentials.key, `line ${line} is for the same host, and counts`);
      credentials = { line, key, settings: password === '' ? { user, password_file: '/etc/nospool/password' } : { user, password } };
    }
  }
  if (credentials === null) return null;
  const { line, key, settings } = credentials;
  if ('password' in settings) notes.mapped(file, line, key, `auth.user, auth.password; ${PASSWORD_IN_FILE}`);
  else notes.approximated(file, line, key, NO_PASSWORD);
  return settings;
}
