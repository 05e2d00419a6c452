/**
 * Advises people about a session that failed: a sentence beside the reason, made from what is known of the host and of the
 * connection. Decides nothing, and repeats no text of a server.
 */

import { isLoopback } from '../router/loopback.ts';
import { type AuthPolicy, isLmtp, printSmarthost, type Smarthost } from '../router/smarthost.ts';
import type { Refusal, SessionFailure } from '../smtp/client/outcome.ts';
import { FOR_PASSWORDS, FOR_TOKENS, MECHANISMS } from '../smtp/sasl/mechanisms.ts';
import { printable, utf8 } from '../smtp/text.ts';
import type { Endpoint } from '../transport/lookup/target.ts';
import { AGAINST_SPLIT } from './outcome.ts';

/** The facts of a session on which advice rests. */
export interface Known {
  readonly host: Smarthost;
  readonly endpoint: Endpoint;
  /** The smart host runs on this very host. */
  readonly isOwn: boolean;
  /** Mechanisms that the server offered when one was to be chosen. */
  readonly offered: ReadonlySet<string>;
  /** The mechanism that was chosen; '' before. */
  readonly mechanism: string;
  /** Octets that came from the server. */
  readonly heard: number;
}

/** Adds a hint to the failure, where there is one. */
export function advise(failure: SessionFailure, known: Known): SessionFailure {
  const hint = hintFor(failure, known);
  return hint === null ? failure : { ...failure, hint };
}

function hintFor(failure: SessionFailure, known: Known): string | null {
  const { kind, at, condemns } = failure;
  const { host, heard } = known;
  if (kind === 'timeout' && at === 'greeting') return heard === 0 ? aboutSilence(host) : null;
  // A signal or the deadline: whoever waited so long wants to know for what.
  if (kind === 'content' && at === 'greeting') {
    const silence = heard === 0 ? aboutSilence(host) : null;
    return `the greeting had not come yet${silence === null ? '' : `; ${silence}`}`;
  }
  if (kind === 'rejected') {
    const isAnswer = (...codes: readonly number[]): boolean => failure.refusals.some(({ reply }) => codes.includes(reply.code));
    // 530 by RFC 3207 §4, 538 by older rules: the login is refused because it is in clear.
    if (at === 'auth') {
      // A 4yz says nothing of user and secret.
      const isFinal = host.auth && failure.refusals[0].reply.code >= 500;
      return isFinal ? (isAnswer(530, 538) && aboutClear(known)) || aboutRefusal(host.auth, known) : null;
    }
    if (isAnswer(530)) return aboutLogin(known);
    // A command that is not known or not implemented; 501 and 504 are about the name in it. RFC 5321 §4.2.2
    if (at === 'hello') return isAnswer(500, 502) ? aboutProtocol(host) : null;
    return at === 'envelope' && host.auth === null && failure.refusals.some(isAboutRights)
      ? 'nobody has logged in: if this server wants that, write [auth]'
      : null;
  }
  if (kind !== 'unsupported') return null;
  if (host.ignoreExtensions) return `ignore_extensions makes this count as not offered: ${host.ignoreExtensions.join(', ')}`;
  const { lacks } = failure;
  if (lacks === 'auth') return aboutClear(known);
  if (lacks === 'tls') return 'use TLS, or set allow_plaintext = true in [auth]';
  if (lacks === 'mechanism') return host.auth && aboutSecret(host.auth, known);
  if (lacks === 'partial') return AGAINST_SPLIT;
  // Before the content: what cannot be converted says so itself.
  if (at === 'ready' && (lacks === '8bitmime' || lacks === 'dsn'))
    return `${lacks === 'dsn' ? 'dsn = "require"' : 'eight_bit = "refuse"'} is what asks for that`;
  // A lack of STARTTLS is the only one that rules out no more than the address.
  return at === 'hello' && condemns === 'address' ? aboutLoopback(known) : null;
}

/** Milliseconds. A person who looks on is told after this, or half of the greeting's time if that is shorter, and need not wait until it is over. */
const SILENCE = 5000;

/** Looks once whether the server has said anything. `known` gives null when the session is over. */
export function tellOfSilence(known: () => Known | null, tell: (words: string) => void, within: number, ended: Promise<void>): void {
  const look = (): void => {
    const facts = known();
    const words = facts?.heard === 0 ? aboutSilence(facts.host) : null;
    if (words) tell(words);
  };
  const timer = setTimeout(look, Math.min(SILENCE, within / 2)).unref();
  void ended.then(() => clearTimeout(timer));
}

/** The silence may be that of a server that expects a TLS handshake: it waits for us to begin, as we wait for its greeting. */
function aboutSilence(host: Smarthost): string | null {
  if (host.scheme !== 'smtp' && host.scheme !== 'submission') return null;
  const url = host.expand === 'none' ? printSmarthost({ ...host, scheme: 'submissions' }) : 'submissions://';
  return `nothing at all was heard: a port that is TLS from the start is as silent; if this is one, write ${url}`;
}

/** A hosts file often leads the name of a mail host to this one, and then TLS is required where nobody expects it. */
function aboutLoopback({ host, endpoint, isOwn }: Known): string | null {
  if (host.tls.mode !== 'default' || isOwn || endpoint.family === 'name' || !isLoopback(endpoint.address)) return null;
  return `"${host.host}" leads to a loopback address and is not written as one, so TLS is required: write the address, or mode = "off" in [tls]`;
}

const WITH_TLS = 'set mode = "required" in [tls]';

/** The policy has no TLS for this host. */
const isInClear = ({ host: { scheme, tls }, isOwn }: Known): boolean =>
  scheme !== 'submissions' && (tls.mode === 'off' || (tls.mode === 'default' && isOwn));

const aboutClear = (known: Known): string | null => (isInClear(known) ? `TLS is off, and a login may need it: ${WITH_TLS}` : null);

/** 530 asks for a login (RFC 4954 §6), and also for STARTTLS (RFC 3207 §4). */
function aboutLogin(known: Known): string | null {
  const ways = [isInClear(known) && WITH_TLS, known.host.auth === null && 'write [auth]'].filter(Boolean);
  return ways.length === 0 ? null : `530 wants TLS or a login: ${ways.join(', or ')}`;
}

/** LMTP knows no EHLO, and SMTP no LHLO (RFC 2033 §4.1). */
function aboutProtocol(host: Smarthost): string | null {
  const { lmtp, ...bare } = host;
  if (host.scheme === 'submissions' || host.expand !== 'none') return null;
  const isLocal = isLmtp(host);
  const other: Smarthost = host.scheme !== 'unix' ? { ...bare, scheme: isLocal ? 'smtp' : 'lmtp' } : lmtp ? bare : { ...bare, lmtp: true };
  return `if this server speaks ${isLocal ? 'SMTP' : 'LMTP'}, write ${printSmarthost(other)}`;
}

/** Security or policy (RFC 3463 §3.8), or the words of servers that know no enhanced codes. 4yz of the first kind is mostly greylisting. */
const isAboutRights = ({ reply: { code, enhanced, lines } }: Refusal): boolean =>
  (code >= 500 && enhanced?.subject === 7) || /\b(?:relay|auth|access denied)/i.test(lines.join(' '));

/** Only one mechanism is tried, so that a wrong password is not said twice. Users who know that theirs is right may name another. */
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

/** The other kind of secret, where the server takes that one only. */
function aboutSecret({ secret, isToken = false, mechanisms }: AuthPolicy, { offered }: Known): string | null {
  const takes = (names: readonly string[]): boolean => names.some((name) => offered.has(name));
  if (mechanisms.length > 0) return 'auth.mechanisms says what is allowed';
  if (secret.from === 'none' || takes(FOR_TOKENS) === takes(FOR_PASSWORDS) || takes(FOR_TOKENS) === isToken) return null;
  return isToken
    ? 'it takes passwords only: write password_file or password_command in place of the token'
    : 'it takes tokens only: write token_file, token_command or token_env in place of the password';
}

const isOneOf = (names: readonly string[], name: string): boolean => names.includes(name);
