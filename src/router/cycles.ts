/** Finds the addresses that redirect to themselves over any number of others. Knows only names and arrows. */

/**
 * Returns the strongly connected components of a directed graph that hold a cycle, as a map from vertex to the number of its
 * component. Vertices on no cycle are not in it. This is Tarjan's algorithm, in one pass and without recursion, because a chain
 * of aliases may be longer than the stack is deep.
 */
export function cyclesOf(arrows: ReadonlyMap<string, ReadonlySet<string>>): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const order = new Map<string, number>();
  /** The earliest vertex that can be reached from each vertex and is still open. */
  const low = new Map<string, number>();
  const open: string[] = [];
  const isOpen = new Set<string>();
  let components = 0;

  function enter(vertex: string): PathVertex {
    order.set(vertex, order.size);
    low.set(vertex, order.size - 1);
    open.push(vertex);
    isOpen.add(vertex);
    return { vertex, left: (arrows.get(vertex) ?? NOWHERE).values() };
  }

  function close(vertex: string): void {
    const members: string[] = [];
    let member: string;
    do {
      member = open.pop() as string;
      isOpen.delete(member);
      members.push(member);
    } while (member !== vertex);
    if (members.length === 1 && !arrows.get(vertex)?.has(vertex)) return;
    components += 1;
    for (const each of members) found.set(each, components);
  }

  for (const start of arrows.keys()) {
    if (order.has(start)) continue;
    const path = [enter(start)];
    while (path.length > 0) {
      const here = path.at(-1) as PathVertex;
      const next = here.left.next();
      if (next.done) {
        path.pop();
        const lowest = low.get(here.vertex) as number;
        if (lowest === order.get(here.vertex)) close(here.vertex);
        const above = path.at(-1);
        if (above !== undefined) low.set(above.vertex, Math.min(low.get(above.vertex) as number, lowest));
      } else if (!order.has(next.value)) path.push(enter(next.value));
      else if (isOpen.has(next.value)) low.set(here.vertex, Math.min(low.get(here.vertex) as number, order.get(next.value) as number));
    }
  }
  return found;
}

interface PathVertex {
  readonly vertex: string;
  readonly left: Iterator<string>;
}

const NOWHERE: ReadonlySet<string> = new Set();
