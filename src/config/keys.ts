/**
 * Every key of nospool.toml(5), once. Reading, validation and suggestions use this table, and tests compare it with the
 * manual, which tells what they mean, and with examples/nospool.example.toml. Knows neither TOML nor where a value came from.
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
  { choices = NO_CHOICES, range = ANY, driver = null }: Rest = NO_REST,
): Key {
  return { section, name, kind, initial, example, choices, range, driver };
}

function choice(section: Section, name: string, choices: readonly string[]): Key {
  const example = `"${choices.find((word) => word !== '')}"`;
  return key(section, name, 'choice', choices[0] as string, example, { choices });
}

function duration(name: string, initial: string): Key {
  return key('timeouts', name, 'duration', initial, `"${initial === 'none' ? '10m' : initial}"`);
}

const redirect = { driver: 'redirect' } as const;
const manualroute = { driver: 'manualroute' } as const;

const CREDENTIALS = '{ user = "ops", password_file = "/etc/nospool/password" }';

const PROXY = '"socks5://proxy.example.org:1080"';
const FAMILIES = ['any', '4', '6'];

export const KEYS: readonly Key[] = [
  key('', 'smarthosts', 'hosts', [], '["submission://mail.example.org"]'),
  key('', 'randomize', 'switch', false, 'true'),
  key('', 'proxy', 'text', '', PROXY),
  key('', 'proxy_password_file', 'text', '', '"/etc/nospool/proxy"'),
  key('', 'source_address', 'text', '', '"192.0.2.1"'),
  choice('', 'family', FAMILIES),
  key('', 'ignore_extensions', 'texts', [], '["CHUNKING"]'),
  key('', 'aliases', 'paths', ['/etc/aliases'], '["/etc/aliases"]'),
  key('', 'lock', 'switch', false, 'true'),
  key('', 'hostname', 'text', '', '"web1.example.org"'),
  key('', 'qualify_domain', 'text', '', '"example.org"'),
  key('', 'qualify_recipient', 'text', '', '"example.org"'),
  key('', 'from', 'text', '', '"{login}@example.org"'),
  key('', 'force_from', 'switch', false, 'true'),
  key('', 'force_reverse_path', 'switch', false, 'true'),
  // At least 1 KiB, because a window that holds no small message makes SIZE and fail-over useless. At most 1 GiB, because it is held in memory.
  key('', 'replay_window', 'size', '256KiB', '"256KiB"', {
    range: [KIB, 1024 * MIB],
  }),
  // 1 KiB holds a header section of one line; -t with a million recipients needs 64 MiB.
  key('', 'header_limit', 'size', '1MiB', '"1MiB"', { range: [KIB, 64 * MIB] }),
  choice('', 'arguments_with_t', ['add', 'remove']),
  choice('', 'lone_dot', ['ends', 'text']),
  key('', 'keep_bcc', 'switch', false, 'true'),
  key('', 'received', 'switch', false, 'true'),
  key('', 'default_charset', 'text', '', '"koi8-r"'),
  choice('', 'header_8bit', ['encode', 'send']),
  choice('', 'eight_bit', ['convert', 'send', 'refuse']),
  choice('', 'long_lines', ['send', 'refuse']),
  choice('', 'dsn', ['drop', 'require']),
  key('', 'lmtp_partial', 'switch', false, 'true'),
  choice('', 'exit_codes', ['simple', 'sysexits']),
  key('', 'log', 'log', '', '"/var/log/nospool.log"'),
  choice('', 'log_format', ['exim', 'json']),

  choice('tls', 'mode', ['', 'required', 'opportunistic', 'off']),
  key('tls', 'verify', 'switch', true, 'false'),
  key('tls', 'ca_file', 'path', '', '"/etc/ssl/own-ca.pem"'),
  key('tls', 'fingerprint', 'texts', [], `["sha256:${'0123456789abcdef'.repeat(4)}"]`),
  key('tls', 'server_name', 'text', '', '"mail.example.org"'),
  key('tls', 'certificate', 'path', '', '"/etc/nospool/client.pem"'),
  key('tls', 'certificate_key', 'path', '', '"/etc/nospool/client.key"'),
  choice('tls', 'min_version', ['1.2', '1.3']),

  key('auth', 'user', 'text', '', '"ops@example.org"'),
  key('auth', 'mechanisms', 'texts', [], '["SCRAM-SHA-256", "PLAIN"]'),
  key('auth', 'password_file', 'text', '', '"/etc/nospool/password"'),
  key('auth', 'password_command', 'command', [], '["/usr/bin/pass", "show", "mail"]'),
  key('auth', 'password_env', 'text', '', '"MAIL_PASSWORD"'),
  key('auth', 'password', 'text', '', '"secret"'),
  key('auth', 'token_file', 'text', '', '"/etc/nospool/token"'),
  key('auth', 'token_command', 'command', [], '["/usr/local/bin/access-token"]'),
  key('auth', 'token_env', 'text', '', '"MAIL_TOKEN"'),
  key('auth', 'allow_plaintext', 'switch', false, 'true'),

  duration('resolve', '30s'),
  duration('connect', '30s'),
  duration('handshake', '30s'),
  duration('greeting', '5m'),
  duration('command', '5m'),
  duration('data', '2m'),
  duration('block', '3m'),
  duration('final', '10m'),
  duration('input', '4m'),
  duration('deadline', '2h'),

  key('router', 'name', 'text', null, '"system_aliases"'),
  key('router', 'driver', 'choice', null, '"redirect"', { choices: ['redirect', 'manualroute'] }),
  key('router', 'domains', 'texts', null, '["@", "*.example.org"]'),
  key('router', 'local_parts', 'texts', [], '["root", "postmaster"]'),
  key('router', 'senders', 'texts', [], '["*@example.org"]'),
  key('router', 'file', 'path', '', '"/etc/aliases"', redirect),
  key('router', 'data', 'table', null, '{ root = "ops@example.org" }', redirect),
  key('router', 'forward', 'switch', false, 'true', redirect),
  key('router', 'qualify_preserve_domain', 'switch', false, 'true', redirect),
  key('router', 'hosts', 'hosts', [], '["smtp://mail.internal.example.org"]', manualroute),
  key('router', 'randomize', 'switch', false, 'true', manualroute),
  key('router', 'tls', 'table', null, '{ mode = "off" }', manualroute),
  key('router', 'auth', 'auth', null, CREDENTIALS, manualroute),
  key('router', 'ignore_extensions', 'texts', null, '["CHUNKING"]', manualroute),
  key('router', 'errors_to', 'text', '', '"bounces@example.org"', manualroute),
  key('router', 'headers_add', 'texts', [], '["X-Site: main"]', manualroute),
  key('router', 'headers_remove', 'texts', [], '["X-Debug"]', manualroute),

  key('host', 'url', 'text', null, '"submission://mail.example.org"'),
  key('host', 'tls', 'table', null, '{ mode = "off" }'),
  key('host', 'auth', 'auth', null, CREDENTIALS),
  key('host', 'proxy', 'text', null, PROXY),
  key('host', 'proxy_password_file', 'text', null, '"/etc/nospool/proxy"'),
  key('host', 'source_address', 'text', null, '"192.0.2.1"'),
  key('host', 'family', 'choice', null, '"4"', { choices: FAMILIES }),
  key('host', 'ignore_extensions', 'texts', null, '["CHUNKING"]'),
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
