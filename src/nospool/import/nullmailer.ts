/**
 * The files of /etc/nullmailer (nullmailer 2.2): `remotes`, of which each line is a smart host, and the files of one value
 * each. Debian's takes its own name from /etc/mailname.
 */
import { isIPv4, isIPv6 } from '../../smtp/path.ts';
import type { HostPlan, RouterPlan, TomlTable } from '../print-config.ts';
import {
  type Beside,
  linesOf,
  type Notes,
  notes,
  portOf,
  REQUIRED,
  type SourceFile,
  type Translation,
  urlOf,
  withoutAliases,
} from './notes.ts';

/** Files that are looked at beside `remotes`. */
const FILES = [
  '../mailname',
  'me',
  'helohost',
  'idhost',
  'defaulthost',
  'defaultdomain',
  'adminaddr',
  'allmailfrom',
  'pausetime',
  'maxpause',
  'sendtimeout',
  'queuelifetime',
  'doublebounceto',
] as const;

const DROPPED: Readonly<Record<string, string>> = {
  pausetime: 'there is no queue: a message is delivered at once or fails',
  maxpause: 'there is no queue: a message is delivered at once or fails',
  queuelifetime: 'there is no queue: a message is delivered at once or fails',
  doublebounceto: 'there are no bounces: the caller is told',
  idhost: 'the right side of Message-ID is hostname',
};

export function importNullmailer(remotes: SourceFile, beside: Beside): Translation {
  const collected = notes();
  const hosts: HostPlan[] = [];
  for (const { line, text } of linesOf(remotes)) {
    const words = wordsOf(text);
    if (words.length === 0) continue;
    const host = hostOf(remotes, line, words, collected);
    if (host) hosts.push(host);
  }
  if (hosts.length === 0) collected.dropped(remotes, 0, 'remotes', 'there is no smart host in it: write smarthosts');

  const top: TomlTable = {};
  const timeouts: TomlTable = {};
  const routers: RouterPlan[] = [];
  const files = new Map<string, SourceFile>();
  for (const name of FILES) {
    const file = beside(name);
    if (file) files.set(name, file);
  }
  const firstLine = (name: string): string => files.get(name)?.text.trim().split('\n')[0]?.trim() ?? '';
  const say = (name: string, effect: 'mapped' | 'approximated' | 'dropped', text: string): void => {
    const file = files.get(name);
    if (file) collected[effect](file, 1, name.replace('../', ''), text);
  };

  const me = firstLine('../mailname') || firstLine('me');
  const defaultHost = whole(firstLine('defaulthost') || me, firstLine('defaultdomain'));
  const hello = firstLine('helohost') || me;
  if (hello !== '') top.hostname = hello;
  if (defaultHost !== '') top.qualify_domain = defaultHost;
  say('helohost', 'mapped', 'hostname');
  const named = `${firstLine('helohost') === '' ? 'hostname, and ' : ''}${firstLine('defaulthost') === '' ? 'qualify_domain, and ' : ''}who adminaddr goes for`;
  say('../mailname', 'mapped', named);
  if (files.has('../mailname')) say('me', 'dropped', 'Debian has it in /etc/mailname, which counts');
  else say('me', 'mapped', named);
  say('defaulthost', 'mapped', `qualify_domain = "${defaultHost}"`);
  say('defaultdomain', 'approximated', 'only defaulthost is completed by it: write the domains of addresses in full');

  const admin = firstLine('adminaddr');
  if (admin !== '') {
    // No other domain: qualify_domain may be where everybody else has their mail.
    const domains = [...new Set([me, 'localhost'])].filter((domain) => domain !== '');
    routers.push({ settings: { name: 'adminaddr', driver: 'redirect', domains }, data: { '*': admin } });
    say('adminaddr', 'mapped', `a router for all recipients at ${domains.join(' and ')}`);
  } else say('adminaddr', 'dropped', 'it is empty');
  const sender = firstLine('allmailfrom');
  if (sender !== '') {
    top.from = sender;
    top.force_reverse_path = true;
    say('allmailfrom', 'approximated', 'from with force_reverse_path; a From field that has to be added is that address, too');
  } else say('allmailfrom', 'dropped', 'it is empty');
  const timeout = firstLine('sendtimeout');
  if (/^\d+$/.test(timeout) && Number(timeout) > 0) {
    timeouts.deadline = `${timeout}s`;
    say('sendtimeout', 'approximated', 'timeouts.deadline, for all smart hosts together');
  } else say('sendtimeout', 'dropped', 'its value has no counterpart');
  for (const [name, why] of Object.entries(DROPPED)) say(name, 'dropped', why);
  collected.approximated(
    remotes,
    0,
    'Return-Path',
    'nullmailer takes the sender from a Return-Path field, which is taken out here: give -f',
  );
  withoutAliases(top, routers, { collected, source: remotes, program: 'nullmailer' });
  return { plan: { remarks: [], top, hosts, timeouts, routers, rewrite: {} }, notes: collected };
}

/** A name without a dot gets the default domain. */
const whole = (name: string, domain: string): string =>
  name === '' || name === 'localhost' || name.includes('.') || domain === '' ? name : `${name}.${domain}`;

/**
 * Words as nullmailer reads them, and as its passwords were sent: quotes and backslashes keep blanks, and the character
 * behind an escaped one means nothing special. A line that begins with `#` is a comment; so here is what follows ` #`.
 */
function wordsOf(text: string): string[] {
  const words: string[] = [];
  if (text.startsWith('#')) return words;
  for (let at = 0; at < text.length; at++) {
    if (/\s/.test(text[at] as string)) continue;
    if (text[at] === '#') break;
    const { word, end } = wordAt(text, at);
    words.push(word);
    at = end;
  }
  return words;
}

function wordAt(text: string, begin: number): { readonly word: string; readonly end: number } {
  let word = '';
  let at = begin;
  /** Takes the escaped character and the one behind it. */
  const escaped = (): void => {
    word += text.slice(at + 1, at + 3);
    at += 2;
  };
  for (; at < text.length && !/\s/.test(text[at] as string); at++) {
    const c = text[at] as string;
    if (c === '\\') escaped();
    else if (c === "'" || c === '"') {
      for (at++; at < text.length && text[at] !== c; at++)
        if (c === '"' && text[at] === '\\') escaped();
        else word += text[at];
    } else word += c;
  }
  return { word, end: at };
}

/** What else stands on a line and is not carried over. */
const IGNORED: Readonly<Record<string, string>> = {
  x509crlfile: 'revocation lists are not read',
  x509fmtder: 'certificates are PEM here: convert the file',
  insecure: 'certificates are verified; pin this one with tls.fingerprint, which "nospool check" prints',
  'tls-anon-auth': 'the server must show a certificate',
  'auth-external': 'write auth with a user and mechanisms = ["EXTERNAL"]',
};

function hostOf(
  source: SourceFile,
  line: number,
  [name = '', protocol = 'smtp', ...words]: readonly string[],
  collected: Notes,
): HostPlan | null {
  if (protocol !== 'smtp') {
    collected.dropped(source, line, name, `${protocol} is not spoken`);
    return null;
  }
  const options = new Map<string, string>();
  for (const word of words) {
    const [, key = word, value = ''] = /^(?:--)?([^=]*)=?(.*)$/s.exec(word) ?? [];
    options.set(key, value);
  }
  const implicit = options.has('tls') || options.has('ssl');
  const starttls = options.has('starttls');
  const port = portOf(options.get('port') ?? '') ?? (implicit ? 465 : 25);
  const url = urlOf(name, port, implicit ? 'tls' : 'smtp');
  collected.mapped(source, line, name, url);
  if (!implicit && !starttls)
    collected.approximated(source, line, name, 'TLS was off; it is now required, but on loopback: tls.mode = "off" undoes that');
  const tls: TomlTable = starttls && !implicit ? { ...REQUIRED } : {};
  for (const [key, ours] of [
    ['x509certfile', 'certificate'],
    ['x509keyfile', 'certificate_key'],
    ['x509cafile', 'ca_file'],
  ] as const) {
    const value = options.get(key);
    if (!value) continue;
    tls[ours] = value;
    collected.mapped(source, line, key, `tls.${ours}`);
  }
  const address = options.get('source') ?? '';
  const isAddress = isIPv4(address) || isIPv6(address);
  if (isAddress) collected.mapped(source, line, 'source', 'source_address');
  else if (options.has('source')) collected.dropped(source, line, 'source', 'it is no IP address');
  const user = options.get('user');
  const password = options.get('pass');
  let auth: TomlTable | null = null;
  if (user && password && !options.has('auth-external')) {
    auth = { user, password };
    if (options.has('auth-login')) auth.mechanisms = ['LOGIN'];
    collected.mapped(source, line, 'user', 'auth.user, auth.password; better in a file of its own, named by auth.password_file');
  } else if (user || password) collected.dropped(source, line, 'user', 'user and pass belong together');
  const known = ['port', 'user', 'pass', 'tls', 'ssl', 'starttls', 'auth-login', 'x509certfile', 'x509keyfile', 'x509cafile', 'source'];
  for (const key of options.keys()) {
    const why = IGNORED[key];
    if (why) collected.dropped(source, line, key, why);
    // Its text is not repeated: a password with a blank in it and without quotes would be one.
    else if (!known.includes(key)) collected.dropped(source, line, name, 'a word on this line is not known');
  }
  return { url, tls, auth, ...(isAddress ? { link: { source_address: address } } : {}) };
}
