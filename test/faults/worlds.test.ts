/**
 * Whole deliveries in worlds that are drawn from seeds: one to three smart hosts that fail at any step in any way, one to five
 * recipients, DATA or BDAT, TLS or clear, a message in the window or beyond it. In each of them the promise must hold: accepted, and
 * exactly one host took it, once, for everybody, octet by octet; failed, and no host took it for anybody. Then one fault after
 * another is put into the program, and worlds must find it.
 *
 * WORLDS says how many (default 3000), WORLD_SEED which is the first: `WORLDS=1 WORLD_SEED=4711` runs that one.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { type Change, loadBundled } from './support/bundle.ts';
import type * as Worlds from './support/worlds/world.ts';

const test = suite('worlds');

const COUNT = Number(process.env.WORLDS ?? 3000);
const FIRST = Number(process.env.WORLD_SEED ?? 1);

const load = (changes: readonly Change[]) => loadBundled<typeof Worlds>('test/faults/support/worlds/world.ts', changes);

const emptyTally = (): Worlds.Tally => ({ accepted: 0, failed: 0, uncertain: 0, connections: 0 });

test(`the promise holds in ${COUNT} worlds`, async () => {
  const { runWorld } = await load([]);
  const tally = emptyTally();
  const begun = performance.now();
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const breach = await runWorld(seed, tally);
    assert.equal(breach, null, `${breach}\nagain: WORLDS=1 WORLD_SEED=${seed} node test/run.mjs faults/worlds`);
  }
  const seconds = (performance.now() - begun) / 1000;
  console.log(`\n  ${COUNT} worlds in ${seconds.toFixed(1)} s: ${JSON.stringify(tally)}`);
  if (COUNT >= 1000) for (const count of Object.values(tally)) assert.ok(count > COUNT / 100, 'the worlds have become tame');
});

/** Faults, and how each breaks the promise. */
const FAULTS: readonly (readonly [string, RegExp, ...Change[]])[] = [
  [
    'a refused recipient is overlooked',
    /for a part of the recipients/,
    [
      'smtp/client/session.ts',
      '  if (isEnvelopeRefused(plan, state, refusals)) return failEnvelope(plan, endingOf(plan), state, refusals);\n  const framing',
      '  const framing',
    ],
  ],
  [
    'after the commit another host is tried',
    /copies|had been committed/,
    ['submit/delivery.ts', "    if (ended.failure.condemns === 'message') return endFailed(run, false);\n", ''],
  ],
  [
    'an input that fails is taken for its end',
    /a host took it|other octets/,
    [
      'transport/content-writer.ts',
      "        if (chunk.end === 'failed') return this.#reports.on({ ...chunk, type: 'contentFailed' });\n        const",
      '        const',
    ],
  ],
  ['a pipe is read on where it stands', /other octets/, ['message/body.ts', 'if (got instanceof Uint8Array) handedOut = true;', '']],
  [
    'the end of the last block gets lost',
    /never written/,
    ['transport/content-writer.ts', 'Buffer.concat([this.#heldCommand, this.#held, commands])', 'commands'],
  ],
  [
    'the end of a block that is at hand goes out before the commit',
    /failed, and a host took it|copies/,
    ['transport/content-writer.ts', 'this.#holdsAll ? 0 : whole.length - held', 'this.#holdsAll ? 0 : whole.length'],
  ],
  [
    'a block that is at hand has dots that DATA doubled',
    /other octets/,
    ['transport/driver.ts', "(framing === 'bdat' && encoded?.length === transaction.size)", "framing === 'bdat'"],
  ],
  [
    'TLS that is required is done without',
    /less security/,
    ['smtp/client/session.ts', "  if (!secured && plan.tls === 'required')\n", "  if (!secured && plan.tls === 'implicit')\n"],
  ],
  [
    'a lost verdict is taken for a lost connection',
    /failed, and a host took it|copies|had been committed/,
    ['smtp/client/session.ts', "state.at === 'commit' ? doubt(plan, state, failure)", "state.at === 'greeting' ? failure"],
  ],
  ['a session that is over keeps its connection', /left open/, ['transport/driver.ts', '          this.#wire.destroy(isCut);\n', '']],
  [
    'what a verdict says is not looked at',
    /accepted/,
    ['smtp/client/session.ts', 'verdicts.find((verdict) => isWanted(state, verdict))', 'verdicts[0]'],
  ],
  [
    'a silent server is waited for without an end',
    /nothing moves/,
    ['transport/driver.ts', 'isWaiting ? this.#timeFor(within) : Number.POSITIVE_INFINITY', 'Number.POSITIVE_INFINITY'],
  ],
];

for (const [what, found, ...changes] of FAULTS)
  test(`worlds find it when ${what}`, async () => {
    const { runWorld } = await load(changes);
    let breach: string | null = null;
    for (let seed = 1; breach === null && seed <= 2000; seed++) breach = await runWorld(seed, emptyTally());
    assert.match(breach ?? 'nothing was found', found);
  });

test.run();
