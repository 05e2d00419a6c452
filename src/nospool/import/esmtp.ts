/**
 * esmtprc (esmtp 1.2): the default identity becomes `smarthosts`, other identities become routes by sender. No identity has
 * anything from another.
 */

import type { HostPlan, RouterPlan, TomlTable } from '../print-config.ts';
import {
  linesOf,
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

interface EsmtpIdentity {
  /** '' = the settings before the first identity. */
  readonly address: string;
  readonly line: number;
  readonly settings: Map<string, Line>;
}

interface Rcfile {
  readonly identities: readonly EsmtpIdentity[];
  readonly standard: EsmtpIdentity;
}

const DROPPED: Readonly<Record<string, string>> = {
  certificate_passphrase: 'keys with a pass phrase are not read: convert the file',
  preconnect: 'no command is run before a connection: keep the tunnel open by other means',
  postconnect: 'no command is run after a connection',
  mda: 'there is no local delivery',
  force_mda: 'there is no local delivery',
  message_id: 'Message-ID is added where it is missing',
  force_sender: 'no Sender field is set; headers_add in a [[router]] adds one',
};

/** Keys of two words stand for one. */
const TWO_WORD_KEYS = ['force sender', 'force reverse_path', 'force mda', 'message id'];

/** They belong to no identity. */
const GLOBAL = new Set(['mda', 'force_mda']);

export function importEsmtp(source: SourceFile): Translation {
  const collected = notes();
  const { identities, standard } = readIdentities(source, collected);
  const host = hostOf(source, standard, collected);
  const routers: RouterPlan[] = [];
  const chosen = new Map<string, EsmtpIdentity>();
  for (const identity of identities) {
    if (identity.address === '') continue;
    const before = chosen.get(identity.address);
    if (before) collected.dropped(source, before.line, 'identity', `the one in line ${identity.line} has the same address, and counts`);
    chosen.set(identity.address, identity);
  }
  for (const [address, identity] of chosen) {
    if (identity === standard) continue;
    const own = hostOf(source, identity, collected);
    const name = routerName(
      address,
      routers.map((router) => router.settings.name as string),
    );
    const settings: TomlTable = { name, driver: 'manualroute', senders: [address] };
    const forced = identity.settings.get('force_reverse_path');
    if (forced && !/%/.test(forced.value)) {
      settings.errors_to = forced.value;
      collected.mapped(source, forced.line, 'force reverse_path', 'errors_to');
    } else if (forced) collected.dropped(source, forced.line, 'force reverse_path', 'errors_to of a router knows no %u');
    routers.push({ settings, hosts: [own] });
    collected.mapped(source, identity.line, 'identity', `router "${name}", for the sender ${address}`);
  }
  const top = topOf(source, standard, collected);
  const forced = standard.settings.get('force_reverse_path');
  const isRouted = forced !== undefined && routers.length > 0 && !forced.value.includes('%');
  if (isRouted) {
    // The sender chooses the identity, so it is replaced behind that choice.
    routers.push({ settings: { name: DEFAULT, driver: 'manualroute', errors_to: forced.value }, hosts: [host] });
    collected.mapped(source, forced.line, 'force reverse_path', `errors_to of the router "${DEFAULT}", which has the smart host`);
  } else if (forced && routers.length > 0)
    collected.dropped(source, forced.line, 'force reverse_path', 'the sender chooses the identity, and errors_to of a router knows no %u');
  else if (forced) {
    top.from = forced.value.replaceAll('%u', '{login}').replaceAll('%%', '%');
    top.force_reverse_path = true;
    collected.approximated(
      source,
      forced.line,
      'force reverse_path',
      'from with force_reverse_path; a From field that has to be added is that address, too, where esmtp takes the one of -f',
    );
  }
  const hosts = isRouted ? [] : [host];
  if (standard.address !== '') {
    top.from ??= standard.address;
    collected.mapped(source, standard.line, 'identity', `from = "${top.from}", and smarthosts`);
  }
  collected.approximated(
    source,
    0,
    'From',
    'with -t esmtp takes the sender, and with it the identity, from the From field; here -f, else from, else the login: have the callers give -f',
  );
  const said = new Set(collected.list.map(({ place }) => place));
  for (const { settings } of identities)
    for (const { line, key } of settings.values())
      if (!said.has(`${source.path}:${line}`))
        collected.dropped(source, line, key, DROPPED[key] ?? 'it is not known, or holds for the default identity only');
  withoutAliases(top, routers, { collected, source, program: 'esmtp' });
  return { plan: { remarks: [], top, hosts, timeouts: {}, routers, rewrite: {} }, notes: collected };
}

/** The last router, for all senders that choose no identity. */
const DEFAULT = 'default';

/** The default is the one that says so; else the first that has a setting. */
function readIdentities(source: SourceFile, collected: Notes): Rcfile {
  const identities: EsmtpIdentity[] = [{ address: '', line: 1, settings: new Map() }];
  let declared: EsmtpIdentity | null = null;
  let first: EsmtpIdentity | null = null;
  for (const { line, text } of linesOf(source)) {
    const bare = withoutComment(text).trim();
    const joined = TWO_WORD_KEYS.reduce((sofar, words) => sofar.replace(new RegExp(`^${words}\\b`), words.replace(' ', '_')), bare);
    const found = /^([a-z_]+)\s*=?\s*(.*)$/i.exec(joined);
    if (!found) continue;
    const key = (found[1] as string).toLowerCase();
    const value = unquoted(found[2] as string);
    const current = identities.at(-1) as EsmtpIdentity;
    if (key === 'identity') {
      const [address = '', word] = value.split(/\s+/);
      identities.push({ address: unquoted(address), line, settings: new Map() });
      if (word === 'default') declared = identities.at(-1) as EsmtpIdentity;
    } else if (key === 'default') declared = current;
    else {
      if (!GLOBAL.has(key)) first ??= current;
      const before = current.settings.get(key);
      if (before) collected.dropped(source, before.line, key, `line ${line} comes later, and counts`);
      current.settings.set(key, { line, key, value });
    }
  }
  return { identities, standard: declared ?? first ?? (identities[0] as EsmtpIdentity) };
}

/** `#` begins one where a word could begin, but not within quotes. */
function withoutComment(text: string): string {
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    const isAtWord = i === 0 || /[\s"'=]/.test(text[i - 1] as string);
    if (quote !== '') {
      if (c === '\\') i++;
      else if (c === quote) quote = '';
    } else if (isAtWord && c === '#') return text.slice(0, i);
    else if (isAtWord && /["']/.test(c)) quote = c;
  }
  return text;
}

/**
 * As esmtp reads its own file, and as its passwords were sent: a text in quotes ends at the first such quote, escaped or not,
 * so what has one within is a word, quotes and all.
 */
function unquoted(text: string): string {
  const quoted = /^(["'])(.*)\1$/s.exec(text);
  const inner = quoted && !(quoted[2] as string).includes(quoted[1] as string) ? (quoted[2] as string) : text;
  return inner.replace(/\\(.)/g, (_, c: string) => ({ n: '\n', t: '\t', r: '\r' })[c] ?? c);
}

function hostOf(source: SourceFile, { line, settings, address }: EsmtpIdentity, collected: Notes): HostPlan {
  const written = settings.get('hostname');
  if (!written) {
    const whose = address === '' ? 'none is written' : `identity ${address} has none`;
    collected.approximated(source, line, 'hostname', `${whose}: localhost:25, as esmtp takes it`);
  }
  const [, name = '', service = ''] = /^(.*?)(?::([^:\]]+))?$/.exec(written?.value ?? 'localhost:25') ?? [];
  const port = portOf(service) ?? 587;
  // esmtp speaks STARTTLS only, but on the port of submissions nothing else can be meant.
  const url = urlOf(name, port, port === 465 ? 'tls' : 'smtp');
  const place = written?.line ?? line;
  if (written) collected.mapped(source, place, 'hostname', url);
  const starttls = settings.get('starttls');
  const word = starttls?.value.toLowerCase() || 'disabled';
  const isRequired = word === 'required' || word === 'enabled';
  if (port === 465 || word === 'required')
    collected.mapped(source, starttls?.line ?? place, 'starttls', port === 465 ? 'submissions://' : 'tls.mode = "required"');
  else {
    const where = isRequired ? 'required' : 'required, but on loopback';
    collected.approximated(source, starttls?.line ?? place, 'starttls', `was ${word}; TLS is now ${where}: tls.mode undoes that`);
  }
  const tls: TomlTable = isRequired && port !== 465 ? { ...REQUIRED } : {};
  const user = settings.get('username');
  const password = settings.get('password');
  if (!user) return { url, tls, auth: null };
  collected.mapped(source, user.line, 'username', 'auth.user');
  if (password) {
    collected.mapped(source, password.line, 'password', 'auth.password; better in a file of its own, named by auth.password_file');
    return { url, tls, auth: { user: user.value, password: password.value } };
  }
  collected.approximated(source, user.line, 'password', 'none is written: put it into ~/.config/nospool/password, mode 0600');
  return { url, tls, auth: { user: user.value, password_file: '~/.config/nospool/password' } };
}

function topOf(source: SourceFile, { settings }: EsmtpIdentity, collected: Notes): TomlTable {
  const top: TomlTable = {};
  const helo = settings.get('helo');
  if (helo) {
    top.hostname = helo.value;
    collected.mapped(source, helo.line, 'helo', 'hostname');
  }
  const domain = settings.get('qualifydomain');
  if (domain) {
    top.qualify_recipient = domain.value;
    collected.mapped(source, domain.line, 'qualifydomain', 'qualify_recipient');
  }
  return top;
}
