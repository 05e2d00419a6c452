/**
 * The files of /etc/nullmailer: `remotes`, of which each line is a smart host, and the files of one value each.
 */
import { type Draft, linesOf, type Notes, noteAliases, notes, portOf, REQUIRED, type Source, urlOf } from './import-notes.ts';
import type { HostPlan, RouterPlan, Settings } from './print.ts';

/** Files of the folder that are looked at beside `remotes`. */
export const NULLMAILER_FILES = [
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
  defaultdomain: 'write whole names',
};

export function importNullmailer(remotes: Source, others: readonly Source[]): Draft {
  const collected = notes();
  const hosts: HostPlan[] = [];
  for (const { line, text } of linesOf(remotes)) {
    const words = wordsOf(text);
    if (words.length === 0) continue;
    const host = hostOf(remotes, line, words, collected);
    if (host) hosts.push(host);
  }
  if (hosts.length === 0) collected.dropped(remotes, 0, 'remotes', 'there is no smart host in it: write smarthosts');

  const top: Settings = {};
  const timeouts: Settings = {};
  const routers: RouterPlan[] = [];
  for (const source of others) {
    const name = source.path.replace(/^.*\//, '');
    const value = source.text.trim().split('\n')[0]?.trim() ?? '';
    const why = DROPPED[name];
    if (why) collected.dropped(source, 1, name, why);
    else if (value === '') collected.dropped(source, 1, name, 'it is empty');
    else if (name === 'me' && !others.some(({ path }) => path.endsWith('/helohost'))) {
      top.hostname = value;
      collected.mapped(source, 1, name, 'hostname');
    } else if (name === 'me') collected.dropped(source, 1, name, 'helohost says more');
    else if (name === 'helohost') {
      top.hostname = value;
      collected.mapped(source, 1, name, 'hostname');
    } else if (name === 'defaulthost') {
      top.qualify_domain = value;
      collected.mapped(source, 1, name, 'qualify_domain');
    } else if (name === 'adminaddr') {
      routers.push({ settings: { name: 'adminaddr', driver: 'redirect' }, data: { '*': value } });
      collected.approximated(source, 1, name, 'a router for hostname, localhost and qualify_domain; /etc/aliases is not used beside it');
    } else if (name === 'allmailfrom') {
      top.from = value;
      top.force_from = true;
      collected.approximated(source, 1, name, 'from with force_from, which changes the From field as well');
    } else if (name === 'sendtimeout' && /^\d+$/.test(value) && Number(value) > 0) {
      timeouts.deadline = `${value}s`;
      collected.mapped(source, 1, name, 'timeouts.deadline');
    } else collected.dropped(source, 1, name, 'its value has no counterpart');
  }
  if (routers.length === 0) noteAliases(collected, remotes);
  return { plan: { remarks: [], top, hosts, timeouts, routers, rewrite: {} }, notes: collected };
}

/** Words as a shell has them: quotes and backslashes keep blanks, `#` begins a comment. */
function wordsOf(text: string): string[] {
  const words: string[] = [];
  const token = /\s*(?:#.*$|((?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\#]|(?<=\S)#)+))/gy;
  for (const [, word] of text.matchAll(token)) {
    if (word === undefined) break;
    words.push(
      word.replace(
        /'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)/g,
        (_, single?: string, double?: string, escaped?: string) => single ?? double?.replace(/\\(.)/g, '$1') ?? escaped ?? '',
      ),
    );
  }
  return words;
}

/** What else stands on a line and is not carried over. */
const IGNORED: Readonly<Record<string, string>> = {
  source: 'the system chooses the address',
  x509crlfile: 'revocation lists are not read',
  x509fmtder: 'certificates are PEM here: convert the file',
  insecure: 'certificates are verified; pin this one with tls.fingerprint, which "nospool check" prints',
  'tls-anon-auth': 'the server must show a certificate',
};

function hostOf(
  source: Source,
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
  const tls: Settings = starttls && !implicit ? { ...REQUIRED } : {};
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
  const user = options.get('user');
  const password = options.get('pass');
  let auth: Settings | null = null;
  if (user && password) {
    auth = { user, password };
    if (options.has('auth-login')) auth.mechanisms = ['LOGIN'];
    collected.mapped(source, line, 'user', 'auth.user, auth.password; better in a file of its own, named by auth.password_file');
  } else if (user || password) collected.dropped(source, line, 'user', 'user and pass belong together');
  const known = ['port', 'user', 'pass', 'tls', 'ssl', 'starttls', 'auth-login', 'x509certfile', 'x509keyfile', 'x509cafile'];
  for (const key of options.keys()) {
    const why = IGNORED[key];
    if (why) collected.dropped(source, line, key, why);
    // Its text is not repeated: a password with a blank in it and without quotes would be one.
    else if (!known.includes(key)) collected.dropped(source, line, name, 'a word on this line is not known');
  }
  return { url, tls, auth };
}
