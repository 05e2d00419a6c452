/** The type of a bench, and cases and columns that several of them share. Knows no particular bench. */
import { certificate } from './material.ts';
import { type Command, measureCost } from './measure.ts';
import type { Peer, Submission } from './peers.ts';
import type { Receiver } from './receivers.ts';
import type { Findings, Glance } from './report.ts';
import type { Case, Progress } from './rounds.ts';
import type { Column, Table } from './table.ts';

export interface Setting {
  /** Rounds. A bench whose rounds take minutes does fewer and says so. */
  readonly runs: number;
  /** For continuous integration: small sizes and few peers. */
  readonly short: boolean;
  readonly progress: Progress;
}

export interface Bench {
  readonly name: string;
  readonly title: string;
  run(setting: Setting): Promise<Findings>;
}

export const WALL: Column = { key: 'wall', title: 'wall, ms', digits: 1, ratio: true };
export const CPU: Column = { key: 'cpu', title: 'CPU, ms', digits: 1 };
export const RSS: Column = { key: 'rss', title: 'peak RSS, MiB', digits: 1 };
export const ANONYMOUS: Column = { key: 'anonymous', title: 'anonymous, MiB', digits: 1 };
export const RATE: Column = { key: 'rate', title: 'MB/s', digits: 0, ratio: true, more: true };

export const RECIPIENT = 'recipient@example.org';

export function submission(receiver: Receiver, more: Partial<Submission> = {}): Submission {
  const { tls = 'off', auth = false } = receiver.offer;
  return {
    port: receiver.port,
    tls,
    auth,
    recipients: [RECIPIENT],
    authority: tls === 'off' ? '' : (certificate()?.certificate ?? ''),
    ...more,
  };
}

/** One message sent by one peer, with its rate when the size (octets) is given. null when the peer cannot send it. */
export function sendCase(
  peer: Peer,
  receiver: Receiver,
  what: Submission,
  input: Command['input'],
  { size, sampled = false }: { readonly size?: number; readonly sampled?: boolean } = {},
): Case | null {
  const command = peer.command(what);
  if (command === null) return null;
  return {
    name: peer.name,
    run: async () => {
      const before = await receiver.taken();
      const measured = await costs({ ...command, ...(input ? { input } : {}), sampled });
      const after = await receiver.taken();
      if (before !== null && after !== before + 1) throw new Error(`the receiver counts ${(after ?? 0) - before} messages, not 1`);
      return { ...measured, ...(size === undefined ? {} : { rate: size / 1000 / (measured.wall as number) }) };
    },
  };
}

/** A command that sends nothing, such as the start of a runtime. */
export const startCase = (name: string, argv: readonly string[], sampled = false): Case => ({ name, run: () => costs({ argv, sampled }) });

async function costs(command: Command): Promise<Record<string, number>> {
  const { wall, cpu, rss, anonymous } = await measureCost(command);
  return { wall, cpu, rss, ...(command.sampled ? { anonymous } : {}) };
}

/** A column of the summary, from the rows of whole programs, without floors and runtimes. */
export function glance(title: string, digits: number, table: Table | undefined, key: string): Glance {
  const rows = (table?.rows ?? []).filter(({ name }) => !/^(bare|minimum)| -e 0$| --version$|as installed|, Node \d+$/.test(name));
  return {
    title,
    digits,
    values: rows.flatMap(({ name, measures }): [string, number][] => (measures[key] ? [[name, measures[key].median]] : [])),
  };
}
