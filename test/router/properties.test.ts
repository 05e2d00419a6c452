/** Properties of any aliases whatever, against a model that drops nothing and follows every way to its end. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { suite } from 'uvu';
import { manualroute, redirect, routeIn, summary } from './world.ts';

const test = suite('any aliases');

type Table = Readonly<Record<string, readonly string[]>>;

const NAMES = ['a', 'b', 'c', 'd', 'e'] as const;
const name = fc.constantFrom(...NAMES, 'out');
const table = (most: number): fc.Arbitrary<Table> =>
  fc.dictionary(fc.constantFrom(...NAMES), fc.array(name, { minLength: 1, maxLength: most }), { maxKeys: 5 });
const recipients = fc.uniqueArray(name, { minLength: 1, maxLength: 3 });

const written = (data: Table) => Object.fromEntries(Object.entries(data).map(([key, list]) => [key, list.join(', ')]));
const routers = (...tables: readonly Table[]) => [
  ...tables.map((data, i) => redirect({ name: `r${i}`, data: written(data) })),
  manualroute(),
];
const route = (tables: readonly Table[], to: readonly string[]) => routeIn({ routers: routers(...tables) }, to);

/** Exim's rule and nothing else: every way is followed, a router is skipped for an ancestor that it redirected. */
function model(tables: readonly Table[], address: string, above: readonly string[] = []): readonly string[] {
  for (const [i, data] of tables.entries()) {
    const list = Object.hasOwn(data, address) ? data[address] : undefined;
    if (list !== undefined && !above.includes(`${i} ${address}`))
      return list.flatMap((next) => model(tables, next, [...above, `${i} ${address}`]));
  }
  return [`${address}@x.y`];
}

const modelOf = (tables: readonly Table[], to: readonly string[]) => [...new Set(to.flatMap((address) => model(tables, address)))].sort();
const sorted = (items: readonly string[]) => [...items].sort();

test('the recipients are those of the model, each once', () => {
  fc.assert(
    fc.property(table(3), recipients, (data, to) => {
      assert.deepEqual(sorted(summary(route([data], to))), modelOf([data], to));
    }),
    { numRuns: 2000 },
  );
});

test('every way is followed with two redirecting routers, too', () => {
  fc.assert(
    fc.property(table(2), table(2), recipients, (one, two, to) => {
      assert.deepEqual(sorted(summary(route([one, two], to))), modelOf([one, two], to));
    }),
    { numRuns: 1000 },
  );
});

test('nobody is lost: something is always left to deliver to', () => {
  fc.assert(
    fc.property(table(4), recipients, (data, to) => assert.ok(route([data], to).recipients.length > 0)),
    { numRuns: 500 },
  );
});

test('neither the order of recipients nor that of entries and lists matters', () => {
  const shuffled = <T>(items: readonly T[], seed: number): T[] =>
    items
      .map((item, i) => ({ item, at: ((i + 1) * seed) % 101 }))
      .sort((p, q) => p.at - q.at)
      .map(({ item }) => item);
  fc.assert(
    fc.property(table(3), recipients, fc.integer({ min: 1, max: 100 }), (data, to, seed) => {
      const other = Object.fromEntries(shuffled(Object.entries(data), seed).map(([key, list]) => [key, shuffled(list, seed)]));
      assert.deepEqual(sorted(summary(route([other], shuffled(to, seed)))), sorted(summary(route([data], to))));
    }),
    { numRuns: 1000 },
  );
});

test('every final address was reachable, and knows from where', () => {
  fc.assert(
    fc.property(table(3), recipients, (data, to) => {
      for (const { path, original } of route([data], to).recipients) {
        assert.ok(to.some((address) => address === original.localPart));
        const met = new Set<string>([original.localPart]);
        for (const at of met) for (const next of data[at] ?? []) met.add(next);
        assert.ok(met.has(path.localPart), `${path.localPart} from ${original.localPart}`);
      }
    }),
  );
});

test('any larger graph ends, with recipients or with a problem', () => {
  const many = fc.integer({ min: 0, max: 199 }).map((n) => `n${n}`);
  fc.assert(
    fc.property(fc.dictionary(many, fc.array(many, { minLength: 1, maxLength: 5 }), { minKeys: 50, maxKeys: 150 }), many, (data, to) => {
      const done = route([data], [to]);
      assert.ok(done.problems.length > 0 || done.recipients.length > 0);
    }),
    { numRuns: 30 },
  );
});

test.run();
