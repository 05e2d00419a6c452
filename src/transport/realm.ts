/**
 * Knows values of another realm, though no `instanceof` does: those of node:vm, and in runners of tests that have a realm of their own
 * those of the runtime. They are as good as our own.
 */

export const tagOf = (value: unknown): string => Object.prototype.toString.call(value);

export const isError = (value: unknown): value is Error => value instanceof Error || tagOf(value) === '[object Error]';
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
