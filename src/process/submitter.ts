/** The submitter of every message that a command sends: whoever runs it, now. */
import { logId } from '../submit/log.ts';
import type { Submitter } from '../submit/submission.ts';
import type { Identity } from './identity.ts';
import { VERSION } from './version.ts';

/** `hostname` and `fullName`: as they are given; '' and null ask the system, for the host's name at once. */
export async function makeSubmitter(who: Identity, hostname: string, fullName: string | null): Promise<Submitter> {
  const date = new Date();
  return {
    login: who.login,
    hostname: hostname === '' ? await who.hostname() : hostname,
    fullName: async () => fullName ?? (await who.fullName()),
    charset: who.charset,
    date,
    unique: logId(date, process.pid),
    version: VERSION,
  };
}
