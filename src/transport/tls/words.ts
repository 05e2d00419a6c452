/**
 * The names of the settings of TLS as those know them who wrote them: keys of a configuration, or options of a program. Knows no
 * sentence.
 */
export interface TlsWords {
  readonly caFile: string;
  readonly certificate: string;
  readonly key: string;
  /** The key, where one file or text holds both. */
  readonly both: string;
  readonly minVersion: string;
  readonly serverName: string;
  /** The same within a sentence: "set …", "name it as …". */
  readonly byCa: string;
  /** What is done by it. */
  readonly nameCa: string;
  readonly byFingerprint: string;
  readonly byServerName: string;
  readonly byCertificate: string;
  /** Behind `byCa`. */
  readonly orFingerprint: string;
}

export const OF_CONFIGURATION: TlsWords = {
  caFile: 'tls.ca_file',
  certificate: 'tls.certificate',
  key: 'tls.certificate_key',
  both: 'tls.certificate',
  minVersion: 'tls.min_version',
  serverName: 'tls.server_name',
  byCa: 'ca_file in [tls]',
  nameCa: 'name its file',
  byFingerprint: 'fingerprint in [tls]',
  byServerName: 'server_name in [tls]',
  byCertificate: 'certificate and certificate_key in [tls]',
  orFingerprint: 'fingerprint',
};

export const OF_PROGRAM: TlsWords = {
  caFile: 'tls.caFile',
  certificate: 'tls.certificate',
  key: 'tls.key',
  both: 'tls.certificate',
  minVersion: 'tls.minVersion',
  serverName: 'tls.serverName',
  byCa: 'tls.ca',
  nameCa: 'hold it',
  byFingerprint: 'tls.fingerprint',
  byServerName: 'tls.serverName',
  byCertificate: 'tls.certificate and tls.key',
  orFingerprint: 'tls.fingerprint',
};
