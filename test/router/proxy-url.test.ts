/** How a proxy is written. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { parseProxy } from '../../src/router/proxy-url.ts';

const test = suite('proxy URLs');

/** [what is written, scheme, host, port, user]. */
const RIGHT: readonly (readonly [string, 'socks5' | 'http', string, number, string])[] = [
  ['socks5://proxy.example.org', 'socks5', 'proxy.example.org', 1080, ''],
  ['socks5://proxy.example.org:1081', 'socks5', 'proxy.example.org', 1081, ''],
  ['SOCKS5://tim@192.0.2.1:9/', 'socks5', '192.0.2.1', 9, 'tim'],
  ['socks5://a%3Ab@[2001:db8::1]:1080', 'socks5', '2001:db8::1', 1080, 'a:b'],
  ['http://proxy.example.org:3128', 'http', 'proxy.example.org', 3128, ''],
  ['http://j%C3%BCrgen%25@proxy.example.org:3128/', 'http', 'proxy.example.org', 3128, 'jürgen%'],
];
for (const [text, scheme, host, port, user] of RIGHT)
  test(text, () => assert.deepEqual(parseProxy(text), { ok: true, value: { scheme, host, port, user } }));

/** [what is written, why it is none]. */
const WRONG: readonly (readonly [string, RegExp])[] = [
  ['', /^expects "socks5:\/\/proxy\.example\.org:1080" or "http:\/\/user@proxy\.example\.org:3128"$/],
  ['https://proxy.example.org:3128', /^expects "socks5:/],
  ['socks5://', /^expects "socks5:/],
  ['socks5://tim@', /^expects "socks5:/],
  ['socks5://proxy.example.org/path', /^expects "socks5:/],
  ['socks5://proxy.example.org:99999', /^expects "socks5:.*": ./],
  ['socks5://tim:geheim@proxy.example.org', /^expects no password in the address: write user@ and proxy_password_file$/],
  ['socks5://%@proxy.example.org', /^expects the user in UTF-8/],
  ['socks5://%0A@proxy.example.org', /^expects the user in UTF-8/],
  ['http://a%3Ab@proxy.example.org:3128', /^expects a user without ":" for an HTTP proxy$/],
  ['http://proxy.example.org', /^expects the port of the HTTP proxy/],
];
for (const [text, why] of WRONG)
  test(`${JSON.stringify(text)} is none`, () => {
    const found = parseProxy(text);
    assert.ok(!found.ok);
    assert.match(found.detail, why);
    assert.ok(!found.detail.includes('geheim'));
  });

test.run();
