/**
 * Reads the keys that say how a smart host is reached (proxy, source address, family), at the top of the file and in the
 * table of a smart host. Looks nothing up and reads no secret.
 */

import { parseProxy } from '../router/proxy-url.ts';
import type { Link, ProxyPolicy, Secret } from '../router/smarthost.ts';
import { isIPv4, isIPv6 } from '../smtp/path.ts';
import { markOwn } from './policy.ts';
import { type Reading, take } from './table.ts';
import { type Entries, parsePath, type Written } from './values.ts';

/** The keys of one table over `base`. A proxy that is written does not inherit a password. */
export function readLink(reading: Reading, section: '' | 'host', base: Link, entries: Entries): Link {
  const sourceAddress = entries.has('source_address') ? readSourceAddress(reading, section, entries) : base.sourceAddress;
  return {
    proxy: readProxy(reading, section, base, entries),
    sourceAddress,
    family: readFamily(reading, section, base, entries, sourceAddress),
  };
}

/** True for a link without proxy, source address and family. A source address decides the family. */
export const isDirect = ({ proxy, family }: Link): boolean => proxy === null && family === 'any';

function readProxy(reading: Reading, section: '' | 'host', base: Link, entries: Entries): ProxyPolicy | null {
  const written = entries.get('proxy');
  const text = take(reading, entries, section, 'text', 'proxy');
  const found = entries.get('proxy_password_file');
  // A proxy from the environment replaces that of the file, and with it the file's password.
  const password = written?.isInFile === false && found?.isInFile !== false ? undefined : found;
  const file = password ? take(reading, entries, section, 'text', 'proxy_password_file') : '';
  if (!written) {
    if (password && file !== '') reading.complain(password, 'needs proxy beside it');
    return base.proxy;
  }
  if (text === '') {
    if (password && file !== '') reading.complain(password, 'needs proxy beside it');
    return null;
  }
  const proxy = parseProxy(text);
  if (!proxy.ok) {
    reading.complain(written, proxy.detail);
    return null;
  }
  if (proxy.value.user !== '' && file === '') reading.complain(written, 'has a user, so it needs proxy_password_file beside it');
  if (password && file !== '' && proxy.value.user === '')
    reading.complain(password, 'needs a user in proxy, as in "socks5://user@proxy.example.org:1080"');
  return { ...proxy.value, secret: file === '' ? { from: 'none' } : secretFrom(reading, file, password) };
}

/** A relative name is a systemd credential, as in password_file. */
function secretFrom(reading: Reading, file: string, written: Written | undefined): Secret {
  const own = markOwn(reading, written);
  if (!file.startsWith('~') && !file.split('/').some((part) => part === '.' || part === '..')) return { from: 'file', path: file, ...own };
  const path = parsePath(file, reading.directories);
  if (!path.ok && written) reading.complain(written, `${path.detail}, or the name of a systemd credential`);
  return { from: 'file', path: path.ok ? path.value : file, ...own };
}

function readSourceAddress(reading: Reading, section: '' | 'host', entries: Entries): string {
  const text = take(reading, entries, section, 'text', 'source_address');
  const written = entries.get('source_address');
  if (text === '' || familyOfAddress(text) !== null) return text;
  if (written) reading.complain(written, 'expects an IP address of this host such as "192.0.2.1"');
  return '';
}

/** A zone (RFC 4007 §11) says which link a link-local address is on. */
const familyOfAddress = (text: string): 4 | 6 | null => (isIPv4(text) ? 4 : isIPv6(text.replace(/%[A-Za-z0-9._-]+$/, '')) ? 6 : null);

/** The family of the source address, else the written one. */
function readFamily(reading: Reading, section: '' | 'host', base: Link, entries: Entries, sourceAddress: string): Link['family'] {
  const written = entries.get('family');
  const word = written ? take(reading, entries, section, 'choice', 'family') : '';
  const wanted = written ? (word === '4' ? 4 : word === '6' ? 6 : 'any') : entries.has('source_address') ? 'any' : base.family;
  const possible = familyOfAddress(sourceAddress);
  if (possible === null) return wanted;
  if (written && wanted !== 'any' && wanted !== possible)
    reading.complain(written, `contradicts source_address, which is of IPv${possible}`);
  return possible;
}
