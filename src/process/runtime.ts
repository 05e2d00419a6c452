/**
 * Prepares the runtime before a command loads anything else. It refuses a Node that is too old; such a Node can read that,
 * because the build writes this file for the language of 2015 and it imports only what such a Node can read, too. And it listens for SIGUSR1, because
 * Node would else open its inspector to every user of the host. Knows nothing of mail.
 */

import { isOldBun } from '../transport/platform.ts';

/** The first release of each major version that will do, as package.json says it; from 24 on all do. */
const FIRST: Readonly<Record<number, number>> = { 20: 19, 22: 12 };

/** Says why nospool does not run on this version of Node; null if it does. */
export function checkVersion(version: string): string | null {
  const [major, minor] = version.split('.').map(Number) as [number, number];
  // A comparison with undefined is false.
  return major >= 24 || minor >= (FIRST[major] as number) ? null : printAge('Node', version, '20.19, 22.12, or 24');
}

const printAge = (name: string, version: string, wanted: string): string =>
  `this is ${name} ${version}, which is too old: nospool needs ${name} ${wanted} and newer`;

const LOG = '/var/log/nospool.log';
const LOGGERS = ['/usr/bin/logger', '/bin/logger'];

/** Ends a command that cannot begin, with status 1. The log says why, too, because a caller of sendmail may throw standard error away. */
export function refuseToStart(reason: string): never {
  const name = (process.argv[1] || '').replace(/^.*\//, '').replace(/(?:-bun)?\.[cm]js$/, '');
  const line = reason.replace(/\s+/g, ' ');
  process.stderr.write(`${name}: ${line}\n`);
  const { mainModule } = process as { readonly mainModule?: { require(id: string): unknown } };
  // nospool is an ES module and has no main module; there a person reads standard error.
  if (mainModule !== undefined) writeLog(`not sent: ${line}`, (id) => mainModule.require(id));
  process.exit(1);
}

function writeLog(text: string, load: (id: string) => unknown): void {
  const { accessSync, appendFileSync, constants } = load('fs') as typeof import('node:fs');
  try {
    // The log is not made here, because whoever makes it decides who may read it.
    accessSync(LOG, constants.W_OK);
    appendFileSync(LOG, `${new Date().toISOString()} ${text}\n`);
  } catch {
    const { spawnSync } = load('child_process') as typeof import('node:child_process');
    LOGGERS.some((logger) => spawnSync(logger, ['-t', 'nospool', '-p', 'mail.err', text], { stdio: 'ignore', timeout: 5000 }).status === 0);
  }
}

process.on('SIGUSR1', () => {});
const { bun, node } = process.versions;
const reason = bun === undefined ? checkVersion(node) : isOldBun(bun) ? printAge('Bun', bun, '1.4') : null;
if (reason !== null) refuseToStart(reason);
