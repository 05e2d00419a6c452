/** How content goes to a wire: in which pieces, when the event loop turns, what is held back, and what is reported. The wire is made up. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { CLEAN, type Ended } from '../../src/message/source.ts';
import { contentEncoder, type Framing } from '../../src/smtp/client/content.ts';
import { BlockBuffers, type ContentReports, ContentWriter } from '../../src/transport/content-writer.ts';
import type { Wire } from '../../src/transport/wire.ts';

const test = suite('content writer');

const KIB = 1024;
const BUN = process.versions.bun !== undefined;
const onNode = BUN ? test.skip : test;

interface Desk {
  readonly writer: ContentWriter;
  readonly buffers: BlockBuffers;
  /** What happened, in order: `w 12` a write of so many octets, `p 12` progress, `m` moved, `t` a turn of the event loop, `r` a read. */
  readonly happened: string[];
  /** What was written. */
  readonly written: Buffer[];
  /** Completes the oldest write that is under way; true: it failed. */
  readonly complete: (hasFailed?: boolean) => void;
  readonly settle: () => Promise<void>;
  readonly drop: () => void;
}

/** A writer of these chunks; `isLate`: writes complete when the test says so. */
function desk(
  chunks: readonly (Uint8Array | string | Ended | (() => never))[],
  { framing = 'data', isLate = false }: { readonly framing?: Framing; readonly isLate?: boolean } = {},
): Desk {
  const happened: string[] = [];
  const written: Buffer[] = [];
  const open: ((hasFailed: boolean) => void)[] = [];
  let isOpen = true;
  const wire = {
    get isOpen() {
      return isOpen;
    },
    write(octets: Uint8Array, done: (hasFailed: boolean) => void): void {
      written.push(Buffer.from(octets));
      happened.push(`w ${octets.length}`);
      if (isLate) open.push(done);
      else queueMicrotask(() => done(false));
    },
  } as unknown as Wire;
  const left = [...chunks];
  const source = {
    read: async () => {
      happened.push('r');
      const chunk = left.shift() ?? CLEAN;
      return typeof chunk === 'function' ? chunk() : typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk;
    },
    close: () => {
      happened.push('closed');
      throw new Error('odd');
    },
  };
  const reports: ContentReports = {
    on: (event) =>
      void happened.push(
        event.type === 'block'
          ? `block ${event.octets}${event.last ? ' last' : ''}`
          : event.type + ('detail' in event ? `: ${event.detail}` : ''),
      ),
    moved: () => void happened.push('m'),
    progress: (octets) => void happened.push(`p ${octets}`),
  };
  const buffers = new BlockBuffers();
  const writer = new ContentWriter(wire, { source, encoder: contentEncoder(framing) }, buffers, reports);
  return {
    writer,
    buffers,
    happened,
    written,
    complete: (hasFailed = false) => open.shift()?.(hasFailed),
    settle: async () => {
      for (let i = 0; i < 6; i++) await new Promise((resolve) => realSetImmediate(resolve));
    },
    drop: () => {
      isOpen = false;
    },
  };
}

const realSetImmediate = setImmediate;
/** Notes each turn of the event loop that somebody asks for. */
async function noted<T>(happened: string[], work: () => Promise<T>): Promise<T> {
  globalThis.setImmediate = ((...given: Parameters<typeof realSetImmediate>) => {
    happened.push('t');
    return realSetImmediate(...given);
  }) as typeof realSetImmediate;
  try {
    return await work();
  } finally {
    globalThis.setImmediate = realSetImmediate;
  }
}

const only = (happened: readonly string[], kinds: RegExp): string[] => happened.filter((what) => kinds.test(what));
const lettersOf = (length: number): Uint8Array => new Uint8Array(length).fill(97);

test('DATA: what is read is encoded, written and reported, and the end follows two turns behind the last write', async () => {
  const { writer, happened, written, settle } = desk(['Subject: x\n', '\n.dot\n', 'end']);
  await noted(happened, async () => {
    await writer.pull('data');
    await settle();
  });
  assert.equal(Buffer.concat(written).toString(), 'Subject: x\r\n\r\n..dot\r\nend\r\n');
  const each = (length: number, sum: number): string => `m, w ${length}, m, p ${sum}`;
  assert.equal(
    happened.join(', '),
    `r, ${each(12, 12)}, r, ${each(9, 21)}, r, ${each(3, 24)}, r, m, w 2, t, m, p 26, t, contentSent`,
    'each write moves twice, and what is read next waits for it',
  );
});

test('DATA: a line end at the end needs no write, and a CR alone waits for what follows', async () => {
  const { writer, happened, settle } = desk(['a\n']);
  await writer.pull('data');
  await settle();
  assert.deepEqual(only(happened, /^[wc]/), ['w 3', 'contentSent']);
});

onNode(
  'DATA: a long chunk goes in pieces of half a mebibyte, and the event loop turns when a quarter of one has gone without a turn',
  async () => {
    const long = desk([lettersOf(KIB * KIB + 1), lettersOf(512 * KIB)]);
    await long.writer.pull('data');
    await long.settle();
    assert.deepEqual(only(long.happened, /^[wr]/), ['r', 'w 524288', 'w 524288', 'w 1', 'r', 'w 524288', 'r', 'w 2']);
    const many = desk(Array.from({ length: 11 }, () => lettersOf(64 * KIB)));
    await noted(many.happened, () => many.writer.pull('data'));
    const writes = only(many.happened, /^[wt]/).map((what) => what[0]);
    assert.equal(writes.join(''), 'wwwwtwwwwwtwwwt', 'the first turn behind 256 KiB, the next behind 320; the last is that of the end');
  },
);

test('DATA: an input that fails, or throws, is reported and written no further', async () => {
  for (const [last, detail] of [
    [{ end: 'failed', detail: 'the file changed' }, 'the file changed'],
    [() => assert.fail('odd'), 'the content failed: odd'],
    [
      () => {
        throw undefined;
      },
      'the content failed: without a word',
    ],
  ] as const)
    for (const framing of ['data', 'bdat'] as const) {
      const { writer, happened, settle } = desk(['a', last]);
      await writer.pull(framing);
      await settle();
      assert.deepEqual(only(happened, /^[wcb]/), [...(framing === 'data' ? ['w 1'] : []), `contentFailed: ${detail}`]);
    }
});

test('DATA: after a write that failed, or when the wire has closed, nothing more is read', async () => {
  for (const isDropped of [false, true]) {
    const { writer, happened, complete, settle, drop } = desk(['a', 'b'], { isLate: true });
    const pumping = writer.pull('data');
    await settle();
    assert.equal(writer.isWriting, true);
    if (isDropped) drop();
    complete(!isDropped);
    await pumping;
    await settle();
    assert.equal(writer.isWriting, false);
    assert.equal(happened.join(), isDropped ? 'r,m,w 1,m,p 1' : 'r,m,w 1,m', 'what failed is no progress');
  }
});

test('when it is closed, writes complete, and nothing is reported but them', async () => {
  for (const [when, expected] of [
    ['reading', 'r,closed'],
    ['writing', 'r,m,w 1,closed,m'],
    ['turning', 'r,m,w 262144,m,p 262144,r,closed'],
    ['sent', 'r,m,w 1,m,p 1,r,m,w 2,m,p 3,closed'],
  ] as const) {
    // Bun's pieces are smaller.
    if (BUN && when === 'turning') continue;
    const { writer, happened, complete, settle } = desk(when === 'turning' ? [lettersOf(256 * KIB), 'b'] : ['a'], { isLate: true });
    const pumping = writer.pull('data');
    if (when !== 'reading') await settle();
    if (when === 'turning') {
      complete();
      // It reads, and then the loop turns.
      for (let i = 0; i < 4; i++) await null;
    }
    if (when === 'sent') {
      complete();
      await settle();
      complete();
    }
    writer.close();
    complete();
    await pumping;
    await settle();
    assert.equal(happened.join(), expected, when);
  }
});

test('content at hand goes in one write, or is held for the commit; with what goes along it is one write, too', async () => {
  const one = desk([]);
  one.writer.sendAtHand('data', Buffer.from('abc'), false);
  await one.settle();
  assert.equal(one.writer.holdsAll, false);
  assert.deepEqual(one.happened, ['m', 'w 3', 'm', 'p 3', 'contentSent']);
  const none = desk([]);
  none.writer.sendAtHand('data', Buffer.from(''), false);
  await none.settle();
  assert.deepEqual(none.happened, ['contentSent'], 'nothing is no write');
  const held = desk([], { isLate: true });
  held.writer.sendAtHand('data', Buffer.from('abc'), true);
  await held.settle();
  assert.deepEqual([held.writer.holdsAll, held.writer.isWriting, ...held.happened], [true, false, 'contentSent']);
  held.writer.writeHeld(Buffer.from('.\r\nQUIT\r\n'));
  assert.deepEqual(held.happened.slice(1), ['m', 'w 12', 'p 3'], 'its progress does not wait for the write');
  assert.equal(held.written.join(), 'abc.\r\nQUIT\r\n');
});

test('the end is reported when every write has completed, once, and on an open wire', async () => {
  const { writer, happened, complete, settle } = desk([], { isLate: true });
  writer.sendAtHand('data', Buffer.from('abc'), false);
  await settle();
  assert.deepEqual(only(happened, /^c/), []);
  complete();
  writer.writeHeld(Buffer.from('.'));
  await settle();
  assert.deepEqual(only(happened, /^c/), ['contentSent']);
  complete();
  await settle();
  assert.deepEqual(only(happened, /^c/), ['contentSent'], 'the commit is a write, too');
  const dropped = desk([]);
  dropped.writer.sendAtHand('data', Buffer.from('abc'), false);
  dropped.drop();
  await dropped.settle();
  assert.deepEqual(only(dropped.happened, /^c/), []);
});

/* ---- BDAT ---- */

test('BDAT: content at hand is one block, whose end is held for the commit, or all of it with its command', async () => {
  const one = desk([]);
  one.writer.sendAtHand('bdat', Buffer.from('abcd'), false);
  await one.settle();
  assert.deepEqual(one.happened, ['block 4 last'], 'nothing is written before the machine says so');
  one.writer.writeBlock('BDAT 4 LAST', 2);
  await one.settle();
  assert.deepEqual(one.happened.slice(1), ['m', 'w 15', 'm', 'p 2']);
  one.writer.flush();
  await one.settle();
  one.writer.writeHeld(Buffer.from('QUIT\r\n'));
  assert.deepEqual(one.happened.slice(5), ['contentSent', 'm', 'w 8', 'p 4']);
  assert.deepEqual(one.written.map(String), ['BDAT 4 LAST\r\nab', 'cdQUIT\r\n']);
  const short = desk([]);
  short.writer.sendAtHand('bdat', Buffer.from('a'), false);
  short.writer.writeBlock('BDAT 1 LAST', 1);
  short.writer.writeHeld(Buffer.from(''));
  assert.deepEqual(short.written.map(String), ['BDAT 1 LAST\r\n', 'a'], 'its command alone goes before it');
  const held = desk([], { isLate: true });
  held.writer.sendAtHand('bdat', Buffer.from('abcd'), true);
  held.writer.writeBlock('BDAT 4 LAST', 2);
  held.writer.flush();
  await held.settle();
  assert.deepEqual([held.writer.holdsAll, held.writer.isWriting, ...held.happened], [true, false, 'block 4 last', 'contentSent']);
  held.writer.writeHeld(Buffer.from('QUIT\r\n'));
  assert.deepEqual(held.happened.slice(2), ['m', 'w 23', 'p 4'], 'the command is no content');
  assert.equal(held.written.join(), 'BDAT 4 LAST\r\nabcdQUIT\r\n');
});

test('BDAT: blocks have 256 KiB, however the chunks come, and the last has what is left; their command is one write with them', async () => {
  for (const size of [100 * KIB, 256 * KIB, 600 * KIB]) {
    const whole = Buffer.from(Array.from({ length: 600 * KIB }, (_, i) => 98 + (i % 23)));
    const chunks = Array.from({ length: Math.ceil(whole.length / size) }, (_, i) => whole.subarray(i * size, (i + 1) * size));
    const { writer, happened, written, settle } = desk(chunks, { framing: 'bdat' });
    for (const [octets, last, turns] of [
      [256 * KIB, '', 1],
      [256 * KIB, '', 1],
      [88 * KIB + 2, ' last', 0],
    ] as const) {
      happened.length = 0;
      await noted(happened, () => writer.pull('bdat'));
      assert.deepEqual(only(happened, /^[bt]/), [...Array(turns).fill('t'), `block ${octets}${last}`], `${size}`);
      writer.writeBlock(`BDAT ${octets}${last === '' ? '' : ' LAST'}`, last === '' ? 0 : 5);
      await settle();
    }
    writer.writeHeld(Buffer.from('QUIT\r\n'));
    const [first, second, third, commit] = written.map((each) => each.toString('latin1'));
    assert.equal(first, `BDAT 262144\r\n${whole.toString('latin1', 0, 256 * KIB)}`);
    assert.equal(second, `BDAT 262144\r\n${whole.toString('latin1', 256 * KIB, 512 * KIB)}`);
    assert.equal(third, `BDAT 90114 LAST\r\n${whole.toString('latin1', 512 * KIB, 600 * KIB - 3)}`);
    assert.equal(commit, `${whole.toString('latin1', 600 * KIB - 3)}\r\nQUIT\r\n`);
    assert.deepEqual(only(happened, /^p/), [`p ${600 * KIB - 3}`, `p ${600 * KIB + 2}`]);
  }
});

test('BDAT: a block may be a little larger, because lines become longer; nothing of the next chunk is in it', async () => {
  const { writer, happened, settle } = desk(['a'.repeat(256 * KIB - 2), '\n\n\n', 'b\n'], { framing: 'bdat' });
  await writer.pull('bdat');
  writer.writeBlock('BDAT 1', 0);
  await settle();
  await writer.pull('bdat');
  assert.deepEqual(only(happened, /^b/), [`block ${256 * KIB + 2}`, 'block 5 last']);
});

test('BDAT: an empty content is a block, too, and one that is closed meanwhile is none', async () => {
  const empty = desk([], { framing: 'bdat' });
  await empty.writer.pull('bdat');
  assert.deepEqual(only(empty.happened, /^b/), ['block 0 last']);
  for (const turnsBefore of [0, 1, 8]) {
    const { writer, happened } = desk([lettersOf(256 * KIB), 'b'], { framing: 'bdat' });
    const collecting = writer.pull('bdat');
    for (let i = 0; i < turnsBefore; i++) await null;
    writer.close();
    await collecting;
    assert.deepEqual(only(happened, /^b/), [], `${turnsBefore}`);
  }
  assert.throws(() => desk([]).writer.writeBlock('BDAT 0 LAST', 0), /bug: no block is at hand/);
});

test('BDAT: two buffers take turns, and the third block waits for the first to be written; after a failure it waits for ever', async () => {
  for (const hasFailed of [false, true]) {
    const { writer, happened, complete, settle } = desk([lettersOf(1024 * KIB)], { framing: 'bdat', isLate: true });
    for (let i = 0; i < 2; i++) {
      await writer.pull('bdat');
      writer.writeBlock('BDAT 262144', 0);
    }
    void writer.pull('bdat');
    await settle();
    assert.equal(only(happened, /^b/).length, 2);
    complete(hasFailed);
    await settle();
    assert.equal(only(happened, /^b/).length, hasFailed ? 2 : 3);
  }
});

test('BDAT: a buffer is small at first, stays until it is lent, and grows to what its block needs', async () => {
  const { writer, buffers, settle } = desk(['a'.repeat(16 * KIB), 'b'.repeat(5), 'c'.repeat(100 * KIB), '\n'], { framing: 'bdat' });
  const block = await buffers.take();
  assert.equal(block.octets.length, 16 * KIB);
  assert.equal(await buffers.take(), block, 'nobody has lent it');
  await writer.pull('bdat');
  // 32 octets are for the command. It grew to 118,821, and then the last line end doubled it.
  const needed = 32 + 16 * KIB + 5 + 100 * KIB;
  assert.deepEqual([block.end, block.octets.length], [needed + 2, 2 * needed]);
  writer.writeBlock('BDAT 1', 0);
  await settle();
  assert.equal(await buffers.take(), block, 'it is given back');
});

test.run();
