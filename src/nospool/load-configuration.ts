/** The configuration in force and the user who runs an administrator's command. Knows no command. */

import type { Config } from '../config/config.ts';
import { readConfig } from '../config/read.ts';
import { type Identity, identify } from '../process/identity.ts';
import { failWith } from '../process/stderr.ts';
import { makeSubmitter } from '../process/submitter.ts';
import type { Submitter } from '../submit/submission.ts';

export interface LoadedConfiguration {
  readonly config: Config;
  readonly warnings: readonly string[];
  readonly who: Identity;
  /** Looks up this host's name, so it is called only by commands that say the name. */
  readonly submitter: () => Promise<Submitter>;
}

/** `path` is --config, '' = where sendmail looks. Reports a configuration that cannot be used, and returns null. */
export async function loadConfiguration(path: string): Promise<LoadedConfiguration | null> {
  const who = identify(process.env);
  const answer = await readConfig({ path: path === '' ? null : path, isTrusted: true, env: process.env, home: who.home, euid: who.euid });
  if (!answer.ok) {
    failWith(...answer.errors);
    return null;
  }
  const { config, warnings } = answer;
  return { config, warnings, who, submitter: () => makeSubmitter(who, config.hostname, null) };
}
