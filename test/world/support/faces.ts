/**
 * Faces of smart hosts: an address, a name and what a server shows there, with the DNS records that lead to it. It does not know
 * which server that is.
 */
import { writeFileSync } from 'node:fs';
import { type Certificate, makeCertificate } from '../../../src/transport/tls/certificate.ts';
import { scratch } from '../../interop/support/daemon.ts';
import { type Place, placeAt } from './network.ts';

/** What is right or wrong with a certificate. */
export type Kind = 'good' | 'unknown CA' | 'wrong name' | 'expired' | 'future' | 'of the domain' | 'of the target';

export interface Face {
  /** A label: the domain begins with it. */
  readonly name: string;
  /** The last number of its addresses. */
  readonly last: number;
  /** Null: it has no TLS. */
  readonly kind: Kind | null;
}

export const PORTS = { smtp: 25, submission: 587, submissions: 465, lmtp: 24 } as const;

export const domainOf = ({ name }: Face): string => `${name}.example`;
export const placeOf = ({ last }: Face): Place => placeAt(last);

/** A loopback address of every client that is the face's. */
export const loopbackOf = ({ last }: Face): string => `127.0.0.${last}`;

/** What MX and SRV records of the domain lead to; a host of another domain where that is what is tried. */
const targetOf = (face: Face): string =>
  face.kind === 'of the domain' || face.kind === 'of the target' ? `mx.${face.name}.elsewhere.example` : `mx.${domainOf(face)}`;

/**
 * The domain itself, its MX and SRV records, and the same below `loop.`, where everything ends at a loopback address. The
 * addresses are IPv4 alone, so that each name is tried once.
 */
export function recordsOf(face: Face): string {
  const [domain, target, v4] = [domainOf(face), targetOf(face), placeOf(face).v4];
  const tree = (at: string, host: string, address: string) => `${at}. A ${address}
${host}. A ${address}
${at}. MX 10 ${host}.
_submission._tcp.${at}. SRV 0 0 ${PORTS.submission} ${host}.
_submissions._tcp.${at}. SRV 0 0 ${PORTS.submissions} ${host}.
`;
  return `${tree(domain, target, v4)}${tree(`loop.${domain}`, `mx.loop.${domain}`, loopbackOf(face))}six.${domain}. AAAA ${placeOf(face).v6}\n`;
}

const DAY = 24 * 60 * 60 * 1000;
let authorities: { readonly ours: Certificate; readonly other: Certificate; readonly file: string } | undefined;

function theAuthorities() {
  if (authorities !== undefined) return authorities;
  const ours = makeCertificate({ commonName: 'the CA of the world', ca: true });
  const file = `${scratch('ca')}/ca.pem`;
  writeFileSync(file, ours.own, { mode: 0o644 });
  authorities = { ours, other: makeCertificate({ commonName: 'another CA', ca: true }), file };
  return authorities;
}

/** PEM of the CA that signed the certificates that are good. */
export const caFile = (): string => theAuthorities().file;

/** A good certificate for these names, and nothing else. */
export const goodFor = (...names: readonly string[]): Certificate => makeCertificate({ names, issuer: theAuthorities().ours });

export function certificateOf(face: Face): Certificate {
  const { ours, other } = theAuthorities();
  const [domain, target, { v4, v6 }] = [domainOf(face), targetOf(face), placeOf(face)];
  const names = [domain, target, `loop.${domain}`, `mx.loop.${domain}`, `six.${domain}`, `hosts.${domain}`, 'localhost', 'mail.localhost'];
  const ips = [v4, v6, loopbackOf(face), '127.0.0.1', '::1', '::ffff:127.0.0.1'];
  const issuer = face.kind === 'unknown CA' ? other : ours;
  switch (face.kind) {
    case 'wrong name':
      return makeCertificate({ names: ['elsewhere.example'], ips: ['198.51.100.1'], issuer });
    case 'of the domain':
      return makeCertificate({ names: [domain], issuer });
    case 'of the target':
      return makeCertificate({ names: [target], issuer });
    case 'expired':
      return makeCertificate({ names, ips, issuer, notBefore: Date.now() - 40 * DAY, notAfter: Date.now() - DAY });
    case 'future':
      return makeCertificate({ names, ips, issuer, notBefore: Date.now() + DAY });
    default:
      return makeCertificate({ names, ips, issuer });
  }
}
