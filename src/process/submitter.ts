/** The submitter of every message that a command sends: whoever runs it, now. */
import { base62, logId } from '../submit/log.ts';
import type { Submitter } from '../submit/submission.ts';
import type { Identity } from './identity.ts';
import { VERSION } from './version.ts';

/**
 * Names a message: on this host, and in the world, where containers may have the same name, clock and number of a process. RFC 5322
 * §3.6.4
 */
export function nameMessage(now: Date): Pick<Submitter, 'id' | 'unique'> {
  const id = logId(now, process.pid);
  return { id, unique: `${id}.${base62(Math.floor(Math.random() * 62 ** 8), 8)}` };
}

/** `hostname` and `fullName`: as they are given; '' and null ask the system, for the host's name at once. */
export async function makeSubmitter(who: Identity, hostname: string, fullName: string | null): Promise<Submitter> {
  const date = new Date();
  return {
    login: who.login,
    hostname: hostname === '' ? await who.hostname() : hostname,
    fullName: async () => fullName ?? (await who.fullName()),
    charset: who.charset,
    date,
    ...nameMessage(date),
    version: VERSION,
  };
}
