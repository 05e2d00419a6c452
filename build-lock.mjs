// The lock of builds of one folder: a symbolic link that leads nowhere and names its owner, because a link is made in one step with what it says.
import { readFileSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';

/** A living process: its number, and where /proc tells it the time when it began, because numbers come again. null = there is none. */
export function nameProcess(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return null;
  }
  try {
    // proc(5): the fields behind the name, which may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' ? null : `${pid}-${fields[19]}`;
  } catch {
    return `${pid}`;
  }
}

/** null = nobody has the lock; '' = somebody has made another thing of that name. */
function ownerOf(lock) {
  try {
    return readlinkSync(lock);
  } catch (error) {
    return error.code === 'ENOENT' ? null : '';
  }
}

/**
 * Takes the lock of a dead process away. One process does so at a time, or the second would take what the first has got by then. Its turn is
 * a lock, too, because a process may be killed in its turn.
 */
function removeOf(dead, lock, own) {
  const turn = `${lock}.turn`;
  if (!tryLock(turn, own)) return;
  if (ownerOf(lock) === dead) rmSync(lock, { recursive: true, force: true });
  rmSync(turn);
}

/** Whether this process has got the lock. Where a dead one had it, the next try may get it. */
function tryLock(lock, own, tell = () => {}) {
  try {
    symlinkSync(own, lock);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const owner = ownerOf(lock);
  if (owner === null) return false;
  const [pid] = owner.split('-');
  if (nameProcess(Number(pid)) === owner) tell(owner, pid);
  else removeOf(owner, lock, own);
  return false;
}

/** Waits for the lock, and has it until this process ends. */
export async function takeLock(lock) {
  const own = nameProcess(process.pid);
  let known = null;
  const tell = (owner, pid) => {
    if (known !== owner) console.error(`build.mjs: process ${pid} builds here: this one waits for it`);
    known = owner;
  };
  while (!tryLock(lock, own, tell)) await new Promise((resolve) => setTimeout(resolve, 200));
  process.on('exit', () => {
    if (ownerOf(lock) === own) rmSync(lock);
  });
}
