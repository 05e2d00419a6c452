// TLS against real handshakes on loopback: every way a certificate or a server can be wrong, and the words for it.
// Loopback: the handshake alone is the subject; its policy is handed in.

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls, { type TLSSocket, type TlsOptions } from 'node:tls';
import { suite } from 'uvu';
import { DEFAULT_TLS, type TlsPolicy } from '../../src/router/smarthost.ts';
import { chooseMechanism } from '../../src/smtp/sasl/choose.ts';
import { isPlainTls } from '../../src/submit/session.ts';
import { connectBun } from '../../src/transport/bun-wire.ts';
import { hashes } from '../../src/transport/hashes.ts';
import { connectNode } from '../../src/transport/node-wire.ts';
import { type Certificate, makeCertificate } from '../../src/transport/tls/certificate.ts';
import { explainChain, explainTlsFailure, type TlsAttempt } from '../../src/transport/tls/failure.ts';
import { wantedNames } from '../../src/transport/tls/peername.ts';
import { keyBits, prepareTls, type TlsMaterial, type TlsPreparation } from '../../src/transport/tls/tls.ts';
import { OF_CONFIGURATION } from '../../src/transport/tls/words.ts';
import type { Connect, Reached, Wire, WireEnd } from '../../src/transport/wire.ts';
import { reset } from '../support/reset.ts';
import { wireTo } from '../support/sockets.ts';
import { within } from '../support/within.ts';

const tests = suite('tls');

/** Each test runs on Node's sockets, and under Bun once more on Bun's own. */
let sockets: Connect = connectNode;
function test(title: string, body: () => void | Promise<void>): void {
  for (const by of process.versions.bun === undefined ? [connectNode] : [connectNode, connectBun])
    tests(by === connectBun ? `${title} (Bun's own sockets)` : title, () => {
      sockets = by;
      return body();
    });
}

/** BoringSSL, which Bun has, cannot be made to serve old versions, and Bun's own sockets make their contexts themselves. */
const onNode = process.versions.bun === undefined ? test : tests.skip;
const onBun = process.versions.bun === undefined ? tests.skip : test;

const DAY = 24 * 60 * 60 * 1000;
const folder = mkdtempSync(path.join(tmpdir(), 'nospool-tls-'));
tests.after(() => rmSync(folder, { recursive: true }));
let files = 0;
function file(text: string): string {
  const name = path.join(folder, `${++files}.pem`);
  writeFileSync(name, text, { mode: 0o600 });
  return name;
}

const HOST = 'mail.example.org';
const ca = makeCertificate({ commonName: 'Test CA', ca: true });
const caFile = file(ca.own);
const good = makeCertificate({ names: [HOST], issuer: ca });

const policy = (changes: Partial<TlsPolicy> = {}): TlsPolicy => ({ ...DEFAULT_TLS, mode: 'required', caFile, ...changes });

interface Served {
  /** SNI that the server was told. */
  sni: string | false | null;
  /** Its side of the connection, once secured. */
  peer: TLSSocket | null;
}

/** Starts a server, does one handshake with it, ends both; what the client got is in `use`'s hands meanwhile. */
async function handshake<T>(
  server: net.Server,
  {
    with: changed = {},
    host = HOST,
    domain = '',
    implicit = true,
    environment = {},
    material,
  }: Partial<{
    with: Partial<TlsPolicy>;
    host: string;
    domain: string;
    implicit: boolean;
    environment: NodeJS.ProcessEnv;
    material: TlsMaterial;
  }>,
  use: (result: Reached<Wire>, preparation: TlsPreparation, served: Served) => T | Promise<T>,
): Promise<T> {
  const served: Served = { sni: null, peer: null };
  server.on('secureConnection', (socket: TLSSocket) => {
    served.sni = (socket as TLSSocket & { servername?: string | false }).servername ?? null;
    served.peer = socket;
    socket.on('error', () => {});
  });
  server.on('tlsClientError', () => {});
  const open = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    open.add(socket);
    socket.on('error', () => {});
  });
  return within(10_000, async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const whole = policy(changed);
    // As sessions choose it.
    const isPlain = material === undefined && isPlainTls({ tls: whole }, { name: host, unix: false, fromDns: domain !== '' });
    const isOwn = sockets === connectBun && isPlain;
    const wire = await wireTo((server.address() as AddressInfo).port, isOwn ? connectBun : connectNode);
    try {
      const prepared = await prepareTls(whole, wantedNames(whole, host, domain), {
        implicit,
        environment,
        material,
        isContextOfWire: isOwn,
      });
      assert.ok(prepared.ok, prepared.ok ? '' : prepared.detail);
      const result = await prepared.value.secure(wire);
      if (!result.ok) assert.equal(wire.isOpen, false, 'a failed handshake leaves no socket open');
      const used = await use(result, prepared.value, served);
      if (result.ok) result.value.destroy();
      return used;
    } finally {
      wire.destroy();
      for (const each of open) each.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  });
}

const serve = ({ key, cert }: Pick<Certificate, 'key' | 'cert'>, options: TlsOptions = {}) => tls.createServer({ key, cert, ...options });
/** With TLS 1.3 the client is done before the server. */
async function ready(served: Served): Promise<TLSSocket> {
  while (served.peer === null) await new Promise((resolve) => setImmediate(resolve));
  return served.peer;
}
const detail = (result: Reached<Wire>): string => (result.ok ? 'no failure' : result.detail);
/** Where the handshake itself fails, no certificate is to blame. */
const refusal = (result: Reached<Wire>): string => {
  assert.ok(!result.ok && result.reason === 'handshake', detail(result));
  return result.detail;
};

const succeeds = async (certificate: Certificate, how: Parameters<typeof handshake>[1]) =>
  handshake(serve(certificate), how, async (result, { facts }, served) => {
    assert.ok(result.ok, detail(result));
    await ready(served);
    const told = facts();
    assert.ok(told);
    return { ...told, sni: served.sni };
  });
const fails = (certificate: Certificate, how: Parameters<typeof handshake>[1]) =>
  handshake(serve(certificate), how, (result, { facts }) => {
    assert.ok(!result.ok, 'the handshake succeeded');
    assert.equal(facts(), null);
    assert.equal(result.reason, 'certificate');
    return result.detail;
  });

const intermediate = makeCertificate({ commonName: 'Intermediate', ca: true, issuer: ca });
const selfSigned = makeCertificate({ names: [HOST] });

test('a server is trusted by its CA, its fingerprint, or because nothing is verified', async () => {
  const cases: [why: string, Certificate, Parameters<typeof handshake>[1], by: string, peerName: string, sni: string | false][] = [
    ['issued by ca_file', good, {}, 'ca', HOST, HOST],
    ['issued by the system store', good, { with: { caFile: '' }, environment: { SSL_CERT_FILE: caFile } }, 'ca', HOST, HOST],
    ['through an intermediate', makeCertificate({ names: [HOST], issuer: intermediate }), {}, 'ca', HOST, HOST],
    [
      'an intermediate as ca_file',
      makeCertificate({ names: [HOST], issuer: intermediate }),
      { with: { caFile: file(intermediate.own) } },
      'ca',
      HOST,
      HOST,
    ],
    ['a self-signed one as ca_file', selfSigned, { with: { caFile: file(selfSigned.own) } }, 'ca', HOST, HOST],
    ['a wildcard', makeCertificate({ names: ['*.example.org'], issuer: ca }), {}, 'ca', HOST, HOST],
    ['upper case in both', makeCertificate({ names: ['MAIL.example.ORG'], issuer: ca }), { host: 'Mail.Example.org' }, 'ca', HOST, HOST],
    ['a final dot', good, { host: `${HOST}.` }, 'ca', HOST, HOST],
    [
      'an IP address in the certificate',
      makeCertificate({ ips: ['127.0.0.1'], issuer: ca }),
      { host: '127.0.0.1' },
      'ca',
      '127.0.0.1',
      false,
    ],
    [
      'an IPv6 address, written otherwise',
      makeCertificate({ ips: ['2001:db8::1'], issuer: ca }),
      { host: '2001:DB8:0::0001' },
      'ca',
      '2001:DB8:0::0001',
      false,
    ],
    [
      'a domain above ASCII',
      makeCertificate({ names: ['xn--bcher-kva.example'], issuer: ca }),
      { host: 'Bücher.example' },
      'ca',
      'xn--bcher-kva.example',
      'xn--bcher-kva.example',
    ],
    ['server_name instead of the host', good, { host: '127.0.0.1', with: { serverName: HOST } }, 'ca', HOST, HOST],
    [
      'the configured domain of an MX host',
      makeCertificate({ names: ['example.org'], issuer: ca }),
      { host: 'mx.provider.example', domain: 'example.org' },
      'ca',
      'example.org',
      'example.org',
    ],
    ['an MX host within the domain', good, { host: HOST, domain: 'example.org' }, 'ca', HOST, HOST],
    [
      'pinned: the certificate, self-signed',
      selfSigned,
      { with: { fingerprint: [selfSigned.fingerprints.certificate] } },
      'fingerprint',
      '',
      HOST,
    ],
    ['pinned: the key, self-signed', selfSigned, { with: { fingerprint: [selfSigned.fingerprints.key] } }, 'fingerprint', '', HOST],
    [
      'pinned: upper case with colons, another pin before it, another name, expired',
      makeCertificate({ names: ['other.example'], notBefore: Date.now() - 3 * DAY, days: 1 }),
      {},
      'fingerprint',
      '',
      HOST,
    ],
    ['verify = false', selfSigned, { with: { verify: false }, host: 'other.example' }, 'nothing', '', 'other.example'],
  ];
  for (const [why, certificate, how, by, peerName, sni] of cases) {
    const pins = why.includes('colons')
      ? {
          with: {
            fingerprint: [
              good.fingerprints.key,
              `SHA256:${certificate.fingerprints.certificate
                .slice(7)
                .toUpperCase()
                .replace(/..(?=.)/g, '$&:')}`,
            ],
          },
        }
      : {};
    const facts = await succeeds(certificate, { ...how, ...pins });
    assert.deepEqual([facts.by, facts.peerName, facts.sni, facts.verified], [by, peerName, sni, by !== 'nothing'], why);
  }
});

/* ---- weak certificates ---- */

/** OpenSSL would not serve the worst of them; BoringSSL has no levels. */
const serveWeak = (certificate: Certificate) => serve(certificate, process.versions.bun ? {} : { ciphers: 'DEFAULT@SECLEVEL=0' });
const weakIn = (certificate: Certificate, how: Parameters<typeof handshake>[1]): Promise<string> =>
  handshake(serveWeak(certificate), how, (result) => (result.ok ? 'trusted' : result.detail));

const rsaCa = makeCertificate({ commonName: 'RSA CA', ca: true, key: 2048 });
const shortCa = makeCertificate({ commonName: 'Short CA', ca: true, key: 1024 });
const oldCa = makeCertificate({ commonName: 'Old CA', ca: true, key: 2048, digest: 'sha1' });
const SHA1 =
  /^the certificate is signed with SHA-1, which can be forged: the server needs another one; until .* fingerprint in \[tls\] can name/;
const SHORT = /^the certificate has an RSA key of 1024 bits, and 2048 are the least: the server needs another one; /;
const issuedBy = (issuer: Certificate, more: Parameters<typeof makeCertificate>[0] = {}) =>
  makeCertificate({ names: [HOST], issuer, ...more });
const middle = (more: Parameters<typeof makeCertificate>[0]) => makeCertificate({ commonName: 'Middle', ca: true, issuer: rsaCa, ...more });
const lone = (more: Parameters<typeof makeCertificate>[0]) => makeCertificate({ names: [HOST], ...more });
const shortOne = lone({ key: 1024 });
const oldOne = lone({ key: 2048, digest: 'sha1' });
const oldMiddle = middle({ digest: 'sha1' });

const WEAK: readonly (readonly [why: string, Certificate, caFile: string, RegExp])[] = [
  ['RSA of 2048 bits', issuedBy(rsaCa, { key: 2048 }), rsaCa.own, /^trusted$/],
  ['EC on P-384', issuedBy(rsaCa, { key: 'P-384' }), rsaCa.own, /^trusted$/],
  ['signed with SHA-1 by an RSA key', issuedBy(rsaCa, { digest: 'sha1' }), rsaCa.own, SHA1],
  ['signed with SHA-1 by an EC key', issuedBy(ca, { digest: 'sha1' }), ca.own, SHA1],
  ['an RSA key of 1024 bits', issuedBy(ca, { key: 1024 }), ca.own, SHORT],
  ['an intermediate signed with SHA-1', issuedBy(oldMiddle), rsaCa.own, /^the issuer's certificate "Middle" is signed with SHA-1, /],
  [
    'an intermediate with 1024 bits',
    issuedBy(middle({ key: 1024 })),
    rsaCa.own,
    /^the issuer's certificate "Middle" has an RSA key of 1024 bits, /,
  ],
  [
    'an intermediate with 1024 bits above twelve others',
    issuedBy(Array.from({ length: 12 }).reduce<Certificate>((issuer) => makeCertificate({ ca: true, issuer }), middle({ key: 1024 }))),
    rsaCa.own,
    /^the issuer's certificate "Middle" has an RSA key of 1024 bits, /,
  ],
  ['a root with 1024 bits', issuedBy(shortCa), shortCa.own, /^the issuer's certificate "Short CA" has an RSA key of 1024 bits, /],
  ['a root that has signed itself with SHA-1', issuedBy(oldCa), oldCa.own, /^trusted$/],
  ['an intermediate signed with SHA-1 that is trusted itself', issuedBy(oldMiddle), oldMiddle.own + ca.own, /^trusted$/],
  ['self-signed with SHA-1, and trusted', oldOne, oldOne.own, /^trusted$/],
  ['self-signed with 1024 bits, and trusted', shortOne, shortOne.own, SHORT],
];
for (const [why, certificate, store, expected] of WEAK)
  test(`S12: ${why}`, async () => assert.match(await weakIn(certificate, { with: { caFile: file(store) } }), expected));

test('S12: a wrong name and a weakness are both in the sentence', async () => {
  const certificate = makeCertificate({ names: ['other.example'], issuer: ca, key: 1024 });
  assert.match(
    await weakIn(certificate, {}),
    /RSA key of 1024 bits, .*; the certificate is for other\.example, not for mail\.example\.org/,
  );
});

test('S12: a weak certificate that is expired or of an unknown issuer is called that', async () => {
  assert.match(await weakIn(issuedBy(shortCa, { digest: 'sha1' }), {}), /^the certificate comes from "Short CA"/);
  const expired = issuedBy(ca, { key: 1024, notBefore: Date.now() - 3 * DAY, days: 1 });
  assert.match(await weakIn(expired, {}), /^the certificate expired on /);
});

test('S12: a fingerprint replaces that, too, and so does verify = false', async () => {
  for (const certificate of [issuedBy(ca, { key: 1024 }), issuedBy(rsaCa, { digest: 'sha1' }), shortOne, oldOne]) {
    for (const pin of [certificate.fingerprints.certificate, certificate.fingerprints.key])
      assert.equal(await weakIn(certificate, { with: { fingerprint: [pin], caFile: '' } }), 'trusted');
    assert.equal(await weakIn(certificate, { with: { verify: false, caFile: '' } }), 'trusted');
  }
});

test('O9: hostile case 6 and pitfalls 24, 25: a server that is not trusted is refused with the exact reason', async () => {
  const since = Date.UTC(2026, 0, 2, 3, 4, 5);
  const alone = makeCertificate({ names: [HOST], issuer: intermediate });
  const expired = makeCertificate({ names: [HOST], issuer: ca, notBefore: since - 30 * DAY, notAfter: since });
  const oldIssuer = makeCertificate({ commonName: 'Old Intermediate', ca: true, issuer: ca, notBefore: since - 30 * DAY, notAfter: since });
  const cases: [why: string, Certificate, Parameters<typeof handshake>[1], RegExp][] = [
    ['self-signed', selfSigned, {}, /^the certificate is self-signed; .*ca_file in \[tls\], .*fingerprint$/],
    [
      'unknown issuer',
      makeCertificate({ names: [HOST], issuer: makeCertificate({ commonName: 'Other CA', ca: true }) }),
      {},
      /^the certificate comes from "Other CA", which is not in .*, or the server does not send/,
    ],
    [
      'unknown issuer, system store',
      good,
      { with: { caFile: '' }, environment: { SSL_CERT_FILE: file(selfSigned.own) } },
      /^the certificate comes from "Test CA", which is not in the CA store \(.*; if that is the right CA, ca_file in \[tls\] can name its file$/,
    ],
    [
      'unknown issuer, the store of this system',
      good,
      { with: { caFile: '' } },
      /^the certificate comes from "Test CA", which is not in the (?:CA store \(\/|runtime's)/,
    ],
    [
      'unknown issuer, self-signed CA sent along',
      { ...good, cert: good.own + makeCertificate({ commonName: 'Test CA', ca: true }).own },
      { with: { caFile: file(selfSigned.own) } },
      /^the certificate comes from "Test CA", which is not in tls\.ca_file \(\/\S+\)/,
    ],
    [
      'no intermediate',
      { ...alone, cert: alone.own },
      {},
      /^the certificate comes from "Intermediate", which is not in .*, or the server does not send its intermediate/,
    ],
    ['expired', expired, {}, /^the certificate expired on 2026-01-02 03:04 UTC$/],
    [
      'expired issuer',
      makeCertificate({ names: [HOST], issuer: oldIssuer }),
      {},
      /^the issuer's certificate "Old Intermediate" expired on 2026-01-02 03:04 UTC$/,
    ],
    [
      'not yet valid',
      makeCertificate({ names: [HOST], issuer: ca, notBefore: Date.UTC(2049, 0, 1) }),
      {},
      /^the certificate is not valid before 2049-01-01 00:00 UTC, and the clock here says 2/,
    ],
    [
      'not yet valid, beyond 2050',
      makeCertificate({ names: [HOST], issuer: ca, notBefore: Date.UTC(2051, 0, 1) }),
      {},
      /not valid before 2051-01-01/,
    ],
    [
      'another name',
      makeCertificate({ names: ['a.example', '*.b.example'], issuer: ca }),
      {},
      /^the certificate is for a\.example, \*\.b\.example, not for mail\.example\.org \(see server_name in \[tls\]\)$/,
    ],
    [
      'another name and expired',
      makeCertificate({ names: ['a.example'], issuer: ca, notBefore: since - DAY, notAfter: since }),
      {},
      /^the certificate expired on .*; the certificate is for a\.example, not for/,
    ],
    [
      'many names',
      makeCertificate({ names: Array.from({ length: 20 }, (_, i) => `n${i}.example`), issuer: ca }),
      {},
      /n7\.example and 12 more, not for/,
    ],
    [
      'common name only',
      makeCertificate({ commonName: HOST, cnOnly: true, issuer: ca }),
      {},
      /^the certificate names no host in subjectAltName \(its common name "mail\.example\.org" does not count\)/,
    ],
    ['a wildcard for two labels', makeCertificate({ names: ['*.org'], issuer: ca }), {}, /^the certificate is for \*\.org/],
    ['an IP host without IP entry', good, { host: '127.0.0.1' }, /^the certificate is for mail\.example\.org, not for 127\.0\.0\.1/],
    [
      'an IP address as DNS name',
      makeCertificate({ names: ['127.0.0.1'], issuer: ca }),
      { host: '127.0.0.1' },
      /^the certificate names 127\.0\.0\.1 as a domain, which does not count for an IP address: it needs an entry of type IP/,
    ],
    [
      'another IP address',
      makeCertificate({ ips: ['127.0.0.2', '::1'], issuer: ca }),
      { host: '127.0.0.1' },
      /^the certificate is for 127\.0\.0\.2, ::1, not for/,
    ],
    [
      'an MX host outside the domain, with its own name',
      makeCertificate({ names: ['mx.provider.example'], issuer: ca }),
      { host: 'mx.provider.example', domain: 'example.org' },
      /^the certificate is for mx\.provider\.example, not for example\.org/,
    ],
    ['server_name against the certificate', good, { with: { serverName: 'other.example' } }, /not for other\.example/],
    ['a unix socket', good, { host: '/run/smtp' }, /^a unix socket has no name to verify; set server_name in \[tls\]/],
    [
      'another pin',
      good,
      { with: { fingerprint: [selfSigned.fingerprints.certificate] } },
      new RegExp(`^the certificate is not the pinned one: it has ${good.fingerprints.certificate}, its key ${good.fingerprints.key}$`),
    ],
    [
      'a pin, and verify = false does not weaken it',
      good,
      { with: { verify: false, fingerprint: [selfSigned.fingerprints.key] } },
      /not the pinned one/,
    ],
    [
      'the pin of an issuer is not the pin of the server',
      good,
      { with: { fingerprint: [ca.fingerprints.certificate] } },
      /not the pinned one/,
    ],
    [
      'a name that would colour a terminal',
      makeCertificate({ commonName: '\u001b[31m', names: ['\u001b[31m.example'], issuer: ca }),
      {},
      /^the certificate is for \\x1b\[31m\.example, not for/,
    ],
  ];
  for (const [why, certificate, how, expected] of cases) assert.match(await fails(certificate, how), expected, why);
});

test('a refused certificate has the code of the library that refused it', async () => {
  const expired = makeCertificate({ names: [HOST], issuer: ca, notBefore: Date.now() - 10 * DAY, notAfter: Date.now() - DAY });
  const code = (result: Reached<Wire>) => (result.ok ? 'no failure' : result.systemCode);
  assert.equal(await handshake(serve(expired), {}, code), 'CERT_HAS_EXPIRED');
  // The library has nothing against a certificate for somebody else.
  assert.equal(await handshake(serve(makeCertificate({ names: ['other.example.org'], issuer: ca })), {}, code), undefined);
});

test('a peer whose name the runtime itself found wrong is trusted by no name, and by its fingerprint', async () => {
  const server = serve(good);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const secure = async (changes: Partial<TlsPolicy>) => {
    const prepared = await prepareTls(policy(changes), wantedNames(policy(), HOST), { implicit: true });
    assert.ok(prepared.ok);
    const plain = await wireTo(port, connectNode);
    const startTls: Wire['startTls'] = async (terms) => {
      const secured = await plain.startTls(terms);
      if (secured.ok) Object.assign(secured.value.peer, { isMisnamed: true });
      return secured;
    };
    const result = await prepared.value.secure({ ...plain, isOpen: true, startTls } as Wire);
    plain.destroy();
    return result;
  };
  assert.match(detail(await secure({})), /^the certificate is for mail\.example\.org, not for mail\.example\.org/);
  assert.ok((await secure({ fingerprint: [good.fingerprints.certificate] })).ok);
  server.close();
});

onBun('a certificate for a wanted name that is not the one of SNI is refused by a runtime that looks at that name itself', async () => {
  if (sockets !== connectBun) return;
  const server = serve(makeCertificate({ names: ['example.org'], issuer: ca }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const wanted = wantedNames(policy(), HOST, 'example.org');
  assert.deepEqual(wanted, { sni: HOST, names: [HOST, 'example.org'] });
  for (const by of [connectNode, connectBun]) {
    const prepared = await prepareTls(policy(), wanted, { implicit: true, isContextOfWire: by === connectBun });
    assert.ok(prepared.ok);
    const wire = await wireTo((server.address() as AddressInfo).port, by);
    assert.equal((await prepared.value.secure(wire)).ok, by === connectNode);
    wire.destroy();
  }
  server.close();
});

// OpenSSL passes them over.
onBun('certificates of authorities that cannot be read are a failure in the same words on all sockets', async () => {
  const broken = file('-----BEGIN CERTIFICATE-----\nMIIBqzCC\n-----END CERTIFICATE-----\n');
  const prepared = await prepareTls(policy({ caFile: broken }), wantedNames(policy(), HOST), {
    implicit: true,
    isContextOfWire: sockets === connectBun,
  });
  if (sockets === connectNode) return assert.match(prepared.ok ? '' : prepared.detail, /^TLS cannot be set up: /);
  assert.match(await handshake(serve(good), { with: { caFile: broken } }, detail), /^TLS cannot be set up: /);
});

test('the environment is as before when a context was made with the store of OpenSSL empty', async () => {
  const { execArgv } = process;
  const before = process.env.SSL_CERT_FILE;
  process.execArgv = ['--use-openssl-ca'];
  try {
    for (const [named, own] of [
      [undefined, good],
      ['/etc/own.pem', selfSigned],
    ] as const) {
      if (named === undefined) delete process.env.SSL_CERT_FILE;
      else process.env.SSL_CERT_FILE = named;
      const prepared = await prepareTls(policy({ caFile: file(own.own) }), wantedNames(policy(), HOST), { implicit: true });
      assert.deepEqual([prepared.ok, process.env.SSL_CERT_FILE], [true, named]);
    }
  } finally {
    process.execArgv = execArgv;
    if (before === undefined) delete process.env.SSL_CERT_FILE;
    else process.env.SSL_CERT_FILE = before;
  }
});

test('hostile case 39: NODE_TLS_REJECT_UNAUTHORIZED=0 has no effect', async () => {
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  const emitWarning = process.emitWarning;
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  process.emitWarning = () => {};
  try {
    assert.match(await fails(selfSigned, { environment: { NODE_TLS_REJECT_UNAUTHORIZED: '0' } }), /self-signed/);
  } finally {
    process.emitWarning = emitWarning;
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
  }
});

onNode('hostile case 7: old versions, and ciphers without authentication, are refused', async () => {
  const old = serve(good, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' });
  assert.match(await handshake(old, {}, refusal), /^the server has no TLS version from 1\.2 on \(tls\.min_version\)$/);
  const twelve = serve(good, { maxVersion: 'TLSv1.2' });
  assert.match(await handshake(twelve, { with: { minVersion: '1.3' } }, refusal), /^the server has no TLS version from 1\.3 on/);
  const anonymous = tls.createServer({ maxVersion: 'TLSv1.2', ciphers: 'aNULL:@SECLEVEL=0' });
  assert.match(
    await handshake(anonymous, { with: { verify: false } }, refusal),
    /^the server has no cipher, key exchange or signature in common/,
  );
});

test('pitfall 27: the sentence for a port that greets in clear says what to write', async () => {
  const greets = () => net.createServer((socket) => void socket.write('220 mail.example.org ESMTP\r\n'));
  assert.match(await handshake(greets(), {}, refusal), /^the port does not speak TLS from the start; .*submission:\/\//);
  assert.match(
    await handshake(greets(), { implicit: false }, refusal),
    /^the server agreed to STARTTLS and then sent something that is not TLS$/,
  );
});

test('a server that closes or resets instead of a handshake is a failure in words', async () => {
  for (const end of [
    (socket: net.Socket) => socket.end(),
    (socket: net.Socket) => reset(socket),
    (socket: net.Socket) => socket.destroy(),
  ]) {
    const server = net.createServer((socket) => void socket.once('data', () => end(socket)));
    assert.equal(await handshake(server, {}, refusal), 'the server closed the connection during the TLS handshake');
  }
});

test('the plain wire destroyed from outside ends the handshake', async () => {
  const silent = net.createServer(() => {});
  await within(5000, async () => {
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const wire = await wireTo((silent.address() as AddressInfo).port, sockets);
    const prepared = await prepareTls(policy(), wantedNames(policy(), HOST), { implicit: true, isContextOfWire: sockets === connectBun });
    assert.ok(prepared.ok);
    const result = prepared.value.secure(wire);
    setImmediate(() => wire.destroy());
    assert.match(detail(await result), /closed the connection/);
    silent.close();
  });
});

test('a client shows the configured certificate', async () => {
  const client = makeCertificate({ commonName: 'host1', issuer: ca });
  const asks = (options: TlsOptions = {}) => serve(good, { requestCert: true, rejectUnauthorized: true, ca: ca.own, ...options });
  for (const identity of [
    { certificate: file(client.cert), certificateKey: file(client.key) },
    { certificate: file(client.cert + client.key), certificateKey: '' },
  ])
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
      await handshake(asks({ maxVersion }), { with: identity }, async (result, _, served) => {
        assert.ok(result.ok, detail(result));
        assert.equal((await ready(served)).authorized, true);
      });
  // TLS 1.2 refuses within the handshake, TLS 1.3 after it.
  const wants =
    /^the server (?:requires a client certificate; set certificate and certificate_key in \[tls\]|refuses us for want of a certificate|has no cipher.* or requires a client certificate)/;
  assert.match(await handshake(asks({ maxVersion: 'TLSv1.2' }), {}, detail), wants);
  const later = (result: Reached<Wire>) => {
    assert.ok(result.ok, detail(result));
    const { value } = result;
    const listener = (tell: (word: string) => void) => ({
      octets: () => {},
      // The alert says why, and the end behind it nothing.
      end: () => tell('it has ended'),
      closed: (why: WireEnd) => tell(why.detail),
    });
    return new Promise<string>((resolve) => value.listen(listener(resolve)));
  };
  assert.match(await handshake(asks(), {}, later), wants);
  const stranger = makeCertificate({ commonName: 'host1' });
  const strange = { certificate: file(stranger.cert), certificateKey: file(stranger.key) };
  assert.match(
    await handshake(asks({ maxVersion: 'TLSv1.2' }), { with: strange }, detail),
    /closed the connection|does not accept our client certificate/,
  );
});

test('a file that the configuration names and that cannot be used is a failure with its key', async () => {
  const other = makeCertificate({});
  const locked = `-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n`;
  const broken = '-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n';
  for (const [changed, expected, environment] of [
    [{ caFile: path.join(folder, 'absent') }, /^tls\.ca_file: .*absent does not exist$/],
    [{ caFile: file('no certificate') }, /^tls\.ca_file: .* holds no certificate in PEM$/],
    [{ caFile: folder }, /^tls\.ca_file: .* is refused, because it is not a regular file$/],
    [{ certificate: path.join(folder, 'absent') }, /^tls\.certificate: .* does not exist$/],
    [{ certificate: file(other.cert) }, /^tls\.certificate: .* holds no private key/],
    [{ certificate: file(other.cert), certificateKey: file('nothing') }, /^tls\.certificate_key: .* holds no private key/],
    [{ certificate: file(other.cert), certificateKey: file(locked) }, /^tls\.certificate_key: the private key has a passphrase/],
    [{ certificate: file(other.cert), certificateKey: file(ca.key) }, /^tls\.certificate and tls\.certificate_key do not belong together$/],
    [{ certificate: file(broken), certificateKey: file(other.key) }, /^tls\.certificate cannot be used: /],
    [{ caFile: '' }, /^SSL_CERT_FILE is ".*absent", which holds no certificate/, { SSL_CERT_FILE: path.join(folder, 'absent') }],
    [{ caFile: '' }, /^SSL_CERT_FILE is /, { SSL_CERT_FILE: file('nothing') }],
  ] as [Partial<TlsPolicy>, RegExp, NodeJS.ProcessEnv?][]) {
    const prepared = await prepareTls(policy(changed), wantedNames(policy(), HOST), { implicit: true, environment: environment ?? {} });
    assert.match(prepared.ok ? 'no failure' : prepared.detail, expected);
  }
});

/* ---- what a program gives in memory ---- */

const IN_MEMORY: Partial<TlsPolicy> = { caFile: '' };
const octetsOf = (pem: string): Uint8Array => new TextEncoder().encode(pem);

test('a program trusts the certificates that it gives in memory, and no others', async () => {
  const stranger = makeCertificate({ commonName: 'Another CA', ca: true });
  for (const given of [ca.own, octetsOf(ca.own), Buffer.from(ca.own), [stranger.own, ca.own], [octetsOf(stranger.own), octetsOf(ca.own)]])
    assert.equal((await succeeds(good, { with: IN_MEMORY, material: { ca: given } })).by, 'ca');
  // An intermediate is trusted, too, as in a file; and the file does not count beside memory.
  const below = makeCertificate({ names: [HOST], issuer: intermediate });
  assert.equal((await succeeds(below, { with: IN_MEMORY, material: { ca: intermediate.own } })).by, 'ca');
  assert.match(
    await fails(good, { material: { ca: stranger.own } }),
    /^the certificate comes from "Test CA", which is not in tls\.ca, or the server does not send its intermediate certificate$/,
  );
});

test('NODE_EXTRA_CA_CERTS adds to the store of a program, and of nobody else', async () => {
  const other = makeCertificate({ commonName: 'Another CA', ca: true });
  const environment = { SSL_CERT_FILE: file(other.own), NODE_EXTRA_CA_CERTS: caFile };
  for (const certificate of [good, makeCertificate({ names: [HOST], issuer: other })])
    assert.equal((await succeeds(certificate, { with: IN_MEMORY, environment, material: {} })).by, 'ca');
  assert.match(await fails(good, { with: IN_MEMORY, environment }), /which is not in the CA store \(\S+\), or/);
  const stranger = makeCertificate({ names: [HOST], issuer: makeCertificate({ commonName: 'A third CA', ca: true }) });
  const both = new RegExp(
    `which is not in the CA store \\(\\S+\\) and ${caFile}, or the server .*; if that is the right CA, tls\\.ca can hold it$`,
  );
  assert.match(await fails(stranger, { with: IN_MEMORY, environment, material: {} }), both);
  const absent = { ...environment, NODE_EXTRA_CA_CERTS: path.join(folder, 'absent') };
  assert.match(await fails(good, { with: IN_MEMORY, environment: absent, material: {} }), /which is not in the CA store \(\S+\), or/);
  const open = file(ca.own);
  chmodSync(open, 0o666);
  const refused = await prepareTls(policy(IN_MEMORY), wantedNames(policy(), HOST), {
    implicit: true,
    environment: { ...environment, NODE_EXTRA_CA_CERTS: open },
    material: {},
  });
  assert.match(
    refused.ok ? 'no failure' : refused.detail,
    /^the file of NODE_EXTRA_CA_CERTS, \S+, is refused, because every user can change/,
  );
});

test('a client shows the certificate that a program gives in memory, in one text with its key or in two', async () => {
  const client = makeCertificate({ commonName: 'host1', issuer: ca });
  for (const identity of [
    { certificate: client.cert, key: client.key },
    { certificate: octetsOf(client.cert), key: octetsOf(client.key) },
    { certificate: client.cert + client.key },
  ])
    await handshake(
      serve(good, { requestCert: true, rejectUnauthorized: true, ca: ca.own }),
      { with: IN_MEMORY, material: { ca: ca.own, ...identity } },
      async (result, _, served) => {
        assert.ok(result.ok, detail(result));
        assert.equal((await ready(served)).authorized, true);
      },
    );
});

test('a program may bound versions and ciphers', async () => {
  const facts = (material: TlsMaterial) => succeeds(good, { with: IN_MEMORY, material: { ca: ca.own, ...material } });
  assert.equal((await facts({})).version, 'TLS1.3');
  assert.equal((await facts({ maxVersion: '1.2' })).version, 'TLS1.2');
  const ciphers = 'ECDHE-ECDSA-CHACHA20-POLY1305';
  assert.equal((await facts({ maxVersion: '1.2', ciphers })).cipher, `TLS1.2:${ciphers}:256`);
  // The store is kept, and the bounds with it.
  const store = { with: IN_MEMORY, environment: { SSL_CERT_FILE: caFile } };
  const versions = ['1.3', '1.2', '1.3'] as const;
  for (const maxVersion of versions)
    assert.equal((await succeeds(good, { ...store, material: { maxVersion } })).version, `TLS${maxVersion}`);
});

onNode('one context is kept for the same terms, until the store is another', async () => {
  const store = file(ca.own);
  const contextOf = async (changes: Partial<TlsPolicy>, material?: TlsMaterial): Promise<unknown> => {
    const whole = policy({ caFile: '', ...changes });
    const environment = { SSL_CERT_FILE: store };
    const prepared = await prepareTls(whole, wantedNames(whole, HOST), { implicit: true, environment, material });
    assert.ok(prepared.ok);
    let context: unknown;
    const wire = {
      async startTls(terms: { readonly context: unknown }) {
        ({ context } = terms);
        return { ok: false, reason: 'other', detail: '' };
      },
    };
    await prepared.value.secure(wire as unknown as Wire);
    assert.ok(context);
    return context;
  };
  const first = await contextOf({});
  const without = await contextOf({ verify: false });
  const bounded = await contextOf({}, { maxVersion: '1.2' });
  assert.equal(new Set([first, without, bounded]).size, 3);
  assert.equal(await contextOf({}), first);
  assert.equal(await contextOf({ verify: false }), without);
  assert.equal(await contextOf({}, { maxVersion: '1.2' }), bounded);
  const written = new Date(2001, 1, 1);
  writeFileSync(store, ca.own + ca.own);
  utimesSync(store, written, written);
  const second = await contextOf({});
  assert.notEqual(second, first);
  assert.equal(await contextOf({}), second);
  writeFileSync(store, ca.own);
  assert.notEqual(await contextOf({}), second);
  writeFileSync(store, ca.own + ca.own);
  utimesSync(store, written, written);
  assert.notEqual(await contextOf({}), second, 'the store before is kept by nobody');
  assert.equal(await contextOf({ verify: false }), without);
});

/** Words of a configuration, which no program has. */
const KEYS = /\[tls\]|ca_file|server_name|certificate_key|min_version/;

test('failures speak to a program of its options, never of a configuration’s keys', async () => {
  const other = makeCertificate({});
  const locked = `-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n`;
  const broken = '-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n';
  for (const [material, expected, changed] of [
    [{ ca: 'nothing' }, /^tls\.ca holds no certificate in PEM$/],
    [{ ca: [] }, /^tls\.ca holds no certificate in PEM$/],
    [{ certificate: 'nothing', key: other.key }, /^tls\.certificate holds no certificate in PEM$/],
    [{ certificate: other.cert }, /^tls\.certificate holds no private key in PEM$/],
    [{ certificate: other.cert, key: 'nothing' }, /^tls\.key holds no private key in PEM$/],
    [{ certificate: other.cert, key: locked }, /^tls\.key: the private key has a passphrase/],
    [{ certificate: other.cert, key: ca.key }, /^tls\.certificate and tls\.key do not belong together$/],
    [{ certificate: broken, key: other.key }, /^tls\.certificate cannot be used: /],
    [{ ciphers: 'NO-SUCH-CIPHER' }, /^tls\.ciphers cannot be used: /],
    [{ certificate: broken, key: other.key, ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305' }, /^tls\.certificate cannot be used: /],
    [{}, /^tls\.caFile: .*absent does not exist$/, { caFile: path.join(folder, 'absent') }],
  ] as [TlsMaterial, RegExp, Partial<TlsPolicy>?][]) {
    const whole = policy(changed ?? { verify: false, caFile: '', ...('ca' in material ? { verify: true } : {}) });
    const prepared = await prepareTls(whole, wantedNames(whole, HOST), { implicit: true, environment: {}, material });
    assert.match(prepared.ok ? 'no failure' : prepared.detail, expected);
    assert.doesNotMatch(prepared.ok ? '' : prepared.detail, KEYS);
  }
  const client: Parameters<typeof handshake>[1] = { with: IN_MEMORY, material: { ca: ca.own } };
  for (const [certificate, how, expected] of [
    [selfSigned, client, /^the certificate is self-signed; if it is the right one, name it as tls\.ca, or its digest as tls\.fingerprint$/],
    [makeCertificate({ names: ['other.example'], issuer: ca }), client, /not for mail\.example\.org \(see tls\.serverName\)$/],
    [good, { ...client, host: '/run/smtp' }, /^a unix socket has no name to verify; set tls\.serverName$/],
  ] as const) {
    const told = await fails(certificate, how);
    assert.match(told, expected);
    assert.doesNotMatch(told, KEYS);
  }
});

onNode('a program’s bounds of versions are named by its own keys', async () => {
  const thirteen = serve(good, { minVersion: 'TLSv1.3' });
  assert.equal(
    await handshake(thirteen, { with: IN_MEMORY, material: { ca: ca.own, maxVersion: '1.2' } }, refusal),
    'the server has no TLS version from 1.2 to 1.2 (tls.minVersion)',
  );
});

test('S3: a key that others can read, and certificates that others can change, are refused', async () => {
  const other = makeCertificate({});
  const withMode = (text: string, mode: number): string => {
    const name = file(text);
    chmodSync(name, mode);
    return name;
  };
  for (const [changed, expected, environment] of [
    [
      { certificate: file(other.cert), certificateKey: withMode(other.key, 0o644) },
      /^tls\.certificate_key: \S+ is refused, because every user can read this file \(mode 0644, owner uid \d+\): run chmod o-r \S+$/,
    ],
    [
      { certificate: withMode(other.cert + other.key, 0o644), certificateKey: '' },
      /^tls\.certificate: \S+ is refused, because every user can read this file/,
    ],
    [
      { certificate: withMode(other.cert, 0o646), certificateKey: file(other.key) },
      /^tls\.certificate: \S+ is refused, because every user can change this file/,
    ],
    [{ caFile: withMode(ca.own, 0o666) }, /^tls\.ca_file: \S+ is refused, because every user can change this file/],
    [{ caFile: '' }, /^the CA store \S+ is refused, because every user can change this file/, { SSL_CERT_FILE: withMode(ca.own, 0o646) }],
    [{ certificate: withMode(other.cert, 0o644), certificateKey: withMode(other.key, 0o640) }, /^no failure$/],
    [{ caFile: withMode(ca.own, 0o664) }, /^no failure$/],
  ] as [Partial<TlsPolicy>, RegExp, NodeJS.ProcessEnv?][]) {
    const prepared = await prepareTls(policy(changed), wantedNames(policy(), HOST), { implicit: true, environment: environment ?? {} });
    assert.match(prepared.ok ? 'no failure' : prepared.detail, expected);
  }
});

test('the facts hold everything that the log, nospool check and channel binding need', async () => {
  for (const [maxVersion, cipher, types] of [
    ['TLSv1.3', /^TLS1\.3:TLS_AES_(?:128|256)_GCM_SHA\d+:(?:128|256)$/, ['tls-exporter', 'tls-server-end-point']],
    ['TLSv1.2', /^TLS1\.2:ECDHE-ECDSA-AES(?:128|256)-GCM-SHA\d+:(?:128|256)$/, ['tls-server-end-point']],
  ] as const) {
    const certificate = makeCertificate({ names: [HOST], ips: ['::1'], issuer: intermediate });
    await handshake(serve(certificate, { maxVersion }), {}, async (result, preparation, served) => {
      assert.ok(result.ok, detail(result));
      const facts = preparation.facts();
      assert.ok(facts);
      assert.match(facts.cipher, cipher);
      assert.equal(facts.version, maxVersion.replace('v', ''));
      assert.equal(`${facts.bits}`, facts.cipher.split(':').at(-1));
      const [own, issuer] = facts.chain();
      assert.deepEqual([own?.subject, own?.issuer, own?.names, issuer?.subject], [HOST, 'Intermediate', [HOST, '::1'], 'Intermediate']);
      const x509 = new X509Certificate(certificate.own);
      assert.deepEqual([own?.notBefore, own?.notAfter], [Date.parse(x509.validFrom), Date.parse(x509.validTo)]);
      assert.equal(own?.fingerprint, `sha256:${x509.fingerprint256.replaceAll(':', '').toLowerCase()}`);
      const peer = await ready(served);
      const bindings = facts.bindings();
      assert.deepEqual(
        bindings.map(({ type }) => type),
        types,
      );
      for (const { type, data } of bindings)
        assert.equal(
          data,
          type === 'tls-exporter'
            ? peer.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)).toString('latin1')
            : createHash('sha256')
                .update(x509.raw)
                .digest('latin1' as 'binary'),
          type,
        );
      // The server's offer is bound to this very channel.
      const channel = { secured: true, loopback: false, host: HOST, port: 587, bindings };
      const credentials = { user: 'u', secret: 'p', kind: 'password', clientCertificate: false } as const;
      const chosen = chooseMechanism(
        new Set(['SCRAM-SHA-256-PLUS', 'PLAIN']),
        credentials,
        { mechanisms: [], allowPlaintext: false },
        channel,
        hashes,
      );
      assert.ok(chosen.ok && chosen.value.begin().say?.startsWith(`p=${types[0]},,`));
    });
  }
});

test('the name of a cipher tells the bits of its key', () => {
  for (const [name, bits] of [
    ['TLS_AES_128_GCM_SHA256', 128],
    ['TLS_AES_256_GCM_SHA384', 256],
    ['TLS_CHACHA20_POLY1305_SHA256', 256],
    ['ECDHE-RSA-AES128-GCM-SHA256', 128],
    ['ECDHE-ECDSA-CAMELLIA256-SHA384', 256],
  ] as const)
    assert.equal(keyBits(name), bits, name);
});

const ATTEMPT: TlsAttempt = {
  policy: policy(),
  wanted: wantedNames(policy(), HOST),
  implicit: true,
  hasIdentity: false,
  versions: { from: '1.2', to: null },
  store: { name: 'the CA store', isGiven: false },
  words: OF_CONFIGURATION,
};

test('other failures of TLS have other words', () => {
  const explain = (code: string, message = '', changed: Partial<TlsAttempt> = {}) =>
    explainTlsFailure(Object.assign(new Error(message), { code }), { ...ATTEMPT, ...changed });
  for (const [code, message, changed, expected] of [
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', '', {}, /^the server requires a client certificate/],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', '', { hasIdentity: true }, /^the server does not accept our client certificate/],
    ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', '', { hasIdentity: true }, /^the server does not accept our client certificate/],
    ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', '', {}, /^the server refuses us for want of a certificate/],
    ['ERR_SSL_TLSV1_UNRECOGNIZED_NAME', '', {}, /^the server does not know the name mail\.example\.org/],
    ['ERR_SSL_DH_KEY_TOO_SMALL', 'dh key too small', {}, /too weak to be used: dh key too small/],
    ['ERR_SSL_PACKET_LENGTH_TOO_LONG', '', {}, /does not speak TLS from the start/],
    ['', 'wrong version number', {}, /does not speak TLS from the start/],
    ['EPIPE', '', {}, /closed the connection/],
    ['ERR_SSL_INTERNAL', 'some\x1b[31m words', {}, /^TLS failed: some\\x1b\[31m words$/],
  ] as const)
    assert.match(explain(code, message, changed), expected, code);
});

test('faults that a chain seldom has are put into words', () => {
  for (const [code, expected] of [
    ['CERT_SIGNATURE_FAILURE', /^the signature of the certificate is wrong$/],
    ['INVALID_PURPOSE', /^the certificate is not meant for a server$/],
    ['CERT_REVOKED', /^the certificate is revoked$/],
    ['CERT_HAS_EXPIRED', /^the certificate expired on \(unknown\)$/],
    ['CERT_NOT_YET_VALID', /^the certificate is not valid before \(unknown\)/],
    ['PATH_LENGTH_EXCEEDED', /^the certificate cannot be verified \(PATH_LENGTH_EXCEEDED\)$/],
    ['no verdict', /^the certificate cannot be verified \(no verdict\)$/],
  ] as const)
    assert.match(explainChain(code, [], ATTEMPT), expected, code);
});

tests.run();
