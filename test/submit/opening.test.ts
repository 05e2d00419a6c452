/**
 * What a session is opened with, by the policies of its smart host: which hosts do without TLS, and as whom we greet.
 * Loopback: names are made up, and the exemption is the subject; test/world has the same at other addresses.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { smarthost } from '../../src/index.ts';
import type { Smarthost, TlsPolicy } from '../../src/router/route.ts';
import { deliver } from '../../src/submit/attempts.ts';
import type { Names } from '../../src/transport/resolve.ts';
import { contentOf, hostAt, optionsFor, sentences, tlsRequired, transactionTo, verdictOf } from '../support/delivery.ts';
import { type SmarthostOptions, startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const test = suite('opening');

/* ---- loopback ---- */

const DEFAULT = tlsRequired({ mode: 'default', caFile: '', serverName: '' });
const mode = (word: TlsPolicy['mode']): TlsPolicy => ({ ...DEFAULT, mode: word });
const auth: Smarthost['auth'] = { user: 'tim', mechanisms: [], secret: { from: 'literal', value: 'tanstaaf' }, allowPlaintext: false };

const NO_STARTTLS = /the server does not offer STARTTLS/;
const IN_CLEAR = /the connection is not encrypted, so no credentials are sent/;

/** [host, what its name leads to, what comes of it without TLS, why]: null = the message is taken, with a password. */
const LOOPBACK: readonly (readonly [Partial<Smarthost>, string, RegExp | null, string])[] = [
  [{ host: '127.0.0.1' }, '', null, 'an address of loopback'],
  [{ host: '127.0.0.2' }, '', null, 'another'],
  [{ host: '::ffff:127.0.0.1' }, '', null, 'mapped'],
  [{ host: 'localhost' }, '127.0.0.1', null, 'localhost'],
  [{ host: 'mail.localhost' }, '127.0.0.1', null, 'a name below it'],
  [{ host: 'localhost' }, '0.0.0.0', NO_STARTTLS, 'localhost that leads elsewhere'],
  [{ host: 'localhost', tls: mode('off') }, '0.0.0.0', IN_CLEAR, 'the same without TLS'],
  [{ host: 'relay.example.org' }, '127.0.0.1', NO_STARTTLS, 'a name that DNS leads to loopback'],
  [{ host: 'relay.example.org', tls: mode('opportunistic') }, '127.0.0.1', IN_CLEAR, 'TLS where it is offered'],
  [{ host: 'relay.example.org', tls: mode('off') }, '127.0.0.1', IN_CLEAR, 'TLS is off'],
  [{ host: 'relay.example.org', tls: mode('required') }, '127.0.0.1', NO_STARTTLS, 'TLS is required'],
  [{ host: 'example.org', expand: 'mx' }, '127.0.0.1', NO_STARTTLS, 'a host of MX records'],
  [{ host: 'example.org', expand: 'mx', tls: mode('opportunistic') }, '127.0.0.1', IN_CLEAR, 'the same, with clear text'],
  [{ host: 'localhost', expand: 'mx' }, '127.0.0.1', NO_STARTTLS, 'MX records of localhost'],
  [{ host: 'example.org', expand: 'srv', scheme: 'submission' }, '127.0.0.1', NO_STARTTLS, 'a host and port of SRV records'],
  [{ host: 'localhost', expand: 'srv', scheme: 'submission', tls: mode('off') }, '127.0.0.1', IN_CLEAR, 'SRV records of localhost'],
];
for (const [changes, leadsTo, failure, why] of LOOPBACK)
  test(`W3: ${changes.host}, TLS ${changes.tls?.mode ?? 'default'}: ${why}`, () =>
    within(20_000, async () => {
      const server = await startHost({ offers: ['AUTH PLAIN LOGIN EXTERNAL'], host: '0.0.0.0' });
      const names: Names = {
        addresses: async () => [{ address: leadsTo, family: 4 }],
        mx: async () => [{ exchange: 'localhost', priority: 10 }],
        srv: async () => [{ name: 'localhost', port: server.port, priority: 0, weight: 0 }],
      };
      try {
        const outcome = await deliver(
          { hosts: [hostAt(server.port, { tls: DEFAULT, auth, ...changes })], transaction: transactionTo(1), content: contentOf() },
          optionsFor(10_000, { names }),
        );
        const heard = server.sessions.flat();
        assert.equal(verdictOf(outcome), failure === null ? 'accepted' : 'failed', sentences(outcome));
        if (failure === null) assert.ok(heard.some((line) => line.startsWith('AUTH PLAIN ')));
        else {
          assert.match(sentences(outcome), failure);
          assert.deepEqual(
            heard.filter((line) => line !== 'QUIT'),
            ['EHLO here.example'],
          );
        }
      } finally {
        await server.stop();
      }
    }));

/* ---- extensions ---- */

test('W6: a server that breaks CHUNKING takes the message when it is ignored', () =>
  within(20_000, async () => {
    const broken: SmarthostOptions = { offers: ['PIPELINING', 'CHUNKING'], script: { BDAT: 'close', end: 'close' } };
    const send = async (changes: Partial<Smarthost>, script: SmarthostOptions) => {
      const server = await startHost(script);
      const outcome = await deliver(
        { hosts: [hostAt(server.port, changes)], transaction: transactionTo(1), content: contentOf() },
        optionsFor(),
      );
      await server.stop();
      return { verdict: verdictOf(outcome), heard: server.sessions.flat() };
    };
    const before = await send({}, broken);
    assert.equal(before.verdict, 'uncertain');
    assert.ok(before.heard.some((line) => line.startsWith('BDAT')));
    const after = await send({ ignoreExtensions: ['CHUNKING'] }, { ...broken, script: { BDAT: 'close' } });
    assert.equal(after.verdict, 'accepted');
    assert.ok(after.heard.includes('DATA') && !after.heard.some((line) => line.startsWith('BDAT')));
  }));

test('W6: the library has it by smart host', () => {
  const host = smarthost('submission://mail.example.org', { ignoreExtensions: ['chunking'] });
  assert.deepEqual(host.ok && host.value.ignoreExtensions, ['CHUNKING']);
  const plain = smarthost('submission://mail.example.org');
  assert.equal(plain.ok && 'ignoreExtensions' in plain.value, false);
});

/* ---- EHLO ---- */

/** [what is given, what EHLO says, why]. */
const HELLOS: readonly (readonly [string, string, string])[] = [
  ['', '[127.0.0.1]', 'nothing'],
  ['here.example', 'here.example', 'a domain'],
  ['localhost', 'localhost', 'a program that embeds us may know why'],
  ['müller.example', 'xn--mller-kva.example', 'A-labels'],
  ['my_app.local', '[127.0.0.1]', 'no domain of RFC 5321'],
];
for (const [hello, said, why] of HELLOS)
  test(`W4: hello ${JSON.stringify(hello)}: EHLO ${said}: ${why}`, () =>
    within(10_000, async () => {
      const server = await startHost();
      const outcome = await deliver(
        { hosts: [hostAt(server.port)], transaction: transactionTo(1), content: contentOf() },
        optionsFor(10_000, { hello }),
      );
      const heard = server.sessions.flat();
      await server.stop();
      assert.equal(verdictOf(outcome), 'accepted', sentences(outcome));
      assert.equal(heard[0], `EHLO ${said}`);
    }));

test('W4: a hello with a control character is refused, and nothing is said', () =>
  within(10_000, async () => {
    const server = await startHost();
    const outcome = await deliver(
      { hosts: [hostAt(server.port)], transaction: transactionTo(1), content: contentOf() },
      optionsFor(10_000, { hello: 'a.example\r\nMAIL FROM:<x@y>' }),
    );
    const heard = server.sessions.flat();
    await server.stop();
    assert.match(sentences(outcome), /is neither a domain nor an address literal$/);
    assert.deepEqual(heard, []);
  }));

test.run();
