/**
 * Starts Postfix's smtp-sink: a receiver that keeps nothing (fast, for measuring) or dumps each message, and that can be told
 * to refuse, to hang up or to be slow at a command. It knows no TLS and no AUTH.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { HOST } from '../../world/support/addresses.ts';
import { type Daemon, discard, freePort, scratch, startDaemon } from './daemon.ts';
import { asInstalled } from './postfix.ts';

export interface Sink {
  readonly host: string;
  readonly port: number;
  /** The dumped messages, the oldest first: fields that start with X- tell client and envelope, then the message with LF. */
  dumped(): readonly string[];
  stop(): Promise<void>;
}

export interface SinkOptions {
  /** Keep each message. */
  readonly dump?: boolean;
  /** Options of smtp-sink(1), for example `['-f', 'rcpt']` to refuse RCPT for good, `['-q', 'data']` to hang up at DATA. */
  readonly options?: readonly string[];
}

export async function startSmtpSink({ dump = false, options = [] }: SinkOptions = {}): Promise<Sink> {
  const folder = scratch('sink');
  const port = await freePort();
  mkdirSync(`${folder}/mail`);
  chmodSync(`${folder}/mail`, 0o777);
  const daemon: Daemon = await startDaemon(
    [
      ...['/usr/sbin/smtp-sink', '-u', 'postfix', '-c', '-h', 'sink.peer.test'],
      ...(dump ? ['-d', `${folder}/mail/%s.`] : []),
      ...options,
      ...[`${HOST}:${port}`, '1000'],
    ],
    { log: `${folder}/log`, script: asInstalled(folder), cwd: folder, ports: [port] },
  );
  return {
    host: HOST,
    port,
    dumped: () =>
      readdirSync(`${folder}/mail`)
        .map((name) => path.join(folder, 'mail', name))
        .map((file) => ({ file, time: statSync(file).mtimeMs }))
        .sort((a, b) => a.time - b.time)
        .map(({ file }) => readFileSync(file, 'latin1')),
    async stop() {
      await daemon.stop();
      discard(folder);
    },
  };
}
