/**
 * Writes the log: to a file, to syslog, to standard error, or not at all. It is opened before anything connects. A fault of the log
 * is a sentence and never changes a delivery. Knows no line's meaning.
 */
import { closeSync, constants, fstatSync, openSync, realpathSync, statSync, writeSync } from 'node:fs';
import { type Line, lineOf } from '../smtp/line.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { alarm } from '../transport/clock.ts';

/** The places of a log that no file is configured for. */
export interface LogPlaces {
  /** The file that is tried where no log is configured. */
  readonly file: string;
  /** journald's stream socket. */
  readonly journal: string;
  /** The socket of syslog. Only a logger can write to it, because it takes datagrams. */
  readonly device: string;
  /** Absolute paths, because the caller's PATH may be anything. */
  readonly loggers: readonly string[];
}

const PLACES: LogPlaces = {
  file: '/var/log/nospool.log',
  journal: '/run/systemd/journal/stdout',
  device: '/dev/log',
  loggers: ['/usr/bin/logger', '/bin/logger'],
};
/** Milliseconds. A syslog that does not take a line within this is down, and no other way to it is tried. */
const SYSLOG_PATIENCE = 2000;
/** Octets of a line that a logger may not cut in two; syslog daemons take as much. */
const LONGEST_LOGGED = '8192';

/** As syslog(3) has it, 'info' by default; files have none. */
export type Severity = 'info' | 'err';
/** The facility is "mail", 2, and severities are 6 and 3. */
const PRIORITIES: Readonly<Record<Severity, number>> = { info: 22, err: 19 };

export interface LogSink {
  /** A sentence about a fault of the log that was asked for; null when none is known. */
  readonly problem: string | null;
  /**
   * Writes the lines, one write each (safe beside other runs: O_APPEND). Lines that a file does not take go to syslog.
   * Returns a problem or null; never rejects.
   */
  write(lines: readonly Line[], severity?: Severity): Promise<string | null>;
  /** Tries the log and writes nothing. */
  test(): Promise<LogTest>;
}

/** Where lines of this user would go; `problem` as of `write`. */
export interface LogTest {
  /** A path, 'syslog', 'stderr', 'none'; null = the lines would be lost. */
  readonly place: string | null;
  readonly problem: string | null;
}

/** Opens the log. `setting` is the key `log`: a path, 'syslog', 'stderr', 'none', or '' for the default. `tag` names the writer to syslog; null = nospool. */
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
  /** Writes lines that the file did not take. Where no file was asked for, syslog is as good. */
  const elsewhere = async (lines: readonly Line[], severity: Severity, reason: string): Promise<LogTest> => {
    const taken = await syslog.take(lines, severity);
    if (taken) return { place: 'syslog', problem: setting === '' ? null : `${reason}; syslog has it` };
    return { place: null, problem: `${reason}, and there is no syslog: nothing was logged; set log` };
  };
  const opened = openFile(path);
  if (!opened.ok) {
    const { detail } = opened;
    return {
      problem: setting === '' ? null : detail,
      write: async (lines, severity = 'info') => (await elsewhere(lines, severity, detail)).problem,
      test: () => elsewhere([], 'info', detail),
    };
  }
  const file = opened.value;
  return {
    problem: null,
    async write(lines, severity = 'info') {
      const reason = file.write(lines);
      return reason === null ? null : ((await elsewhere(lines, severity, reason)).problem ?? reason);
    },
    async test() {
      const reason = file.write([]);
      return reason === null ? { place: path, problem: null } : elsewhere([], 'info', reason);
    },
  };
}

/**
 * Writes the lines of a failure before it returns, for a process that is about to end and in which nothing else may get a turn.
 * Returns a problem or null.
 */
export function logAtOnce(setting: string, tag: string | null, lines: readonly Line[], places: LogPlaces = PLACES): string | null {
  if (setting === 'none') return null;
  if (setting === 'stderr') return writeLines(2, lines, 'to standard error');
  const opened = setting === 'syslog' ? unparsed('no log file is configured') : openFile(setting === '' ? places.file : setting);
  const reason = opened.ok ? opened.value.write(lines) : opened.detail;
  if (reason === null || !hasSyslog(places)) return reason;
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  const input = joinLines(lines);
  for (const logger of places.loggers) {
    const { status, error } = spawnSync(logger, loggerOptions(logger, tagOf(tag), 'err'), { input, timeout: SYSLOG_PATIENCE, env: {} });
    if (status === 0) return null;
    if ((error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT') break;
  }
  return reason;
}

/* ---- a file ---- */

interface OpenFile {
  /** Returns a problem or null. Without lines it only tries whether the file can be kept. */
  write(lines: readonly Line[]): string | null;
}

function openFile(path: string): Parsed<OpenFile> {
  const name = `${path} as uid ${process.geteuid?.()}`;
  const problem = (error: unknown): string => printUnwritten(name, error);
  let fd: number | null;
  try {
    fd = openPath(path);
  } catch (error) {
    return unparsed(problem(error));
  }
  return parsed({
    write(lines) {
      try {
        const opened = fd ?? openPath(path);
        fd = null;
        const failure = writeLines(opened, lines, name);
        // Some file systems say only now that they could not keep the lines.
        closeSync(opened);
        return failure;
      } catch (error) {
        return problem(error);
      }
    },
  });
}

const printUnwritten = (name: string, error: unknown): string => `cannot write the log ${name}: ${printSystemError(error)}`;

/** "EACCES: permission denied", without the call and the path that follow. */
const printSystemError = (error: unknown): string => (error as Error).message.replace(/, \w+( '.*')?$/s, '');

const joinLines = (lines: readonly Line[]): string => lines.map((line) => `${line}\n`).join('');

/** Follows a link only where root alone can have made it, because elsewhere it would lead our lines into any file of ours. */
function openPath(path: string): number {
  // O_NONBLOCK, because a named pipe that nobody reads must not hold up a delivery.
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

/** So often a pipe that takes nothing is tried again, every five milliseconds: its reader may be slow, or gone. */
export const TRIES = 1000;

let errors: number | undefined;

/**
 * The descriptor for standard error, the same one each time. A pipe that nobody reads would hold a write for ever, so a pipe is opened once more, in non-blocking
 * mode: setting that mode would set it for the caller, too.
 */
function openErrors(): number {
  if (errors !== undefined) return errors;
  errors = 2;
  try {
    if (fstatSync(2).isFIFO()) errors = openSync('/proc/self/fd/2', constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    // It is another user's, or there is no /proc.
  }
  return errors;
}

/** Writes a text whole, before it returns. Throws the system's error. */
export function writeWhole(given: number, text: string, tries: number): void {
  const fd = given === 2 ? openErrors() : given;
  const octets = Buffer.from(text);
  for (let at = 0, left = tries; at < octets.length; ) {
    try {
      at += writeSync(fd, octets, at);
      left = tries;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || left === 0) throw error;
      left -= 1;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

function writeLines(fd: number, lines: readonly Line[], name: string): string | null {
  try {
    for (const line of lines) {
      // One write takes all of a line unless the disk is full. A named pipe that nobody reads must not hold up a delivery.
      writeWhole(fd, `${line}\n`, fd === 2 ? TRIES : 0);
    }
    return null;
  } catch (error) {
    return printUnwritten(name, error);
  }
}

/* ---- syslog ---- */

interface Syslog {
  readonly sink: LogSink;
  /** True when syslog has taken the lines; without lines, when it would. */
  take(lines: readonly Line[], severity: Severity): Promise<boolean>;
}

/** One word, because the journal's protocol is lines, to which a caller's tag must not add one. */
const tagOf = (given: string | null): string => lineOf((given ?? '').replace(/[\p{Cc}\s]/gu, '')) || 'nospool';

function syslogOf(given: string | null, places: LogPlaces): Syslog {
  const take = async (lines: readonly Line[], severity: Severity): Promise<boolean> => {
    const tag = tagOf(given);
    const answer = await toJournal(lines, tag, severity, places);
    return answer === 'taken' || (answer === 'absent' && (await toLogger(lines, tag, severity, places)));
  };
  const problem = `no log was written: there is no syslog at ${places.journal} or ${places.device}; set log`;
  return {
    take,
    sink: {
      problem: null,
      write: async (lines, severity = 'info') => ((await take(lines, severity)) ? null : problem),
      test: async () => ((await take([], 'info')) ? { place: 'syslog', problem: null } : { place: null, problem }),
    },
  };
}

/** 'late': it did not take the lines in time. */
type SyslogAnswer = 'taken' | 'absent' | 'late';

/** journald's stream protocol: identifier, unit, priority, four switches, then lines. */
async function toJournal(lines: readonly Line[], tag: string, severity: Severity, { journal }: LogPlaces): Promise<SyslogAnswer> {
  const { createConnection } = await import('node:net');
  return new Promise((resolve) => {
    const socket = createConnection({ path: journal });
    // Not the socket's own clock, which under Bun stands still while octets wait to be written.
    const stop = alarm(SYSLOG_PATIENCE, () => {
      resolve('late');
      socket.destroy();
    });
    socket.on('error', () => resolve('absent'));
    socket.on('connect', () =>
      socket.end(`${tag}\n\n${PRIORITIES[severity]}\n0\n0\n0\n0\n${joinLines(lines)}`, (error?: Error) =>
        resolve(error ? 'absent' : 'taken'),
      ),
    );
    socket.on('close', () => {
      stop();
      resolve('absent');
    });
  });
}

/** False where a logger would throw lines away and end with status 0 all the same, because there is no syslog. */
function hasSyslog({ device }: LogPlaces): boolean {
  // Other systems have their syslog elsewhere.
  if (process.platform !== 'linux') return true;
  try {
    return statSync(device).isSocket();
  } catch {
    return false;
  }
}

/** The logger of util-linux must be told that a socket which nobody reads is an error. Others know no long options. */
function loggerOptions(logger: string, tag: string, severity: Severity): readonly string[] {
  const usual = ['-t', tag, '-p', `mail.${severity}`];
  return isMulticall(logger) ? usual : ['--socket-errors=on', `--size=${LONGEST_LOGGED}`, ...usual];
}

function isMulticall(program: string): boolean {
  try {
    return /\/(?:busybox|toybox)$/.test(realpathSync(program));
  } catch {
    return false;
  }
}

async function toLogger(lines: readonly Line[], tag: string, severity: Severity, places: LogPlaces): Promise<boolean> {
  if (!hasSyslog(places)) return false;
  const { spawn } = await import('node:child_process');
  for (const path of places.loggers) {
    const status = await new Promise<number | 'late' | null>((resolve) => {
      const child = spawn(path, loggerOptions(path, tag, severity), {
        stdio: ['pipe', 'ignore', 'ignore'],
        timeout: SYSLOG_PATIENCE,
        env: {},
      });
      child.on('error', () => resolve(null));
      child.on('close', (code) => resolve(child.killed ? 'late' : code));
      child.stdin.on('error', () => {});
      child.stdin.end(joinLines(lines));
      // Starting a process throws where the system has no room for another.
    }).catch(() => null);
    if (status === 0) return true;
    if (status === 'late') return false;
  }
  return false;
}
