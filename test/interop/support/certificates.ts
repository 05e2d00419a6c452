/** Certificates for the peers, as files in a folder: one CA, the server's, a client's, and another CA that signed neither. */
import { writeFileSync } from 'node:fs';
import { makeCertificate } from '../../../src/transport/tls/certificate.ts';
import { HOST } from '../../world/support/addresses.ts';
import { scratch } from './daemon.ts';
import { DOMAIN, USER } from './peer.ts';

export interface TlsFiles {
  /** The server's certificate for the address and the names of the peers, and its key. */
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
  readonly otherCa: string;
  /** Of the server's certificate, as `tls.fingerprint` takes it. */
  readonly fingerprint: string;
}

let made: TlsFiles | undefined;

/** Made once a process: keys take time. */
export function tlsFiles(): TlsFiles {
  if (made !== undefined) return made;
  const folder = scratch('tls');
  const issuer = makeCertificate({ commonName: 'test CA', ca: true });
  const server = makeCertificate({ names: ['localhost', `*.${DOMAIN}`], ips: [HOST], issuer });
  const client = makeCertificate({ names: [`${USER}.${DOMAIN}`], commonName: USER, issuer });
  const other = makeCertificate({ commonName: 'another CA', ca: true });
  // The daemons read the keys under uids of their own.
  const file = (name: string, text: string, mode = 0o644) => {
    writeFileSync(`${folder}/${name}.pem`, text, { mode });
    return `${folder}/${name}.pem`;
  };
  made = {
    certificate: file('server', server.cert),
    key: file('server-key', server.key),
    ca: file('ca', issuer.own),
    clientCertificate: file('client', client.cert),
    clientKey: file('client-key', client.key, 0o600),
    otherCa: file('other-ca', other.own),
    fingerprint: server.fingerprints.certificate,
  };
  return made;
}
