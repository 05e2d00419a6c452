/** A source of octets at hand: what it gives, and that it never gives nothing. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { CLEAN, prefixSource, type Source, sourceOf } from '../../src/message/source.ts';
import { octets } from '../../src/smtp/text.ts';

const test = suite('message/source');

test('it gives its chunks in order, none of them empty, and then its end for ever', async () => {
  const nothing = new Uint8Array(0);
  const source = sourceOf(nothing, octets('a'), nothing, octets('bc'), nothing);
  assert.deepEqual(await source.read(), octets('a'));
  assert.deepEqual(await source.read(), octets('bc'));
  assert.deepEqual(await source.read(), CLEAN);
  assert.deepEqual(await source.read(), CLEAN);
  assert.equal(CLEAN.end, 'clean');
  source.close();
  assert.deepEqual(await sourceOf().read(), CLEAN);
});

test('who has closed it gets nothing more', async () => {
  const source = sourceOf(octets('a'), octets('b'));
  source.close();
  assert.deepEqual(await source.read(), CLEAN);
});

test('octets before a source come with its first chunk, or alone', async () => {
  const two = prefixSource(octets('x'), sourceOf(octets('a'), octets('b')));
  assert.deepEqual([await two.read(), await two.read(), await two.read()], [Buffer.from('xa'), octets('b'), CLEAN]);
  const none = prefixSource(octets('x'), sourceOf());
  assert.deepEqual([await none.read(), await none.read(), await none.read()], [octets('x'), CLEAN, CLEAN]);
  let [reads, closed] = [0, 0];
  const failing: Source = {
    async read() {
      reads += 1;
      return { end: 'failed', detail: `read ${reads}` };
    },
    close: () => {
      closed += 1;
    },
  };
  const source = prefixSource(octets('x'), failing);
  assert.deepEqual(await source.read(), octets('x'));
  assert.deepEqual(await source.read(), { end: 'failed', detail: 'read 1' }, 'the end is what it was');
  source.close();
  assert.equal(closed, 1);
});

test.run();
