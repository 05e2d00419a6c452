/** Whether a peer is trusted, by what the runtime says of it and what it shows. The handshake is made up. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { suite } from 'uvu';
import { DEFAULT_TLS, type TlsPolicy } from '../../src/router/smarthost.ts';
import { type Certificate, makeCertificate } from '../../src/transport/tls/certificate.ts';
import { prepareTls, type TlsFacts, type TlsMaterial, wantedNames } from '../../src/transport/tls/tls.ts';
import { type Reached, type TlsPeer, type TlsTerms, unreached, type Wire } from '../../src/transport/wire.ts';

const test = suite('verify');

const HOST = 'mail.example.org';
const derOf = ({ own }: Certificate): Buffer => new X509Certificate(own).raw;
const ca = makeCertificate({ commonName: 'Test CA', ca: true });
const good = makeCertificate({ names: [HOST], issuer: ca });
const weak = makeCertificate({ names: [HOST], issuer: ca, digest: 'sha1' });
const other = makeCertificate({ names: ['other.example'], issuer: ca });

interface Shown {
  readonly certificate?: Certificate | null;
  readonly issuer?: Certificate;
  readonly authorized?: boolean;
  readonly error?: string | Error | null;
  readonly more?: Partial<TlsPeer>;
}
function peerOf({ certificate = good, issuer, authorized = true, error = null, more = {} }: Shown): TlsPeer {
  const own = certificate && {
    raw: derOf(certificate),
    subject: { CN: 'own' },
    issuer: { CN: 'issuer' },
    ...(issuer ? { issuerCertificate: { raw: derOf(issuer), subject: { CN: 'issuer' }, issuer: {} } } : {}),
  };
  return {
    authorized,
    authorizationError: error,
    getPeerCertificate: () => own ?? {},
    getProtocol: () => 'TLSv1.3',
    getCipher: () => ({ name: 'TLS_AES_128_GCM_SHA256' }),
    exportKeyingMaterial: (length: number, label: string, context: Buffer) => Buffer.from(`${length} ${label} ${context.length}`),
    ...more,
  } as unknown as TlsPeer;
}

interface Verdict {
  readonly result: Reached<Wire>;
  readonly facts: TlsFacts | null;
  readonly isDestroyed: boolean;
  readonly terms: TlsTerms | undefined;
}
async function verdictOn(
  shown: Shown,
  policy: Partial<TlsPolicy> = {},
  { host = HOST, domain = '', material = { ca: ca.own } }: { host?: string; domain?: string; material?: TlsMaterial } = {},
): Promise<Verdict> {
  const whole = { ...DEFAULT_TLS, ...policy };
  const prepared = await prepareTls(whole, wantedNames(whole, host, domain), {
    implicit: true,
    environment: {},
    material,
    isContextOfWire: true,
  });
  assert.ok(prepared.ok, prepared.ok ? '' : prepared.detail);
  assert.equal(prepared.value.facts(), null, 'nothing is known before the handshake');
  let isDestroyed = false;
  let terms: TlsTerms | undefined;
  const above = { destroy: () => (isDestroyed = true) } as unknown as Wire;
  const wire = {
    startTls: async (given: TlsTerms) => {
      terms = given;
      return { ok: true, value: { wire: above, peer: peerOf(shown) } };
    },
  } as unknown as Wire;
  const result = await prepared.value.secure(wire);
  if (result.ok) assert.equal(result.value, above);
  return { result, facts: prepared.value.facts(), isDestroyed, terms };
}
const said = async (...given: Parameters<typeof verdictOn>): Promise<string> => {
  const { result, facts, isDestroyed } = await verdictOn(...given);
  assert.equal(isDestroyed, !result.ok, 'a wire that is not trusted is destroyed, and no other');
  assert.equal(facts !== null, result.ok, 'there are facts of who is trusted alone');
  if (facts) return `${facts.by} ${facts.peerName} ${facts.verified}`.replace('  ', ' ');
  assert.ok(!result.ok && result.reason === 'certificate');
  return `${result.systemCode ?? '-'}: ${result.detail}`;
};
const FORGED =
  'the certificate is signed with SHA-1, which can be forged: the server needs another one; until it has, tls.fingerprint can name the one it has';
const NOT_FOR = 'the certificate is for other.example, not for mail.example.org (see tls.serverName)';

test('only a plain yes of the runtime counts, for a name that is wanted', async () => {
  for (const [shown, expected] of [
    [{}, 'ca mail.example.org true'],
    [{ issuer: ca }, 'ca mail.example.org true'],
    [{ authorized: false, error: 'CERT_REVOKED' }, 'CERT_REVOKED: the certificate is revoked'],
    [
      { authorized: false, error: new Error('CERT_REVOKED') },
      'Error: CERT_REVOKED: the certificate cannot be verified (Error: CERT_REVOKED)',
    ],
    [{ authorized: false }, '-: the certificate cannot be verified (no verdict)'],
    [{ more: { authorized: undefined as unknown as boolean } }, '-: the certificate cannot be verified (no verdict)'],
    [{ authorized: 'yes' as unknown as boolean }, '-: the certificate cannot be verified (no verdict)'],
    [{ certificate: other }, `-: ${NOT_FOR}`],
    [{ certificate: other, authorized: false, error: 'CERT_REVOKED' }, `CERT_REVOKED: the certificate is revoked; ${NOT_FOR}`],
    [{ certificate: null }, '-: the server shows no certificate that can be read'],
    [{ more: { isMisnamed: true } }, '-: the certificate is for mail.example.org, not for mail.example.org (see tls.serverName)'],
  ] as const)
    assert.equal(await said(shown), expected);
});

test('S12: a weakness is one whatever the runtime says, unless the store has the certificate itself', async () => {
  for (const error of [null, 'UNSPECIFIED', 'CA_MD_TOO_WEAK']) {
    const shown = { certificate: weak, authorized: error === null, error };
    assert.equal(await said(shown), `${error ?? '-'}: ${FORGED}`);
    assert.equal(
      await said({ ...shown, certificate: weak }, {}, { material: { ca: [ca.own, weak.own] } }),
      error === null ? 'ca mail.example.org true' : `${error}: the certificate cannot be verified (${error})`,
    );
  }
  assert.equal(await said({ authorized: false, error: 'UNSPECIFIED' }), 'UNSPECIFIED: the certificate cannot be verified (UNSPECIFIED)');
});

test('a fingerprint is the only ground where there is one, of the certificate or its key, however it is written', async () => {
  const { certificate, key } = good.fingerprints;
  const refused = `-: the certificate is not the pinned one: it has ${certificate}, its key ${key}`;
  for (const pin of [certificate, key, certificate.toUpperCase(), key.replace(/..(?=.)/g, '$&:')])
    assert.equal(
      await said({ authorized: false, certificate: good }, { fingerprint: ['sha256:00', pin] }, { host: 'x.example' }),
      'fingerprint true',
      pin,
    );
  for (const pin of [ca.fingerprints.certificate, certificate.slice(0, -1), `${certificate}0`])
    assert.equal(await said({}, { fingerprint: [pin], verify: false }), refused);
});

test('without verification everybody is trusted who shows a certificate, and the facts say so', async () => {
  assert.equal(await said({ certificate: other, authorized: false }, { verify: false }), 'nothing false');
  assert.equal(await said({ certificate: null }, { verify: false }), '-: the server shows no certificate that can be read');
});

test('the wire is told what the handshake needs, and a handshake that failed stays one', async () => {
  const { terms } = await verdictOn({}, { minVersion: '1.3' }, { material: { ca: ca.own, ciphers: 'X', maxVersion: '1.3' } });
  assert.deepEqual([terms?.context, terms?.serverName], [null, HOST]);
  assert.deepEqual(terms?.options, {
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: 'X',
    ca: ca.own,
    allowPartialTrustChain: true,
  });
  const pinned = await verdictOn({}, { fingerprint: [good.fingerprints.key], certificate: '' }, { material: {}, host: '192.0.2.1' });
  assert.deepEqual([pinned.terms?.serverName, pinned.terms?.options], ['', { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', ca: [] }]);
  const error = Object.assign(new Error('words'), { code: 'ERR_SSL_WRONG_VERSION_NUMBER' });
  assert.match(terms?.explain(error, 'handshake') ?? '', /^the port does not speak TLS from the start/);
  assert.equal(terms?.explain(error, 'later'), 'TLS failed: words');
  const refused = Object.assign(new Error('words'), { code: 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA' });
  assert.match(terms?.explain(refused, 'later') ?? '', /^the server refuses us for want of a certificate/);
  const shows = await verdictOn({}, {}, { material: { ca: ca.own, certificate: good.cert, key: good.key } });
  assert.match(shows.terms?.explain(refused, 'later') ?? '', /^the server does not accept our client certificate/);
  const prepared = await prepareTls({ ...DEFAULT_TLS, verify: false }, wantedNames(DEFAULT_TLS, HOST), {
    implicit: false,
    environment: {},
  });
  assert.ok(prepared.ok);
  const lost = unreached('handshake', 'no');
  assert.equal(await prepared.value.secure({ startTls: async () => lost } as unknown as Wire), lost);
  assert.equal(prepared.value.facts(), null);
});

test('the facts: version, cipher and bits, the chain, and what a channel is bound by', async () => {
  const factsOf = async (more: Partial<TlsPeer> = {}, shown: Shown = {}) => (await verdictOn({ ...shown, more })).facts as TlsFacts;
  const facts = await factsOf({}, { issuer: ca });
  assert.deepEqual([facts.cipher, facts.version, facts.bits], ['TLS1.3:TLS_AES_128_GCM_SHA256:128', 'TLS1.3', 128]);
  assert.deepEqual(
    facts.chain().map(({ fingerprint }) => fingerprint),
    [good.fingerprints.certificate, ca.fingerprints.certificate],
  );
  const [exporter, endPoint] = facts.bindings();
  assert.deepEqual(exporter, { type: 'tls-exporter', data: '32 EXPORTER-Channel-Binding 0' });
  assert.deepEqual([endPoint?.type, endPoint?.data.length], ['tls-server-end-point', 32]);
  const typesOf = (given: TlsFacts): string[] => given.bindings().map(({ type }) => type);
  const twelve = await factsOf({ getProtocol: () => 'TLSv1.2' });
  assert.deepEqual([twelve.version, ...typesOf(twelve)], ['TLS1.2', 'tls-server-end-point']);
  assert.deepEqual(typesOf(await factsOf({ exportKeyingMaterial: undefined } as unknown as Partial<TlsPeer>)), ['tls-server-end-point']);
  const silent = await factsOf({ getProtocol: () => null });
  assert.deepEqual([silent.version, silent.cipher], ['', ':TLS_AES_128_GCM_SHA256:128']);
  // A peer may show nothing any more when somebody asks.
  let isGone = false;
  const peer = peerOf({});
  const gone = await factsOf({
    getPeerCertificate: ((...given: [true]) => (isGone ? {} : peer.getPeerCertificate(...given))) as TlsPeer['getPeerCertificate'],
  });
  isGone = true;
  assert.deepEqual([typesOf(gone), gone.chain()], [['tls-exporter'], []]);
});

test('the certificate that the runtime has read is asked, if it is that of the peer', async () => {
  const named = new X509Certificate(good.own);
  assert.equal(await said({ more: { x509: () => named } }), 'ca mail.example.org true');
  assert.equal(await said({ more: { x509: () => undefined } }), 'ca mail.example.org true');
  assert.equal(await said({ certificate: other, more: { x509: () => named } }), `-: ${NOT_FOR}`, 'that of somebody else is not');
  let asked = 0;
  const counting = { raw: derOf(good), checkHost: () => HOST.slice(0, ++asked), checkIP: () => undefined } as unknown as X509Certificate;
  await said({ more: { x509: () => counting } });
  assert.equal(asked, 1, 'it is not read again');
});

test.run();
