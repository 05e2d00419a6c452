/**
 * esmtprc (esmtp 1.2): the settings at the top or of the default identity become `smarthosts`, other identities
 * become routes by sender.
 */
import { type Draft, linesOf, type Notes, noteAliases, notes, portOf, REQUIRED, routerName, type Source, urlOf } from './import-notes.ts';
import type { HostPlan, RouterPlan, Settings } from './print.ts';

interface Line {
  readonly line: number;
  readonly key: string;
  readonly value: string;
}

interface Identity {
  /** '' = the settings before the first identity. */
  readonly address: string;
  readonly line: number;
  readonly settings: Map<string, Line>;
  isDefault: boolean;
}

const DROPPED: Readonly<Record<string, string>> = {
  certificate_passphrase: 'keys with a pass phrase are not read: convert the file',
  preconnect: 'no command is run before a connection: keep the tunnel open by other means',
  mda: 'there is no local delivery',
  force_mda: 'there is no local delivery',
  message_id: 'Message-ID is added where it is missing',
};

/** Keys of two words stand for one. */
const KEYS = ['force sender', 'force reverse_path', 'force mda', 'message id'];

export function importEsmtp(source: Source): Draft {
  const collected = notes();
  const identities = readIdentities(source);
  const global = identities[0] as Identity;
  const standard =
    identities.find((identity) => identity.isDefault) ?? (global.settings.has('hostname') ? global : (identities[1] ?? global));
  const hosts: HostPlan[] = [];
  const routers: RouterPlan[] = [];
  const host = hostOf(source, standard, collected);
  if (host) hosts.push(host);
  const top = topOf(source, standard, global, collected);
  for (const identity of identities) {
    if (identity === standard || identity === global) continue;
    const own = hostOf(source, identity, collected);
    if (!own) continue;
    const name = routerName(
      identity.address,
      routers.map((router) => router.settings.name as string),
    );
    routers.push({ settings: { name, driver: 'manualroute', senders: [identity.address] }, hosts: [own] });
    collected.mapped(source, identity.line, 'identity', `router "${name}", for the sender ${identity.address}`);
  }
  if (standard !== global) {
    top.from ??= standard.address;
    collected.mapped(source, standard.line, 'identity', `from = "${top.from}", and smarthosts`);
  }
  const said = new Set(collected.list.map(({ place }) => place));
  for (const { settings } of identities)
    for (const { line, key } of settings.values())
      if (!said.has(`${source.path}:${line}`))
        collected.dropped(source, line, key, DROPPED[key] ?? 'it is not known, or holds for the default identity only');
  if (routers.length === 0) noteAliases(collected, source);
  return { plan: { remarks: [], top, hosts, timeouts: {}, routers, rewrite: {} }, notes: collected };
}

function readIdentities(source: Source): Identity[] {
  const identities: Identity[] = [{ address: '', line: 1, settings: new Map(), isDefault: false }];
  for (const { line, text } of linesOf(source)) {
    const bare = text.replace(/^\s*#.*$/, '').trim();
    const joined = KEYS.reduce((sofar, words) => sofar.replace(new RegExp(`^${words}\\b`), words.replace(' ', '_')), bare);
    const found = /^([a-z_]+)\s*=?\s*(.*)$/i.exec(joined);
    if (!found) continue;
    const key = (found[1] as string).toLowerCase();
    const value = (found[2] as string).replace(/^(["'])(.*)\1$/s, '$2');
    const current = identities.at(-1) as Identity;
    if (key === 'identity') {
      const [address = '', word] = value.split(/\s+/);
      identities.push({ address, line, settings: new Map(), isDefault: word === 'default' });
    } else if (key === 'default') current.isDefault = true;
    else current.settings.set(key, { line, key, value });
  }
  return identities;
}

function hostOf(source: Source, { line, settings, address }: Identity, collected: Notes): HostPlan | null {
  const written = settings.get('hostname');
  if (!written) {
    collected.dropped(
      source,
      line,
      'hostname',
      address === '' ? 'there is no smart host: write smarthosts' : `identity ${address} has none`,
    );
    return null;
  }
  const [, name = written.value, service = ''] = /^(.*?)(?::([^:\]]+))?$/.exec(written.value) ?? [];
  const port = portOf(service) ?? 587;
  // esmtp speaks STARTTLS only, but on the port of submissions nothing else can be meant.
  const url = urlOf(name, port, port === 465 ? 'tls' : 'smtp');
  collected.mapped(source, written.line, 'hostname', url);
  const starttls = settings.get('starttls');
  const word = starttls?.value.toLowerCase() || 'off';
  const isRequired = word === 'required' || word === 'enabled';
  if (port === 465 || word === 'required')
    collected.mapped(source, starttls?.line ?? written.line, 'starttls', port === 465 ? 'submissions://' : 'tls.mode = "required"');
  else {
    const where = isRequired ? 'required' : 'required, but on loopback';
    collected.approximated(source, starttls?.line ?? written.line, 'starttls', `was ${word}; TLS is now ${where}: tls.mode undoes that`);
  }
  const tls: Settings = isRequired && port !== 465 ? { ...REQUIRED } : {};
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

function topOf(source: Source, standard: Identity, global: Identity, collected: Notes): Settings {
  const top: Settings = {};
  const get = (key: string): Line | undefined => standard.settings.get(key) ?? global.settings.get(key);
  const helo = get('helo');
  if (helo) {
    top.hostname = helo.value;
    collected.mapped(source, helo.line, 'helo', 'hostname');
  }
  const domain = get('qualifydomain');
  if (domain) {
    top.qualify_domain = domain.value;
    collected.mapped(source, domain.line, 'qualifydomain', 'qualify_domain');
  }
  const forced = get('force_sender') ?? get('force_reverse_path');
  if (forced) {
    top.from = forced.value.replaceAll('%u', '{login}');
    top.force_from = true;
    collected.approximated(
      source,
      forced.line,
      forced.key.replace('_', ' '),
      'from with force_from, in the envelope and in the From field',
    );
  }
  return top;
}
