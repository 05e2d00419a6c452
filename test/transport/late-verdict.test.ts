/** A verdict that comes long after the commit was written. Loopback: the server's certificate is handed to the client, and TLS is required. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { submit } from '../../src/library/index.ts';
import { sink } from '../../src/testing/index.ts';
import { within } from '../support/within.ts';

const test = suite('a late verdict');

for (const extensions of [['PIPELINING'], ['PIPELINING', 'CHUNKING']])
  test(`the end of the content is reported once over TLS, where writes complete later: ${extensions.join(', ')}`, () =>
    within(20_000, async () => {
      await using host = await sink({ tls: 'starttls', extensions, latency: 50 });
      const server = { url: host.url, tls: { mode: 'required', ca: host.certificate ?? '' } } as const;
      for (const content of ['Subject: hi\r\n\r\nhello\r\n', [...'Subject: hi\n\nhello\n'].values(), 'x'.repeat(300_000)]) {
        const outcome = await submit({ from: 'ann@example.org', to: ['bob@example.net'] }, content, { servers: [server] });
        assert.equal(outcome.kind, 'accepted', JSON.stringify(outcome));
      }
      assert.equal(host.messages.length, 3);
    }));

test.run();
