/** Walks to a file as the system does, through folders and links. Judges none of them. */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import path from 'node:path';

/** Linux follows as many. */
const MOST_LINKS = 40;

/**
 * Every folder and link on the way to the file, and the file. `base` is the root of a system that is not running yet: links
 * lead where they will lead there. Throws the system's error.
 */
export function* walkPath(file: string, base = '/'): Generator<readonly [at: string, stats: Stats]> {
  const left = path.resolve(file).split('/');
  let at = '/';
  let links = 0;
  for (;;) {
    const stats = lstatSync(at);
    yield [at, stats];
    if (stats.isSymbolicLink()) {
      links += 1;
      if (links > MOST_LINKS) throw Object.assign(new Error('too many links'), { code: 'ELOOP' });
      const target = readlinkSync(at);
      left.unshift(...target.split('/'));
      if (target.startsWith('/')) {
        at = isWithin(at, base) ? base : '/';
        continue;
      }
      at = path.dirname(at);
    }
    let name = left.shift();
    while (name === '' || name === '.') name = left.shift();
    if (name === undefined) return;
    at = name === '..' ? path.dirname(at) : path.join(at, name);
  }
}

/** True for the folder itself, too. */
export const isWithin = (file: string, folder: string): boolean => folder === '/' || file === folder || file.startsWith(`${folder}/`);
