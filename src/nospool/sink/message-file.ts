/** A message that is stored while it arrives. The file gets its name when the message is complete. Knows no session. */
import { open, rename, unlink } from 'node:fs/promises';
import path from 'node:path';

export interface MessageFile {
  readonly name: string;
  /** Appends octets, in the order of the calls. Never rejects, because `finish` reports what failed. */
  write(octets: Uint8Array): Promise<void>;
  /** Gives the file its name once all octets are in it. Rejects with the first failure, and then the file is gone. */
  finish(): Promise<void>;
  remove(): Promise<void>;
}

/** Rejects where the folder takes no file. Time, process and `number` make the name, so no two sinks choose the same one. */
export async function openMessageFile(folder: string, number: number): Promise<MessageFile> {
  const stamp = new Date().toISOString().replace(/[-:]|\..*/g, '');
  const name = path.join(folder, `${stamp}-${process.pid}-${String(number).padStart(4, '0')}.eml`);
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
        await rename(partial, name);
      } catch (error) {
        await remove();
        throw error;
      }
    },
    remove,
  };
}
