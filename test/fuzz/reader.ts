/** What a reader under test is, and what several of them look at. Knows no reader. */
import assert from 'node:assert';
import { Dice } from '../faults/support/worlds/time.ts';

export interface Reader {
  readonly name: string;
  /** Inputs to begin with, octet strings. */
  readonly seeds: readonly string[];
  /** Words that mean something to it. */
  readonly words: readonly string[];
  /** Reads the input once and looks at nothing, for those who measure it. */
  readonly read: (input: string) => unknown;
  /** Reads the input and throws when a property does not hold. The same input always does the same. */
  run(input: string): void | Promise<void>;
}

/** A number that depends on the input alone (FNV-1a). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

export const diceOf = (input: string): Dice => new Dice(hashOf(input));

/** The input in one piece, octet by octet where it is short, and in pieces that the input itself decides. */
export function cutsOf(input: string): readonly (readonly string[])[] {
  const dice = diceOf(input);
  const pieces: string[] = [];
  const most = dice.one([2, 5, 40, 700]);
  for (let at = 0; at < input.length; ) {
    const size = 1 + dice.below(most);
    pieces.push(input.slice(at, at + size));
    at += size;
  }
  return [input === '' ? [] : [input], pieces, ...(input.length <= 400 ? [[...input]] : [])];
}

/** Asserts that two values are equal. Most are, and so the way that only says so is tried first, because it is quick. */
export function same(actual: unknown, expected: unknown, what?: string): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) assert.deepEqual(actual, expected, what);
}

/** Reads the pieces of every cut, and asserts that the result is that of the whole. Returns it. */
export function sameInAnyPieces<T>(input: string, read: (pieces: readonly string[]) => T): T {
  const [whole, ...others] = cutsOf(input).map(read) as [T, ...T[]];
  for (const other of others) same(other, whole, 'in pieces it is read differently');
  return whole;
}

/** As sameInAnyPieces. */
export async function sameInAnyPiecesAsync<T>(input: string, read: (pieces: readonly string[]) => Promise<T>): Promise<T> {
  const results: T[] = [];
  for (const cut of cutsOf(input)) results.push(await read(cut));
  const [whole, ...others] = results as [T, ...T[]];
  for (const other of others) same(other, whole, 'in pieces it is read differently');
  return whole;
}

/** Asserts that a text for people is a sentence: something, no stack, no "undefined", no bug. */
export function assertSentence(text: string): void {
  assert.ok(text !== '' && !/\n\s+at |\bundefined\b|\[object |\bNaN\b|^bug:|TypeError|RangeError/.test(text), `no sentence: ${text}`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
const CONTROL = /[\0-\x1f\x7f]/;
/** True if a terminal would obey a character of the text, or a peer take it for a line end. */
export const hasControl = (text: string): boolean => CONTROL.test(text);
