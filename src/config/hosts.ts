/**
 * Reads lists of smart hosts, with the TLS and credentials of each. Holds the rule that no smart host gets the password of
 * another one unless the file says so.
 */
import { isWrittenAsLoopback } from '../router/loopback.ts';
import {
  type Address,
  type AuthPolicy,
  DEFAULT_TLS,
  DIRECT,
  type Link,
  parseSmarthost,
  type Smarthost,
  type TlsPolicy,
} from '../router/smarthost.ts';
import { USED_EXTENSIONS } from '../smtp/client/extensions.ts';
import { isDirect, readLink } from './connection-keys.ts';
import { nearestKey, type Section } from './keys.ts';
import { readAuthPolicy, readTlsPolicy } from './policy.ts';
import { type Reading, readTable, take } from './table.ts';
import type { PathStep } from './toml-lines.ts';
import { type Entries, isTable, type Location } from './values.ts';

/** 'implied': nothing is written, so [auth] applies if that is safe. */
type WrittenAuth = AuthPolicy | null | 'default' | 'implied';

/** A smart host whose credentials are not settled yet, because that needs all smart hosts of the file. */
export interface HostDraft {
  readonly address: Address;
  readonly tls: TlsPolicy;
  readonly auth: WrittenAuth;
  readonly link: Link;
  readonly ignored: readonly string[];
  readonly at: Location;
}

/** The settings that each host of a list inherits unless it has its own. */
export interface Inherited {
  readonly tls: TlsPolicy;
  readonly auth: WrittenAuth;
  readonly link: Link;
  /** EHLO keywords that count as not offered. */
  readonly ignored: readonly string[];
}

/** The hosts of one key. `entries` and `path` are those of its table. */
export function draftHosts(
  reading: Reading,
  entries: Entries,
  section: Section,
  name: 'smarthosts' | 'hosts',
  path: readonly PathStep[],
  shared: Inherited,
): HostDraft[] {
  const drafts: HostDraft[] = [];
  const written = entries.get(name);
  if (!written) return drafts;
  for (const [i, item] of take(reading, entries, section, 'hosts', name).entries()) {
    const at = written.isInFile ? reading.at([...path, name, i], `key "${name}":`) : { ...written, label: `${written.label}:` };
    const draft =
      typeof item === 'string' ? draftHost(reading, at, item, shared) : draftTable(reading, at, item, [...path, name, i], shared);
    if (draft) drafts.push(draft);
  }
  return drafts;
}

function draftTable(reading: Reading, at: Location, raw: unknown, path: readonly PathStep[], shared: Inherited): HostDraft | null {
  if (!isTable(raw)) {
    reading.complain(at, 'each item is a text such as "submission://mail.example.org" or a table such as { url = "…", auth = { … } }');
    return null;
  }
  const entries = readTable(reading, 'host', raw, path, 'of a smart host');
  const tls = readTlsKey(reading, entries, 'host', path, shared.tls, 'of a smart host');
  const auth = readAuthKey(reading, entries, 'host', path, shared.auth, 'of a smart host');
  const link = readLink(reading, 'host', shared.link, entries);
  const ignored = readIgnored(reading, 'host', shared.ignored, entries);
  const url = entries.get('url');
  if (!url) {
    reading.complain(at, 'a smart host written as a table needs url = "…"');
    return null;
  }
  const text = take(reading, entries, 'host', 'text', 'url');
  return typeof url.raw === 'string' ? draftHost(reading, { ...url, label: `${url.label}:` }, text, { tls, auth, link, ignored }) : null;
}

function draftHost(reading: Reading, at: Location, text: string, { tls, auth, link, ignored }: Inherited): HostDraft | null {
  const address = parseSmarthost(text);
  if (!address.ok) {
    reading.complain(at, address.detail);
    return null;
  }
  const implicit = address.value.scheme === 'submissions';
  if (implicit && tls.mode === 'off')
    reading.complain(at, `"${address.value.host}" is TLS from the first octet (RFC 8314), which contradicts mode = "off"`);
  // With mode off nothing else of the policy counts, and two routes are one only if their policies are equal.
  const settled: TlsPolicy = tls.mode === 'off' ? { ...DEFAULT_TLS, mode: 'off' } : implicit ? { ...tls, mode: 'required' } : tls;
  // A socket of this host needs no proxy and no address.
  return { address: address.value, tls: settled, auth, link: address.value.scheme === 'unix' ? DIRECT : link, ignored, at };
}

/** The `ignore_extensions` of one table; `base` when it is not written. It may name an extension that nobody knows yet. */
export function readIgnored(
  reading: Reading,
  section: '' | 'router' | 'host',
  base: readonly string[],
  entries: Entries,
): readonly string[] {
  const written = entries.get('ignore_extensions');
  if (!written) return base;
  const keywords = take(reading, entries, section, 'texts', 'ignore_extensions').map((item) => item.toUpperCase());
  for (const keyword of keywords) {
    // RFC 5321 §4.1.1.1
    if (!/^[A-Z0-9][A-Z0-9-]*$/.test(keyword))
      reading.complain(written, 'expects EHLO keywords such as "CHUNKING", without their parameters');
    const meant = nearestKey(keyword, USED_EXTENSIONS);
    if (meant.near && meant.name !== keyword)
      reading.warn(written, `names "${keyword}", which is no extension known here; did you mean "${meant.name}"?`);
  }
  return keywords;
}

/** The `tls` key of a router or host, over `base`. */
export function readTlsKey(
  reading: Reading,
  entries: Entries,
  section: 'router' | 'host',
  path: readonly PathStep[],
  base: TlsPolicy,
  title: string,
): TlsPolicy {
  const raw = take(reading, entries, section, 'table', 'tls');
  return readTlsPolicy(reading, base, readTable(reading, 'tls', raw, [...path, 'tls'], `in tls ${title}`));
}

/** The `auth` key of a router or host; `shared` when it is not written. */
export function readAuthKey(
  reading: Reading,
  entries: Entries,
  section: 'router' | 'host',
  path: readonly PathStep[],
  shared: WrittenAuth,
  title: string,
): WrittenAuth {
  if (!entries.has('auth')) return shared;
  const raw = take(reading, entries, section, 'auth', 'auth');
  if (raw === 'default') return raw;
  return raw === 'none' ? null : readAuthPolicy(reading, readTable(reading, 'auth', raw, [...path, 'auth'], `in auth ${title}`));
}

/**
 * Settles the credentials of all lists at once, in the order given. [auth] goes to the first name that has no credentials
 * of its own and to no other name, because the operator of a backup must not get the password of the primary.
 */
export function settleAuth(
  reading: Reading,
  auth: AuthPolicy | null,
  lists: readonly (readonly HostDraft[])[],
): readonly (readonly Smarthost[])[] {
  const first = lists.flat().find((draft) => draft.auth === 'implied')?.address.host;
  return lists.map((drafts) =>
    drafts.map((draft) => {
      const { host } = draft.address;
      if (draft.auth === 'default' && auth === null)
        reading.complain(draft.at, `auth = "default" of "${host}" means [auth], which has no user`);
      if (draft.auth === 'implied' && auth !== null && host !== first)
        reading.complain(
          draft.at,
          `"${host}" would get the password for "${first}": ${draft.at.isInFile ? 'write a table { url = "…", auth = { user = "…", … } }, or auth = "default" to use [auth] here too, or auth = "none"' : ADVICE_FOR_VARIABLE}`,
        );
      const link = isDirect(draft.link) ? {} : { link: draft.link };
      const ignored = draft.ignored.length === 0 ? {} : { ignoreExtensions: draft.ignored };
      const settled = { ...draft.address, tls: draft.tls, auth: typeof draft.auth === 'string' ? auth : draft.auth, ...link, ...ignored };
      if (isAuthUnusable(settled) && !isWrittenAsLoopback(settled))
        reading.complain(
          draft.at,
          `"${host}" would get the password in the clear, because TLS has mode = "off": use TLS, or write allow_plaintext = true beside its user`,
        );
      return settled;
    }),
  );
}

const ADVICE_FOR_VARIABLE =
  'a variable cannot say who has which, so name one smart host, or write smarthosts in a file, each with its own auth';

/** True where TLS is off and credentials must not go in the clear, so that they would never be sent. */
const isAuthUnusable = ({ tls, auth }: Smarthost): boolean =>
  tls.mode === 'off' && auth !== null && auth.secret.from !== 'none' && !auth.allowPlaintext;
