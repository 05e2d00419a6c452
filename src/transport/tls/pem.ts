/**
 * Reads the certificates and keys that a connection starts with, as PEM: the CA store, other authorities, and the client's own
 * certificate and key, from files or from a program's memory. The rules of `src/trust` decide which files are obeyed. Knows no socket.
 */

import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import type { TlsPolicy } from '../../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { printable, utf8 } from '../../smtp/text.ts';
import { whyOpenFileRefused, whyUnread } from '../../trust/facts.ts';
import type { FileKind } from '../../trust/rules.ts';
import { hasSystemFiles } from '../platform.ts';
import type { TlsWords } from './words.ts';

/** Texts in PEM, as octets or characters. */
export type Pem = string | Uint8Array;

/** What a program gives in memory, in place of the files of a policy. */
export interface PemMaterial {
  /** Certificates that are trusted in place of the system's. */
  readonly ca?: Pem | readonly Pem[] | undefined;
  /** The client's own certificate, with its issuers behind it, and its key; one text may hold both. */
  readonly certificate?: Pem | undefined;
  readonly key?: Pem | undefined;
}

/** Where certificates and keys come from. Without `material` the policy's files are those of a configuration. */
export interface PemSources {
  readonly policy: TlsPolicy;
  readonly material: PemMaterial | undefined;
  readonly environment: NodeJS.ProcessEnv;
  readonly words: TlsWords;
}

/** Returns the certificates that vouch for a smart host. */
export function trustOf({ policy, material, environment, words }: PemSources): Parsed<Trust> {
  // A fingerprint replaces every authority, so no store is read, because it would not count.
  if (policy.fingerprint.length > 0 || !policy.verify) return parsed({ name: 'no CA store', ca: '', key: 'none', isGiven: false });
  if (material?.ca !== undefined) {
    const given = takePem(words.byCa, joinPem(material.ca), 'certificate');
    return given.ok ? parsed({ name: words.byCa, ca: given.value, key: '', isGiven: true }) : given;
  }
  if (policy.caFile === '') return systemTrust(environment, material !== undefined);
  const pem = readPem(words.caFile, policy.caFile, 'certificate');
  return pem.ok ? parsed({ name: `${words.caFile} (${policy.caFile})`, ca: pem.value, key: '', isGiven: true }) : pem;
}

/** Reads the client's certificate and key; one file or text may hold both. */
export function identityOf({ policy, material, words }: PemSources): Parsed<{ readonly cert?: string; readonly key?: string }> {
  if (material?.certificate === undefined && policy.certificate === '') return parsed({});
  const isBoth = material?.certificate === undefined ? policy.certificateKey === '' : material.key === undefined;
  const name = isBoth ? words.both : words.key;
  const [cert, key] =
    material?.certificate === undefined
      ? [
          readPem(words.certificate, policy.certificate, 'certificate'),
          () => readPem(name, policy.certificateKey || policy.certificate, 'key'),
        ]
      : [
          takePem(words.certificate, joinPem(material.certificate), 'certificate'),
          () => takePem(name, joinPem(material.key ?? (material.certificate as Pem)), 'key'),
        ];
  if (!cert.ok) return cert;
  const own = key();
  if (!own.ok) return own;
  if (/-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(own.value))
    return unparsed(`${name}: the private key has a passphrase, and nobody is there to ask; write it without one`);
  return parsed({ cert: cert.value, key: own.value });
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

/** Where a platform has no bundle of its own, the runtime's list counts. */
export const bundlesOn = (platform: string): readonly string[] => (hasSystemFiles(platform) ? BUNDLES : []);

export interface Trust {
  /** The name of the store in failures. */
  readonly name: string;
  /** PEM, undefined = the runtime's own list. */
  readonly ca: string | undefined;
  /** Equal for equal stores; '' = the store must not be kept. */
  readonly key: string;
  /** It was given for this host, in a file or in memory. */
  readonly isGiven: boolean;
}

/** Whether OpenSSL's store stands in place of the runtime's list, as under the script of `nospool install`. */
export const hasOpensslStore = (flags: readonly string[] = process.execArgv): boolean => flags.includes('--use-openssl-ca');

/**
 * Reads the system's store: the file that SSL_CERT_FILE names, as in OpenSSL, else the first bundle there is. Its 140 odd
 * certificates cost 5 ms more than a single one (20 ms on Node 20), while TCP connects; the runtime's own
 * getCACertificates('system') takes 60 ms. A host without a bundle, mostly a container, gets the list that the runtime brings
 * along, which the installed command has to name, because its `flags` put OpenSSL's store in its place. Node adds the file that
 * NODE_EXTRA_CA_CERTS names to that list only, so for a program (`isOpen`), whose environment is its own, it is added to the bundle here.
 */
export function systemTrust(
  environment: NodeJS.ProcessEnv,
  isOpen: boolean,
  bundles: readonly string[] = bundlesOn(process.platform),
  flags: readonly string[] = process.execArgv,
): Parsed<Trust> {
  const named = environment.SSL_CERT_FILE ?? '';
  for (const path of named === '' ? bundles : [named]) {
    const read = readBundle(path);
    if (read?.ok) return addExtra({ name: `the CA store (${path})`, ...read.value, isGiven: false }, isOpen ? environment : {});
    if (read !== null) return unparsed(`the CA store ${path} ${read.detail}`);
  }
  if (named !== '') return unparsed(`SSL_CERT_FILE is "${printable(utf8(named), 200)}", which holds no certificate that can be read`);
  const ca = !isOpen && hasOpensslStore(flags) ? process.getBuiltinModule('node:tls').rootCertificates.join('\n') : undefined;
  return parsed({ name: "the runtime's CA store", ca, key: 'runtime', isGiven: false });
}

/** Node has warned of a file that is not there. The one that SSL_CERT_FILE names adds nothing. */
function addExtra(trust: Trust & { readonly ca: string }, { NODE_EXTRA_CA_CERTS: path = '' }: NodeJS.ProcessEnv): Parsed<Trust> {
  const read = path === '' ? null : readBundle(path);
  if (read === null || (read.ok && read.value.key === trust.key)) return parsed(trust);
  if (!read.ok) return unparsed(`the file of NODE_EXTRA_CA_CERTS, ${path}, ${read.detail}`);
  return parsed({
    ...trust,
    name: `${trust.name} and ${path}`,
    ca: `${trust.ca}\n${read.value.ca}`,
    key: `${trust.key} ${read.value.key}`,
  });
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
const PEM = {
  certificate: { pattern: CERTIFICATE, called: 'certificate' },
  key: { pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----/, called: 'private key' },
} as const;

const joinPem = (given: Pem | readonly Pem[]): string =>
  typeof given === 'string' ? given : given instanceof Uint8Array ? Buffer.from(given).toString('latin1') : given.map(joinPem).join('\n');

/** Takes a text in PEM that a program has given as its option `name`. */
function takePem(name: string, pem: string, kind: keyof typeof PEM): Parsed<string> {
  const { pattern, called } = PEM[kind];
  return pattern.test(pem) ? parsed(pem) : unparsed(`${name} holds no ${called} in PEM`);
}

/** Reads a PEM file that a setting names. */
function readPem(name: string, path: string, kind: keyof typeof PEM): Parsed<string> {
  const { pattern, called } = PEM[kind];
  try {
    const read = readTrusted(kind, path);
    if (!read.ok) return unparsed(`${name}: ${path} ${read.detail}`);
    return pattern.test(read.value.pem) ? parsed(read.value.pem) : unparsed(`${name}: ${path} holds no ${called} in PEM`);
  } catch (error) {
    return unparsed(`${name}: ${path} ${whyUnread(path, error)}`);
  }
}
