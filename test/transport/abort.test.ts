/** What the program makes in place of an AbortController does what that does, as far as the program asks. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { type EndController, makeEnding, whenAborted } from '../../src/transport/abort.ts';

const test = suite('abort');

/** What a signal does, written down. */
function walk(make: () => EndController): unknown[] {
  const seen: unknown[] = [];
  const controller = make();
  const { signal } = controller;
  const hear = (name: string) =>
    function (this: unknown): void {
      seen.push(name, this === signal, signal.aborted, signal.reason);
    };
  const [twice, gone, late] = [hear('twice'), hear('gone'), hear('late')];
  seen.push(signal.aborted, signal.reason);
  for (const each of [twice, twice, gone, late]) signal.addEventListener('abort', each, { once: true });
  signal.addEventListener('abort', () => signal.removeEventListener('abort', late), { once: true });
  signal.removeEventListener('abort', gone);
  const undo = whenAborted(signal, hear('undone'));
  whenAborted(signal, hear('when'));
  undo();
  controller.abort('a reason');
  controller.abort('another');
  signal.addEventListener('abort', hear('behind it'), { once: true });
  whenAborted(signal, hear('behind it, too'));
  const silent = make();
  silent.abort();
  seen.push(signal.reason, silent.signal.aborted, silent.signal.reason instanceof Error);
  return seen;
}

test('a signal is heard once by each listener that is left, and keeps its first reason, like the runtime’s own', () => {
  const wanted = walk(() => new AbortController());
  assert.ok(wanted.length > 12);
  assert.deepEqual(walk(makeEnding), wanted);
});

test('a listener that throws keeps none from hearing it, and what it threw is not lost', async () => {
  const { signal, abort } = makeEnding();
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  const thrown = new Promise((resolve) => process.once('uncaughtException', resolve));
  let isHeard = false;
  signal.addEventListener('abort', () => {
    throw new Error('no');
  });
  signal.addEventListener('abort', () => {
    isHeard = true;
  });
  abort('x');
  assert.equal(isHeard, true);
  assert.equal(String(await thrown), 'Error: no');
  for (const each of before) process.on('uncaughtException', each);
});

test.run();
