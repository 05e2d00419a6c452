/** What the administrator's commands share: who runs them, and the configuration in force. Knows no command. */
import type { Config } from '../config/config.ts';
import { readConfig } from '../config/read.ts';
import { parseSender } from '../message/mailboxes.ts';
import { type Identity, identify } from '../process/identity.ts';
import { failWith } from '../process/stderr.ts';
import { VERSION } from '../process/version.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import type { ReversePath } from '../smtp/path.ts';
import { logId } from '../submit/log.ts';
import type { Submitter } from '../submit/submission.ts';

/** --from as it was written; undefined when it was not. */
export function givenReversePath(from: string | null): Parsed<ReversePath | undefined> {
  if (from === null) return parsed(undefined);
  const path = parseSender(from);
  return path.ok ? path : unparsed(`--from "${from}": ${path.detail}`);
}

export interface Setting {
  readonly config: Config;
  readonly warnings: readonly string[];
  readonly who: Identity;
  /** This host's name; looked up only when asked for. */
  readonly submitter: () => Promise<Submitter>;
}

/** `path` is --config, '' = where sendmail looks. A configuration that cannot be used is complained of: null. */
export async function openSetting(path: string): Promise<Setting | null> {
  const who = identify(process.env);
  const answer = await readConfig({ path: path === '' ? null : path, isTrusted: true, env: process.env, home: who.home, euid: who.euid });
  if (!answer.ok) {
    failWith(...answer.errors);
    return null;
  }
  const { config, warnings } = answer;
  return { config, warnings, who, submitter: () => submitterOf(config, who) };
}

async function submitterOf({ hostname }: Config, who: Identity): Promise<Submitter> {
  const date = new Date();
  return {
    login: who.login,
    hostname: hostname === '' ? await who.hostname() : hostname,
    fullName: who.fullName,
    charset: who.charset,
    date,
    unique: logId(date, process.pid),
    version: VERSION,
  };
}
