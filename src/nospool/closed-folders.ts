/** Finds the folders that keep users from a file below them. Looks at modes alone. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { walkPath } from './path-walk.ts';

/** The first folder that keeps members of a group from the files in `folder`; null where they get there. */
export function closedToGroup(folder: string, gid: number): string | null {
  const isClosed = (each: string): boolean => {
    const stats = statSync(each);
    return (stats.mode & 0o001) === 0 && !(stats.gid === gid && (stats.mode & 0o010) !== 0);
  };
  return listFolders(path.join(folder, 'x')).find(isClosed) ?? null;
}

/** The folders that keep some users from the files. */
export const closedToOthers = (files: readonly string[]): readonly string[] => [
  ...new Set(files.flatMap(listFolders).filter((folder) => (statSync(folder).mode & 0o001) === 0)),
];

/** The folders on the way to a file, through links, from the root; as far as this user can see. The file need not be there. */
export function listFolders(file: string): readonly string[] {
  const folders = new Set<string>();
  try {
    for (const [at, stats] of walkPath(file)) if (stats.isDirectory()) folders.add(at);
  } catch {
    // Whoever reads the file reports that it cannot be reached.
  }
  return [...folders];
}
