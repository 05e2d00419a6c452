/** The result of a parser: a value, or a sentence that says what is wrong. Knows nothing of the text. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly detail: string };

export const parsed = <T>(value: T): Parsed<T> => ({ ok: true, value });
export const unparsed = (detail: string): { readonly ok: false; readonly detail: string } => ({ ok: false, detail });

/** Closes a switch over a union, so that a forgotten member does not compile. Reaching it is a bug. */
/* c8 ignore next 3 */
export function never(value: never): never {
  throw new Error(`bug: unexpected ${JSON.stringify(value)}`);
}
