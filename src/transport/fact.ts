/** What becomes known once, and whoever waits for it. Most sessions live and end without anybody who waits, so a promise is made only when one is asked for. */
export class Fact<Value> {
  #known: { readonly value: Value } | null = null;
  #tell: ((value: Value) => void)[] | null = null;

  /** The first word counts. */
  settle(value: Value): void {
    if (this.#known !== null) return;
    this.#known = { value };
    for (const tell of this.#tell ?? []) tell(value);
  }

  wait(): Promise<Value> {
    if (this.#known !== null) return Promise.resolve(this.#known.value);
    return new Promise((resolve) => {
      this.#tell ??= [];
      this.#tell.push(resolve);
    });
  }
}
