/** Finds the package of dpkg that a file belongs to, because its next upgrade puts the file back. Knows no program. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Below the root of a system. Other package managers keep no list that can be read as text. */
const STATE = 'var/lib/dpkg';

/** The name of the package; null = none has this file, or dpkg moves its file out of the way. `base` is the root of the system. */
export function findPackage(base: string, file: string): string | null {
  const state = path.join(base, STATE);
  const wanted = base === '/' ? file : file.slice(base.length);
  // Each diversion is three lines: the file, where it goes instead, and for which package it stays (":" = for none).
  const diversions = readLines(path.join(state, 'diversions'));
  for (let i = 0; i + 2 < diversions.length; i += 3) if (diversions[i] === wanted) return stays(diversions[i + 2] as string);
  const list = listNames(path.join(state, 'info')).find((name) => readLines(path.join(state, 'info', name)).includes(wanted));
  return list === undefined ? null : nameOf(list);
}

const stays = (name: string): string | null => (name === ':' ? null : name);

/** The name of a list is that of the package, with an architecture where several may be installed. */
const nameOf = (list: string): string => list.replace(/(?::[^:]*)?\.list$/, '');

function listNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.list'));
  } catch {
    return [];
  }
}

function readLines(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}
