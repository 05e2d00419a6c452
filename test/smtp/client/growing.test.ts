import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { type Growing, grown, listed, none } from '../../../src/smtp/client/growing.ts';

const test = suite('growing');

test('every list stays as it was, however others grew from it', () => {
  // Each step grows one of the lists there are, beside a list that is copied.
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { maxLength: 40 }), (choices) => {
      const all: { readonly list: Growing<number>; readonly model: readonly number[] }[] = [{ list: none(), model: [] }];
      for (const [i, choice] of choices.entries()) {
        const from = all[choice % all.length] as (typeof all)[number];
        all.push({ list: grown(from.list, i), model: [...from.model, i] });
      }
      for (const { list, model } of all) {
        assert.deepStrictEqual(listed(list), model);
        assert.strictEqual(list.count, model.length);
      }
    }),
  );
});

test('along one line nothing is copied', () => {
  let list = none<number>();
  const { items } = grown(list, 0);
  list = { count: 1, items };
  for (let i = 1; i < 1000; i++) list = grown(list, i);
  assert.strictEqual(list.items, items);
  assert.notStrictEqual(grown({ count: 5, items }, 5).items, items, 'a second branch has items of its own');
});

test('two empty lists share nothing', () => {
  const [a, b] = [none<number>(), none<number>()];
  grown(a, 1);
  assert.deepStrictEqual(listed(grown(b, 2)), [2]);
});

test.run();
