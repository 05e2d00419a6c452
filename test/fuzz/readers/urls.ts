/** URLs of smart hosts and proxies. */
import assert from 'node:assert';
import { parseProxy } from '../../../src/router/proxy-url.ts';
import { parseSmarthost, printProxy, printSmarthost } from '../../../src/router/smarthost.ts';
import { textOf } from '../../../src/smtp/text.ts';
import { assertSentence, type Reader, same } from '../reader.ts';

export const reader: Reader = {
  name: 'urls',
  seeds: [
    'submission://mail.example.org',
    'smtp://[2001:db8::1]:2525',
    'mail.example.org:587',
    'lmtp://unix:/run/x',
    'unix:/run/dovecot/lmtp',
    'submissions://x',
    'socks5://p:1080',
    'http://[::1]:3128',
    'smtp://a+mx',
  ],
  words: [
    'smtp://',
    'submission://',
    'submissions://',
    'lmtp://',
    'unix:',
    'unix:/',
    'socks5://',
    'http://',
    '[',
    ']',
    ':',
    '::1',
    ':0',
    ':65536',
    '+mx',
    '/mx',
    '@',
    '?',
    '#',
    '%',
  ],
  read: (input) => [parseSmarthost(textOf(input)), parseProxy(textOf(input))],
  run(input) {
    const text = textOf(input);
    const host = parseSmarthost(text);
    if (host.ok) {
      const again = parseSmarthost(printSmarthost(host.value as Parameters<typeof printSmarthost>[0]));
      assert.ok(again.ok, `${printSmarthost(host.value as Parameters<typeof printSmarthost>[0])}: ${again.ok || again.detail}`);
      same(again.value, host.value);
    } else assertSentence(host.detail);
    const proxy = parseProxy(text);
    if (!proxy.ok) return assertSentence(proxy.detail);
    const printed = printProxy({ ...proxy.value, secret: { from: 'none' } });
    const again = parseProxy(printed);
    assert.ok(again.ok, `${printed} is not read again`);
    same({ ...again.value, user: '' }, { ...proxy.value, user: '' });
  },
};
