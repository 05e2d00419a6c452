/**
 * The heap of this process without what the engine keeps for itself. Compiled code, and the engine's lists of which code depends on what,
 * grow for hours with what a program does, by some ten octets a message; objects, functions and strings do not unless somebody holds them.
 */
import { getHeapSnapshot } from 'node:v8';

/** What a snapshot calls the engine's own. */
const ENGINE: readonly string[] = ['code', 'hidden', 'object shape', 'synthetic'];

export interface Heap {
  /** How many objects, functions, strings and arrays there are. */
  readonly count: number;
  /** Their octets. A table of a WeakSet keeps the room of what it once had. */
  readonly octets: number;
  /** The engine's. */
  readonly engine: number;
  /** How many of each constructor; without rare ones, because this list is held, too. */
  readonly counts: ReadonlyMap<string, number>;
}

/** Fewer of a constructor are not told. */
const RARE = 100;

interface Snapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: readonly string[]; readonly node_types: readonly [readonly string[]] } };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

/** Looks at the heap behind a whole collection. Node's only: the snapshots of Bun are of another kind. */
export async function readHeap(): Promise<Heap> {
  const parts: Buffer[] = [];
  for await (const part of getHeapSnapshot()) parts.push(Buffer.from(part));
  const { snapshot, nodes, strings } = JSON.parse(Buffer.concat(parts).toString()) as Snapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field)) as [number, number, number];
  let [count, octets, engine] = [0, 0, 0];
  const counts = new Map<string, number>();
  for (let at = 0; at < nodes.length; at += fields.length) {
    const kind = types[0][nodes[at + type] as number] as string;
    const own = nodes[at + size] as number;
    if (ENGINE.includes(kind)) engine += own;
    else {
      count += 1;
      octets += own;
      const key = kind === 'object' || kind === 'closure' || kind === 'native' ? `${kind} ${strings[nodes[at + name] as number]}` : kind;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  for (const [key, number] of counts) if (number < RARE) counts.delete(key);
  return { count, octets, engine, counts };
}

/** What there is more of, in words. */
export function printGrowth(before: Heap, after: Heap): string {
  const kinds = [...after.counts]
    .map(([key, count]) => ({ key, more: count - (before.counts.get(key) ?? 0) }))
    .filter(({ more }) => more >= RARE)
    .sort((a, b) => b.more - a.more)
    .slice(0, 20)
    .map(({ key, more }) => `, ${more} × ${key}`);
  const [count, octets, engine] = [after.count - before.count, after.octets - before.octets, after.engine - before.engine];
  return `${count} objects, functions, strings and arrays more, ${octets} octets, beside ${engine} of the engine's${kinds.join('')}`;
}
