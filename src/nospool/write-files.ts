/** Writes files whole: a reader finds the old file or the new one, never half of it. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

/** The reason of a system error in words. */
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
    Z_BUF_ERROR: 'the compressed data ends too early',
    Z_DATA_ERROR: 'the compressed data is damaged',
  };
  return words[code ?? ''] ?? code ?? message;
}

/** Writes a file beside its place and then moves it there. It gets `mode` whatever the umask. Throws the system's error, which names the file. */
export function writeWhole(file: string, text: string | Uint8Array, mode: number): void {
  try {
    writeBeside(file, text, mode);
  } catch (error) {
    throw Object.assign(error as Error, { path: file });
  }
}

/** A sentence about what has this name and must not become a file, such as /dev/null; null if it is a file, or nothing is there. */
export function whyNotReplaced(file: string): string | null {
  const isDevice = path.dirname(file) === '/dev';
  if (!isDevice && (!existsSync(file) || statSync(file).isFile())) return null;
  return `${file} is not a regular file, and is not replaced`;
}

function writeBeside(file: string, text: string | Uint8Array, mode: number): void {
  const folder = path.dirname(file);
  // A run that was killed may have left such a file, and in a container every run has the same number.
  const beside = path.join(folder, `.${path.basename(file)}.${process.pid}-${Date.now()}`);
  const fd = openSync(beside, 'wx', 0o600);
  let isOpen = true;
  try {
    writeFileSync(fd, text);
    // The mode comes last, so that nobody can run an incomplete file.
    fchmodSync(fd, mode);
    fsyncSync(fd);
    isOpen = false;
    closeSync(fd);
    renameSync(beside, file);
  } catch (error) {
    if (isOpen) attempt(() => closeSync(fd));
    attempt(() => unlinkSync(beside));
    throw error;
  }
}

function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // The error before it tells the cause.
  }
}

/** Makes the folders above a file that do not exist, with `mode` whatever the umask. Throws the system's error. */
export function makeFoldersAbove(file: string, mode = 0o700): void {
  const folder = path.dirname(file);
  if (existsSync(folder)) return;
  makeFoldersAbove(folder, mode);
  // Not by "recursive", because Node then says of a file system that is read-only that there is no such folder.
  mkdirSync(folder, { mode });
  chmodSync(folder, mode);
}
