/** What a wire tells, in order, whoever listens to it, and keeps while nobody does: octets, the end, and then why both sides are closed. Knows no socket. */
import type { WireEnd, WireListener } from './wire.ts';

export class Hearing {
  #listener: WireListener | null = null;
  readonly #untold: (Buffer | 'end' | WireEnd)[] = [];
  readonly #ended: (() => void) | undefined;

  /** `ended` is called once somebody was told that the other side has ended. */
  constructor(ended?: () => void) {
    this.#ended = ended;
  }

  /** Tells what waits, later. */
  listen(listener: WireListener | null): void {
    this.#listener = listener;
    if (this.#untold.length > 0) setImmediate(() => this.#tellAll());
  }

  /** Octets wait to be heard. */
  get holdsOctets(): boolean {
    return this.#untold[0] instanceof Uint8Array;
  }

  /** Tells the octets, which are the caller's again; false when nobody listens. */
  hear(octets: Buffer): boolean {
    if (this.#listener !== null && this.#untold.length === 0) this.#listener.octets(octets);
    else this.#untold.push(Buffer.from(octets));
    return this.#listener !== null;
  }

  /** Gives back octets that are to be heard first. */
  unread(octets: Uint8Array): void {
    this.#untold.unshift(Buffer.from(octets));
  }

  /** Tells of the end of the other side, or of both. */
  tell(what: 'end' | WireEnd): void {
    this.#untold.push(what);
    this.#tellAll();
  }

  /** A listener may go, or be followed by another, with each that it is told. */
  #tellAll(): void {
    while (this.#listener !== null) {
      const what = this.#untold.shift();
      if (what === undefined) return;
      if (what === 'end') {
        this.#listener.end();
        this.#ended?.();
      } else if (what instanceof Uint8Array) this.#listener.octets(what);
      else this.#listener.closed(what);
    }
  }
}
