/**
 * esmtprc (esmtp 1.2): the default identity becomes `smarthosts`, the others become routes by sender. No identity inherits
 * a setting from another.
 */

import type { HostPlan, RouterPlan, TomlTable } from '../print-config.ts';
import {
  ADDS_MESSAGE_ID,
  NO_LOCAL_DELIVERY,
  NULL_STAYS,
  PASSWORD_IN_FILE,
  portOr,
  REQUIRED,
  routerName,
  splitHost,
  TLS_REQUIRED,
  turnOffAliases,
  urlOf,
} from './counterparts.ts';
import { collectNotes, type ForeignFile, type Notes, setLast, type Translation, type WrittenSetting } from './foreign-file.ts';

interface EsmtpIdentity {
  /** '' = it holds the settings before the first identity. */
  readonly address: string;
  readonly line: number;
  readonly settings: Map<string, WrittenSetting>;
}

interface Rcfile {
  readonly identities: readonly EsmtpIdentity[];
  readonly standard: EsmtpIdentity;
}

const WITHOUT_COUNTERPART: Readonly<Record<string, string>> = {
  certificate_passphrase: 'keys with a pass phrase are not read: convert the file',
  preconnect: 'no command is run before a connection: keep the tunnel open by other means',
  postconnect: 'no command is run after a connection',
  mda: NO_LOCAL_DELIVERY,
  force_mda: NO_LOCAL_DELIVERY,
  message_id: ADDS_MESSAGE_ID,
  force_sender: 'no Sender field is set; headers_add in a [[router]] adds one',
};

/** Keys of two words, as they are called here. */
const TWO_WORD_KEYS = ['force_sender', 'force_reverse_path', 'force_mda', 'message_id'];

const SHORT_KEYS: Readonly<Record<string, string>> = { user: 'username', pass: 'password' };

const KEYS = [
  ...['identity', 'hostname', 'username', 'password', 'starttls', 'helo', 'qualifydomain', ...TWO_WORD_KEYS],
  ...Object.keys(WITHOUT_COUNTERPART),
];

/** Keys that belong to no identity. */
const GLOBAL = new Set(['mda', 'force_mda']);

export function importEsmtp(file: ForeignFile): Translation {
  const notes = collectNotes();
  const { identities, standard } = readIdentities(file, notes);
  const host = readHost(file, standard, notes);
  const routers: RouterPlan[] = [];
  const chosen = new Map<string, EsmtpIdentity>();
  for (const identity of identities) {
    if (identity.address === '') continue;
    const before = chosen.get(identity.address);
    if (before) notes.dropped(file, before.line, 'identity', `the one in line ${identity.line} has the same address, and counts`);
    chosen.set(identity.address, identity);
  }
  for (const [address, identity] of chosen) {
    if (identity === standard) continue;
    const own = readHost(file, identity, notes);
    const name = routerName(address, routers);
    const settings: TomlTable = { name, driver: 'manualroute', senders: [address] };
    const forced = identity.settings.get('force_reverse_path');
    if (forced && !/%/.test(forced.value)) {
      settings.errors_to = forced.value;
      notes.mapped(file, forced.line, 'force reverse_path', 'errors_to');
    } else if (forced) notes.dropped(file, forced.line, 'force reverse_path', 'errors_to of a router knows no %u');
    routers.push({ settings, hosts: [own] });
    notes.mapped(file, identity.line, 'identity', `router "${name}", for the sender ${address}`);
  }
  const top = readTop(file, standard, notes);
  const forced = standard.settings.get('force_reverse_path');
  const isRouted = forced !== undefined && routers.length > 0 && !forced.value.includes('%');
  if (isRouted) {
    // The sender chooses the identity, so only the router may replace it.
    const name = routerName(DEFAULT_ROUTER, routers);
    routers.push({ settings: { name, driver: 'manualroute', errors_to: forced.value }, hosts: [host] });
    notes.mapped(file, forced.line, 'force reverse_path', `errors_to of the router "${name}", which has the smart host`);
  } else if (forced && routers.length > 0)
    notes.dropped(file, forced.line, 'force reverse_path', 'the sender chooses the identity, and errors_to of a router knows no %u');
  else if (forced) {
    top.from = forced.value.replaceAll('%u', '{login}').replaceAll('%%', '%');
    top.force_reverse_path = true;
    notes.approximated(
      file,
      forced.line,
      'force reverse_path',
      `from with force_reverse_path; a From field that has to be added is that address, too, where esmtp takes the one of -f; ${NULL_STAYS}`,
    );
  }
  const hosts = isRouted ? [] : [host];
  if (standard.address !== '') {
    top.from ??= standard.address;
    notes.mapped(file, standard.line, 'identity', `from = "${top.from}", and smarthosts`);
  }
  notes.approximated(
    file,
    0,
    'From',
    'with -t esmtp takes the sender, and with it the identity, from the From field; here -f, else from, else the login: have the callers give -f',
  );
  const noted = new Set(notes.list.map(({ place, key }) => `${place} ${key.replace(' ', '_')}`));
  for (const { settings } of identities)
    for (const { line, key } of settings.values())
      if (!noted.has(`${file.path}:${line} ${key}`))
        notes.dropped(file, line, key, WITHOUT_COUNTERPART[key] ?? 'it is not known, or holds for the default identity only');
  turnOffAliases(top, routers, { notes, file, program: 'esmtp' });
  return { plan: { remarks: [], top, hosts, timeouts: {}, routers, rewrite: {} }, notes };
}

/** The name of the last router, for all senders that choose no identity. */
const DEFAULT_ROUTER = 'default';

/**
 * The default identity is the one marked `default`; else the first that has a setting. Words count, not lines: several settings may
 * stand on a line, and a value on the next one.
 */
function readIdentities(file: ForeignFile, notes: Notes): Rcfile {
  const identities: EsmtpIdentity[] = [{ address: '', line: 1, settings: new Map() }];
  let declared: EsmtpIdentity | null = null;
  let first: EsmtpIdentity | null = null;
  const tokens = splitTokens(file.text);
  for (let i = 0; i < tokens.length; i++) {
    const { line, text } = tokens[i] as Token;
    const current = identities.at(-1) as EsmtpIdentity;
    const pair = `${text}_${tokens[i + 1]?.text}`;
    const isPair = TWO_WORD_KEYS.includes(pair);
    if (isPair) i++;
    const key = isPair ? pair : (SHORT_KEYS[text.toLowerCase()] ?? text.toLowerCase());
    if (key === 'default') {
      declared = current;
      continue;
    }
    const isKnown = KEYS.includes(key);
    // A word that esmtp does not know takes no value from another line. It may be a part of a password, so only one that looks like a setting is shown.
    const isSetting = isKnown || (tokens[i + 1]?.line === line && /^[a-z_]+$/.test(key));
    if (isSetting && tokens[i + 1]?.isEquals) i++;
    const value = isSetting && (isKnown || tokens[i + 1]?.line === line) ? readValue(tokens[++i]?.text ?? '') : '';
    if (!isSetting) notes.dropped(file, line, 'line', 'a word on it is not known');
    else if (key === 'identity') identities.push({ address: value, line, settings: new Map() });
    else {
      if (!GLOBAL.has(key)) first ??= current;
      setLast(current.settings, key, { line, key, value }, { file, notes });
    }
  }
  return { identities, standard: declared ?? first ?? (identities[0] as EsmtpIdentity) };
}

interface Token {
  readonly line: number;
  readonly text: string;
  readonly isEquals: boolean;
}

/** Words, quoted texts and "=". `#` begins a comment where a word could begin. A text in quotes may have more than one line. */
function splitTokens(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let line = 1;
  for (const [part, word] of text.matchAll(/\s+|#[^\n]*|("[^"]*"(?![^\s=])|'[^']*'(?![^\s=])|=|[^\s=]+)/g)) {
    if (word !== undefined) tokens.push({ line, text: word, isEquals: word === '=' });
    line += part.split('\n').length - 1;
  }
  return tokens;
}

/** Escapes of a value by their last letter, where that is not the character itself. */
const ESCAPED: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b' };

/**
 * Reads a value as esmtp does, because that is the password which it sent: a quoted text ends at the first such quote,
 * escaped or not, so a text with a quote inside is a plain word that includes its quotes. Escapes count in both, and digits behind a
 * backslash are decimal, unless they begin with 0 or x.
 */
function readValue(text: string): string {
  const inner = /^(["'])(?:(?!\1).)*\1$/s.test(text) ? text.slice(1, -1) : text;
  return inner.replace(/\\(?:[xX]([0-9a-fA-F]{1,2})|(0[0-7]{0,2})|([1-9]\d{0,2})|(.))/gs, (_, hex, octal, decimal, c) =>
    c === undefined ? String.fromCharCode(Number.parseInt(hex ?? octal ?? decimal, hex ? 16 : octal ? 8 : 10) & 0xff) : (ESCAPED[c] ?? c),
  );
}

function readHost(file: ForeignFile, { line, settings, address }: EsmtpIdentity, notes: Notes): HostPlan {
  const written = settings.get('hostname');
  if (!written) {
    const whose = address === '' ? 'none is written' : `identity ${address} has none`;
    notes.approximated(file, line, 'hostname', `${whose}: localhost:25, as esmtp takes it`);
  }
  const { name, port: service } = splitHost(written?.value ?? 'localhost:25');
  const port = portOr(587, service, (text) => notes.approximated(file, written?.line ?? line, 'hostname', text));
  // esmtp speaks STARTTLS only, yet the port of submissions leaves no other meaning.
  const url = urlOf(name, port, port === 465 ? 'tls' : 'smtp');
  const place = written?.line ?? line;
  if (written) notes.mapped(file, place, 'hostname', url);
  const starttls = settings.get('starttls');
  const word = starttls?.value.toLowerCase() || 'disabled';
  const isRequired = word === 'required' || word === 'enabled';
  if (port === 465 || word === 'required')
    notes.mapped(file, starttls?.line ?? place, 'starttls', port === 465 ? 'submissions://' : TLS_REQUIRED);
  else {
    const where = isRequired ? 'required' : 'required, except on loopback';
    notes.approximated(file, starttls?.line ?? place, 'starttls', `was ${word}; TLS is now ${where}: tls.mode undoes that`);
  }
  const tls: TomlTable = isRequired && port !== 465 ? { ...REQUIRED } : {};
  const user = settings.get('username');
  const password = settings.get('password');
  if (!user) return { url, tls, auth: null };
  notes.mapped(file, user.line, 'username', 'auth.user');
  if (password?.value) {
    notes.mapped(file, password.line, 'password', `auth.password; ${PASSWORD_IN_FILE}`);
    return { url, tls, auth: { user: user.value, password: password.value } };
  }
  notes.approximated(file, (password ?? user).line, 'password', 'none is written: put it into ~/.config/nospool/password, mode 0600');
  return { url, tls, auth: { user: user.value, password_file: '~/.config/nospool/password' } };
}

function readTop(file: ForeignFile, { settings }: EsmtpIdentity, notes: Notes): TomlTable {
  const top: TomlTable = {};
  const helo = settings.get('helo');
  if (helo) {
    top.hostname = helo.value;
    notes.approximated(file, helo.line, 'helo', 'hostname, and the domain of a bare sender: write qualify_domain');
  }
  const domain = settings.get('qualifydomain');
  if (domain) {
    top.qualify_recipient = domain.value;
    notes.mapped(file, domain.line, 'qualifydomain', 'qualify_recipient');
  }
  return top;
}
