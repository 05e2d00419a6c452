/** Observers are told, and change nothing by what they throw. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { guardObserver, type Observer } from '../../src/transport/observer.ts';

const test = suite('observer');

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('each callback hears its facts, as a method of what the program gave', () => {
  const heard: unknown[] = [];
  const observer: Observer = {
    trace(...facts: unknown[]) {
      heard.push([this === observer, ...facts]);
    },
    progress: undefined,
  };
  const guarded = guardObserver(observer);
  guarded.trace?.('C', 'EHLO x', 0);
  assert.deepEqual(heard, [[true, 'C', 'EHLO x', 0]]);
  assert.deepEqual(Object.keys(guarded), ['trace'], 'what is not there is not asked');
});

test('one that is guarded already stays what it is, and who hears nothing is nobody', () => {
  const guarded = guardObserver({ note: () => {} });
  assert.equal(guardObserver(guarded), guarded);
  const nobody = guardObserver(undefined);
  for (const none of [undefined, {}, { trace: undefined }, { failed: () => {} }, nobody]) assert.equal(guardObserver(none), nobody);
  assert.deepEqual(nobody, {});
});

test('the first thing that is thrown is told, be it by a promise, and no other', async () => {
  const told: unknown[] = [];
  const failed = (thrown: unknown): void => void told.push(thrown);
  const observer = guardObserver({
    note: () => {
      throw 'first';
    },
    trace: async () => Promise.reject('by a promise'),
    progress: async () => {},
    failed,
  } as Observer);
  observer.progress?.(1);
  observer.note?.('x');
  observer.note?.('x');
  observer.trace?.('C', 'x');
  await turn();
  assert.deepEqual(told, ['first']);
  const later = guardObserver({ trace: async () => Promise.reject('by a promise'), failed } as unknown as Observer);
  later.trace?.('C', 'x');
  later.trace?.('C', 'x');
  await turn();
  assert.deepEqual(told, ['first', 'by a promise'], 'each observer has its own first');
});

test('one whose last word throws, too, is told nothing more', () => {
  let count = 0;
  const observer = guardObserver({
    note: () => assert.fail('no'),
    failed: () => {
      count += 1;
      assert.fail('nor here');
    },
  });
  observer.note?.('x');
  observer.note?.('x');
  assert.equal(count, 1);
});

test('who has no other way is warned by the process, with the words of what was thrown, if it has any', () => {
  const { emitWarning } = process;
  const warnings: unknown[] = [];
  process.emitWarning = (warning: unknown) => void warnings.push(warning);
  const throwing = (thrown: unknown): Observer => ({
    note: () => {
      throw thrown;
    },
  });
  try {
    for (const thrown of [new Error('odd'), 'words', { of: 'nobody' }]) guardObserver(throwing(thrown)).note?.('x');
  } finally {
    process.emitWarning = emitWarning;
  }
  assert.deepEqual(warnings, ['an observer failed: odd', 'an observer failed: words', 'an observer failed: without a word']);
});

test.run();
