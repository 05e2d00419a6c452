/** Makes new inputs of old ones. Inputs are octet strings. Knows no reader; a reader's words come with it. */
import type { Dice } from '../faults/support/worlds/time.ts';

/** Octets at which readers decide something. */
const OCTETS = '\0\t\n\r !"#$%\'()*+,-./0159:;<=>?@AZ[\\]^_`az{|}~\x7f\x80\xa0\xc3\xe2\xff';
const TEXTS = [
  '\r\n',
  '\n',
  '\r',
  '\r\n.\r\n',
  '\n.\n',
  '\r\n ',
  '\n\t',
  '""',
  '()',
  '<>',
  '[]',
  '{}',
  '\\',
  '=?',
  '?=',
  '\xc3\xbc',
  '\xe2\x80\x8b',
];
/** Longer inputs show nothing more, but for those that are made by repeating a part of another one. */
const LONGEST = 4096;
const MOST_REPEATED = 16 * 1024;

/** Makes an input of `input`, and of `other` where two are crossed. */
export function mutate(dice: Dice, input: string, other: string, words: readonly string[]): string {
  let text = input;
  for (let left = 1 + dice.below(dice.isIn(0.2) ? 12 : 3); left > 0; left--) text = change(dice, text, other, words);
  return text;
}

function change(dice: Dice, text: string, other: string, words: readonly string[]): string {
  const at = dice.below(text.length + 1);
  const end = Math.min(text.length, at + 1 + dice.below(dice.isIn(0.3) ? text.length : 8));
  const put = (piece: string, from = at, to = at): string => bound(text.slice(0, from) + piece + text.slice(to));
  switch (dice.below(14)) {
    case 0:
      return put(String.fromCharCode(dice.below(256)), at, at + 1);
    case 1:
      return put(dice.one([...OCTETS]), at, at + 1);
    case 2:
      return put(dice.one([...OCTETS]));
    case 3:
      return put(dice.one(TEXTS));
    case 4:
    case 5:
      return words.length > 0 ? put(dice.one(words)) : put(dice.one(TEXTS));
    case 6:
      return words.length > 0 ? put(dice.one(words), at, end) : put('', at, end);
    case 7:
      return put('', at, end);
    case 8:
      return put(text.slice(at, end), end);
    case 9:
      return put(text.slice(at, end), dice.below(text.length + 1));
    case 10: {
      const from = dice.below(other.length + 1);
      return put(other.slice(from, from + 1 + dice.below(64)), at, dice.isIn(0.5) ? at : end);
    }
    case 11:
      return bound(text.slice(0, at) + other.slice(dice.below(other.length + 1)));
    case 12:
      return swapLines(dice, text);
    default:
      return dice.isIn(0.1) ? repeat(dice, text, at, end) : put(String((text.charCodeAt(at) || 48) + dice.below(3) - 1), at, at + 1);
  }
}

const bound = (text: string): string => text.slice(0, LONGEST);

function swapLines(dice: Dice, text: string): string {
  const lines = text.split('\n');
  const [from, to] = [dice.below(lines.length), dice.below(lines.length)];
  const line = lines[from] as string;
  if (dice.isIn(0.5)) lines[from] = lines[to] as string;
  lines[to] = line;
  return lines.join('\n');
}

function repeat(dice: Dice, text: string, at: number, end: number): string {
  const piece = text.slice(at, end);
  if (piece === '') return text;
  return text.slice(0, at) + piece.repeat(Math.min(1 + dice.below(2000), Math.ceil(MOST_REPEATED / piece.length))) + text.slice(end);
}

/** Shorter inputs, the shortest first, of which the caller takes the first that still shows what it looks for. */
export function* shorten(text: string): Generator<string> {
  for (let size = text.length >> 1; size >= 1; size >>= 1)
    for (let at = 0; at < text.length; at += size) yield text.slice(0, at) + text.slice(at + size);
}
