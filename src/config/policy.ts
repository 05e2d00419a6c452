/**
 * Reads [tls] and [auth] tables, wherever they stand, as policies, and refuses contradictions. Reads no secret, only
 * where to find it.
 */
import { type AuthPolicy, DEFAULT_TLS, type Secret, type TlsPolicy } from '../router/smarthost.ts';
import { MECHANISMS } from '../smtp/sasl/mechanisms.ts';
import { keysOf, nearestKey, variableOf } from './keys.ts';
import { type Held, type Reading, take } from './table.ts';
import { type Entries, parsePath, type Written } from './values.ts';

/** The keys of one table over `base`. A key about trust also replaces the keys of `base` that it contradicts. */
export function readTlsPolicy(reading: Reading, base: TlsPolicy, entries: Entries): TlsPolicy {
  const text = (kind: 'text' | 'path', name: string): string => take(reading, entries, 'tls', kind, name);
  const mode = take(reading, entries, 'tls', 'choice', 'mode') as '' | Exclude<TlsPolicy['mode'], 'default'>;
  const verify = take(reading, entries, 'tls', 'switch', 'verify');
  const caFile = text('path', 'ca_file');
  const fingerprint = takeFingerprints(reading, entries);
  const serverName = text('text', 'server_name');
  const certificate = text('path', 'certificate');
  const certificateKey = text('path', 'certificate_key');
  const minVersion = take(reading, entries, 'tls', 'choice', 'min_version') as TlsPolicy['minVersion'];

  const contradict = (name: string, sentence: string): void => {
    const written = entries.get(name);
    if (written) reading.complain(written, sentence);
  };
  if (mode === 'off') {
    if (!verify) contradict('verify', 'means nothing with mode = "off": remove one of them');
    for (const [name, value] of Object.entries({ ca_file: caFile, server_name: serverName, certificate, certificate_key: certificateKey }))
      if (value !== '') contradict(name, 'contradicts mode = "off": remove one of them');
    if (fingerprint.length > 0) contradict('fingerprint', 'contradicts mode = "off": remove one of them');
    if (minVersion !== DEFAULT_TLS.minVersion) contradict('min_version', 'contradicts mode = "off": remove one of them');
  }
  if (!verify && caFile !== '') contradict('ca_file', 'contradicts verify = false: remove one of them');
  if (!verify && fingerprint.length > 0) contradict('fingerprint', 'contradicts verify = false: it is a way to verify, remove verify');
  if (caFile !== '' && fingerprint.length > 0)
    contradict('ca_file', 'would not be used: fingerprint replaces verification by CA, remove one of them');
  if (certificateKey !== '' && isEmpty(entries.get('certificate')?.raw)) contradict('certificate_key', 'needs certificate beside it');

  let { verify: verified, caFile: trusted, fingerprint: pinned } = base;
  if (entries.has('verify') || caFile !== '' || fingerprint.length > 0) verified = verify;
  if (entries.has('ca_file') || fingerprint.length > 0 || !verified) trusted = caFile;
  if (entries.has('fingerprint') || caFile !== '' || !verified) pinned = fingerprint;
  const own = entries.has('certificate');
  return {
    mode: entries.has('mode') ? mode || 'default' : base.mode,
    verify: verified,
    caFile: trusted,
    fingerprint: pinned,
    serverName: entries.has('server_name') ? serverName : base.serverName,
    certificate: own ? certificate : base.certificate,
    certificateKey: own ? certificateKey || certificate : base.certificateKey,
    minVersion: entries.has('min_version') ? minVersion : base.minVersion,
  };
}

/** Each becomes `sha256:` and 64 lower-case hexadecimal digits. Capitals and colons are accepted, because openssl prints them. */
function takeFingerprints(reading: Reading, entries: Entries): readonly string[] {
  const list = take(reading, entries, 'tls', 'texts', 'fingerprint');
  const digests: string[] = [];
  for (const item of list) {
    const found = /^sha-?256:(.*)$/i.exec(item);
    const digits = (found?.[1] ?? item).replaceAll(':', '').toLowerCase();
    const written = entries.get('fingerprint');
    if (found && /^[0-9a-f]{64}$/.test(digits)) digests.push(`sha256:${digits}`);
    else if (written)
      reading.complain(written, 'expects "sha256:" and 64 hexadecimal digits, as "nospool check" prints them, in each item');
  }
  return digests;
}

/** The keys that name a secret; a policy uses exactly one. */
export const SECRETS = [
  'password_file',
  'password_command',
  'password_env',
  'password',
  'token_file',
  'token_command',
  'token_env',
] as const;
type SecretKey = (typeof SECRETS)[number];

/** The policy of one table. It inherits nothing, because half of another host's credentials is never right. null = no authentication. */
export function readAuthPolicy(reading: Reading, entries: Entries): AuthPolicy | null {
  const text = (name: string): string => take(reading, entries, 'auth', 'text', name);
  const user = text('user');
  const mechanisms = takeMechanisms(reading, entries);
  const allowPlaintext = take(reading, entries, 'auth', 'switch', 'allow_plaintext');
  const secrets = new Map(SECRETS.map((key) => [key, takeSecret(reading, entries, key)]));
  const used = SECRETS.filter((key) => secrets.get(key)?.from !== 'none');
  const [first, second] = used;
  const firstWritten = first && entries.get(first);
  const secondWritten = second && entries.get(second);
  if (secondWritten)
    reading.complain(
      secondWritten,
      `contradicts ${nameLike(secondWritten, first as SecretKey)}: keep exactly one of ${namesLike(secondWritten, SECRETS).join(', ')}`,
    );
  if (firstWritten && user === '')
    reading.complain(firstWritten, `needs ${nameLike(firstWritten, 'user')} beside it: without a user there is no authentication`);
  const mechanismsWritten = entries.get('mechanisms');
  if (mechanismsWritten && mechanisms.length > 0 && user === '' && !firstWritten)
    reading.complain(
      mechanismsWritten,
      `needs ${nameLike(mechanismsWritten, 'user')} beside it: without a user there is no authentication`,
    );
  const userWritten = entries.get('user');
  const isNamed = SECRETS.some((source) => !isEmpty(entries.get(source)?.raw));
  if (userWritten && user !== '' && !isNamed && !mechanisms.includes('EXTERNAL') && !reading.incomplete.has(entries))
    reading.complain(userWritten, `needs a password or a token: write one of ${namesLike(userWritten, SECRETS).join(', ')} beside it`);

  for (const key of used) {
    const { from } = secrets.get(key) as Secret;
    if (from === 'literal' || from === 'command') refuseHeld(reading, entries.get(key), from);
  }
  if (user === '') return null;
  const secret = (first && secrets.get(first)) ?? { from: 'none' };
  return { user, mechanisms, secret, ...(first?.startsWith('token') ? { isToken: true } : {}), allowPlaintext };
}

/** Keys of [auth] as they can be written where `written` stands: in the environment they are variables, which some keys lack. */
const namesLike = ({ isInFile }: Written, names: readonly string[]): readonly string[] =>
  isInFile ? names : keysOf('auth').flatMap((key) => (names.includes(key.name) ? [variableOf(key)].filter((name) => name !== '') : []));
const nameLike = (written: Written, name: string): string => namesLike(written, [name]).join();

export const isEmpty = (raw: unknown): boolean => raw === undefined || raw === '' || (Array.isArray(raw) && raw.length === 0);

/** Marks a secret of a file that an argument names: such a file could send any password that the user may read to its own host. */
export const markOwn = (reading: Reading, written: Written | undefined): { readonly isOwn?: true } =>
  written?.isInFile && reading.refuses('path', written) !== null ? { isOwn: true } : {};

/** Reports a key whose file may not hold it. The environment may hold all, because the user who runs this sets it. */
export function refuseHeld(reading: Reading, written: Written | undefined, held: Held): void {
  const refused = written?.isInFile ? reading.refuses(held, written) : null;
  if (written && refused !== null) reading.complain(written, refused);
}

function takeMechanisms(reading: Reading, entries: Entries): readonly string[] {
  const names = take(reading, entries, 'auth', 'texts', 'mechanisms').map((item) => item.toUpperCase());
  const written = entries.get('mechanisms');
  for (const name of names)
    if (written && !(MECHANISMS as readonly string[]).includes(name))
      reading.complain(written, `does not know "${name}"; did you mean "${nearestKey(name, MECHANISMS).name}"?`);
  return names;
}

/** The secret of one key; 'none' where the key is empty or not written. */
function takeSecret(reading: Reading, entries: Entries, key: SecretKey): Secret {
  if (key === 'password_command' || key === 'token_command') {
    const argv = take(reading, entries, 'auth', 'command', key);
    return argv.length > 0 ? { from: 'command', argv } : { from: 'none' };
  }
  const text = take(reading, entries, 'auth', 'text', key);
  if (text === '') return { from: 'none' };
  if (key === 'password') return { from: 'literal', value: text };
  if (key === 'password_file' || key === 'token_file')
    return { from: 'file', path: parseSecretPath(reading, entries, key, text), ...markOwn(reading, entries.get(key)) };
  const written = entries.get(key);
  if (written && !/^[A-Za-z_][A-Za-z0-9_]*$/.test(text)) reading.complain(written, 'expects the name of an environment variable');
  return { from: 'env', name: text };
}

/**
 * A relative name is a credential that systemd hands to the service (LoadCredential=, systemd.exec(5)). It stays as it
 * is, because the reader of the secret knows the folder.
 */
function parseSecretPath(reading: Reading, entries: Entries, key: SecretKey, file: string): string {
  if (!file.startsWith('~') && !file.split('/').some((part) => part === '.' || part === '..')) return file;
  const path = parsePath(file, reading.directories);
  if (path.ok) return path.value;
  const written = entries.get(key);
  if (written) reading.complain(written, `${path.detail}, or the name of a systemd credential`);
  return file;
}
