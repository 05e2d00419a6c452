/** Finds the folders that keep users from a file below them. Looks at modes alone. */
import { readlinkSync, statSync } from 'node:fs';
import path from 'node:path';

/** The first folder that keeps members of a group from the files in `folder`; null where they get there. */
export function closedToGroup(folder: string, gid: number): string | null {
  const isClosed = (each: string): boolean => {
    const stats = statSync(each);
    return (stats.mode & 0o001) === 0 && !(stats.gid === gid && (stats.mode & 0o010) !== 0);
  };
  return listFolders(path.join(folder, 'x')).find(isClosed) ?? null;
}

/** The folders above a file, and above what its links lead to, from the root; as far as this user can see. The file need not be there. */
export function listFolders(file: string, most = MOST_LINKS): readonly string[] {
  const above = (name: string): readonly string[] => (name === '/' ? [] : [...above(path.dirname(name)), path.dirname(name)]);
  const folders = above(file);
  for (const place of most === 0 ? [] : [...folders, file]) {
    const target = readLink(place);
    if (target !== null)
      return [...new Set([...folders, ...listFolders(path.resolve(path.dirname(place), target, path.relative(place, file)), most - 1)])];
  }
  return folders;
}

/** As Linux has it. */
const MOST_LINKS = 40;

function readLink(file: string): string | null {
  try {
    return readlinkSync(file);
  } catch {
    return null;
  }
}
