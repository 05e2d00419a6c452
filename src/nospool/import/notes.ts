/**
 * What all importers share: notes on what became of each line, and smart hosts as addresses of ours. Knows no
 * format of another program.
 */

import { PORTS } from '../../router/smarthost.ts';
import { isIPv6 } from '../../smtp/path.ts';
import type { ConfigPlan, HostPlan, TomlTable } from '../print-config.ts';

/** A file of another program. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

export type Effect = 'mapped' | 'approximated' | 'dropped';

/** What became of one setting. Never holds a secret. */
export interface Note {
  /** `FILE:LINE`; the file alone for what is not written there. */
  readonly place: string;
  readonly key: string;
  readonly effect: Effect;
  readonly text: string;
}

/** Collects notes; `line` 0 is a setting that is not written but means something by its absence. */
export interface Notes {
  readonly list: Note[];
  mapped(source: SourceFile, line: number, key: string, text: string): void;
  approximated(source: SourceFile, line: number, key: string, text: string): void;
  dropped(source: SourceFile, line: number, key: string, text: string): void;
}

export function notes(): Notes {
  const list: Note[] = [];
  const add =
    (effect: Effect) =>
    (source: SourceFile, line: number, key: string, text: string): void =>
      void list.push({ place: line > 0 ? `${source.path}:${line}` : source.path, key, effect, text });
  return { list, mapped: add('mapped'), approximated: add('approximated'), dropped: add('dropped') };
}

/** What an importer has made of its files. */
export interface Translation {
  readonly plan: ConfigPlan;
  readonly notes: Notes;
}

/** The text with numbered lines, without their ends. */
export const linesOf = ({ text }: SourceFile): readonly { readonly line: number; readonly text: string }[] =>
  text.split(/\r?\n/).map((one, i) => ({ line: i + 1, text: one }));

/** The smart host as `smarthosts` has it; the port is written only where the scheme does not say it. */
export function urlOf(host: string, port: number, protocol: 'smtp' | 'tls' | 'lmtp'): string {
  const scheme = protocol === 'lmtp' ? 'lmtp' : protocol === 'tls' ? 'submissions' : port === PORTS.smtp ? 'smtp' : 'submission';
  const bare = host.replace(/^\[|\]$/g, '');
  const name = isIPv6(bare) ? `[${bare}]` : bare;
  return `${scheme}://${name}${port === PORTS[scheme] ? '' : `:${port}`}`;
}

/** The port that a number or a name of /etc/services means. */
export function portOf(text: string): number | null {
  const named = new Map([
    ['smtp', 25],
    ['submission', 587],
    ['submissions', 465],
    ['smtps', 465],
    ['ssmtp', 465],
    ['lmtp', 24],
  ]).get(text.toLowerCase());
  if (named !== undefined) return named;
  return /^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65_536 ? Number(text) : null;
}

/** Mechanisms by the names of other programs; null = not spoken here. */
export function mechanismOf(word: string): string | null {
  const name = word.toUpperCase();
  const known = [
    'PLAIN',
    'LOGIN',
    'CRAM-MD5',
    'SCRAM-SHA-1',
    'SCRAM-SHA-1-PLUS',
    'SCRAM-SHA-256',
    'SCRAM-SHA-256-PLUS',
    'XOAUTH2',
    'OAUTHBEARER',
    'EXTERNAL',
  ];
  return known.includes(name) ? name : null;
}

/** TLS that was asked for stays asked for, also on loopback, where our default is to do without. */
export const REQUIRED: TomlTable = { mode: 'required' };

export const noHost = (url: string): HostPlan => ({ url, tls: {}, auth: null });

/** Another file, by its path or by its name beside the first one; null when it cannot be read. */
export type Beside = (name: string) => SourceFile | null;

/** Our default reads /etc/aliases, which most other programs do not. Where there is a router it is not read anyway. */
export function withoutAliases(
  top: TomlTable,
  routers: readonly unknown[],
  { collected, source, program }: { readonly collected: Notes; readonly source: SourceFile; readonly program: string },
): void {
  if (routers.length === 0) top.aliases = [];
  const how = routers.length === 0 ? 'aliases = []' : 'as it is where there is a [[router]]';
  collected.mapped(source, 0, 'aliases', `${program} reads no /etc/aliases: ${how}`);
}

/** A name for a router from an address or account, unlike the names before it. */
export function routerName(text: string, taken: readonly string[]): string {
  const base = text.replace(/[^\w.-]+/g, '-').replace(/^-+|-+$/g, '') || 'route';
  let name = base;
  for (let i = 2; taken.includes(name); i++) name = `${base}-${i}`;
  return name;
}
