/**
 * Looks for inputs whose time grows faster than they do: parts of inputs of the corpus, repeated until they are long, and then for
 * twice as long. Measures time, so it is no test. Knows no reader.
 */
import type { Dice } from '../faults/support/worlds/time.ts';
import { printInput } from './corpus.ts';
import type { Reader } from './reader.ts';

/** Octets of the shorter input. */
const SIZES = [8 * 1024];
/** Four times the octets take four times as long where a reader is linear, sixteen times where it is quadratic. */
const TIMES = 4;
const TOO_MUCH = 10;
/** Milliseconds of a core's time below which they say nothing. */
const LEAST = 15;

/** Prints each input that is too slow; returns how many parts were tried. */
export async function pump(reader: Reader, corpus: readonly string[], dice: Dice, until: number): Promise<number> {
  const time = async (input: string): Promise<number> => {
    const begun = process.cpuUsage();
    await reader.read(input);
    const { user, system } = process.cpuUsage(begun);
    return (user + system) / 1000;
  };
  const inputs = [...reader.seeds, ...corpus].filter((input) => input !== '');
  const found = new Set<string>();
  let tried = 0;
  while (performance.now() < until) {
    const input = dice.one(inputs);
    const at = dice.below(input.length);
    const end = at + 1 + dice.below(Math.min(40, input.length - at));
    const piece = dice.isIn(0.3) && reader.words.length > 0 ? dice.one(reader.words) : input.slice(at, end);
    if (piece === '') continue;
    tried++;
    const long = (size: number): string => input.slice(0, at) + piece.repeat(Math.ceil(size / piece.length)) + input.slice(end);
    for (const size of SIZES) {
      const [short, twice] = [long(size), long(TIMES * size)];
      const slow = await time(twice);
      if (slow < LEAST) continue;
      const quick = Math.min(await time(short), await time(short), await time(short));
      const again = Math.min(slow, await time(twice), await time(twice));
      if (again / quick < TOO_MUCH || found.has(piece)) continue;
      found.add(piece);
      console.log(
        `${reader.name}: ${quick.toFixed(1)} ms for ${short.length} octets, ${again.toFixed(1)} ms for ${twice.length}: ${printInput(input.slice(0, at))} + ${printInput(piece)} repeated + ${printInput(input.slice(end))}`,
      );
    }
  }
  return tried;
}
