/** Values of another realm (node:vm, and runners of tests with a DOM) are as good as our own, though no `instanceof` knows them. */

export const tagOf = (value: unknown): string => Object.prototype.toString.call(value);

export const isArrayBuffer = (value: unknown): value is ArrayBuffer => tagOf(value) === '[object ArrayBuffer]';
export const isUrl = (value: unknown): value is URL => tagOf(value) === '[object URL]';

/** The octets of an array or a buffer; null for anything else. */
export function octetsOf(value: unknown): Uint8Array | null {
  if (value instanceof Uint8Array) return value;
  if (isArrayBuffer(value)) return new Uint8Array(value);
  return ArrayBuffer.isView(value) && tagOf(value) === '[object Uint8Array]'
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : null;
}
