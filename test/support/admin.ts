/** Runs `nospool` in this process, with sinks and configurations for it. Knows no assertion. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { main } from '../../src/nospool/command-line.ts';
import { startSink } from '../../src/nospool/sink/sink.ts';
import { SINK_DEFAULTS, type SinkOptions } from '../../src/nospool/sink/sink-options.ts';
import { scratch } from './command.ts';

export interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command and catches its standard output and error; one at a time. */
export async function nospool(...argv: readonly string[]): Promise<Run> {
  return captured(() => main(argv, 'from source'));
}

/** Catches the output while `work` runs; its value is the status. */
export async function captured(work: () => Promise<number>): Promise<Run> {
  const { stdout, stderr } = process;
  const originals = [stdout.write, stderr.write] as const;
  let [out, err] = ['', ''];
  stdout.write = (text) => {
    out += text;
    return true;
  };
  stderr.write = (text) => {
    err += text;
    return true;
  };
  try {
    const status = await work();
    return { status, stdout: out, stderr: err };
  } finally {
    [stdout.write, stderr.write] = originals;
  }
}

/** An event that a sink reports with --json. */
export interface Told {
  readonly event: string;
  readonly [fact: string]: unknown;
}

export interface RunningSink {
  readonly port: number;
  readonly certificate: string;
  readonly told: readonly Told[];
  /** The verbs of the commands it got, in order. */
  verbs(): string[];
  close(): Promise<void>;
}

/** Starts a sink in this process. */
export async function sinkWith(options: Partial<SinkOptions> = {}): Promise<RunningSink> {
  const told: Told[] = [];
  const certificate = path.join(scratch(), 'sink.pem');
  const encrypted = options.tls || options.starttls;
  const started = await startSink(
    { ...SINK_DEFAULTS, port: 0, json: true, ...(encrypted ? { certificate } : {}), ...options },
    { out: (lines) => void told.push(...lines.map((line) => JSON.parse(line))), err: (text) => void told.push({ event: 'error', text }) },
  );
  if (!started.ok) throw new Error(started.detail);
  const sink = started.value;
  return {
    port: sink.listener.port,
    certificate,
    told,
    verbs: () => told.filter(({ side }) => side === 'C').map(({ line }) => String(line).split(' ')[0] as string),
    close: () => sink.close(),
  };
}

/** Writes a configuration into a new folder: names, no aliases, a log in the same folder, then `toml` and `tables`. */
export function configured(toml: string, tables = ''): { readonly config: string; readonly log: string; readonly folder: string } {
  const folder = scratch();
  const config = path.join(folder, 'nospool.toml');
  const log = path.join(folder, 'log');
  const names = 'hostname = "client.example.org"\nqualify_domain = "example.org"\naliases = []\n';
  writeFileSync(config, `${names}log = "${log}"\n${toml}\n${tables}\n`, { mode: 0o600 });
  return { config, log, folder };
}

/** A port on which nothing listens. */
export async function deadPort(): Promise<number> {
  const sink = await sinkWith();
  await sink.close();
  return sink.port;
}
