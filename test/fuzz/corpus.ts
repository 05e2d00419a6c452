/**
 * The inputs that are kept: for each reader a file with an input a line, an octet string in JSON, so that people can read them and
 * no tool changes a line end. Knows no reader.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const fileOf = (root: string, name: string): string => join(root, 'test/fuzz/corpus', `${name}.jsonl`);

/** `root` is the project's folder. */
export function readCorpus(root: string, name: string): readonly string[] {
  let text = '';
  try {
    text = readFileSync(fileOf(root, name), 'utf8');
  } catch {
    // A reader that has just been written has none.
  }
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as string]));
}

export function writeCorpus(root: string, name: string, inputs: readonly string[]): void {
  writeFileSync(fileOf(root, name), inputs.map((input) => `${printInput(input)}\n`).join(''));
}

/** As JSON in ASCII. */
export const printInput = (input: string): string =>
  JSON.stringify(input).replace(/[\x7f-\xff]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
