/**
 * Translates the configuration of msmtp, ssmtp, dma, nullmailer or esmtp to nospool.toml, with a note on every setting.
 * The result never has less TLS than the original had. Writes nothing.
 */

import { interpret } from '../../config/interpret.ts';
import { parseToml } from '../../config/toml.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { type HostPlan, printConfig } from '../print-config.ts';
import { importDma } from './dma.ts';
import { importEsmtp } from './esmtp.ts';
import type { FindFile, ForeignFile, Note, Translation } from './foreign-file.ts';
import { importMsmtp } from './msmtp.ts';
import { importNullmailer } from './nullmailer.ts';
import { importSsmtp } from './ssmtp.ts';

export type ForeignProgram = 'msmtp' | 'ssmtp' | 'dma' | 'nullmailer' | 'esmtp';

export interface Imported {
  readonly program: ForeignProgram;
  readonly toml: string;
  readonly notes: readonly Note[];
  /** `toml` holds a password, so its file must have mode 0600. */
  readonly isSecret: boolean;
  /** `toml` holds a command that gives the password, and there may be a secret among its words. */
  readonly hasCommand: boolean;
  /** False where nothing in the files names one, as in a file of another program. */
  readonly hasSmarthost: boolean;
  /** The errors that nospool itself reports about `toml`; [] = it accepts it. */
  readonly errors: readonly string[];
}

/** What is at a path; `detail` says why there is nothing to read. */
export type Found =
  | { readonly kind: 'file'; readonly text: string }
  | { readonly kind: 'folder' }
  /** `isThere`: the file exists, and only cannot be read. */
  | { readonly kind: 'unread'; readonly detail: string; readonly isThere?: boolean };
export type ReadText = (path: string) => Found;

/** Imports the file at `path` and those that belong to it. `program` null = the file's name tells it, else its content. */
export function importFrom(path: string, readText: ReadText, program: ForeignProgram | null = null): Parsed<Imported> {
  const first = readText(path);
  const isFolder = first.kind === 'folder';
  if (isFolder && program !== null && program !== 'nullmailer') return unparsed(`${path} is a folder: name the file of ${program} in it`);
  // A folder is that of nullmailer, the only program that has one.
  const place = isFolder ? `${path.replace(/\/$/, '')}/remotes` : path;
  const found = isFolder ? readText(place) : first;
  if (found.kind !== 'file') return unparsed(`${place} cannot be read: ${found.kind === 'folder' ? 'it is a folder' : found.detail}`);
  const folder = place.replace(/[^/]*$/, '');
  const file: ForeignFile = { path: place, text: found.text };
  const known = program ?? guessProgram(file);
  if (known === null)
    return unparsed(
      `${place} is not known: name its program with --program (msmtp, ssmtp, dma, nullmailer or esmtp); those of others are not read`,
    );
  const unread = new Map<string, string>();
  const findFile = (name: string): ForeignFile | null => {
    const above = folder.replace(/[^/]*\/$/, '');
    const other = name.startsWith('/') ? name : name.startsWith('../') ? `${above}${name.slice(3)}` : `${folder}${name}`;
    const content = readText(other);
    if (content.kind === 'file') return { path: other, text: content.text };
    if (content.kind === 'unread' && content.isThere) unread.set(other, content.detail);
    return null;
  };
  const { plan, notes } = translate(known, file, findFile);
  for (const [other, detail] of unread) notes.dropped({ path: other, text: '' }, 0, 'all of it', `it cannot be read: ${detail}`);
  const remark = `Made by "nospool import" from ${place}; see nospool.toml(5) and try it with "nospool check".`;
  const toml = printConfig({ ...plan, remarks: [remark, ...plan.remarks] });
  const hosts: readonly HostPlan[] = [...plan.hosts, ...plan.routers.flatMap((router) => router.hosts ?? [])];
  const hasKey = (key: string): boolean => hosts.some(({ auth }) => auth !== null && typeof auth !== 'string' && key in auth);
  const hasSmarthost = hosts.length > 0;
  return parsed({
    program: known,
    toml,
    notes: dropRepetitions(notes.list),
    isSecret: hasKey('password'),
    hasCommand: hasKey('password_command'),
    hasSmarthost,
    errors: [...findUndecoded(place, toml), ...findErrors(toml)],
  });
}

/** An octet that was not UTF-8 became U+FFFD when its file was read, so a password with one would be another password. */
const findUndecoded = (place: string, toml: string): readonly string[] =>
  toml.includes('\ufffd') ? [`${place}, or a file beside it, is not UTF-8: write by hand what is U+FFFD in the result`] : [];

function translate(program: ForeignProgram, file: ForeignFile, findFile: FindFile): Translation {
  switch (program) {
    case 'msmtp':
      return importMsmtp(file, findFile);
    case 'esmtp':
      return importEsmtp(file);
    case 'ssmtp':
      return importSsmtp(file, findFile);
    case 'dma':
      return importDma(file, findFile);
    case 'nullmailer':
      return importNullmailer(file, findFile);
  }
}

function guessProgram({ path, text }: ForeignFile): ForeignProgram | null {
  const name = path.replace(/^.*\//, '');
  if (/msmtp/.test(path)) return 'msmtp';
  if (/ssmtp/.test(name) || /\/ssmtp\//.test(path)) return 'ssmtp';
  if (name === 'dma.conf' || /\/dma\//.test(path)) return 'dma';
  if (name === 'remotes' || /\/nullmailer\//.test(path)) return 'nullmailer';
  if (/esmtp/.test(name)) return 'esmtp';
  if (/^[ \t]*account\s+\S/m.test(text)) return 'msmtp';
  if (/^[ \t]*mailhub\s*=/im.test(text)) return 'ssmtp';
  if (/^[ \t]*SMARTHOST\s+\S/m.test(text)) return 'dma';
  if (/^[ \t]*(identity|hostname)\s*=/m.test(text)) return 'esmtp';
  return null;
}

/** Drops repetitions, because an account that copies another one repeats its notes. */
function dropRepetitions(notes: readonly Note[]): readonly Note[] {
  const byText = new Map(notes.map((note) => [JSON.stringify(note), note]));
  return [...byText.values()];
}

/** Reads the text as if its file had the mode that it needs. */
function findErrors(text: string): readonly string[] {
  const path = 'nospool.toml';
  const toml = parseToml(text);
  if (!toml.ok) return [`${path}:${toml.line}: this is not TOML: ${toml.detail}`];
  const answer = interpret({ path, toml: toml.value, refuses: () => null, isSystem: false }, {}, { home: '/' });
  return answer.ok ? [] : answer.errors;
}
