/**
 * SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and neither says it. -PLUS binds the proof to the TLS
 * channel (RFC 5056, RFC 9266, RFC 5929). Knows no TLS: the caller hands in the binding's octets.
 */
import { LONGEST_CHALLENGE } from '../limits.ts';
import { type Parsed, parsed, unparsed } from '../parsed.ts';
import { base64, fromBase64, printable, utf8 } from '../text.ts';
import { type Cancelled, type Digest, digestFault, type Exchange, endExchange, type Hashes, type Mechanism } from './sasl.ts';
import { saslPrep } from './saslprep.ts';

/** Ties an exchange to its TLS channel; `data` is an octet string. */
export interface ChannelBinding {
  /** RFC 9266 §3, RFC 5929 §4 */
  readonly type: 'tls-exporter' | 'tls-server-end-point';
  readonly data: string;
}

/**
 * The client's word about channel binding, RFC 5802 §6: a binding (for -PLUS), 'y' when we could bind and the server does not
 * seem to (one that can will notice that somebody stripped its offer), 'n' when we do not bind.
 */
export type Binding = ChannelBinding | 'y' | 'n';

/**
 * Rounds of PBKDF2 a server may ask for. Fewer than RFC 7677 §4 asks of it would make the proof cheap to guess from; more
 * than OWASP's advice of 2023 for SHA-256 is a server that wants to keep us busy (600,000 take a fraction of a second).
 */
export const ITERATIONS = { least: 4096, most: 600_000 } as const;

/** What SCRAM is made from. */
export interface ScramOptions {
  readonly digest: Exclude<Digest, 'md5'>;
  readonly user: string;
  readonly password: string;
  readonly binding: Binding;
  readonly hashes: Hashes;
}

const NAMES = { sha1: 'SCRAM-SHA-1', sha256: 'SCRAM-SHA-256' } as const;

/** Makes the mechanism, or says why it cannot use these credentials. */
export function scram({ digest, user, password, binding, hashes }: ScramOptions): Parsed<Mechanism> {
  const name = saslPrep(user);
  if (!name.ok) return unparsed(`the user name cannot be used with SCRAM: ${name.detail}`);
  const secret = saslPrep(password);
  if (!secret.ok) return unparsed(`the password cannot be used with SCRAM: ${secret.detail}`);
  if (name.value === '' || secret.value === '') return unparsed('SCRAM needs a user name and a password');
  const isBound = typeof binding !== 'string';
  const mechanism = isBound ? `${NAMES[digest]}-PLUS` : NAMES[digest];
  const fault = digestFault(mechanism, digest, hashes);
  if (fault !== null) return unparsed(fault);
  return parsed({
    name: mechanism,
    begin() {
      const nonce = hashes.nonce();
      const header = `${isBound ? `p=${binding.type}` : binding},,`;
      const bare = `n=${saslName(name.value)},r=${nonce}`;
      const hear = (challenge: string): Exchange | Cancelled => {
        const first = readServerFirst(challenge, nonce);
        if (!first.ok) return { cancel: first.detail };
        const bound = base64(header + (isBound ? binding.data : ''));
        const withoutProof = `c=${bound},r=${first.value.nonce}`;
        const signed = `${bare},${challenge},${withoutProof}`;
        const { proof, signature } = prove(hashes, digest, utf8(secret.value), first.value, signed);
        return {
          say: `${withoutProof},p=${base64(proof)}`,
          mayEnd: false,
          hear: (last) => verifyServer(last, signature),
        };
      };
      return { say: `${header}${bare}`, mayEnd: false, hear };
    },
  });
}

/** Hears the server's last word: only the right signature lets the exchange end well. RFC 5802 §5 */
function verifyServer(challenge: string, signature: string): Exchange | Cancelled {
  if (challenge.length > LONGEST_CHALLENGE) return { cancel: "the server's last SCRAM message is too long" };
  if (DEMANDS.test(challenge)) return { cancel: UNKNOWN_DEMAND };
  const [first = ''] = challenge.split(',');
  if (first.startsWith('e=')) return { cancel: `the server refuses: ${printable(first.slice(2), 100)}` };
  if (!first.startsWith('v=') || fromBase64(first.slice(2)) !== signature)
    return { cancel: 'the server could not prove that it knows the password: it may not be the server it claims to be' };
  // SMTP has no data in a 235, so the server's last message is a challenge, which the client answers by nothing. RFC 4954 §4
  return { say: '', mayEnd: true, hear: endExchange };
}

/** RFC 5802 §5.1: an extension that nobody may ignore, in whatever place and message. */
const DEMANDS = /(?:^|,)m=/;
const UNKNOWN_DEMAND = 'the server demands a SCRAM extension that is not known';

interface ServerFirst {
  readonly nonce: string;
  readonly salt: string;
  readonly iterations: number;
}

/** Reads `r=nonce,s=salt,i=count`, and ignores every extension except `m=`. RFC 5802 §7 */
function readServerFirst(challenge: string, ours: string): Parsed<ServerFirst> {
  if (challenge.length > LONGEST_CHALLENGE) return unparsed("the server's first SCRAM message is too long");
  if (challenge.startsWith('e=')) return unparsed(`the server refuses: ${printable(challenge.slice(2), 100)}`);
  if (DEMANDS.test(challenge)) return unparsed(UNKNOWN_DEMAND);
  const parts = /^r=([!-+\--~]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9][0-9]{0,9})(?:,|$)/.exec(challenge);
  if (!parts) return unparsed("the server's first SCRAM message cannot be read");
  const [, nonce, encoded, count] = parts as unknown as [string, string, string, string];
  if (!nonce.startsWith(ours) || nonce.length === ours.length) return unparsed("the server's nonce does not extend ours");
  const salt = fromBase64(encoded);
  if (salt === null) return unparsed("the server's SCRAM salt is not base64");
  const iterations = Number(count);
  if (iterations < ITERATIONS.least || iterations > ITERATIONS.most)
    return unparsed(`the server asks for ${count} SCRAM iterations; ${ITERATIONS.least} to ${ITERATIONS.most} are accepted`);
  return parsed({ nonce, salt, iterations });
}

/** RFC 5802 §3 */
function prove(hashes: Hashes, digest: Digest, password: string, { salt, iterations }: ServerFirst, signed: string) {
  const salted = hashes.pbkdf2(digest, password, salt, iterations);
  const clientKey = hashes.hmac(digest, salted, 'Client Key');
  const clientSignature = hashes.hmac(digest, hashes.hash(digest, clientKey), signed);
  const serverKey = hashes.hmac(digest, salted, 'Server Key');
  return { proof: xor(clientKey, clientSignature), signature: hashes.hmac(digest, serverKey, signed) };
}

const xor = (a: string, b: string): string =>
  Array.from(a, (octet, i) => String.fromCharCode(octet.charCodeAt(0) ^ b.charCodeAt(i))).join('');

/** RFC 5802 §5.1: a comma and an equals sign have meanings of their own, so a name writes them in another way. */
export const saslName = (user: string): string => utf8(user).replace(/=/g, '=3D').replace(/,/g, '=2C');
