/**
 * Installs nospool under a runtime as a user does, in a root in the cache: the script /usr/sbin/sendmail, and the compiled
 * code that saves a start from compiling. Knows no message.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { cleanEnvironment, DIST, inCache } from './places.ts';
import type { Runtime } from './runtimes.ts';

export interface Installed {
  /** The shell script. */
  readonly script: string;
  /** The words that the script executes: the interpreter, its flags, the program. */
  readonly argv: readonly string[];
}

const known = new Map<string, Installed | null>();

/** null where the build cannot be installed. */
export function installed(runtime: Runtime): Installed | null {
  const before = known.get(runtime.name);
  if (before !== undefined) return before;
  const made = install(runtime);
  known.set(runtime.name, made);
  return made;
}

function install({ name, argv }: Runtime): Installed | null {
  const program = path.join(DIST, 'nospool.mjs');
  if (!existsSync(program) || argv[0] === undefined) return null;
  const root = inCache(`roots/${name.toLowerCase().replaceAll(' ', '-')}`);
  const flags = ['install', '--root', root, '--runtime', argv[0]];
  const { status } = spawnSync(process.execPath, [program, ...flags], { env: cleanEnvironment(), stdio: 'ignore', timeout: 120_000 });
  const script = path.join(root, 'usr/sbin/sendmail');
  if (status !== 0 || !existsSync(script)) return null;
  const becomes = execOf(readFileSync(script, 'utf8'));
  return becomes === null ? null : { script, argv: becomes };
}

/** The words of the last line, `exec WORD… "$@"`, without their quotes. */
export function execOf(script: string): string[] | null {
  const line = /^exec (.*) "\$@"$/m.exec(script)?.[1];
  const words = line?.match(/(?:'[^']*'|\\.|[^\s'\\])+/g);
  return words?.map((word) => word.replace(/'([^']*)'|\\(.)/g, '$1$2')) ?? null;
}
