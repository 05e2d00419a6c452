/** Tests that need what is not on every machine. */
import type { uvu } from 'uvu';

type Adds<Context> = (name: string, work: uvu.Callback<Context>) => void;

/** Adds tests where what they need is there, else they are skipped, and say so. In CI all of it is there, and they fail without it. */
export function testWith<Context>(test: uvu.Test<Context>, need: string, isThere: boolean): Adds<Context> {
  if (isThere) return test;
  if (process.env.CI !== 'true') {
    console.log(`skipped: needs ${need}`);
    return test.skip;
  }
  return (name) =>
    test(name, () => {
      throw new Error(`needs ${need}`);
    });
}
