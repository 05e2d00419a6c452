/** What holds for every configuration, and for what is said of one. */
import assert from 'node:assert';
import type { File } from '../../src/config/interpret.ts';
import type { Toml } from '../../src/config/toml.ts';
import { assertSentence } from './reader.ts';

const PATH = '/etc/nospool.toml';
export const HOME = { home: '/home/ops' };

export const fileOf = (toml: Toml): File => ({ path: PATH, toml, refuses: () => null, isSystem: true });

/** Asserts that an error says where it is: a line of the file with its key, or a variable. */
export function checkErrors(errors: readonly string[], lines: number): void {
  assert.ok(errors.length > 0);
  for (const error of errors) {
    assertSentence(error);
    const line = /^\/etc\/nospool\.toml:(\d+): (?:key|table|"|\S)/.exec(error)?.[1];
    if (line !== undefined) assert.ok(Number(line) >= 1 && Number(line) <= lines, `no line of ${lines}: ${error}`);
    else assert.ok(error.startsWith('environment: NOSPOOL_'), error);
  }
}
