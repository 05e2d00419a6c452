/** Local time by the file of a zone is what the runtime says, and where the file alone cannot tell, the runtime does. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { findSpan, minutesEast } from '../../src/submit/local-time.ts';
import { testWith } from '../support/where.ts';

const test = suite('local time');
const withProc = existsSync('/proc/self/fd') ? test : test.skip;
const withZones = testWith(test, 'tzdata', existsSync('/usr/share/zoneinfo/Asia/Kolkata'));
const zone = process.env.TZ;
const restore = (): void => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
};
test.after.each(restore);

/** The rules there are decided from year to year, and the runtime has tables of its own, which may be newer: only the past is settled. */
const UNSETTLED = 'Africa/Casablanca';
const ZONES = [
  ...['UTC', 'Etc/GMT+5', 'Europe/Berlin', 'Europe/London', 'Europe/Dublin', UNSETTLED, 'Asia/Kolkata', 'Asia/Kathmandu', 'Asia/Tokyo'],
  ...['America/New_York', 'America/St_Johns', 'America/Argentina/Buenos_Aires', 'America/Port-au-Prince', 'Australia/Lord_Howe'],
  ...['Pacific/Chatham', 'Pacific/Kiritimati', 'EST5EDT'],
];

test('each hour about the changes of the clocks, and each month of ten years, is as the runtime has it', () => {
  for (const name of ZONES) {
    process.env.TZ = name;
    const year = name === UNSETTLED ? 2016 : 2026;
    const hours = [Date.UTC(year, 2, 29), Date.UTC(year, 9, 25), Date.UTC(year, 3, 5), Date.UTC(year, 10, 1)].flatMap((day) =>
      Array.from({ length: 30 }, (_, i) => day + i * 3_600_000),
    );
    const months = Array.from({ length: 120 }, (_, i) => Date.UTC(year, i, 1, 12));
    for (const time of [...hours, ...months].map((ms) => new Date(ms)))
      assert.equal(minutesEast(time), 0 - time.getTimezoneOffset(), `${name} ${time.toISOString()}`);
  }
});

test('the host’s own zone, names that lead elsewhere, rules in place of names and names of nothing are as the runtime has them', () => {
  delete process.env.TZ;
  const now = new Date();
  assert.equal(minutesEast(now), 0 - now.getTimezoneOffset());
  for (const name of [
    '',
    ':Europe/Berlin',
    '../zoneinfo/Europe/Berlin',
    'CET-1CEST,M3.5.0,M10.5.0/3',
    'No/Such',
    '/etc/passwd',
    'Europe',
  ]) {
    process.env.TZ = name;
    assert.equal(minutesEast(now), 0 - now.getTimezoneOffset(), name);
  }
});

/** Prints a file of a zone: its times are there as 32 bits and as 64. */
function zoneFile(changes: readonly [at: number, type: number][], types: readonly number[], footer: string, leaps = 0, marks = 0): Buffer {
  const block = (ofTime: number): Buffer => {
    const header = Buffer.alloc(44);
    header.write('TZif2', 'latin1');
    for (const [i, count] of [marks, marks, leaps, changes.length, types.length, 4].entries()) header.writeUInt32BE(count, 20 + 4 * i);
    const times = Buffer.alloc(changes.length * ofTime);
    for (const [i, [at]] of changes.entries())
      if (ofTime === 4) times.writeInt32BE(at | 0, i * 4);
      else times.writeBigInt64BE(BigInt(at), i * 8);
    const kinds = Buffer.from(changes.map(([, type]) => type));
    const infos = types.map((east) => {
      const info = Buffer.alloc(6);
      info.writeInt32BE(east);
      return info;
    });
    return Buffer.concat([header, times, kinds, ...infos, Buffer.from('XYZ\0'), Buffer.alloc(leaps * (ofTime + 4) + 2 * marks)]);
  };
  return Buffer.concat([block(4), block(8), Buffer.from(`\n${footer}\n`)]);
}

test('a file tells from when until when it holds, also before 1970', () => {
  const file = zoneFile(
    [
      [-1000, 1],
      [2000, 0],
      [3000, 1],
    ],
    [3600, -7200],
    'XYZ2',
  );
  assert.equal(findSpan(file, -1001), null, 'before the first change');
  assert.deepEqual(findSpan(file, -1000), { from: -1000, until: 2000, minutes: -120 });
  assert.deepEqual(findSpan(file, 1999.9), { from: -1000, until: 2000, minutes: -120 });
  assert.deepEqual(findSpan(file, 2000), { from: 2000, until: 3000, minutes: 60 });
  assert.deepEqual(findSpan(file, 3000), { from: 3000, until: Number.POSITIVE_INFINITY, minutes: -120 });
  const always = { from: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY };
  assert.deepEqual(findSpan(zoneFile([], [3600], 'XYZ-1'), 0), { ...always, minutes: 60 });
});

test('what a file says by a rule, with leap seconds, in halves of minutes or in another form is left to the runtime', () => {
  const ruled = zoneFile([[0, 0]], [3600], 'CET-1CEST,M3.5.0,M10.5.0/3');
  assert.equal(findSpan(ruled, 1), null);
  assert.equal(findSpan(zoneFile([], [3600], 'CET-1CEST,M3.5.0,M10.5.0/3'), 1), null);
  assert.equal(findSpan(zoneFile([[0, 0]], [3600], ''), 1), null);
  for (const leaps of [1, 2]) assert.equal(findSpan(zoneFile([[0, 0]], [3600], 'XYZ-1', leaps), 1), null);
  assert.equal(findSpan(zoneFile([[0, 0]], [3601], 'XYZ-1'), 1), null);
  assert.equal(findSpan(Buffer.from('TZif\0'), 1), null);
  assert.equal(findSpan(Buffer.from('what else'), 1), null);
  assert.equal(findSpan(Buffer.alloc(8192), 1), null);
  assert.equal(findSpan(zoneFile([], [], 'XYZ-1'), 1), null, 'no type of local time');
  assert.equal(findSpan(zoneFile([[9000, 0]], [3600], 'XYZ-1'), 1), null, 'before the only change');
});

test('a file may say of each type whether its rules are in standard time or in UTC, which counts for nothing', () => {
  const file = zoneFile(
    [
      [0, 1],
      [9000, 0],
    ],
    [3600, 7200],
    'XYZ-1',
    0,
    2,
  );
  assert.deepEqual(findSpan(file, 1), { from: 0, until: 9000, minutes: 120 });
  assert.deepEqual(findSpan(file, 9000), { from: 9000, until: Number.POSITIVE_INFINITY, minutes: 60 });
});

test('a file that fills all the room may have more, so it is left to the runtime', () => {
  const shortest = zoneFile([], [3600], 'X').length;
  const ofLength = (length: number) => zoneFile([], [3600], 'X'.repeat(1 + length - shortest));
  assert.deepEqual(
    [8191, 8192].map((length) => findSpan(ofLength(length), 1)?.minutes),
    [60, undefined],
  );
});

test('times of 64 bits are read whole', () => {
  const file = zoneFile(
    [
      [-5_000_000_000, 0],
      [5_000_000_000, 1],
    ],
    [0, 3600],
    'XYZ-1',
  );
  assert.deepEqual(findSpan(file, 0), { from: -5_000_000_000, until: 5_000_000_000, minutes: 0 });
});

test('a host without a zone of its own has UTC, one whose zone cannot be read has what the runtime says, and what is known is kept', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nospool-zone-'));
  const time = new Date(0);
  let asked = 0;
  time.getTimezoneOffset = () => {
    asked += 1;
    return -90;
  };
  const minutesBy = (zoneOf: string | undefined, here = join(folder, 'none')): number => {
    // What is kept is that of another name.
    process.env.TZ = 'Etc/GMT+5';
    minutesEast(time);
    if (zoneOf === undefined) delete process.env.TZ;
    else process.env.TZ = zoneOf;
    return minutesEast(time, here);
  };
  try {
    writeFileSync(join(folder, 'zone'), zoneFile([], [7200], 'XYZ-2'));
    assert.deepEqual([minutesBy(undefined), asked], [0, 0]);
    assert.deepEqual([minutesEast(time, join(folder, 'zone')), asked], [0, 0], 'it is looked for once');
    assert.deepEqual([minutesBy(undefined, join(folder, 'zone')), asked], [120, 0]);
    assert.deepEqual([minutesBy(undefined, folder), asked], [90, 1], 'a folder');
    assert.deepEqual([minutesBy('No/Such'), asked], [90, 2], 'a zone that is named and not there');
    assert.deepEqual([minutesBy(`../../..${join(folder, 'zone')}`), asked], [90, 3], 'a name that leads out of the zones');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

withProc('no file stays open', () => {
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  for (const name of [...ZONES, 'Europe', 'No/Such']) {
    process.env.TZ = name;
    minutesEast(new Date());
  }
  assert.equal(open(), before);
});

withZones('the files of this host are read', () => {
  process.env.TZ = 'Asia/Kolkata';
  let isAsked = false;
  const time = new Date(Date.UTC(2026, 6, 1, 12));
  time.getTimezoneOffset = () => {
    isAsked = true;
    return 0;
  };
  assert.deepEqual([minutesEast(time), isAsked], [330, false]);
});

test.run();
