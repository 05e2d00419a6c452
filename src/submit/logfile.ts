/**
 * Where the log goes: a file, syslog, standard error, nowhere. Opened before anything connects; whatever goes wrong
 * here is told and never changes a delivery. Knows no line's meaning.
 */
import { closeSync, constants, openSync, realpathSync, statSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { type Line, lineOf } from '../smtp/line.ts';

/** What a log that is not configured as a file goes to. */
export interface LogPlaces {
  /** Where a line without a configured log goes first. */
  readonly file: string;
  /** journald's stream socket. */
  readonly journal: string;
  /** The socket of syslog, to which only a logger can write: it takes datagrams. */
  readonly device: string;
  /** By absolute path: the caller's PATH may be anything. */
  readonly loggers: readonly string[];
}

const PLACES: LogPlaces = {
  file: '/var/log/nospool.log',
  journal: '/run/systemd/journal/stdout',
  device: '/dev/log',
  loggers: ['/usr/bin/logger', '/bin/logger'],
};
/** A syslog that does not take a line in this time (milliseconds) is down. */
const PATIENCE = 5000;
/** Octets of a line that a logger may not cut in two; syslog daemons take as much. */
const LONGEST = '8192';

export interface LogSink {
  /** What is wrong with the log that was asked for, as a sentence; null when nothing is known to be. */
  readonly problem: string | null;
  /**
   * Writes the lines, one write each (safe beside other runs: O_APPEND); what a file does not take goes to syslog.
   * Returns a problem or null; never rejects.
   */
  write(lines: readonly Line[]): Promise<string | null>;
  /** Tries it, and writes nothing. */
  test(): Promise<LogTest>;
}

/** Where lines of this user would go; `problem` as of `write`. */
export interface LogTest {
  /** A path, 'syslog', 'stderr', 'none'; null = the lines would be lost. */
  readonly place: string | null;
  readonly problem: string | null;
}

/** `setting` is the key `log`: a path, 'syslog', 'stderr', 'none', or '' for the default. `tag`: who writes, for syslog; null = nospool. */
export function openLog(setting: string, tag: string | null = null, places: LogPlaces = PLACES): LogSink {
  if (setting === 'none') return { problem: null, write: async () => null, test: async () => ({ place: 'none', problem: null }) };
  if (setting === 'stderr')
    return {
      problem: null,
      write: async (lines) => writeLines(2, lines, 'to standard error'),
      test: async () => ({ place: 'stderr', problem: null }),
    };
  const syslog = syslogOf(tag, places);
  if (setting === 'syslog') return syslog.sink;
  const path = setting === '' ? places.file : setting;
  /** Lines that the file did not take; where none was asked for, syslog is as good. */
  const elsewhere = async (lines: readonly Line[], reason: string): Promise<LogTest> => {
    const taken = await syslog.take(lines);
    if (taken) return { place: 'syslog', problem: setting === '' ? null : `${reason}; syslog has it` };
    return { place: null, problem: `${reason}, and there is no syslog: nothing was logged; set log` };
  };
  const opened = openFile(path);
  if (typeof opened === 'string')
    return {
      problem: setting === '' ? null : opened,
      write: async (lines) => (await elsewhere(lines, opened)).problem,
      test: () => elsewhere([], opened),
    };
  return {
    problem: null,
    async write(lines) {
      const reason = opened.write(lines);
      return reason === null ? null : ((await elsewhere(lines, reason)).problem ?? reason);
    },
    async test() {
      const reason = opened.write([]);
      return reason === null ? { place: path, problem: null } : elsewhere([], reason);
    },
  };
}

/**
 * Writes the lines before it returns, for a process that is about to end: what is under way in it must get no turn.
 * Returns a problem or null.
 */
export function logAtOnce(setting: string, tag: string | null, lines: readonly Line[], places: LogPlaces = PLACES): string | null {
  if (setting === 'none') return null;
  if (setting === 'stderr') return writeLines(2, lines, 'to standard error');
  const opened = setting === 'syslog' ? 'no log file is configured' : openFile(setting === '' ? places.file : setting);
  const reason = typeof opened === 'string' ? opened : opened.write(lines);
  if (reason === null || !hasSyslog(places)) return reason;
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  const input = textOf(lines);
  const taken = places.loggers.some((logger) => {
    const { status } = spawnSync(logger, loggerOptions(logger, tagOf(tag)), { input, timeout: PATIENCE, env: {} });
    return status === 0;
  });
  return taken ? null : reason;
}

/* ---- a file ---- */

interface OpenFile {
  /** Null, or what is wrong. Without lines it only tries whether the file can be kept. */
  write(lines: readonly Line[]): string | null;
}

/** A sentence when it cannot be opened. */
function openFile(path: string): OpenFile | string {
  const name = `${path} as uid ${process.geteuid?.()}`;
  const problem = (error: unknown): string => unwritten(name, error);
  let fd: number | null;
  try {
    fd = openPath(path);
  } catch (error) {
    return problem(error);
  }
  return {
    write(lines) {
      try {
        const opened = fd ?? openPath(path);
        fd = null;
        const failure = writeLines(opened, lines, name);
        // Some file systems tell only here that they could not keep what was written.
        closeSync(opened);
        return failure;
      } catch (error) {
        return problem(error);
      }
    },
  };
}

const unwritten = (name: string, error: unknown): string => `cannot write the log ${name}: ${reasonOf(error)}`;

/** "EACCES: permission denied", without the call and the path that follow. */
const reasonOf = (error: unknown): string => (error as Error).message.replace(/, \w+( '.*')?$/s, '');

const textOf = (lines: readonly Line[]): string => lines.map((line) => `${line}\n`).join('');

/** A link is followed only where root alone can have made it: elsewhere it would lead our lines into any file of ours. */
function openPath(path: string): number {
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

function writeLines(fd: number, lines: readonly Line[], name: string): string | null {
  try {
    for (const line of lines) {
      const octets = Buffer.from(`${line}\n`);
      // One write takes all of a line unless the disk is full.
      for (let at = 0; at < octets.length; ) at += writeSync(fd, octets, at);
    }
    return null;
  } catch (error) {
    return unwritten(name, error);
  }
}

/* ---- syslog ---- */

interface Syslog {
  readonly sink: LogSink;
  /** True when the lines were taken; without lines: when they would be. */
  take(lines: readonly Line[]): Promise<boolean>;
}

/** The journal's protocol is lines; what a caller gives must not add one. */
const tagOf = (given: string | null): string => lineOf((given ?? '').replace(/[\p{Cc}\s]/gu, '')) || 'nospool';

function syslogOf(given: string | null, places: LogPlaces): Syslog {
  const tag = tagOf(given);
  const take = async (lines: readonly Line[]) => (await toJournal(lines, tag, places)) || (await toLogger(lines, tag, places));
  const problem = `no log was written: there is no syslog at ${places.journal} or ${places.device}; set log`;
  return {
    take,
    sink: {
      problem: null,
      write: async (lines) => ((await take(lines)) ? null : problem),
      test: async () => ((await take([])) ? { place: 'syslog', problem: null } : { place: null, problem }),
    },
  };
}

/** journald's stream protocol: identifier, unit, priority (mail is the facility; 6 is "info"), four switches, then lines. */
async function toJournal(lines: readonly Line[], tag: string, { journal }: LogPlaces): Promise<boolean> {
  const { createConnection } = await import('node:net');
  return new Promise((resolve) => {
    const socket = createConnection({ path: journal });
    socket.setTimeout(PATIENCE, () => socket.destroy());
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.end(`${tag}\n\n22\n0\n0\n0\n0\n${textOf(lines)}`, (error?: Error) => resolve(!error)));
    socket.on('close', () => resolve(false));
  });
}

/** A logger that has no syslog to write to may throw lines away and end with status 0. */
function hasSyslog({ device }: LogPlaces): boolean {
  // Other systems have it elsewhere.
  return process.platform !== 'linux' || (statSync(device, { throwIfNoEntry: false })?.isSocket() ?? false);
}

/** That of util-linux must be told that a socket which nobody reads is an error. Others know no long options. */
function loggerOptions(logger: string, tag: string): readonly string[] {
  const usual = ['-t', tag, '-p', 'mail.info'];
  return isMulticall(logger) ? usual : ['--socket-errors=on', `--size=${LONGEST}`, ...usual];
}

function isMulticall(program: string): boolean {
  try {
    return ['busybox', 'toybox'].includes(basename(realpathSync(program)));
  } catch {
    return false;
  }
}

async function toLogger(lines: readonly Line[], tag: string, places: LogPlaces): Promise<boolean> {
  if (!hasSyslog(places)) return false;
  const { spawn } = await import('node:child_process');
  for (const path of places.loggers) {
    const status = await new Promise<number | null>((resolve) => {
      const child = spawn(path, loggerOptions(path, tag), { stdio: ['pipe', 'ignore', 'ignore'], timeout: PATIENCE, env: {} });
      child.on('error', () => resolve(null));
      child.on('close', (code) => resolve(code));
      child.stdin.on('error', () => {});
      child.stdin.end(textOf(lines));
      // Where the system has no room for another process, starting one throws.
    }).catch(() => null);
    if (status === 0) return true;
  }
  return false;
}
