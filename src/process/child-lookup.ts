/**
 * Asks the C library's getaddrinfo(3) for a command, in a process of its own that can be ended while it waits: a command ends with its
 * verdict, and Node does not end before a thread in getaddrinfo does. A program's runtime may be the program itself (Electron, a
 * single executable), so the library starts no process. Knows no resolver's configuration.
 */

import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { askSystem as askHere } from '../transport/lookup/getaddrinfo.ts';
import type { IpAddress } from '../transport/lookup/host-files.ts';
import type { AskSystem, NameQuestion } from '../transport/lookup/question.ts';

/** The program of the child. Its arguments are the name and the family, 0 for any. */
const PROGRAM = `require('node:dns').lookup(process.argv[1], { all: true, family: Number(process.argv[2]), verbatim: true }, (error, found) =>
process.stdout.write(JSON.stringify(error ? { code: error.code } : { found })))`;

/** True for flags that the child needs like this process: for little memory, or for none that is writable and executable. */
const isPassedOn = (flag: string): boolean => /^--(jitless|no-|max-)/.test(flag);

export const askSystem: AskSystem = (name, question) =>
  // A process of Bun ends at once, whatever its threads do.
  process.versions.bun === undefined ? lookUpInChild(name, question) : askHere(name, question);

function lookUpInChild(name: string, question: NameQuestion): Promise<readonly IpAddress[]> {
  const { family, signal } = question;
  const { NODE_OPTIONS: _, ...environment } = process.env;
  const words = [...process.execArgv.filter(isPassedOn), '-e', PROGRAM, '--', name, family === 'any' ? '0' : String(family)];
  return new Promise<readonly IpAddress[]>((resolve, reject) => {
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'ignore'], env: environment });
    const end = (): void => void child.kill('SIGKILL');
    let said = '';
    // It is not there where no descriptor was left for it. What cannot be read to its end is no answer.
    (child.stdout as Readable | null)
      ?.on('data', (octets: Buffer) => {
        said += octets.toString('latin1');
      })
      .on('error', () => {
        said = '';
      });
    child.on('error', reject);
    child.on('close', () => {
      signal.removeEventListener('abort', end);
      // It has never begun, and `error` has said so.
      if (child.pid === undefined) return;
      try {
        const answer = JSON.parse(said) as { readonly code?: string; readonly found?: readonly IpAddress[] };
        if (answer.found) return resolve(answer.found);
        reject(Object.assign(new Error(answer.code), { code: answer.code ?? 'ENOTFOUND' }));
      } catch {
        // The child was ended, or could not begin to work.
        if (signal.aborted) reject(Object.assign(new Error('ended'), { code: 'ECANCELLED' }));
        else askHere(name, question).then(resolve, reject);
      }
    });
    if (signal.aborted) end();
    else signal.addEventListener('abort', end);
  }).catch((error: NodeJS.ErrnoException) => {
    // The system has no room for another process, or the runtime is gone from its place.
    if (error.syscall?.startsWith('spawn')) return askHere(name, question);
    throw error;
  });
}
