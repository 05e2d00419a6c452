/** Certificates and keys from files and from memory: what is read, what it is called, and what is kept for the hosts that follow. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { rootCertificates } from 'node:tls';
import { suite } from 'uvu';
import { DEFAULT_TLS, type TlsPolicy } from '../../src/router/smarthost.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { bundlesOn, identityOf, type PemMaterial, systemTrust, trustOf } from '../../src/transport/tls/pem.ts';
import { OF_CONFIGURATION, OF_PROGRAM } from '../../src/transport/tls/words.ts';
import { testWith } from '../support/where.ts';

const test = suite('pem');
const withProc = existsSync('/proc/self/fd') ? test : test.skip;
/** The list of authorities of this system, as two families of systems have it. */
const BUNDLE =
  ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem'].find((name) => existsSync(name)) ?? '';
const withBundle = testWith(test, 'ca-certificates', BUNDLE !== '');

const folder = mkdtempSync(path.join(tmpdir(), 'nospool-pem-'));
test.after(() => rmSync(folder, { recursive: true }));
let files = 0;
function file(text: string): string {
  const name = path.join(folder, `${++files}.pem`);
  writeFileSync(name, text, { mode: 0o600 });
  return name;
}

const one = makeCertificate({ commonName: 'one' });
const two = makeCertificate({ commonName: 'two' });
const absent = path.join(folder, 'absent');

const sources = (policy: Partial<TlsPolicy>, material?: PemMaterial, environment: NodeJS.ProcessEnv = {}) => ({
  policy: { ...DEFAULT_TLS, ...policy },
  material,
  environment,
  words: material === undefined ? OF_CONFIGURATION : OF_PROGRAM,
});
const trust = (...given: Parameters<typeof sources>): unknown => {
  const made = trustOf(sources(...given));
  return made.ok ? made.value : `! ${made.detail}`;
};
const identity = (...given: Parameters<typeof sources>): unknown => {
  const made = identityOf(sources(...given));
  return made.ok ? made.value : `! ${made.detail}`;
};
/** What a store that may be kept is kept by. */
const keyOf = (name: string): string => `${name} ${statSync(name).mtimeMs} ${statSync(name).size}`;

test('a fingerprint, and whoever verifies nothing, need no store, and none is read', () => {
  const nothing = { name: 'no CA store', ca: '', key: 'none', isGiven: false };
  assert.deepEqual(trust({ caFile: absent, fingerprint: [one.fingerprints.key] }), nothing);
  assert.deepEqual(trust({ caFile: absent, fingerprint: [one.fingerprints.key, two.fingerprints.key] }), nothing);
  assert.deepEqual(trust({ caFile: absent, verify: false }, { ca: 'nonsense' }), nothing);
});

test('certificates that are given for a host are its whole store, which nobody else gets', () => {
  const caFile = file(one.own);
  assert.deepEqual(trust({ caFile }), { name: `tls.ca_file (${caFile})`, ca: one.own, key: '', isGiven: true });
  const inMemory = (ca: string) => ({ name: 'tls.ca', ca, key: '', isGiven: true });
  assert.deepEqual(trust({ caFile: absent }, { ca: one.own }), inMemory(one.own), 'memory comes before a file');
  assert.deepEqual(trust({}, { ca: Buffer.from(one.own) }), inMemory(one.own));
  assert.deepEqual(trust({}, { ca: [one.own, Buffer.from(two.own)] }), inMemory(`${one.own}\n${two.own}`));
  for (const heading of ['TRUSTED CERTIFICATE', 'X509 CERTIFICATE']) {
    const ca = one.own.replaceAll('CERTIFICATE', heading);
    assert.deepEqual(trust({}, { ca }), inMemory(ca));
  }
  assert.equal(trust({}, { ca: '-----BEGIN NEW CERTIFICATE-----' }), '! tls.ca holds no certificate in PEM');
});

test('the store of the system is kept as long as its file stays as it is', () => {
  const store = file(one.own);
  const environment = { SSL_CERT_FILE: store };
  const found = { name: `the CA store (${store})`, ca: one.own, key: keyOf(store), isGiven: false };
  assert.deepEqual(trust({}, undefined, environment), found);
  assert.deepEqual(trust({}, {}, environment), found);
  writeFileSync(store, one.own + two.own);
  assert.deepEqual(trust({}, undefined, environment), { ...found, ca: one.own + two.own, key: keyOf(store) });
});

withBundle('without SSL_CERT_FILE it is the first bundle that is there', () => {
  for (const environment of [{}, { SSL_CERT_FILE: '' }]) {
    const found = trust({}, undefined, environment) as { readonly name: string; readonly key: string };
    assert.deepEqual([found.name, found.key], [`the CA store (${BUNDLE})`, keyOf(BUNDLE)]);
  }
});

test('of several bundles the first that holds a certificate counts, and without any the list that the runtime brings along', () => {
  const [nothing, first, second] = [file('nothing'), file(one.own), file(two.own)];
  const store = (environment: NodeJS.ProcessEnv, ...bundles: string[]): unknown => {
    const found = systemTrust(environment, false, bundles);
    return found.ok ? found.value : `! ${found.detail}`;
  };
  const expected = { name: `the CA store (${first})`, ca: one.own, key: keyOf(first), isGiven: false };
  assert.deepEqual(store({}, first, second), expected);
  assert.deepEqual(store({}, absent, nothing, path.join(folder, 'x'), first, second), expected);
  const own = { name: "the runtime's CA store", ca: undefined, key: 'runtime', isGiven: false };
  assert.deepEqual(store({}), own);
  assert.deepEqual(store({ SSL_CERT_FILE: '' }, absent, nothing), own);
  const whereReplaced = (isOpen: boolean) => systemTrust({}, isOpen, [], ['--use-openssl-ca']);
  assert.deepEqual(
    whereReplaced(false),
    { ok: true, value: { ...own, ca: rootCertificates.join('\n') } },
    'the flag of the installed command',
  );
  assert.deepEqual(whereReplaced(true), { ok: true, value: own }, 'a program was started with it on purpose');
  const none = (shown: string) => `! SSL_CERT_FILE is "${shown}", which holds no certificate that can be read`;
  assert.equal(store({ SSL_CERT_FILE: absent }, first), none(absent), 'what is named is the only one');
  assert.equal(store({ SSL_CERT_FILE: 'x'.repeat(201) }, first), none(`${'x'.repeat(200)}\u2026`));
});

test('on Windows no file of a POSIX host is a store, because any user may make C:\\etc', () => {
  assert.deepEqual(bundlesOn('win32'), []);
  for (const platform of ['linux', 'darwin', 'freebsd', 'openbsd'])
    assert.equal(bundlesOn(platform)[0], '/etc/ssl/certs/ca-certificates.crt', platform);
  const own = { name: "the runtime's CA store", ca: undefined, key: 'runtime', isGiven: false };
  for (const isOpen of [true, false]) assert.deepEqual(systemTrust({}, isOpen, bundlesOn('win32'), []), { ok: true, value: own });
});

test('the extra file of the environment is a part of the store for a program alone', () => {
  const [store, extra] = [file(one.own), file(two.own)];
  const environment = { SSL_CERT_FILE: store, NODE_EXTRA_CA_CERTS: extra };
  const plain = { name: `the CA store (${store})`, ca: one.own, key: keyOf(store), isGiven: false };
  assert.deepEqual(trust({}, undefined, environment), plain);
  assert.deepEqual(trust({}, {}, environment), {
    name: `the CA store (${store}) and ${extra}`,
    ca: `${one.own}\n${two.own}`,
    key: `${keyOf(store)} ${keyOf(extra)}`,
    isGiven: false,
  });
  assert.deepEqual(trust({}, {}, { ...environment, NODE_EXTRA_CA_CERTS: file('nothing') }), plain);
  assert.deepEqual(trust({}, {}, { ...environment, NODE_EXTRA_CA_CERTS: '' }), plain);
  assert.deepEqual(trust({}, {}, { ...environment, NODE_EXTRA_CA_CERTS: store }), plain, 'the same file');
});

test('a client has its certificate and key from two files or one, or from memory, and none otherwise', () => {
  const both = one.cert + one.key;
  const [cert, key, bothFile] = [file(one.cert), file(one.key), file(both)];
  assert.deepEqual(identity({}), {});
  assert.deepEqual(identity({}, {}), {});
  assert.deepEqual(identity({ certificate: cert, certificateKey: key }), { cert: one.cert, key: one.key });
  assert.deepEqual(identity({ certificate: bothFile }), { cert: both, key: both });
  assert.deepEqual(identity({ certificate: absent }, { certificate: one.cert, key: one.key }), { cert: one.cert, key: one.key });
  assert.deepEqual(identity({}, { certificate: both }), { cert: both, key: both });
  assert.deepEqual(identity({ certificate: bothFile }, {}), { cert: both, key: both }, 'the files of a program');
});

test('what cannot be used is called by the name of its setting', () => {
  const locked = '-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END RSA PRIVATE KEY-----\n';
  const newer = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n';
  const [cert, key] = [file(one.cert), file(one.key)];
  const passphrase = 'the private key has a passphrase, and nobody is there to ask; write it without one';
  for (const [given, expected] of [
    [[{ certificate: cert, certificateKey: file(locked) }], `! tls.certificate_key: ${passphrase}`],
    [[{ certificate: file(one.cert + newer) }], `! tls.certificate: ${passphrase}`],
    [[{}, { certificate: one.cert, key: locked }], `! tls.key: ${passphrase}`],
    [[{}, { certificate: one.cert + newer }], `! tls.certificate: ${passphrase}`],
    [[{ certificate: cert }], `! tls.certificate: ${cert} holds no private key in PEM`],
    [[{ certificate: cert, certificateKey: cert }], `! tls.certificate_key: ${cert} holds no private key in PEM`],
    [[{ certificate: key, certificateKey: key }], `! tls.certificate: ${key} holds no certificate in PEM`],
    [[{ certificate: absent, certificateKey: absent }], `! tls.certificate: ${absent} does not exist`],
    [[{}, { certificate: one.cert }], '! tls.certificate holds no private key in PEM'],
    [[{}, { certificate: one.cert, key: one.cert }], '! tls.key holds no private key in PEM'],
    [[{}, { certificate: one.key, key: one.key }], '! tls.certificate holds no certificate in PEM'],
  ] as const)
    assert.equal(identity(...(given as unknown as Parameters<typeof sources>)), expected);
});

withProc('no file stays open', () => {
  const count = () => readdirSync('/proc/self/fd').length;
  const [caFile, bad] = [file(one.own), file('nothing')];
  const before = count();
  for (let i = 0; i < 5; i++) {
    trust({ caFile });
    trust({ caFile: bad });
    trust({ caFile: folder });
  }
  assert.equal(count(), before);
});

test.run();
