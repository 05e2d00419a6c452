/**
 * Where the log goes: a file, syslog, standard error, nowhere. Opened before anything connects; whatever goes wrong
 * here is told and never changes a delivery. Knows no line's meaning.
 */
import { closeSync, openSync, writeSync } from 'node:fs';

/** Where a line without a configured log goes first. */
const DEFAULT_FILE = '/var/log/nospool.log';
const JOURNAL = '/run/systemd/journal/stdout';
/** By absolute path: the caller's PATH may be anything. */
const LOGGERS = ['/usr/bin/logger', '/bin/logger'];
/** A syslog that does not take a line in this time (milliseconds) is down. */
const PATIENCE = 5000;

export interface LogSink {
  /** What is wrong with the log, as a sentence; null when nothing is known to be. */
  readonly problem: string | null;
  /** Writes the lines, one write each (safe beside other runs: O_APPEND). Returns a problem or null; never rejects. */
  write(lines: readonly string[]): Promise<string | null>;
}

/** `setting` is the key `log`: a path, 'syslog', 'stderr', 'none', or '' for the default. `tag`: who writes, for syslog; null = nospool. */
export function openLog(setting: string, tag: string | null = null): LogSink {
  if (setting === 'none') return { problem: null, write: async () => null };
  if (setting === 'stderr') return { problem: null, write: async (lines) => writeLines(2, lines) };
  if (setting === 'syslog') return syslog(tag);
  try {
    const fd = openSync(setting === '' ? DEFAULT_FILE : setting, 'a', 0o640);
    return {
      problem: null,
      write: async (lines) => {
        const problem = writeLines(fd, lines);
        closeSync(fd);
        return problem;
      },
    };
  } catch (error) {
    if (setting === '') return syslog(tag);
    const problem = `cannot write the log ${setting}: ${(error as Error).message}`;
    return { problem, write: async () => problem };
  }
}

function writeLines(fd: number, lines: readonly string[]): string | null {
  try {
    for (const line of lines) writeSync(fd, `${line}\n`);
    return null;
  } catch (error) {
    return `cannot write the log: ${(error as Error).message}`;
  }
}

function syslog(given: string | null): LogSink {
  // The journal's protocol is lines; what a caller gives must not add one.
  const tag = (given ?? '').replace(/[\p{Cc}\s]/gu, '') || 'nospool';
  return { problem: null, write: async (lines) => ((await toJournal(lines, tag)) ? null : await toLogger(lines, tag)) };
}

/** journald's stream protocol: identifier, unit, priority (mail is the facility; 6 is "info"), four switches, then lines. */
async function toJournal(lines: readonly string[], tag: string): Promise<boolean> {
  const { createConnection } = await import('node:net');
  return new Promise((resolve) => {
    const socket = createConnection({ path: JOURNAL });
    socket.setTimeout(PATIENCE, () => socket.destroy());
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.end(`${tag}\n\n22\n0\n0\n0\n0\n${lines.join('\n')}\n`, () => resolve(true)));
    socket.on('close', () => resolve(false));
  });
}

async function toLogger(lines: readonly string[], tag: string): Promise<string | null> {
  const { spawn } = await import('node:child_process');
  for (const path of LOGGERS) {
    const status = await new Promise<number | null>((resolve) => {
      const child = spawn(path, ['-t', tag, '-p', 'mail.info'], { stdio: ['pipe', 'ignore', 'ignore'], timeout: PATIENCE, env: {} });
      child.on('error', () => resolve(null));
      child.on('close', (code) => resolve(code));
      child.stdin.on('error', () => {});
      child.stdin.end(`${lines.join('\n')}\n`);
    });
    if (status === 0) return null;
  }
  return 'no log was written: there is neither /var/log/nospool.log nor syslog; set log';
}
