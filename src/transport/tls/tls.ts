/**
 * TLS for one smart host: the context, which is built while TCP connects; the handshake; and the verification of the peer, by
 * the runtime and the names of `peername.ts`, or by a pinned fingerprint. Knows neither SMTP nor the smart host list. node:tls
 * is loaded when the first connection needs it, unless the wire has TLS of its own.
 *
 * The rule of this file: a wire leaves it only verified, or with `verify = false` written in the configuration. Environment
 * variables cannot change that, because every option that they could influence is given a value.
 */

import type { X509Certificate } from 'node:crypto';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import type { TlsPolicy } from '../../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import type { ChannelBinding } from '../../smtp/sasl/scram.ts';
import { latin1, printable, utf8 } from '../../smtp/text.ts';
import { digestOf } from '../digest.ts';
import { type Reached, type TlsPeer, type TlsTerms, unreached, type Wire } from '../wire.ts';
import { type CertificateFacts, type ChainLink, chainOf, keysIn, weaknessOf } from './chain.ts';
import {
  explainChain,
  explainLater,
  explainNames,
  explainTlsFailure,
  explainWeakness,
  isAboutWeakness,
  type TlsAttempt,
} from './failure.ts';
import { isFor, type WantedPeer } from './peername.ts';
import { hasOpensslStore, identityOf, type PemMaterial, type PemSources, trustOf } from './pem.ts';
import { OF_CONFIGURATION, OF_PROGRAM } from './words.ts';
import { readCertificate } from './x509.ts';

export { wantedNames } from './peername.ts';

/** The result of a handshake. */
export interface TlsFacts {
  /** Version, cipher and bits as Exim's log has them: `TLS1.3:TLS_AES_256_GCM_SHA384:256`. */
  readonly cipher: string;
  /** `TLS1.2` or `TLS1.3`. */
  readonly version: string;
  readonly bits: number;
  /** False only with `verify = false` and no fingerprint. */
  readonly verified: boolean;
  /** The ground of the trust; 'nothing' with `verify = false`. */
  readonly by: 'ca' | 'fingerprint' | 'nothing';
  /** The wanted name that the certificate is for; '' when no name was verified. */
  readonly peerName: string;
  /** The peer's certificates, its own first. */
  readonly chain: () => readonly CertificateFacts[];
  /** The channel bindings for SCRAM-…-PLUS, the best first. */
  readonly bindings: () => readonly ChannelBinding[];
}

/** The work that can be done before TCP is connected. One preparation serves one connection. */
export interface TlsPreparation {
  /**
   * Does the handshake over a wire from which nothing is left to be read. The value is the wire to go on with; on failure both are
   * destroyed, and the detail is a sentence. The caller limits the time: to destroy the plain wire ends the handshake.
   */
  readonly secure: (wire: Wire) => Promise<Reached<Wire>>;
  /** Null until the handshake succeeded. */
  readonly facts: () => TlsFacts | null;
}

/* ---- the context ---- */

/** Contexts that depend on a CA store only, by their other terms: one is kept for the hosts that follow, until the store is another. */
const contexts = new Map<string, { readonly store: string; readonly context: SecureContext }>();

interface Context extends Pick<TlsTerms, 'context' | 'options'> {
  readonly store: TlsAttempt['store'];
  /** The certificates of the store, PEM. */
  readonly anchors: () => string;
}

/** What a program gives besides a policy: certificates and keys in memory, and limits that a configuration does not have. */
export interface TlsMaterial extends PemMaterial {
  readonly maxVersion?: '1.2' | '1.3' | undefined;
  /** As in `tls.createSecureContext`. */
  readonly ciphers?: string | undefined;
}

function makeContext(
  sources: PemSources & { readonly material: TlsMaterial | undefined },
  makes: (options: SecureContextOptions) => SecureContext | null,
): Parsed<Context> {
  const { policy, material } = sources;
  const trust = trustOf(sources);
  if (!trust.ok) return trust;
  const identity = identityOf(sources);
  if (!identity.ok) return identity;
  const { name, ca, key, isGiven } = trust.value;
  const { maxVersion = '1.3', ciphers } = material ?? {};
  const store = identity.value.cert === undefined ? key : '';
  const terms = [policy.minVersion, maxVersion, ciphers, name].join(' ');
  const anchors = () => ca ?? process.getBuiltinModule('node:tls').rootCertificates.join('\n');
  const options: SecureContextOptions = {
    minVersion: `TLSv${policy.minVersion}`,
    maxVersion: `TLSv${maxVersion}`,
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(ca === undefined ? {} : { ca: ca === '' ? [] : ca }),
    // Whoever names certificates trusts them, be they roots or not.
    ...(isGiven ? { allowPartialTrustChain: true } : {}),
    ...identity.value,
  };
  try {
    const kept = contexts.get(terms);
    if (kept !== undefined && kept.store === store) return parsed({ context: kept.context, options, store: { name, isGiven }, anchors });
    const context = material === undefined && hasOpensslStore() ? withEmptyStore(() => makes(options)) : makes(options);
    if (store !== '' && context !== null) contexts.set(terms, { store, context });
    return parsed({ context, options, store: { name, isGiven }, anchors });
  } catch (error) {
    return unparsed(contextFailure(sources, options, error as Error));
  }
}

/**
 * Node has OpenSSL fill its store, which no context of ours looks into, from the file that SSL_CERT_FILE names, or else from
 * /etc/ssl/cert.pem. That costs what the flag saves, and never ends if the file is a pipe.
 */
function withEmptyStore<T>(make: () => T): T {
  const { env } = process;
  const { SSL_CERT_FILE: named } = env;
  env.SSL_CERT_FILE = '/dev/null';
  try {
    return make();
  } finally {
    if (named === undefined) delete env.SSL_CERT_FILE;
    else env.SSL_CERT_FILE = named;
  }
}

function contextFailure({ words }: PemSources, { cert, ciphers }: SecureContextOptions, { message }: Error): string {
  const text = printable(utf8(message), 200);
  if (ciphers !== undefined && /cipher/i.test(message)) return `tls.ciphers cannot be used: ${text}`;
  if (cert === undefined) return `TLS cannot be set up: ${text}`;
  return /mismatch/i.test(message)
    ? `${words.certificate} and ${words.key} do not belong together`
    : `${words.certificate} cannot be used: ${text}`;
}

/* ---- the handshake ---- */

export interface TlsOptions {
  /** True if TLS begins with the connection, not with STARTTLS. Only words of failures depend on it. */
  readonly implicit: boolean;
  /** True if the wire makes a context of its own, of the same options: then node:tls is not loaded. */
  readonly isContextOfWire?: boolean;
  /** The environment, by default that of the process. Only SSL_CERT_FILE is read, and with `material` NODE_EXTRA_CA_CERTS. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Given by programs, if only as {}: failures then speak of a program's options, and not of a configuration's keys. */
  readonly material?: TlsMaterial | undefined;
}

/**
 * Reads the files and builds the context; to be called when TCP begins to connect. Fails if a file that the configuration names
 * cannot be used.
 */
export async function prepareTls(policy: TlsPolicy, wanted: WantedPeer, options: TlsOptions): Promise<Parsed<TlsPreparation>> {
  const { implicit, isContextOfWire = false, material, environment = process.env } = options;
  const tls = isContextOfWire ? null : await import('node:tls');
  const words = material === undefined ? OF_CONFIGURATION : OF_PROGRAM;
  const context = makeContext({ policy, material, environment, words }, (given) => tls?.createSecureContext(given) ?? null);
  if (!context.ok) return context;
  const { store, anchors } = context.value;
  const hasIdentity = context.value.options.cert !== undefined;
  const versions = { from: policy.minVersion, to: material?.maxVersion ?? null };
  const attempt: TlsAttempt = { policy, wanted, implicit, hasIdentity, versions, store, words };
  const explain: TlsTerms['explain'] = (error, when) =>
    when === 'handshake' ? explainTlsFailure(error, attempt) : explainLater(error, attempt);
  let facts: TlsFacts | null = null;
  return parsed({
    facts: () => facts,
    async secure(wire) {
      const secured = await wire.startTls({ ...context.value, serverName: wanted.sni, explain });
      if (!secured.ok) return secured;
      const { peer } = secured.value;
      const verdict = verify(peer, attempt, anchors);
      if (verdict.ok) {
        facts = tlsFactsOf(peer, verdict.value);
        return { ok: true, value: secured.value.wire };
      }
      secured.value.wire.destroy();
      const { authorizationError } = peer;
      return unreached('certificate', verdict.detail, authorizationError ? `${authorizationError}` : undefined);
    },
  });
}

interface Grounds {
  readonly by: TlsFacts['by'];
  readonly peerName: string;
}

/** Decides whether to trust the peer of a completed handshake, or says why not. */
function verify(peer: TlsPeer, attempt: TlsAttempt, anchors: () => string): Parsed<Grounds> {
  const { policy, wanted } = attempt;
  const chain = chainOf(peer);
  const [own] = chain;
  if (!own) return unparsed('the server shows no certificate that can be read');
  if (policy.fingerprint.length > 0) {
    const pins = policy.fingerprint.map((pin) => pin.toLowerCase().replaceAll(':', ''));
    const isPinned = [own.facts.fingerprint, own.facts.keyFingerprint].some((each) => pins.includes(each.replaceAll(':', '')));
    if (isPinned) return parsed({ by: 'fingerprint', peerName: '' });
    return unparsed(`the certificate is not the pinned one: it has ${own.facts.fingerprint}, its key ${own.facts.keyFingerprint}`);
  }
  if (!policy.verify) return parsed({ by: 'nothing', peerName: '' });
  const peerName = peer.isMisnamed ? undefined : wanted.names.find((name) => isFor(certificateOf(peer, own.der), name));
  const reason = distrust(peer, chain, attempt, anchors);
  if (reason === null && peerName !== undefined) return parsed({ by: 'ca', peerName });
  return unparsed(
    [...(reason === null ? [] : [reason]), ...(peerName === undefined ? [explainNames(own, wanted, attempt.words)] : [])].join('; '),
  );
}

/** The peer's own certificate, as the runtime reads it. */
function certificateOf({ x509 }: TlsPeer, der: Uint8Array): X509Certificate {
  const given = x509?.();
  return given && Buffer.compare(given.raw, der) === 0 ? given : new (process.getBuiltinModule('node:crypto').X509Certificate)(der);
}

/** Says why the chain is not trusted; null if it is. */
function distrust(peer: TlsPeer, chain: readonly ChainLink[], attempt: TlsAttempt, anchors: () => string): string | null {
  const code = `${peer.authorizationError ?? 'no verdict'}`;
  // Only a plain yes counts. A runtime that sets neither `authorized` nor an error is not believed.
  if (peer.authorized !== true && !isAboutWeakness(code)) return explainChain(code, chain, attempt);
  let trusted: readonly Uint8Array[] | null = null;
  const weakness = weaknessOf(chain, ({ content }) => {
    trusted ??= keysIn(anchors());
    return trusted.some((key) => Buffer.compare(key, content.publicKey) === 0);
  });
  if (weakness !== null) return explainWeakness(weakness, chain, attempt.words);
  return peer.authorized === true ? null : explainChain(code, chain, attempt);
}

/* ---- facts ---- */

function tlsFactsOf(peer: TlsPeer, { by, peerName }: Grounds): TlsFacts {
  const version = (peer.getProtocol() ?? '').replace('TLSv', 'TLS');
  const { name } = peer.getCipher();
  const bits = keyBits(name);
  return {
    cipher: `${version}:${name}:${bits}`,
    version,
    bits,
    verified: by !== 'nothing',
    by,
    peerName,
    chain: () => chainOf(peer).map(({ facts }) => facts),
    bindings: () => bindingsOf(peer, version),
  };
}

/** Returns the bits of a cipher's key, from its name. Every cipher of TLS 1.2 and 1.3 whose name does not say has 256. */
export const keyBits = (cipher: string): number => Number(/(?:AES|ARIA|CAMELLIA)[-_]?(128|256)/.exec(cipher)?.[1] ?? 256);

/**
 * Returns the channel bindings. tls-exporter needs TLS 1.3: with 1.2 it is unsafe unless the handshake had the extended master
 * secret (RFC 9266 §4.2), and the runtime does not tell.
 */
function bindingsOf(peer: TlsPeer, version: string): readonly ChannelBinding[] {
  const bindings: ChannelBinding[] = [];
  // RFC 9266 §2: 32 octets, this label, an empty context.
  if (version === 'TLS1.3' && peer.exportKeyingMaterial !== undefined)
    bindings.push({
      type: 'tls-exporter',
      data: latin1(peer.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0))),
    });
  const { raw } = peer.getPeerCertificate();
  const digest = raw ? readCertificate(raw)?.endPointDigest : null;
  if (digest) bindings.push({ type: 'tls-server-end-point', data: latin1(digestOf(digest, raw)) });
  return bindings;
}
