/** Tells on what kind of file system an open file lies, where its kind says what owner or size are worth. Knows no file. */
import { statfsSync } from 'node:fs';

/** procfs: root owns what any program has written. FUSE: whoever has mounted it says who owns a file. sysfs: every size is 4096. */
export type FileSystem = 'procfs' | 'FUSE' | 'sysfs' | 'other';

/** By statfs(2). */
const TYPES: ReadonlyMap<number, FileSystem> = new Map([
  [0x9fa0, 'procfs'],
  [0x6573_5546, 'FUSE'],
  [0x6265_6572, 'sysfs'],
]);

/** Without /proc nobody can tell, and then no file of it is open either. */
export function fileSystemOf(fd: number): FileSystem {
  try {
    return TYPES.get(statfsSync(`/proc/self/fd/${fd}`).type) ?? 'other';
  } catch {
    return 'other';
  }
}
