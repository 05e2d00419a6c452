// Property tests draw the same examples in every run, so that a red run is about the change under test. Others are drawn
// with FUZZ_SEED=random (or a number, to repeat a run); FUZZ_RUNS multiplies how many.
import fc from 'fast-check';

const { FUZZ_SEED = '1', FUZZ_RUNS = '1' } = process.env;
const seed = FUZZ_SEED === 'random' ? Date.now() & 0x7fffffff : Number(FUZZ_SEED);
if (FUZZ_SEED !== '1') console.log(`FUZZ_SEED=${seed}`);
fc.configureGlobal({ seed, ...(FUZZ_RUNS === '1' ? {} : { numRuns: 100 * Number(FUZZ_RUNS) }) });
