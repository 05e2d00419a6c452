/**
 * Where the log goes: a file, syslog, standard error, nowhere. Opened before anything connects; whatever goes wrong
 * here is told and never changes a delivery. Knows no line's meaning.
 */
import { closeSync, constants, openSync, statSync, writeSync } from 'node:fs';
import { type Line, lineOf } from '../smtp/line.ts';

/** What a log that is not configured as a file goes to. */
export interface LogPlaces {
  /** Where a line without a configured log goes first. */
  readonly file: string;
  /** journald's stream socket. */
  readonly journal: string;
  /** By absolute path: the caller's PATH may be anything. */
  readonly loggers: readonly string[];
}

const PLACES: LogPlaces = {
  file: '/var/log/nospool.log',
  journal: '/run/systemd/journal/stdout',
  loggers: ['/usr/bin/logger', '/bin/logger'],
};
/** A syslog that does not take a line in this time (milliseconds) is down. */
const PATIENCE = 5000;

export interface LogSink {
  /** What is wrong with the log, as a sentence; null when nothing is known to be. */
  readonly problem: string | null;
  /** Writes the lines, one write each (safe beside other runs: O_APPEND). Returns a problem or null; never rejects. */
  write(lines: readonly Line[]): Promise<string | null>;
}

/** `setting` is the key `log`: a path, 'syslog', 'stderr', 'none', or '' for the default. `tag`: who writes, for syslog; null = nospool. */
export function openLog(setting: string, tag: string | null = null, places: LogPlaces = PLACES): LogSink {
  if (setting === 'none') return { problem: null, write: async () => null };
  if (setting === 'stderr') return { problem: null, write: async (lines) => writeLines(2, lines) };
  if (setting === 'syslog') return syslog(tag, places);
  try {
    return file(setting === '' ? places.file : setting);
  } catch (error) {
    if (setting === '') return syslog(tag, places);
    const problem = `cannot write the log ${setting}: ${(error as Error).message}`;
    return { problem, write: async () => problem };
  }
}

/** Throws when it cannot be opened. */
function file(path: string): LogSink {
  let fd: number | null = openFile(path);
  return {
    problem: null,
    async write(lines) {
      try {
        const opened = fd ?? openFile(path);
        fd = null;
        const problem = writeLines(opened, lines);
        // Some file systems tell only here that they could not keep what was written.
        closeSync(opened);
        return problem;
      } catch (error) {
        return `cannot write the log ${path}: ${(error as Error).message}`;
      }
    },
  };
}

/** A link is followed only where root alone can have made it: elsewhere it would lead our lines into any file of ours. */
function openFile(path: string): number {
  // A named pipe that nobody reads must not hold up a delivery.
  const flags = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NONBLOCK;
  try {
    return openSync(path, flags | constants.O_NOFOLLOW, 0o640);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ELOOP') throw error;
    const folder = path.slice(0, path.lastIndexOf('/')) || '/';
    const { uid, mode } = statSync(folder);
    if (uid !== 0 || (mode & 0o002) !== 0) throw new Error(`it is a symbolic link, and others than root may change ${folder}`);
    return openSync(path, flags, 0o640);
  }
}

function writeLines(fd: number, lines: readonly Line[]): string | null {
  try {
    for (const line of lines) {
      const octets = Buffer.from(`${line}\n`);
      // One write takes all of a line unless the disk is full.
      for (let at = 0; at < octets.length; ) at += writeSync(fd, octets, at);
    }
    return null;
  } catch (error) {
    return `cannot write the log: ${(error as Error).message}`;
  }
}

function syslog(given: string | null, places: LogPlaces): LogSink {
  // The journal's protocol is lines; what a caller gives must not add one.
  const tag = lineOf((given ?? '').replace(/[\p{Cc}\s]/gu, '')) || 'nospool';
  return { problem: null, write: async (lines) => ((await toJournal(lines, tag, places)) ? null : await toLogger(lines, tag, places)) };
}

/** journald's stream protocol: identifier, unit, priority (mail is the facility; 6 is "info"), four switches, then lines. */
async function toJournal(lines: readonly Line[], tag: string, { journal }: LogPlaces): Promise<boolean> {
  const { createConnection } = await import('node:net');
  return new Promise((resolve) => {
    const socket = createConnection({ path: journal });
    socket.setTimeout(PATIENCE, () => socket.destroy());
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.end(`${tag}\n\n22\n0\n0\n0\n0\n${lines.join('\n')}\n`, (error?: Error) => resolve(!error)));
    socket.on('close', () => resolve(false));
  });
}

async function toLogger(lines: readonly Line[], tag: string, { loggers }: LogPlaces): Promise<string | null> {
  const { spawn } = await import('node:child_process');
  for (const path of loggers) {
    const status = await new Promise<number | null>((resolve) => {
      const child = spawn(path, ['-t', tag, '-p', 'mail.info'], { stdio: ['pipe', 'ignore', 'ignore'], timeout: PATIENCE, env: {} });
      child.on('error', () => resolve(null));
      child.on('close', (code) => resolve(code));
      child.stdin.on('error', () => {});
      child.stdin.end(`${lines.join('\n')}\n`);
      // Where the system has no room for another process, starting one throws.
    }).catch(() => null);
    if (status === 0) return null;
  }
  return 'no log was written: there is neither /var/log/nospool.log nor syslog; set log';
}
