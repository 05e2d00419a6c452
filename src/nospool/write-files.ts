/** Files that a command writes whole: never half of one, never over another unless told so. */
import { closeSync, fchmodSync, fsyncSync, mkdirSync, openSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What stands behind an error of the system, for people. */
export function explainSystemError(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words: Readonly<Record<string, string>> = {
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    ENOENT: 'there is no such file or directory',
    EEXIST: 'it exists',
    EISDIR: 'it is a directory',
    ENOTDIR: 'a part of the path is not a directory',
    EROFS: 'the file system is read-only',
    ENOSPC: 'the disk is full',
    Z_BUF_ERROR: 'what is compressed there ends too early',
    Z_DATA_ERROR: 'what is compressed there is damaged',
  };
  return words[code ?? ''] ?? code ?? message;
}

/** Writes a file of that mode, whatever the umask, beside its place and then into it. Throws what the system says. */
export function writeWhole(file: string, text: string | Uint8Array, mode: number): void {
  const folder = path.dirname(file);
  const beside = path.join(folder, `.${path.basename(file)}.${process.pid}`);
  const fd = openSync(beside, 'wx', 0o600);
  try {
    writeFileSync(fd, text);
    // The mode last: what is not complete is not to be run.
    fchmodSync(fd, mode);
    fsyncSync(fd);
    closeSync(fd);
    renameSync(beside, file);
  } catch (error) {
    unlinkSync(beside);
    throw error;
  }
}

/** The folders above a file, with that mode where they have to be made. */
export function makeFoldersAbove(file: string, mode = 0o700): void {
  mkdirSync(path.dirname(file), { recursive: true, mode });
}
