/**
 * Ends the process at once and with the status that was decided, whatever the runtime would wait for or stumble over.
 * Knows no message.
 */
import { closeSync, existsSync, fstatSync } from 'node:fs';
import { isDevice, isLivingTerminal } from './stdin/device.ts';

/** Takes effect from now on, for every way in which the process may end except by a signal. */
export function leaveAtOnce(): void {
  process.on('exit', (status) => {
    leaveThreads(status);
    closeDeadTerminals();
  });
}

/** Closes terminals that are gone: Node gives terminals back as it got them, and aborts if it cannot, but leaves a closed descriptor alone. */
function closeDeadTerminals(): void {
  for (const fd of [0, 1, 2]) {
    try {
      const stat = fstatSync(fd);
      if (isDevice(stat) && !isLivingTerminal(fd, stat)) closeSync(fd);
    } catch {
      // It is closed already.
    }
  }
}

const SHELL = '/bin/sh';

/**
 * Leaves threads that hang. Node ends when its threads do, which a file of a server that is down may hold for ever. Where the
 * runtime can replace itself (not in Node 20), another program takes over, which has no threads and only hands on the status.
 */
function leaveThreads(status: number): void {
  const { execve } = process as { execve?: (file: string, args: readonly string[], environment: object) => never };
  if (execve === undefined || !process.getActiveResourcesInfo().some(isOfThread) || !existsSync(SHELL)) return;
  try {
    execve.call(process, SHELL, ['sh', '-c', `exit ${status}`], {});
  } catch {
    // The system forbids it, so Node waits for the threads.
  }
}

const isOfThread = (resource: string): boolean => /^(FSReq|FileHandle|GetAddrInfo|GetNameInfo)|Job$/.test(resource);
