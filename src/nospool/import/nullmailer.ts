/**
 * The files of /etc/nullmailer (nullmailer 2.2): each line of `remotes` is a smart host, and each other file holds one
 * value. Debian's nullmailer takes its own name from /etc/mailname.
 */
import { isIPv4, isIPv6 } from '../../smtp/path.ts';
import type { HostPlan, RouterPlan, TomlTable } from '../print-config.ts';
import {
  NO_BOUNCES,
  NO_IP_ADDRESS,
  NO_QUEUE,
  PASSWORD_IN_FILE,
  portOr,
  REQUIRED,
  TLS_WAS_OFF,
  turnOffAliases,
  urlOf,
} from './counterparts.ts';
import { collectNotes, type Effect, type FindFile, type ForeignFile, type Notes, numberLines, type Translation } from './foreign-file.ts';

/** The other files, by their names beside `remotes`. */
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

const WITHOUT_COUNTERPART: Readonly<Record<string, string>> = {
  pausetime: NO_QUEUE,
  maxpause: NO_QUEUE,
  queuelifetime: NO_QUEUE,
  doublebounceto: NO_BOUNCES,
  idhost: 'the right side of Message-ID is hostname',
};

export function importNullmailer(remotes: ForeignFile, findFile: FindFile): Translation {
  const notes = collectNotes();
  const hosts: HostPlan[] = [];
  for (const { line, text } of numberLines(remotes)) {
    const words = splitWords(text);
    if (words.length === 0) continue;
    const host = readHost(remotes, line, words, notes);
    if (host) hosts.push(host);
  }
  if (hosts.length === 0) notes.dropped(remotes, 0, 'remotes', 'there is no smart host in it: write smarthosts');

  const top: TomlTable = {};
  const timeouts: TomlTable = {};
  const routers: RouterPlan[] = [];
  const files = new Map<string, ForeignFile>();
  for (const name of FILES) {
    const file = findFile(name);
    if (file) files.set(name, file);
  }
  const firstLine = (name: string): string => files.get(name)?.text.trim().split('\n')[0]?.trim() ?? '';
  const note = (name: string, effect: Effect, text: string): void => {
    const file = files.get(name);
    if (file) notes[effect](file, 1, name.replace('../', ''), text);
  };

  const me = firstLine('../mailname') || firstLine('me');
  const defaultHost = completeName(firstLine('defaulthost') || me, firstLine('defaultdomain'));
  const hello = firstLine('helohost') || me;
  if (hello !== '') top.hostname = hello;
  if (defaultHost !== '') top.qualify_domain = defaultHost;
  note('helohost', 'mapped', 'hostname');
  const named = `${firstLine('helohost') === '' ? 'hostname, and ' : ''}${firstLine('defaulthost') === '' ? 'qualify_domain, and ' : ''}who adminaddr goes for`;
  note('../mailname', 'mapped', named);
  if (files.has('../mailname')) note('me', 'dropped', 'Debian has it in /etc/mailname, which counts');
  else note('me', 'mapped', named);
  note('defaulthost', 'mapped', `qualify_domain = "${defaultHost}"`);
  note('defaultdomain', 'approximated', 'it completes defaulthost only: write the domains of addresses in full');

  const admin = firstLine('adminaddr');
  if (admin !== '') {
    // The router takes no other domain, because at qualify_domain other people may have their mail.
    const domains = [...new Set([me, 'localhost'])].filter((domain) => domain !== '');
    routers.push({ settings: { name: 'adminaddr', driver: 'redirect', domains }, data: { '*': admin } });
    note('adminaddr', 'mapped', `a router for all recipients at ${domains.join(' and ')}`);
  } else note('adminaddr', 'dropped', 'it is empty');
  const sender = firstLine('allmailfrom');
  if (sender !== '') {
    top.from = sender;
    top.force_reverse_path = true;
    const bare = sender.includes('@') ? '' : '; nullmailer sends the bare name';
    note('allmailfrom', 'approximated', `from with force_reverse_path; a From field that has to be added is that address, too${bare}`);
  } else note('allmailfrom', 'dropped', 'it is empty');
  const timeout = firstLine('sendtimeout');
  if (/^\d+$/.test(timeout) && Number(timeout) > 0) {
    timeouts.deadline = `${timeout}s`;
    note('sendtimeout', 'approximated', 'timeouts.deadline, for all smart hosts together');
  } else note('sendtimeout', 'dropped', 'its value has no counterpart');
  for (const [name, why] of Object.entries(WITHOUT_COUNTERPART)) note(name, 'dropped', why);
  notes.approximated(remotes, 0, 'Return-Path', 'nullmailer takes the sender from a Return-Path field, which is removed here: give -f');
  turnOffAliases(top, routers, { notes, file: remotes, program: 'nullmailer' });
  return { plan: { remarks: [], top, hosts, timeouts, routers, rewrite: {} }, notes };
}

/** A name without a dot gets the default domain. */
const completeName = (name: string, domain: string): string =>
  name === '' || name === 'localhost' || name.includes('.') || domain === '' ? name : `${name}.${domain}`;

/**
 * Splits a line into words as nullmailer does, because that is the password which it sent: quotes and backslashes keep
 * blanks, and the character behind an escaped one is literal, too. A line that begins with `#` is a comment; here ` #`
 * begins one, too.
 */
function splitWords(text: string): string[] {
  const words: string[] = [];
  if (text.startsWith('#')) return words;
  for (let at = 0; at < text.length; at++) {
    if (/\s/.test(text[at] as string)) continue;
    if (text[at] === '#') break;
    const { word, end } = readWord(text, at);
    words.push(word);
    at = end;
  }
  return words;
}

function readWord(text: string, begin: number): { readonly word: string; readonly end: number } {
  let word = '';
  let at = begin;
  /** Takes the escaped character and the one behind it. */
  const takeEscaped = (): void => {
    word += text.slice(at + 1, at + 3);
    at += 2;
  };
  for (; at < text.length && !/\s/.test(text[at] as string); at++) {
    const c = text[at] as string;
    if (c === '\\') takeEscaped();
    else if (c === "'" || c === '"') {
      for (at++; at < text.length && text[at] !== c; at++)
        if (c === '"' && text[at] === '\\') takeEscaped();
        else word += text[at];
    } else word += c;
  }
  return { word, end: at };
}

/** Options of a line that have no counterpart. */
const OPTIONS_WITHOUT_COUNTERPART: Readonly<Record<string, string>> = {
  x509crlfile: 'revocation lists are not read',
  x509fmtder: 'certificates are PEM here: convert the file',
  insecure: 'certificates are verified; pin this one with tls.fingerprint, which "nospool check" prints',
  'tls-anon-auth': 'the server must show a certificate',
  'auth-external': 'write auth with a user and mechanisms = ["EXTERNAL"]',
};

function readHost(
  file: ForeignFile,
  line: number,
  [name = '', protocol = 'smtp', ...words]: readonly string[],
  notes: Notes,
): HostPlan | null {
  if (protocol !== 'smtp') {
    // Another word may be an option, and so a password, where the protocol was forgotten.
    notes.dropped(file, line, name, protocol === 'qmqp' ? 'qmqp is not spoken' : 'the word behind the host is not "smtp"');
    return null;
  }
  const options = new Map<string, string>();
  for (const word of words) {
    const [, key = word, value = ''] = /^(?:--)?([^=]*)=?(.*)$/s.exec(word) ?? [];
    options.set(key, value);
  }
  const implicit = options.has('tls') || options.has('ssl');
  const starttls = options.has('starttls');
  const port = portOr(implicit ? 465 : 25, options.get('port') ?? '', (text) => notes.approximated(file, line, 'port', text));
  const url = urlOf(name, port, implicit ? 'tls' : 'smtp');
  notes.mapped(file, line, name, url);
  if (!implicit && !starttls) notes.approximated(file, line, name, TLS_WAS_OFF);
  const tls: TomlTable = starttls && !implicit ? { ...REQUIRED } : {};
  for (const [key, ours] of [
    ['x509certfile', 'certificate'],
    ['x509keyfile', 'certificate_key'],
    ['x509cafile', 'ca_file'],
  ] as const) {
    const value = options.get(key);
    if (!value) continue;
    tls[ours] = value;
    notes.mapped(file, line, key, `tls.${ours}`);
  }
  const address = options.get('source') ?? '';
  const isAddress = isIPv4(address) || isIPv6(address);
  if (isAddress) notes.mapped(file, line, 'source', 'source_address');
  else if (options.has('source')) notes.dropped(file, line, 'source', NO_IP_ADDRESS);
  const user = options.get('user');
  const password = options.get('pass');
  let auth: TomlTable | null = null;
  if (user && password && !options.has('auth-external')) {
    auth = { user, password };
    if (options.has('auth-login')) auth.mechanisms = ['LOGIN'];
    notes.mapped(file, line, 'user', `auth.user, auth.password; ${PASSWORD_IN_FILE}`);
  } else if (user || password) notes.dropped(file, line, 'user', 'user and pass belong together');
  const known = ['port', 'user', 'pass', 'tls', 'ssl', 'starttls', 'auth-login', 'x509certfile', 'x509keyfile', 'x509cafile', 'source'];
  for (const key of options.keys()) {
    const why = OPTIONS_WITHOUT_COUNTERPART[key];
    if (why) notes.dropped(file, line, key, why);
    // The note does not repeat the word, because it may be a part of a password with a blank in it.
    else if (!known.includes(key)) notes.dropped(file, line, name, 'a word on this line is not known');
  }
  return { url, tls, auth, ...(isAddress ? { link: { source_address: address } } : {}) };
}
