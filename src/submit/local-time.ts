/**
 * How far local time is from UTC, by the system's own file of the time zone (tzfile(5)). A runtime asks ICU, which reads its tables of
 * all zones for that: a sixth of a short message's time under Bun, and memory under both. What is not plain in the file is left to the runtime.
 */
import { closeSync, openSync, readSync } from 'node:fs';

const HERE = '/etc/localtime';
const ZONES = '/usr/share/zoneinfo/';
/** A name of a zone, which leads to no other folder. */
const ZONE_NAME = /^\w+(?:[/+-]\w+)*$/;
/** More octets than a file of a zone has. */
const LARGEST = 8192;
/** The length of a header. */
const HEADER = 44;

/** Minutes that hold from one change of the clocks to the next, in seconds since 1970. */
interface Span {
  readonly name: string | undefined;
  readonly from: number;
  readonly until: number;
  readonly minutes: number;
}

let last: Span | null = null;

/** How many minutes local time is ahead of UTC at `time`, by TZ in the environment, else as this host is set up; `here` is for tests. */
export function minutesEast(time: Date, here = HERE): number {
  const name = process.env.TZ;
  const seconds = time.getTime() / 1000;
  if (last === null || last.name !== name || seconds < last.from || seconds >= last.until) last = readSpan(name, seconds, here);
  return last?.minutes ?? 0 - time.getTimezoneOffset();
}

function readSpan(name: string | undefined, seconds: number, here: string): Span | null {
  if (name !== undefined && !ZONE_NAME.test(name)) return null;
  try {
    const found = findSpan(readZone(name === undefined ? here : ZONES + name), seconds);
    return found && { name, ...found };
  } catch (error) {
    // A host without that file, as many a container, has UTC.
    const isAbsent = name === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT';
    return isAbsent ? { name, from: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY, minutes: 0 } : null;
  }
}

function readZone(file: string): Buffer {
  const fd = openSync(file, 'r');
  try {
    const room = Buffer.allocUnsafe(LARGEST);
    return room.subarray(0, readSync(fd, room));
  } finally {
    closeSync(fd);
  }
}

/** What a zone file (of version 2 or later, with times of 64 bits) says of a time; null where it needs more than its table. */
export function findSpan(file: Buffer, seconds: number): Omit<Span, 'name'> | null {
  if (file.length === LARGEST || file.toString('latin1', 0, 4) !== 'TZif' || file.readUInt8(4) < 0x32) return null;
  const second = HEADER + bodyLength(file, 0, 4);
  const [leaps, changes, types] = [28, 32, 36].map((at) => file.readUInt32BE(second + at)) as [number, number, number];
  const times = second + HEADER;
  let i = changes;
  while (i > 0 && timeAt(file, times, i - 1) > seconds) i--;
  const footer = file.toString('latin1', times + bodyLength(file, second, 8));
  // Behind the last change a rule holds, if there is one; before the first a type of its own.
  if (leaps > 0 || types === 0 || (i === 0 && changes > 0) || (i === changes && !/^\n[^,\n]+\n$/.test(footer))) return null;
  const type = i === 0 ? 0 : file.readUInt8(times + 8 * changes + i - 1);
  const east = file.readInt32BE(times + 9 * changes + 6 * type);
  if (east % 60 !== 0) return null;
  return {
    from: i === 0 ? Number.NEGATIVE_INFINITY : timeAt(file, times, i - 1),
    until: i === changes ? Number.POSITIVE_INFINITY : timeAt(file, times, i),
    minutes: east / 60,
  };
}

const timeAt = (file: Buffer, times: number, i: number): number =>
  file.readInt32BE(times + 8 * i) * 2 ** 32 + file.readUInt32BE(times + 8 * i + 4);

/** Where a header has its numbers: of marks for UTC and standard time, leap seconds, changes, types, letters of names. */
const COUNTS = [20, 24, 28, 32, 36, 40];

/** The length of what follows a header. `ofTime`: the octets of a time there. */
function bodyLength(file: Buffer, header: number, ofTime: number): number {
  const [utc = 0, standard = 0, leaps = 0, changes = 0, types = 0, letters = 0] = COUNTS.map((at) => file.readUInt32BE(header + at));
  return utc + standard + leaps * (ofTime + 4) + changes * (ofTime + 1) + types * 6 + letters;
}
