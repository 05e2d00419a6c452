/** A message that is stored while it arrives. The file gets its name when the message is complete. Knows no session. */
import { randomBytes } from 'node:crypto';
import { link, open, rename, unlink } from 'node:fs/promises';
import path from 'node:path';

export interface MessageFile {
  readonly name: string;
  /** Appends octets, in the order of the calls. Never rejects, because `finish` reports what failed. */
  write(octets: Uint8Array): Promise<void>;
  /** Gives the file its name once all octets are in it. Rejects with the first failure, and then the file is gone. */
  finish(): Promise<void>;
  remove(): Promise<void>;
}

/**
 * Rejects where the folder takes no file. Names sort by time, and by `number` for one sink; the random octets are for sinks in several
 * containers, whose process is number 1 in each.
 */
export async function openMessageFile(folder: string, number: number): Promise<MessageFile> {
  const stamp = new Date().toISOString().replace(/[-:]|\..*/g, '');
  const name = path.join(folder, `${stamp}-${process.pid}-${String(number).padStart(4, '0')}-${randomBytes(6).toString('hex')}.eml`);
  const partial = `${name}.part`;
  const handle = await open(partial, 'wx', 0o600);
  /** Resolves when the octets given so far are in the file; rejects with the first failure. */
  let written = Promise.resolve();
  async function remove(): Promise<void> {
    await Promise.allSettled([handle.close(), unlink(partial)]);
  }
  return {
    name,
    write(octets) {
      written = written.then(() => handle.writeFile(octets));
      return written.catch(() => {});
    },
    async finish() {
      try {
        await written;
        await handle.close();
        await giveName(partial, name);
      } catch (error) {
        await remove();
        throw error;
      }
    },
    remove,
  };
}

/** Gives a file its name, and rejects where another has it. */
async function giveName(partial: string, name: string): Promise<void> {
  try {
    await link(partial, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
    // This file system may have no links.
    return rename(partial, name);
  }
  // The message is there by its name, whatever becomes of the other.
  await unlink(partial).catch(() => {});
}
