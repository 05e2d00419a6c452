import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { countOf, extend, type LinkedList, toArray } from '../../../src/smtp/client/linked-list.ts';

const test = suite('linked list');

const items = (list: LinkedList<number> | null): readonly number[] => (list === null ? [] : toArray(list));

test('every list stays as it was, however many lists grow from it', () => {
  // Each step grows one of the lists there are, beside an array that is copied.
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { maxLength: 40 }), (choices) => {
      const all: { readonly list: LinkedList<number> | null; readonly model: readonly number[] }[] = [{ list: null, model: [] }];
      for (const [i, choice] of choices.entries()) {
        const from = all[choice % all.length] as (typeof all)[number];
        all.push({ list: extend(from.list, i), model: [...from.model, i] });
      }
      for (const { list, model } of all) {
        assert.deepStrictEqual(items(list), model);
        assert.strictEqual(countOf(list), model.length);
      }
    }),
  );
});

test('a frozen list grows, because nothing of it is changed', () => {
  const one = Object.freeze(extend(null, 1));
  assert.deepStrictEqual([items(extend(one, 2)), items(extend(one, 3)), items(one)], [[1, 2], [1, 3], [1]]);
});

test.run();
