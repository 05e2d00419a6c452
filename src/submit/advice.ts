/**
 * What may be done about the failure of a session, where that can be told from what is known of its host and of the
 * connection: a sentence beside the reason. Decides nothing, and repeats no text of a server.
 */

import { isLoopback } from '../router/loopback.ts';
import type { AuthPolicy, Smarthost } from '../router/smarthost.ts';
import type { SessionFailure } from '../smtp/client/outcome.ts';
import { FOR_PASSWORDS, FOR_TOKENS, MECHANISMS } from '../smtp/sasl/mechanisms.ts';
import { printable, utf8 } from '../smtp/text.ts';
import type { Endpoint } from '../transport/lookup/endpoints.ts';

/** What a session has come to know. */
export interface Known {
  readonly host: Smarthost;
  readonly endpoint: Endpoint;
  /** The host is this very host. */
  readonly isOwn: boolean;
  /** Mechanisms that were offered when one was chosen. */
  readonly offered: ReadonlySet<string>;
  /** The one that was chosen; '' before. */
  readonly mechanism: string;
  /** Octets that came from the server. */
  readonly heard: number;
}

/** The failure with a hint, where there is one. */
export function advised(failure: SessionFailure, known: Known): SessionFailure {
  const hint = hintFor(failure, known);
  return hint === null ? failure : { ...failure, hint };
}

function hintFor({ kind, at, condemns }: SessionFailure, known: Known): string | null {
  const { host, heard } = known;
  if (kind === 'timeout' && at === 'greeting') return heard === 0 ? aboutSilence(host) : null;
  // A signal or the deadline: whoever waited so long wants to know for what.
  if (kind === 'content' && at === 'greeting') {
    const silence = heard === 0 ? aboutSilence(host) : null;
    return `the greeting had not come yet${silence === null ? '' : `; ${silence}`}`;
  }
  if (kind === 'rejected' && at === 'auth') return host.auth && aboutRefusal(host.auth, known);
  if (kind !== 'unsupported') return null;
  if (host.ignoreExtensions) return `ignore_extensions makes this count as not offered: ${host.ignoreExtensions.join(', ')}`;
  // The one lack that rules out an address only: STARTTLS.
  return at === 'hello' && condemns === 'address' ? aboutLoopback(known) : null;
}

/** A server that expects a TLS handshake waits for us to begin, as we wait for its greeting. */
export function aboutSilence({ scheme, host, port, expand }: Smarthost): string | null {
  if (scheme !== 'smtp' && scheme !== 'submission') return null;
  const place = expand === 'none' ? `${host.includes(':') ? `[${host}]` : host}:${port}` : '';
  return `nothing at all was heard: a port that is TLS from the start is as silent; if this is one, write submissions://${place}`;
}

/** Hosts files often lead a name of a mail host to this one. */
function aboutLoopback({ host, endpoint, isOwn }: Known): string | null {
  if (host.tls.mode !== 'default' || isOwn || endpoint.family === 'name' || !isLoopback(endpoint.address)) return null;
  return `"${host.host}" leads to a loopback address and is not written as one, so TLS is required: write the address, or mode = "off" in [tls]`;
}

/** One mechanism is tried, so that a wrong password is not said twice; who knows that it is right may name another. */
function aboutRefusal({ user, secret, isToken, mechanisms }: AuthPolicy, { offered, mechanism }: Known): string {
  const isPassword = secret.from !== 'none' && !isToken && !isOneOf(FOR_TOKENS, mechanism);
  const among: readonly string[] = isPassword ? FOR_PASSWORDS : secret.from === 'none' ? [] : FOR_TOKENS;
  const others = MECHANISMS.filter((name) => among.includes(name) && offered.has(name) && name !== mechanism);
  const tokens = isPassword ? FOR_TOKENS.filter((name) => offered.has(name)) : [];
  const parts = [`the user was "${printable(utf8(user), 200)}"`];
  if (isOneOf(FOR_TOKENS, mechanism)) parts.push('a token expires soon: see that it is a new one');
  if (others.length > 0) {
    const next = others.find((name) => `${name}-PLUS` === mechanism) ?? others.find((name) => name === 'PLAIN') ?? others[0];
    const which = mechanisms.length > 0 ? 'the first of auth.mechanisms' : 'the strongest';
    parts.push(
      `only ${which} is tried, and the server offers ${others.join(', ')}, too: if the ${isPassword ? 'password' : 'token'} is right, write mechanisms = ["${next}"] in [auth]`,
    );
  }
  if (tokens.length > 0) parts.push(`it takes tokens, too (${tokens.join(', ')}): with one, write token_file or token_command`);
  return parts.join('; ');
}

const isOneOf = (names: readonly string[], name: string): boolean => names.includes(name);
