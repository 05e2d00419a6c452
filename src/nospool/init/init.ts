/**
 * `nospool init`: writes the first configuration from flags, and on a terminal asks a question for each flag that is
 * missing. The configuration holds no password: that goes into a file of its own.
 */
import { chmodSync, chownSync, existsSync } from 'node:fs';
import path from 'node:path';
import { interpret } from '../../config/interpret.ts';
import { readConfig, SYSTEM_FILE, userFile } from '../../config/read.ts';
import { parseToml } from '../../config/toml.ts';
import { identify } from '../../process/identity.ts';
import { failWith, writeDocument, writeLines } from '../../process/stderr.ts';
import { readAccounts } from '../../trust/facts.ts';
import { quoteForShell } from '../../trust/rules.ts';
import { findClashes, isSystemFile } from '../clashes.ts';
import { closedToGroup } from '../closed-folders.ts';
import { explainSystemError, makeFoldersAbove, whyNotReplaced, writeWhole } from '../write-files.ts';
import { type FirstAnswers, printFirstConfig } from './first-config.ts';
import { collectAnswers, type InitOptions, type InitSurroundings } from './questions.ts';
import { openQuestioner } from './terminal.ts';

/** 0 when the file was written. */
export async function runInit(options: InitOptions): Promise<number> {
  const questioner = process.stdin.isTTY && process.stdout.isTTY ? openQuestioner() : null;
  try {
    return await init(options, { who: identify(process.env), environment: process.env, questioner, aliasFile: '/etc/aliases', gidOf });
  } finally {
    questioner?.close();
  }
}

/** The command in given surroundings. */
export async function init(options: InitOptions, world: InitSurroundings): Promise<number> {
  const output = options.output === null ? findPlace(world) : path.resolve(options.output);
  if (output === null) return failWith('this user has no home directory: name the file with --output');
  const unfit = whyNotReplaced(output);
  if (unfit !== null) return failWith(unfit);
  if (existsSync(output) && !options.force) return failWith(`${output} exists: --force replaces it, --output writes another file`);
  const isSystem = isSystemFile(output);
  const lock = output === SYSTEM_FILE;
  const passwordFile = path.resolve(options.passwordFile ?? (lock ? '/etc/nospool/password' : passwordBeside(output, world)));

  // Its mode will be that of a password, which no folder may have, and its content one line.
  if (passwordFile === output || isSystemFile(passwordFile)) return failWith(`${passwordFile} is a configuration`);
  const other = whyNotReplaced(passwordFile);
  if (other !== null) return failWith(other);

  const answered = await collectAnswers(options, passwordFile, isSystem, world);
  if (!answered.ok) return failWith(answered.detail);
  if (answered.value === null) return failWith('nothing was written');
  const { password, gid, group, lack } = answered.value;
  const answers = { ...answered.value.answers, lock };

  const text = printFirstConfig(answers);
  const errors = [...findErrors(output, text, isSystem, world), ...(isSystem ? findClashes(output, text) : [])];
  if (errors.length > 0) return failWith(...errors, 'nothing was written');
  const before = existsSync(passwordFile);
  try {
    makeFoldersAbove(output, isSystem ? 0o755 : 0o700);
    // A group that may read the password must be able to enter the folder.
    if (answers.user !== '') makeFoldersAbove(passwordFile, isSystem ? 0o755 : 0o700);
    if (password !== '') writeWhole(passwordFile, `${password}\n`, 0o600);
    if (gid !== null && existsSync(passwordFile)) {
      chownSync(passwordFile, world.who.euid, gid);
      chmodSync(passwordFile, 0o640);
    }
    // The file holds no secret, and every user's sendmail reads the one in /etc.
    writeWhole(output, text, isSystem ? 0o644 : 0o600);
  } catch (error) {
    return failWith(`cannot write ${(error as NodeJS.ErrnoException).path ?? output}: ${explainSystemError(error)}`);
  }
  writeDocument(text);
  const fate = password !== '' ? 'written' : before ? 'kept' : 'missing';
  const usual = output === findPlace(world) || isSystem;
  const closed = gid === null || answers.user === '' ? null : closedToGroup(path.dirname(passwordFile), gid);
  const lacking = lack === '' ? [] : [`Set qualify_domain: ${lack}.`];
  const locked = await findLock(output, world);
  writeLines([
    '',
    ...printLastWords(output, isSystem, answers, { fate, group, closed }),
    ...lacking,
    locked === null
      ? `Try it: nospool check${usual ? '' : ` -C ${quoteForShell(output)}`}`
      : `${output} is not used, because ${locked} is locked.`,
  ]);
  return 0;
}

/** The file of the system that keeps the written one out; null = there is none. */
async function findLock(output: string, { who, systemFile = SYSTEM_FILE }: InitSurroundings): Promise<string | null> {
  if (isSystemFile(output, systemFile)) return null;
  const answer = await readConfig({ path: null, env: {}, home: null, euid: who.euid, systemFile });
  return answer.ok && answer.config.lock ? answer.config.path : null;
}

/** What became of the password, and who may read it. */
interface Shared {
  /** Its file was written now, was left as it was, or is still to be written. */
  readonly fate: 'written' | 'kept' | 'missing';
  /** '' = none. */
  readonly group: string;
  /** A folder above the file that keeps the members of the group from it. */
  readonly closed: string | null;
}

function printLastWords(
  output: string,
  isSystem: boolean,
  { user, passwordFile, lock }: FirstAnswers,
  { fate, group, closed }: Shared,
): string[] {
  const lines = [`This is now in ${output}.`];
  if (lock)
    lines.push(
      'It is locked: files of users, -C and the environment cannot put another configuration in its place.',
      'To let them do so, remove the line lock = true.',
    );
  const file = quoteForShell(passwordFile);
  if (user === '') {
    if (fate === 'kept') lines.push(`${passwordFile} still holds a password; nothing uses it now.`);
    return lines;
  }
  if (fate === 'missing') {
    const share = group === '' ? `chmod 600 ${file}` : `chgrp ${quoteForShell(group)} ${file}; chmod 640 ${file}`;
    lines.push(`Write the password of ${user} to ${passwordFile}, and then: ${share}`);
  }
  if (fate === 'kept') lines.push(`${passwordFile} keeps the password that it had: is it that of ${user}?`);
  if (group !== '' && closed !== null)
    lines.push(
      `Members of group ${group} cannot send yet, because they may not enter ${closed}: move the password, to /etc/nospool for instance.`,
    );
  else if (group !== '') lines.push(`Members of group ${group} can send, too: usermod -aG ${group} USER adds one.`);
  else if (isSystem)
    lines.push(
      'Root alone can read the password, so root alone can send. To let members of a group send, too:',
      `  groupadd --system nospool; chgrp nospool ${file}; chmod 640 ${file}`,
      '  usermod -aG nospool USER',
    );
  return lines;
}

/** A folder may hold many configurations, and none may take the password of another; in the usual folder there is one. */
const passwordBeside = (output: string, world: InitSurroundings): string =>
  output === findPlace(world) ? path.join(path.dirname(output), 'password') : `${output.replace(/\.toml$/, '')}.password`;

function findPlace({ who, environment }: InitSurroundings): string | null {
  return who.euid === 0 ? SYSTEM_FILE : userFile(environment, who.home);
}

/** The number of a group in /etc/group; a number stands for itself. */
function gidOf(group: string): number | null {
  if (/^\d{1,9}$/.test(group)) return Number(group);
  const gid = readAccounts('/etc/group').find(([name]) => name === group)?.[2];
  return gid === undefined ? null : Number(gid);
}

/** The errors that sendmail would report, so that nothing is written that it refuses. */
function findErrors(file: string, text: string, isSystem: boolean, { who }: InitSurroundings): readonly string[] {
  const toml = parseToml(text);
  if (!toml.ok) return [`bug: ${file}:${toml.line}: ${toml.detail}`];
  const answer = interpret({ path: file, toml: toml.value, refuses: () => null, isSystem }, {}, { home: who.home });
  return answer.ok ? [] : answer.errors;
}
