/**
 * Chooses the SASL mechanism of a session: the strongest that the server announces, the configuration allows and the credentials
 * fit. Knows no socket: the caller hands in the facts of the channel.
 */

import { type Parsed, parsed, unparsed } from '../parsed.ts';
import { printable, utf8 } from '../text.ts';
import { cramMd5 } from './cram.ts';
import { external } from './external.ts';
import { FOR_PASSWORDS, FOR_TOKENS, type MechanismName } from './mechanisms.ts';
import { oauthBearer, xoauth2 } from './oauth.ts';
import {
  type Cancelled,
  type Choice,
  digestFault,
  type Exchange,
  type Hashes,
  keepInitialShort,
  login,
  type Mechanism,
  plain,
} from './sasl.ts';
import { type Binding, type ChannelBinding, scram } from './scram.ts';

/** What the client logs in with. */
export interface Credentials {
  readonly user: string;
  /** '' where there is none. */
  readonly secret: string;
  /** The kind of `secret`. Unless mechanisms are configured, a token never goes out as a password, nor a password as a token. */
  readonly kind: 'password' | 'token' | 'none';
  /** The TLS handshake has a client certificate. */
  readonly clientCertificate: boolean;
}

/** The mechanisms that may be used, and where. */
export interface MechanismPolicy {
  /** SASL names, upper case, in order of preference; [] means the strongest that both sides have. */
  readonly mechanisms: readonly string[];
  /** Credentials may go over a channel that others can read. */
  readonly allowPlaintext: boolean;
}

/** The facts of the connection when the session is about to say AUTH. */
export interface AuthChannel {
  readonly secured: boolean;
  /** A loopback address or a unix socket. */
  readonly loopback: boolean;
  /** The smart host as OAUTHBEARER names it; '' and 0 leave it out. */
  readonly host: string;
  readonly port: number;
  /** The bindings that -PLUS can use, the best first. */
  readonly bindings: readonly ChannelBinding[];
}

/** The parts that a mechanism is made from. */
interface Making {
  readonly offered: ReadonlySet<string>;
  readonly credentials: Credentials;
  readonly channel: AuthChannel;
  readonly hashes: Hashes;
}

/**
 * Chooses the mechanism, or says why none will do. `offered` are the words of the AUTH line of the EHLO reply that holds now,
 * upper case. It never chooses a mechanism that the server did not announce or that stands outside a configured list, and never
 * one over a channel that others can read unless the policy allows it.
 */
export function chooseMechanism(
  offered: ReadonlySet<string>,
  credentials: Credentials,
  policy: MechanismPolicy,
  channel: AuthChannel,
  hashes: Hashes,
): Choice {
  if (offered.size === 0) return unparsed('the server offers no authentication here, and there are credentials');
  if (!channel.secured && !channel.loopback && !policy.allowPlaintext)
    return { ...unparsed('the connection is not encrypted, so no credentials are sent'), lacks: 'tls' };
  const fault = credentialFault(credentials);
  if (fault !== null) return unusable(fault);
  if (credentials.kind === 'none' && policy.mechanisms.length === 0 && !credentials.clientCertificate)
    return unusable('a user name is configured, but no password, no token and no client certificate');
  const wanted = policy.mechanisms.length > 0 ? policy.mechanisms : mechanismsFor(credentials);
  const reasons: string[] = [];
  for (const name of wanted.filter((each) => offered.has(each))) {
    const made = make(name, { offered, credentials, channel, hashes });
    if (made.ok) return parsed(keepInitialShort(withoutThrowing(made.value)));
    if (!reasons.includes(made.detail)) reasons.push(made.detail);
  }
  if (reasons.length > 0) return unparsed(reasons.join('; '));
  const [has, wants] = [printable([...offered].join(' '), 200), wanted.join(' ')];
  const why = policy.mechanisms.length > 0 ? `only ${wants} is allowed` : `the credentials fit ${wants}`;
  return unparsed(`the server offers ${has}, and ${why}`);
}

const unusable = (detail: string): Choice => ({ ...unparsed(detail), lacks: 'credentials' });

function mechanismsFor({ kind }: Credentials): readonly MechanismName[] {
  if (kind === 'token') return FOR_TOKENS;
  return kind === 'none' ? ['EXTERNAL'] : FOR_PASSWORDS;
}

/** A control character in a credential could end a line or a field. RFC 4616 §2 and RFC 7628 §3.1 forbid the worst of them. */
function credentialFault({ user, secret }: Credentials): string | null {
  if (/[\p{Cc}\p{Cs}]/u.test(user)) return 'the user name contains a control character';
  if (/[\p{Cc}\p{Cs}]/u.test(secret)) return 'the password or token contains a control character, perhaps a line end';
  return null;
}

function make(name: string, { offered, credentials, channel, hashes }: Making): Parsed<Mechanism> {
  const { user, secret } = credentials;
  switch (name) {
    case 'SCRAM-SHA-256-PLUS':
    case 'SCRAM-SHA-1-PLUS': {
      const [binding] = channel.bindings;
      if (!binding) return unparsed(`${name} needs a TLS channel it can be bound to`);
      return scram({ digest: name === 'SCRAM-SHA-1-PLUS' ? 'sha1' : 'sha256', user, password: secret, binding, hashes });
    }
    case 'SCRAM-SHA-256':
    case 'SCRAM-SHA-1': {
      const binding = flagWithoutBinding(offered, channel);
      return scram({ digest: name === 'SCRAM-SHA-1' ? 'sha1' : 'sha256', user, password: secret, binding, hashes });
    }
    case 'CRAM-MD5':
    case 'PLAIN':
    case 'LOGIN':
      if (user === '' || secret === '') return unparsed(`${name} needs a user name and a password`);
      if (name === 'CRAM-MD5') {
        const fault = digestFault(name, 'md5', hashes);
        return fault === null ? parsed(cramMd5(user, secret, hashes)) : unparsed(fault);
      }
      return parsed(name === 'PLAIN' ? plain(user, secret) : login(user, secret));
    case 'OAUTHBEARER':
    case 'XOAUTH2':
      if (!isToken(secret)) return unparsed(`${name} needs a token, without blanks and in ASCII`);
      return parsed(name === 'XOAUTH2' ? xoauth2(user, secret) : oauthBearer(user, secret, channel.host, channel.port));
    case 'EXTERNAL':
      return (channel.secured && credentials.clientCertificate) || channel.loopback
        ? parsed(external(user))
        : unparsed('EXTERNAL needs a client certificate and TLS');
    default:
      return unparsed(`the mechanism ${printable(utf8(name), 40)} is not known`);
  }
}

/** What the platform's cryptography throws at a challenge (at a short salt, say, where it is bound to FIPS 140) ends the exchange and nothing else. */
function withoutThrowing({ name, begin }: Mechanism): Mechanism {
  const guard = <S extends Exchange | Cancelled>(step: S): S =>
    'cancel' in step
      ? step
      : {
          ...step,
          hear(challenge: string) {
            try {
              return guard(step.hear(challenge));
            } catch (thrown) {
              const said = utf8(String(thrown).replace(/^Error: /, ''));
              return { cancel: `this system's cryptography refuses it: ${printable(said, 100)}` };
            }
          },
        };
  return { name, begin: () => guard(begin()) };
}

/**
 * The flag of an exchange without binding. 'y' only where no -PLUS was announced: a server that announced one takes 'y' as
 * proof that somebody removed its offer. RFC 5802 §6
 */
const flagWithoutBinding = (offered: ReadonlySet<string>, { bindings }: AuthChannel): Binding =>
  bindings.length > 0 && ![...offered].some((name) => name.startsWith('SCRAM-') && name.endsWith('-PLUS')) ? 'y' : 'n';

/** Deviation: RFC 6750 §2.1 allows fewer characters, but tokens of Microsoft have others. Blanks and controls are in none. */
const isToken = (secret: string): boolean => /^[!-~]+$/.test(secret);
