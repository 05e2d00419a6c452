/** Collects octets that are then taken all at once. Knows nothing of what they mean. */

export interface OctetBuffer {
  /** The octets so far are `octets.subarray(0, length)`. Whoever writes at `length` must have reserved the room before. */
  octets: Buffer;
  length: number;
  reserve(count: number): void;
  add(more: Uint8Array): void;
  addText(octetString: string): void;
  clear(): void;
}

/** `size`: octets that fit before it grows. */
export function makeOctetBuffer(size = 4096): OctetBuffer {
  return {
    octets: Buffer.allocUnsafeSlow(size),
    length: 0,
    reserve(count) {
      if (this.length + count <= this.octets.length) return;
      const larger = Buffer.allocUnsafeSlow(Math.max(this.length + count, this.octets.length * 2));
      larger.set(this.octets.subarray(0, this.length));
      this.octets = larger;
    },
    add(more) {
      this.reserve(more.length);
      this.octets.set(more, this.length);
      this.length += more.length;
    },
    addText(octetString) {
      this.reserve(octetString.length);
      this.length += this.octets.write(octetString, this.length, 'latin1');
    },
    clear() {
      this.length = 0;
    },
  };
}
