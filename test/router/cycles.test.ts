import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { cyclesOf } from '../../src/router/cycles.ts';

const test = suite('cycles');

const graph = (text: string): Map<string, Set<string>> => {
  const arrows = new Map<string, Set<string>>();
  for (const [from, to] of text
    .split(' ')
    .filter(Boolean)
    .map((arrow) => arrow.split('>') as [string, string]))
    arrows.set(from, (arrows.get(from) ?? new Set()).add(to));
  return arrows;
};

/** Vertices by component, sorted. */
function components(found: ReadonlyMap<string, number>): string {
  const sets = new Map<number, string[]>();
  for (const [vertex, number] of found) sets.set(number, [...(sets.get(number) ?? []), vertex].sort());
  return [...sets.values()]
    .map((set) => set.join(''))
    .sort()
    .join(' ');
}

/** [arrows, vertices on cycles by component, why] */
const GRAPHS: readonly [string, string, string][] = [
  ['', '', 'nothing'],
  ['a>b b>c a>c', '', 'none'],
  ['a>a', 'a', 'itself'],
  ['a>b b>a', 'ab', 'two'],
  ['a>b b>c c>a c>d d>e', 'abc', 'with a way out'],
  ['a>a a>b b>b', 'a b', 'two that only touch'],
  ['a>b b>a b>c c>d d>c', 'ab cd', 'two in a row'],
  ['a>b b>c c>b c>d d>a', 'abcd', 'a cycle within a cycle'],
  ['a>b a>c b>d c>d d>b', 'bd', 'entered twice'],
];
for (const [text, expected, why] of GRAPHS) test(`${text}: ${why}`, () => assert.equal(components(cyclesOf(graph(text))), expected));

test('agrees with the obvious: two vertices are together if each reaches the other', () => {
  const vertex = fc.constantFrom(...'abcdefg');
  fc.assert(
    fc.property(fc.array(fc.tuple(vertex, vertex), { maxLength: 14 }), (pairs) => {
      const arrows = graph(pairs.map(([from, to]) => `${from}>${to}`).join(' '));
      const reach = (from: string): Set<string> => {
        const met = new Set<string>();
        const left = [from];
        for (const at of left)
          for (const to of arrows.get(at) ?? []) {
            if (!met.has(to)) left.push(to);
            met.add(to);
          }
        return met;
      };
      const expected = new Map<string, string>();
      for (const a of 'abcdefg')
        if (reach(a).has(a)) expected.set(a, [...'abcdefg'].filter((b) => reach(a).has(b) && reach(b).has(a)).join(''));
      assert.equal(components(cyclesOf(arrows)), [...new Set(expected.values())].sort().join(' '));
    }),
  );
});

test('a long chain does not exhaust the stack', () => {
  const arrows = new Map(Array.from({ length: 200_000 }, (_, i) => [`${i}`, new Set([`${i + 1}`])]));
  assert.equal(cyclesOf(arrows).size, 0);
  arrows.get('199999')?.add('0');
  assert.equal(cyclesOf(arrows).size, 200_000);
});

test.run();
