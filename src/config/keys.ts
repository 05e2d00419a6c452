/**
 * Every key of nospool.toml(5), once. Reading, validation and suggestions use this table, and tests compare it with the
 * manual and with examples/nospool.example.toml. Knows neither TOML nor where a value came from.
 */
import { nearest } from '../router/nearest.ts';

/** The kinds of values; `values.ts` has a parser for each. */
export type Kind =
  | 'text'
  | 'switch'
  | 'choice'
  | 'size'
  | 'duration'
  | 'path'
  | 'texts'
  | 'paths'
  | 'command'
  | 'log'
  | 'hosts'
  | 'table'
  | 'auth';

/** '' is the top of the file; `host` is a table in `smarthosts` or `hosts`; the others are tables of their own name. */
export type Section = '' | 'tls' | 'auth' | 'timeouts' | 'router' | 'host' | 'rewrite';

type Driver = 'redirect' | 'manualroute';

export interface Key {
  readonly section: Section;
  readonly name: string;
  readonly kind: Kind;
  /** The default as it would be written; null: the key must be written, or its absence has a meaning of its own. */
  readonly initial: string | boolean | readonly string[] | null;
  readonly meaning: string;
  /** A value as it is written in the file, for errors. */
  readonly example: string;
  /** The words of a choice. */
  readonly choices: readonly string[];
  /** The least and the greatest size, in octets. */
  readonly range: readonly [number, number];
  /** The only driver whose routers take the key; null = both. */
  readonly driver: Driver | null;
}

/** Tables that stand in brackets in the file. `[[router]]` may be repeated, and the keys of `[rewrite]` are the user's. */
export const TABLES = ['tls', 'auth', 'timeouts', 'router', 'rewrite'] as const;

/** Commands run as the user who sends mail, and the lock keeps the environment out, so the environment may set neither. */
const NEVER_FROM_ENVIRONMENT = new Set(['auth.password_command', 'auth.token_command', '.lock']);

const KIB = 1024;
const MIB = 1024 * KIB;

const ANY = [0, Infinity] as const;
const NO_REST: Rest = {};
const NO_CHOICES: readonly string[] = [];

type Rest = Partial<Pick<Key, 'choices' | 'range' | 'driver'>>;

function key(
  section: Section,
  name: string,
  kind: Kind,
  initial: Key['initial'],
  example: string,
  meaning: string,
  { choices = NO_CHOICES, range = ANY, driver = null }: Rest = NO_REST,
): Key {
  return { section, name, kind, initial, meaning, example, choices, range, driver };
}

function choice(section: Section, name: string, choices: readonly string[], meaning: string): Key {
  const example = `"${choices.find((word) => word !== '')}"`;
  return key(section, name, 'choice', choices[0] as string, example, meaning, { choices });
}

function duration(name: string, initial: string, meaning: string): Key {
  return key('timeouts', name, 'duration', initial, `"${initial === 'none' ? '10m' : initial}"`, meaning);
}

const redirect = { driver: 'redirect' } as const;
const manualroute = { driver: 'manualroute' } as const;

const CREDENTIALS = '{ user = "ops", password_file = "/etc/nospool/password" }';

const PROXY = '"socks5://proxy.example.org:1080"';
const FAMILIES = ['any', '4', '6'];

export const KEYS: readonly Key[] = [
  key('', 'smarthosts', 'hosts', [], '["submission://mail.example.org"]', 'smart hosts, tried in this order until one takes the message'),
  key('', 'randomize', 'switch', false, 'true', 'try the smart hosts in random order'),
  key('', 'proxy', 'text', '', PROXY, 'proxy between here and the smart hosts, which looks up their names; "" = none'),
  key('', 'proxy_password_file', 'text', '', '"/etc/nospool/proxy"', 'file with the password for the user in proxy; as password_file'),
  key('', 'source_address', 'text', '', '"192.0.2.1"', 'address of this host to connect from; "" = the system\'s choice'),
  choice('', 'family', FAMILIES, 'addresses to connect to: IPv4, IPv6 or both'),
  key('', 'ignore_extensions', 'texts', [], '["CHUNKING"]', 'EHLO keywords that count as not offered: what a server announces and breaks'),
  key('', 'aliases', 'paths', ['/etc/aliases'], '["/etc/aliases"]', 'alias files, used if present and only where no [[router]] is written'),
  key('', 'lock', 'switch', false, 'true', 'in /etc/nospool.toml: the only configuration; user files and environment are ignored'),
  key('', 'hostname', 'text', '', '"web1.example.org"', 'EHLO argument and right side of Message-ID; "" = the FQDN of the host'),
  key('', 'qualify_domain', 'text', '', '"example.org"', 'domain of bare senders; "" = hostname'),
  key('', 'qualify_recipient', 'text', '', '"example.org"', 'domain of bare recipients; "" = qualify_domain'),
  key('', 'from', 'text', '', '"{login}@example.org"', 'default reverse-path and added From; may contain {login}'),
  key('', 'force_from', 'switch', false, 'true', 'from wins over -f and the From of the message'),
  key('', 'force_reverse_path', 'switch', false, 'true', 'from wins over -f, and the From of the message stays'),
  // At least 1 KiB, because a window that holds no small message makes SIZE and fail-over useless. At most 1 GiB, because it is held in memory.
  key('', 'replay_window', 'size', '256KiB', '"256KiB"', 'octets of body read before connecting, and kept for the next host', {
    range: [KIB, 1024 * MIB],
  }),
  // 1 KiB holds a header section of one line; -t with a million recipients needs 64 MiB.
  key('', 'header_limit', 'size', '1MiB', '"1MiB"', 'longest header section that is accepted', { range: [KIB, 64 * MIB] }),
  choice('', 'arguments_with_t', ['add', 'remove'], 'recipients in the arguments together with -t'),
  choice('', 'lone_dot', ['ends', 'text'], 'a line with a single dot when -i was not given'),
  key('', 'keep_bcc', 'switch', false, 'true', 'leave Bcc in the message when -t was not given'),
  key('', 'received', 'switch', false, 'true', 'add a Received field'),
  key('', 'default_charset', 'text', '', '"koi8-r"', 'charset of raw 8-bit text that is not UTF-8; "" = the charset of the locale'),
  choice('', 'header_8bit', ['encode', 'send'], 'raw 8-bit text in header fields'),
  choice('', 'eight_bit', ['convert', 'send', 'refuse'], '8-bit content when the server has no 8BITMIME'),
  choice('', 'long_lines', ['send', 'refuse'], 'lines of more than 998 octets'),
  choice('', 'dsn', ['drop', 'require'], 'when DSN was asked for and the server does not offer it'),
  key('', 'lmtp_partial', 'switch', false, 'true', 'allow several recipients over LMTP, where each may fail alone'),
  choice('', 'exit_codes', ['simple', 'sysexits'], '0 and 1, or the values of sysexits.h'),
  key(
    '',
    'log',
    'log',
    '',
    '"/var/log/nospool.log"',
    'path, "syslog", "stderr" or "none"; "" = /var/log/nospool.log if writable, else syslog',
  ),
  choice('', 'log_format', ['exim', 'json'], 'form of a log line'),

  choice(
    'tls',
    'mode',
    ['', 'required', 'opportunistic', 'off'],
    '"" = required, but off for hosts written as a loopback address, localhost or unix:',
  ),
  key('tls', 'verify', 'switch', true, 'false', 'verify the certificate of the server'),
  key('tls', 'ca_file', 'path', '', '"/etc/ssl/own-ca.pem"', 'trusted certificates, PEM; "" = the CA store of the system'),
  key(
    'tls',
    'fingerprint',
    'texts',
    [],
    `["sha256:${'0123456789abcdef'.repeat(4)}"]`,
    'of the leaf certificate or key; replaces verification by CA',
  ),
  key('tls', 'server_name', 'text', '', '"mail.example.org"', 'SNI and name to verify; "" = the host as configured'),
  key('tls', 'certificate', 'path', '', '"/etc/nospool/client.pem"', 'client certificate, PEM'),
  key('tls', 'certificate_key', 'path', '', '"/etc/nospool/client.key"', 'its key, PEM; "" = in the file of the certificate'),
  choice('tls', 'min_version', ['1.2', '1.3'], 'lowest version of TLS'),

  key('auth', 'user', 'text', '', '"ops@example.org"', '"" = no authentication; set = authentication is required'),
  key(
    'auth',
    'mechanisms',
    'texts',
    [],
    '["SCRAM-SHA-256", "PLAIN"]',
    'allowed mechanisms, best first; [] = the strongest that both sides have',
  ),
  key('auth', 'password_file', 'text', '', '"/etc/nospool/password"', 'file with the password; a relative name is a systemd credential'),
  key(
    'auth',
    'password_command',
    'command',
    [],
    '["/usr/bin/pass", "show", "mail"]',
    'program that prints the password, with its arguments',
  ),
  key('auth', 'password_env', 'text', '', '"MAIL_PASSWORD"', 'environment variable that holds the password'),
  key('auth', 'password', 'text', '', '"secret"', 'the password; refused if others can read this file'),
  key('auth', 'token_file', 'text', '', '"/etc/nospool/token"', 'file with an access token, for OAUTHBEARER and XOAUTH2; as password_file'),
  key('auth', 'token_command', 'command', [], '["/usr/local/bin/access-token"]', 'program that prints an access token, with its arguments'),
  key('auth', 'token_env', 'text', '', '"MAIL_TOKEN"', 'environment variable that holds an access token'),
  key('auth', 'allow_plaintext', 'switch', false, 'true', 'send credentials without TLS'),

  duration('resolve', '30s', 'looking up a name'),
  duration('connect', '30s', 'connecting to one address'),
  duration('handshake', '30s', 'TLS handshake'),
  duration('greeting', '5m', 'greeting of the server'),
  duration('command', '5m', 'reply to a command'),
  duration('data', '2m', 'reply 354 to DATA'),
  duration('block', '3m', 'each block of content'),
  duration('final', '10m', 'reply to the terminator'),
  duration('input', '4m', 'silence of standard input while a session is open'),
  duration('deadline', '2h', 'a delivery, from the first lookup to the verdict'),

  key('router', 'name', 'text', null, '"system_aliases"', 'name in reports; required'),
  key('router', 'driver', 'choice', null, '"redirect"', 'required', { choices: ['redirect', 'manualroute'] }),
  key('router', 'domains', 'texts', null, '["@", "*.example.org"]', 'of recipients; default ["@"] for redirect, any for manualroute'),
  key('router', 'local_parts', 'texts', [], '["root", "postmaster"]', 'local-parts of recipients; [] = any'),
  key('router', 'senders', 'texts', [], '["*@example.org"]', 'reverse-paths; [] = any'),
  key('router', 'file', 'path', '', '"/etc/aliases"', 'alias file', redirect),
  key('router', 'data', 'table', null, '{ root = "ops@example.org" }', 'aliases written here', redirect),
  key('router', 'forward', 'switch', false, 'true', "~/.forward of the recipient's user", redirect),
  key('router', 'qualify_preserve_domain', 'switch', false, 'true', 'bare addresses get the domain of the recipient', redirect),
  key('router', 'hosts', 'hosts', [], '["smtp://mail.internal.example.org"]', 'smart hosts of this route, as in smarthosts', manualroute),
  key('router', 'randomize', 'switch', false, 'true', 'try them in random order', manualroute),
  key('router', 'tls', 'table', null, '{ mode = "off" }', 'keys of [tls], for all hosts of this route', manualroute),
  key('router', 'auth', 'auth', null, CREDENTIALS, 'keys of [auth], for all hosts of this route', manualroute),
  key('router', 'ignore_extensions', 'texts', null, '["CHUNKING"]', 'as at the top, for all hosts of this route', manualroute),
  key('router', 'errors_to', 'text', '', '"bounces@example.org"', 'another reverse-path; "<>" = the null reverse-path', manualroute),
  key('router', 'headers_add', 'texts', [], '["X-Site: main"]', 'header fields to add', manualroute),
  key('router', 'headers_remove', 'texts', [], '["X-Debug"]', 'names of header fields to remove', manualroute),

  key('host', 'url', 'text', null, '"submission://mail.example.org"', 'where the smart host is; required'),
  key('host', 'tls', 'table', null, '{ mode = "off" }', 'keys of [tls], for this smart host'),
  key('host', 'auth', 'auth', null, CREDENTIALS, 'a table with keys of [auth], "default" or "none"'),
  key('host', 'proxy', 'text', null, PROXY, 'proxy for this smart host; "" = none'),
  key('host', 'proxy_password_file', 'text', null, '"/etc/nospool/proxy"', 'file with the password for the user in its proxy'),
  key('host', 'source_address', 'text', null, '"192.0.2.1"', 'address of this host to connect to it from'),
  key('host', 'family', 'choice', null, '"4"', 'its addresses to connect to', { choices: FAMILIES }),
  key('host', 'ignore_extensions', 'texts', null, '["CHUNKING"]', 'as at the top, for this smart host'),
];

const bySection = new Map<Section, Map<string, Key>>();
for (const one of KEYS) {
  const keys = bySection.get(one.section) ?? new Map<string, Key>();
  bySection.set(one.section, keys.set(one.name, one));
}

/** The environment variable that overrides a key; '' = none. */
export function variableOf({ section, name }: Key): string {
  const settable = section === '' || section === 'tls' || section === 'auth' || section === 'timeouts';
  const prefix = section === '' ? '' : `${section}_`;
  return settable && !NEVER_FROM_ENVIRONMENT.has(`${section}.${name}`) ? `NOSPOOL_${prefix}${name}`.toUpperCase() : '';
}

export function keyOf(section: Section, name: string): Key | undefined {
  return bySection.get(section)?.get(name);
}

export function keyOfEnv(variable: string): Key | undefined {
  return variable === '' ? undefined : KEYS.find((key) => variableOf(key) === variable);
}

export function keysOf(section: Section): readonly Key[] {
  return KEYS.filter((one) => one.section === section);
}

/** The section's name in a sentence. */
export function printSection(section: Section): string {
  if (section === '') return 'the top of the file';
  if (section === 'host') return 'a smart host';
  return section === 'router' ? '[[router]]' : `[${section}]`;
}

/** The default as it is written in the file; '' when the key has none. */
export function printInitial({ initial }: Key): string {
  if (initial === null) return '';
  if (typeof initial === 'string') return `"${initial}"`;
  return typeof initial === 'boolean' ? String(initial) : `[${initial.map((item) => `"${item}"`).join(', ')}]`;
}

/** Names of other programs that no edit distance finds. */
const FOREIGN: Readonly<Record<string, string>> = {
  relayhost: 'smarthosts',
  mailhub: 'smarthosts',
  host: 'smarthosts',
  server: 'smarthosts',
  port: 'smarthosts',
  helo: 'hostname',
  maildomain: 'qualify_domain',
  username: 'user',
  login: 'user',
  passwordeval: 'password_command',
  access_token: 'token_file',
  pass: 'password',
  starttls: 'mode',
  smtp_discard_ehlo_keywords: 'ignore_extensions',
  logfile: 'log',
};

/** The most likely member of `names`, and whether it is near enough for a "did you mean". */
export function nearestKey(written: string, names: readonly string[]): { readonly name: string; readonly near: boolean } {
  const folded = written.toLowerCase().replaceAll('-', '_');
  const foreign = Object.hasOwn(FOREIGN, folded) ? FOREIGN[folded] : undefined;
  return foreign !== undefined && names.includes(foreign) ? { name: foreign, near: true } : nearest(folded, names);
}
