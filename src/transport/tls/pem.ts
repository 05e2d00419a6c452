/**
 * Reads the certificates and keys that a connection starts with, as PEM: the CA store, tls.ca_file, and the client's own
 * certificate and key. The rules of `src/trust` decide which files are obeyed. Knows no socket.
 */

import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import type { TlsPolicy } from '../../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { printable, utf8 } from '../../smtp/text.ts';
import { whyOpenFileRefused, whyUnread } from '../../trust/facts.ts';
import type { FileKind } from '../../trust/rules.ts';

/** Returns the certificates that vouch for a smart host. */
export function trustOf(policy: TlsPolicy, environment: NodeJS.ProcessEnv): Parsed<Trust> {
  // A fingerprint replaces every authority, so no store is read, because it would not count.
  if (policy.fingerprint.length > 0 || !policy.verify) return parsed({ name: 'no CA store', ca: '', key: 'none' });
  if (policy.caFile === '') return systemTrust(environment);
  const pem = readPem('ca_file', policy.caFile, 'certificate');
  return pem.ok ? parsed({ name: `tls.ca_file (${policy.caFile})`, ca: pem.value, key: '' }) : pem;
}

/** A store with further certificates, from the file that NODE_EXTRA_CA_CERTS names. As in Node, one that cannot be read adds nothing. */
export function addTrust(store: Trust, path: string, own: () => string): Trust {
  const read = readBundle(path);
  if (!read?.ok || store.key === 'none') return store;
  const { ca, key } = read.value;
  return { name: `${store.name}, with NODE_EXTRA_CA_CERTS`, ca: `${store.ca ?? own()}\n${ca}`, key: store.key && `${store.key} ${key}` };
}

/** Reads the client's certificate and key; one file may hold both. */
export function identityOf(policy: TlsPolicy): Parsed<{ readonly cert?: string; readonly key?: string }> {
  if (policy.certificate === '') return parsed({});
  const cert = readPem('certificate', policy.certificate, 'certificate');
  if (!cert.ok) return cert;
  const name = policy.certificateKey === '' ? 'certificate' : 'certificate_key';
  const key = readPem(name, policy.certificateKey || policy.certificate, 'key');
  if (!key.ok) return key;
  if (/-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(key.value))
    return unparsed(`tls.${name}: the private key has a passphrase, and nobody is there to ask; write it without one`);
  return parsed({ cert: cert.value, key: key.value });
}

/** The places in which distributions keep the bundle of the system's CA store, the commonest first. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt', // Debian, Ubuntu, Arch, Gentoo, Alpine
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', // Fedora, RHEL
  '/etc/pki/tls/certs/ca-bundle.crt', // older Fedora and RHEL
  '/etc/ssl/ca-bundle.pem', // openSUSE
  '/etc/ssl/cert.pem', // OpenBSD, macOS, Alpine
  '/usr/local/etc/ssl/cert.pem', // FreeBSD
] as const;

export interface Trust {
  /** The name of the store in failures. */
  readonly name: string;
  /** PEM, undefined = the runtime's own list. */
  readonly ca: string | undefined;
  /** Equal for equal stores; '' = the store must not be kept. */
  readonly key: string;
}

/**
 * Reads the system's store: the file that SSL_CERT_FILE names, as in OpenSSL, else the first bundle there is. Its 140 odd
 * certificates cost 5 ms more than a single one (20 ms on Node 20), while TCP connects; the runtime's own
 * getCACertificates('system') takes 60 ms. A host without a bundle, mostly a container, gets the list that the runtime brings
 * along.
 */
function systemTrust(environment: NodeJS.ProcessEnv): Parsed<Trust> {
  const named = environment.SSL_CERT_FILE ?? '';
  for (const path of named === '' ? BUNDLES : [named]) {
    const read = readBundle(path);
    if (read?.ok) return parsed({ name: `the CA store (${path})`, ...read.value });
    if (read !== null) return unparsed(`the CA store ${path} ${read.detail}`);
  }
  if (named !== '') return unparsed(`SSL_CERT_FILE is "${printable(utf8(named), 200)}", which holds no certificate that can be read`);
  return parsed({ name: "the runtime's CA store", ca: undefined, key: 'runtime' });
}

/** Returns null if there is no store. */
function readBundle(path: string): Parsed<{ readonly ca: string; readonly key: string }> | null {
  try {
    const read = readTrusted('certificate', path);
    if (!read.ok) return read;
    const { pem, stats } = read.value;
    return CERTIFICATE.test(pem) ? parsed({ ca: pem, key: `${path} ${stats.mtimeMs} ${stats.size}` }) : null;
  } catch {
    return null;
  }
}

/** Reads a file that `src/trust` lets us obey. Throws the error of the system. */
function readTrusted(kind: FileKind, path: string): Parsed<{ readonly pem: string; readonly stats: Stats }> {
  // O_NONBLOCK, so that a named pipe does not wait for its writer.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(fd);
    const refused = whyOpenFileRefused(kind, path, stats, fd);
    return refused === null ? parsed({ pem: readFileSync(fd, 'latin1'), stats }) : unparsed(refused);
  } finally {
    closeSync(fd);
  }
}

const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/;

/** The contents of PEM files, and what people call them. */
export const PEM = {
  certificate: { pattern: CERTIFICATE, called: 'certificate' },
  key: { pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----/, called: 'private key' },
} as const;

/** Reads a PEM file that the configuration names by `key`. */
function readPem(key: string, path: string, kind: keyof typeof PEM): Parsed<string> {
  const { pattern, called } = PEM[kind];
  try {
    const read = readTrusted(kind, path);
    if (!read.ok) return unparsed(`tls.${key}: ${path} ${read.detail}`);
    return pattern.test(read.value.pem) ? parsed(read.value.pem) : unparsed(`tls.${key}: ${path} holds no ${called} in PEM`);
  } catch (error) {
    return unparsed(`tls.${key}: ${path} ${whyUnread(path, error)}`);
  }
}
