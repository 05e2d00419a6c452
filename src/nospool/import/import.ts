/** `nospool import`: writes the configuration of another program as nospool.toml, with a note on each of its settings. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { failWith, remark, writeDocument } from '../../process/stderr.ts';
import { findClashes, isSystemFile } from '../clashes.ts';
import { closedToOthers } from '../closed-folders.ts';
import { explainSystemError, whyNotReplaced, writeWhole } from '../write-files.ts';
import { type ForeignProgram, type Found, importFrom } from './import-from.ts';

export interface ImportOptions {
  /** null = the file's name or content tells it. */
  readonly program: string | null;
  /** null = standard output. */
  readonly output: string | null;
  readonly force: boolean;
}

const PROGRAMS: readonly ForeignProgram[] = ['msmtp', 'ssmtp', 'dma', 'nullmailer', 'esmtp'];

/** 0 when nospool accepts the result. */
export async function runImport({ program, output, force }: ImportOptions, operands: readonly string[]): Promise<number> {
  const [file = '', ...more] = operands;
  if (more.length > 0) return failWith('one file at a time: the files that belong to it (revaliases, auth.conf, …) are found beside it');
  const known = PROGRAMS.find((name) => name === program) ?? null;
  if (program !== null && known === null) return failWith(`--program expects one of ${PROGRAMS.join(', ')}, not "${program}"`);
  const target = output === null ? null : path.resolve(output);
  const unfit = target === null ? null : whyNotReplaced(target);
  if (unfit !== null) return failWith(unfit);
  if (target !== null && existsSync(target) && !force) return failWith(`${target} exists: --force replaces it`);
  // A folder that is made for a misspelt path hides the mistake.
  if (target !== null && !existsSync(path.dirname(target))) return failWith(`there is no folder ${path.dirname(target)}: make it first`);
  const imported = importFrom(path.resolve(file), readText, known);
  if (!imported.ok) return failWith(imported.detail);
  const { program: from, toml, notes, errors, isSecret, hasCommand, hasSmarthost } = imported.value;
  remark(notes.map(({ place, key, effect, text }) => `${place}: ${key}: ${effect}: ${text}`));
  if (!hasSmarthost) return failWith(`${path.resolve(file)}, read as a file of ${from}, names no smart host: nothing was written`);
  if (target === null) {
    // The reader of standard output does not know that it would hold a password.
    if (isSecret) return failWith('there is a password in it: write it to a file that only you can read, with --output FILE');
    writeDocument(toml);
  } else {
    const isSystem = isSystemFile(target);
    const clashes = isSystem ? findClashes(target, toml) : [];
    if (clashes.length > 0) return failWith(...clashes, 'nothing was written');
    const isClosed = isSecret || (hasCommand && !isForEverybody(file));
    try {
      // Every user's sendmail reads the file in /etc, unless there is a secret in it.
      writeWhole(target, toml, isSystem && !isClosed ? 0o644 : 0o600);
    } catch (error) {
      return failWith(`cannot write ${target}: ${explainSystemError(error)}`);
    }
    if (isSystem && isSecret)
      remark([
        `a password is in it, so root alone can read it and send; to let a group send, run chgrp GROUP ${target}; chmod 640 ${target}, or name a password_file`,
      ]);
    else if (isSystem && isClosed)
      remark([
        `the command that gives the password was not for everybody to read, so root alone can read this file and send; if there is no secret in it, run chmod 644 ${target}`,
      ]);
    remark([`written to ${target}; try it with: nospool check --config ${target}`]);
  }
  return errors.length === 0 ? 0 : failWith(...errors);
}

/** Whether every user can read the file. Whoever could not read a command there may not read it in what is made of it. */
function isForEverybody(file: string): boolean {
  return (statSync(file).mode & 0o004) !== 0 && closedToOthers([path.resolve(file)]).length === 0;
}

function readText(file: string): Found {
  try {
    return { kind: 'file', text: readFileSync(file, 'utf8') };
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'EISDIR') return { kind: 'folder' };
    return { kind: 'unread', detail: explainSystemError(error), isThere: !['ENOENT', 'ENOTDIR'].includes(code) };
  }
}
