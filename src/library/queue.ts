/** Items that wait. Each step takes the same time, however many wait: a program may give a pool all of its messages at once. */

/** First in, first out, but for what is put back. */
export class Queue<Item> {
  /** What is taken or removed is deleted, so that the walk, which goes on where it was, never meets it again. */
  readonly #items = new Set<Item>();
  #walk = this.#items.values();
  /** Put back, the last one first. */
  readonly #back: Item[] = [];

  get size(): number {
    return this.#items.size + this.#back.length;
  }

  push(item: Item): void {
    this.#items.add(item);
  }

  /** The item is the next one to be taken. */
  putBack(item: Item): void {
    this.#back.push(item);
  }

  take(): Item | undefined {
    const back = this.#back.pop();
    if (back !== undefined) return back;
    let next = this.#walk.next();
    if (next.done) {
      // A walk that has come to an end does not see what comes later.
      this.#walk = this.#items.values();
      next = this.#walk.next();
    }
    if (next.done) return undefined;
    this.#items.delete(next.value);
    return next.value;
  }

  /** True when the item was waiting; it waits no more. */
  remove(item: Item): boolean {
    const at = this.#back.lastIndexOf(item);
    if (at >= 0) this.#back.splice(at, 1);
    return at >= 0 || this.#items.delete(item);
  }

  /** All that wait, the next one first. */
  all(): Item[] {
    return [...this.#back.toReversed(), ...this.#items];
  }
}
