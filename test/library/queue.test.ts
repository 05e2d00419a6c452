import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { Queue } from '../../src/library/queue.ts';

const test = suite('queue');

test('it is a list to whose end items are pushed, and to whose front they are put back', () => {
  const step = fc.oneof(fc.constantFrom('push' as const, 'take' as const, 'put back' as const), fc.record({ remove: fc.nat(40) }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new Queue<{ readonly number: number }>();
      const model: { readonly number: number }[] = [];
      const gone: { readonly number: number }[] = [];
      for (const [number, each] of steps.entries()) {
        if (each === 'push') {
          const item = { number };
          queue.push(item);
          model.push(item);
        } else if (each === 'take') {
          const taken = model.shift();
          assert.equal(queue.take(), taken);
          if (taken !== undefined) gone.push(taken);
        } else if (each === 'put back') {
          const item = gone.pop();
          if (item === undefined) continue;
          queue.putBack(item);
          model.unshift(item);
        } else {
          const item = model[each.remove];
          assert.equal(item !== undefined && queue.remove(item), item !== undefined);
          if (item !== undefined) model.splice(each.remove, 1);
          for (const other of gone) assert.equal(queue.remove(other), false);
        }
        assert.equal(queue.size, model.length);
      }
      assert.deepEqual(queue.all(), model);
      for (const item of model) assert.equal(queue.take(), item);
      assert.equal(queue.take(), undefined);
    }),
  );
});

test.run();
