/** Gives the engine the credentials and certificates of the servers of one call. Every function of the caller's is asked here. */
import type { Smarthost } from '../router/smarthost.ts';
import type { Transaction } from '../smtp/client/print.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { makeSecurity, type SecretReader } from '../submit/security.ts';
import type { Security } from '../submit/session.ts';
import { reasonOf } from '../transport/abort.ts';
import type { Scrub } from '../transport/server-texts.ts';
import type { Causes, Tell } from './causes.ts';
import { failHere } from './failure.ts';
import { askMechanism } from './mechanism.ts';
import type { Failed } from './outcome.ts';
import { unlessLate, type Wait } from './patience.ts';
import { type Auth, type Host, secretFault } from './server.ts';

/** What ends the call; undefined where nothing can. */
type Ending = AbortSignal | undefined;

export function securityOfAll(hosts: readonly Host[], signal: Ending, causes: Causes, patience: number): Security {
  const known = new Map(hosts.map((host) => [host.smarthost, securityOf(host, signal, causes, patience)]));
  const of = (host: Smarthost): Security => {
    const security = known.get(host);
    if (security === undefined) throw new Error('bug: a server that nobody gave');
    return security;
  };
  return {
    handshake: (host, ...how) => of(host).handshake(host, ...how),
    authenticator: (host) => of(host).authenticator(host),
    proxyPassword: (host) => of(host).proxyPassword(host),
    scrub: (text, isToAuth) => [...known.values()].reduce((shown, security) => security.scrub(shown, isToAuth), text),
  };
}

/** The same for one server, which a session keeps. `patience`: milliseconds in which the caller's function gives a secret. */
export const securityOf = (host: Host, signal: Ending, causes: Causes, patience: number): Security =>
  makeSecurity(process.env, readerOf(host, causes.tellOf(host.smarthost, 'login'), { signal, patience }), host.tls);

/** Takes secrets out of texts; undefined where there are none, so that what reads them need not stay. */
export const scrubOf = ({ auth, proxyPassword }: Host, { scrub }: Security): Scrub | undefined =>
  auth === null && proxyPassword === '' ? undefined : scrub;

/** The outcome where REQUIRETLS cannot be asked for, else null: who asks must know who the server is. RFC 8689 §4.2.1 */
export function requireTlsFault({ requireTls }: Pick<Transaction, 'requireTls'>, hosts: () => readonly Smarthost[]): Failed | null {
  const isTrusting = ({ tls }: Smarthost): boolean => tls.mode === 'opportunistic' || (!tls.verify && tls.fingerprint.length === 0);
  if (!requireTls || !hosts().some(isTrusting)) return null;
  return { kind: 'failed', failure: { ...failHere('usage', UNVERIFIED), lacks: 'encryption' }, attempts: [] };
}

const UNVERIFIED =
  'envelope.requireTls needs a server whose certificate is verified: tls.verify is not false, and tls.mode is not "opportunistic"';

function readerOf({ auth, proxyPassword }: Host, tell: Tell, wait: Wait): SecretReader {
  return {
    secret: () => readSecret(auth, tell, wait),
    proxyPassword: async () => parsed(proxyPassword),
    ...(auth && 'mechanism' in auth ? { mechanism: (offered, channel) => askMechanism(auth, offered, channel, tell) } : {}),
  };
}

async function readSecret(auth: Auth | null, tell: Tell, wait: Wait): Promise<Parsed<string>> {
  if (auth === null || 'mechanism' in auth) return parsed('');
  const [name, given] = 'token' in auth ? (['auth.token', auth.token] as const) : (['auth.password', auth.password] as const);
  try {
    const secret: unknown = typeof given === 'function' ? await unlessLate(wait, () => late(wait), given) : given;
    const fault = secretFault(secret, name);
    return fault === null ? parsed(secret as string) : unparsed(fault);
  } catch (error) {
    tell(error);
    return unparsed(`${name} failed: ${reasonOf(error)}`);
  }
}

/** A secret has as long as a command has for its answer, because no server waits much longer for our EHLO. RFC 5321 §4.5.3.2.7 */
const late = ({ patience }: Wait): Error => new Error(`it gave nothing for ${patience / 1000} s (timeouts.command)`);
