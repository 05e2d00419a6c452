/** Finds the folders that keep users from a file below them. Looks at modes alone. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';

/** The first folder above a file that not every user may enter. The file need not be there. */
export const findClosedFolder = (file: string): string | undefined => listFolders(file).find((each) => (statSync(each).mode & 0o001) === 0);

/** The folder that keeps members of a group from the files in `folder`; null where they get there. */
export function closedToGroup(folder: string, gid: number): string | null {
  const closed = findClosedFolder(path.join(folder, 'x'));
  if (closed === undefined) return null;
  const stats = statSync(closed);
  return stats.gid === gid && (stats.mode & 0o010) !== 0 ? null : closed;
}

/** The folders above a file, and above the file to which it is a link, from the root. */
function listFolders(file: string): readonly string[] {
  const above = (name: string): readonly string[] => (name === '/' ? [] : [...above(path.dirname(name)), path.dirname(name)]);
  return [...new Set([...above(file), ...(existsSync(file) ? above(realpathSync(file)) : [])])];
}
