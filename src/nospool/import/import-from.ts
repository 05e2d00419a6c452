/**
 * `nospool import`: the configuration of msmtp, ssmtp, dma, nullmailer or esmtp as nospool.toml, with a note on
 * what became of every setting. Writes nothing; what holds a secret says so. Never less TLS than the original had.
 */

import { interpret } from '../../config/interpret.ts';
import { parseToml } from '../../config/toml.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { type HostPlan, printConfig } from '../print-config.ts';
import { importDma } from './dma.ts';
import { importEsmtp } from './esmtp.ts';
import { importMsmtp } from './msmtp.ts';
import type { Note, SourceFile, Translation } from './notes.ts';
import { importNullmailer } from './nullmailer.ts';
import { importSsmtp } from './ssmtp.ts';

export type ForeignProgram = 'msmtp' | 'ssmtp' | 'dma' | 'nullmailer' | 'esmtp';

export interface Imported {
  readonly program: ForeignProgram;
  readonly toml: string;
  readonly notes: readonly Note[];
  /** A password is in `toml`: whoever writes it gives the file mode 0600. */
  readonly isSecret: boolean;
  /** What nospool itself would say of `toml`: [] = it is accepted. */
  readonly errors: readonly string[];
}

/** The text of a file, or null when there is none that can be read. */
export type ReadText = (path: string) => string | null;

/** Imports the file at `path` and those that belong to it; `program` null = told by the file's name, else by its content. */
export function importFrom(path: string, readText: ReadText, program: ForeignProgram | null = null): Parsed<Imported> {
  const file = /(^|\/)nullmailer\/?$/.test(path) ? `${path.replace(/\/$/, '')}/remotes` : path;
  const folder = file.replace(/[^/]*$/, '');
  const text = readText(file);
  if (text === null) return unparsed(`${file} cannot be read`);
  const source: SourceFile = { path: file, text };
  const told = program ?? programOf(source);
  if (told === null) return unparsed(`${file} is not known: say which program it belongs to (msmtp, ssmtp, dma, nullmailer or esmtp)`);
  const beside = (name: string): SourceFile | null => {
    const above = folder.replace(/[^/]*\/$/, '');
    const other = name.startsWith('/') ? name : name.startsWith('../') ? `${above}${name.slice(3)}` : `${folder}${name}`;
    const content = readText(other);
    return content === null ? null : { path: other, text: content };
  };
  const { plan, notes } = draftOf(told, source, beside);
  const remark = `Made by "nospool import" from ${file}; see nospool.toml(5) and try it with "nospool check".`;
  const toml = printConfig({ ...plan, remarks: [remark, ...plan.remarks] });
  const hosts: readonly HostPlan[] = [...plan.hosts, ...plan.routers.flatMap((router) => router.hosts ?? [])];
  const isSecret = hosts.some(({ auth }) => auth !== null && typeof auth !== 'string' && 'password' in auth);
  return parsed({ program: told, toml, notes: distinct(notes.list), isSecret, errors: errorsOf(toml) });
}

function draftOf(program: ForeignProgram, source: SourceFile, beside: (name: string) => SourceFile | null): Translation {
  switch (program) {
    case 'msmtp':
      return importMsmtp(source, beside);
    case 'esmtp':
      return importEsmtp(source);
    case 'ssmtp':
      return importSsmtp(source, beside);
    case 'dma':
      return importDma(source, beside);
    case 'nullmailer':
      return importNullmailer(source, beside);
  }
}

function programOf({ path, text }: SourceFile): ForeignProgram | null {
  const name = path.replace(/^.*\//, '');
  if (/msmtp/.test(path)) return 'msmtp';
  if (/ssmtp/.test(name) || /\/ssmtp\//.test(path)) return 'ssmtp';
  if (name === 'dma.conf' || /\/dma\//.test(path)) return 'dma';
  if (name === 'remotes' || /\/nullmailer\//.test(path)) return 'nullmailer';
  if (/esmtp/.test(name)) return 'esmtp';
  if (/^\s*account\s+\S/m.test(text)) return 'msmtp';
  if (/^\s*mailhub\s*=/im.test(text)) return 'ssmtp';
  if (/^\s*SMARTHOST\s+\S/m.test(text)) return 'dma';
  if (/^\s*(identity|hostname)\s*=/m.test(text)) return 'esmtp';
  return null;
}

/** An account that copies another one would repeat its notes. */
function distinct(notes: readonly Note[]): readonly Note[] {
  const byText = new Map(notes.map((note) => [JSON.stringify(note), note]));
  return [...byText.values()];
}

/** Read as if it had the mode that it needs. */
function errorsOf(text: string): readonly string[] {
  const path = 'nospool.toml';
  const toml = parseToml(text);
  if (!toml.ok) return [`${path}:${toml.line}: this is not TOML: ${toml.detail}`];
  const answer = interpret({ path, toml, refuses: () => null, isSystem: false }, {}, { home: '/' });
  return answer.ok ? [] : answer.errors;
}
