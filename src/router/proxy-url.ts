/** How a proxy is written: `socks5://user@proxy.example.org:1080`, `http://proxy.example.org:3128`. Reads no secret. */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type ProxyPolicy, parseSmarthost } from './smarthost.ts';

/** RFC 1928 §3. HTTP proxies have no port of their own. */
const SOCKS_PORT = 1080;

const PROXIES = '"socks5://proxy.example.org:1080" or "http://user@proxy.example.org:3128"';

/** `socks5://[user@]host[:port]` or `http://[user@]host:port`; the user is percent-encoded. Errors repeat nothing that may be a password. */
export function parseProxy(text: string): Parsed<Omit<ProxyPolicy, 'secret'>> {
  const found = /^(socks5|http):\/\/(?:([^/]*)@)?([^@/]+)\/?$/i.exec(text);
  if (!found) return unparsed(`expects ${PROXIES}`);
  const [, word = '', coded = '', place = ''] = found;
  const scheme = word.toLowerCase() as ProxyPolicy['scheme'];
  if (coded.includes(':')) return unparsed('expects no password in the address: write user@ and proxy_password_file');
  const user = decodeUser(coded);
  if (user === null) return unparsed('expects the user in UTF-8, with "%25" for "%"');
  // RFC 7617 §2: the first colon ends the user.
  if (scheme === 'http' && user.includes(':')) return unparsed('expects a user without ":" for an HTTP proxy');
  const address = parseSmarthost(`smtp://${place}`);
  if (!address.ok) return unparsed(`expects ${PROXIES}: ${address.detail}`);
  const hasPort = /:\d+$/.test(place);
  if (!hasPort && scheme === 'http') return unparsed('expects the port of the HTTP proxy, as in "http://proxy.example.org:3128"');
  return parsed({ scheme, host: address.value.host, port: hasPort ? address.value.port : SOCKS_PORT, user });
}

function decodeUser(text: string): string | null {
  try {
    const user = decodeURIComponent(text);
    return /\p{Cc}/u.test(user) ? null : user;
  } catch {
    return null;
  }
}
