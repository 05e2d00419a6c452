/**
 * `nospool init`: the first configuration, from flags and, on a terminal, a question for each that is missing. Writes a
 * file that holds no password, and the password into a file of its own.
 */
import { chmodSync, chownSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { interpret } from '../../config/interpret.ts';
import { SYSTEM_FILE } from '../../config/read.ts';
import { parseToml } from '../../config/toml.ts';
import { type Identity, identify } from '../../process/identity.ts';
import { echo, failWith, print, printDocument } from '../../process/stderr.ts';
import { parseSmarthost } from '../../router/smarthost.ts';
import { lineOf } from '../../smtp/line.ts';
import { isDomain, parseMailbox } from '../../smtp/path.ts';
import { quoted } from '../../trust/rules.ts';
import { explainSystemError, makeFoldersAbove, writeWhole } from '../write-files.ts';
import { type FirstAnswers, printFirstConfig } from './first-config.ts';

/** Texts as on the command line; null = not given. */
export interface InitOptions {
  readonly smarthost: string | null;
  readonly user: string | null;
  readonly passwordFile: string | null;
  /** Whose members may read the password, too. */
  readonly group: string | null;
  readonly domain: string | null;
  readonly from: string | null;
  readonly root: string | null;
  readonly output: string | null;
  readonly force: boolean;
}

/** Whoever answers the questions; null = the answers ended. */
export interface Questioner {
  readonly ask: (question: string) => Promise<string | null>;
  /** What is typed is not shown. */
  readonly askSecret: (question: string) => Promise<string | null>;
  readonly close: () => void;
}

/** What the command needs of the world. */
export interface InitSurroundings {
  readonly who: Pick<Identity, 'euid' | 'home' | 'hostname'>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** null: nobody is there to be asked. */
  readonly questioner: Questioner | null;
  readonly aliasFile: string;
  /** The number of a group of this host, by its name; null = there is none. */
  readonly gidOf: (group: string) => number | null;
}

/** 0 when the file was written. */
export async function runInit(options: InitOptions): Promise<number> {
  const questioner = process.stdin.isTTY && process.stdout.isTTY ? onTerminal() : null;
  try {
    return await init(options, { who: identify(process.env), environment: process.env, questioner, aliasFile: '/etc/aliases', gidOf });
  } finally {
    questioner?.close();
  }
}

/** The command without a terminal of its own. */
export async function init(options: InitOptions, world: InitSurroundings): Promise<number> {
  const output = options.output === null ? defaultPlace(world) : path.resolve(options.output);
  if (output === null) return failWith('this user has no home directory: say where the file is to be with --output');
  if (existsSync(output) && !options.force) return failWith(`${output} exists: --force replaces it, --output writes another file`);
  const isSystem = output === SYSTEM_FILE;
  const passwordFile = path.resolve(
    options.passwordFile ?? (isSystem ? '/etc/nospool/password' : path.join(path.dirname(output), 'password')),
  );

  const answered = await collectAnswers(options, passwordFile, isSystem, world);
  if (answered === null) return failWith('nothing was written');
  if (typeof answered === 'string') return failWith(answered);
  const { password, gid } = answered;
  const answers = { ...answered.answers, lock: isSystem };

  const text = printFirstConfig(answers);
  const errors = errorsOf(output, text, isSystem, world);
  if (errors.length > 0) return failWith(...errors, 'nothing was written');
  const before = existsSync(passwordFile);
  try {
    makeFoldersAbove(output);
    // A group that is to read the password must be able to get there.
    if (answers.user !== '') makeFoldersAbove(passwordFile, isSystem ? 0o755 : 0o700);
    if (password !== '') writeWhole(passwordFile, `${password}\n`, 0o600);
    if (gid !== null && existsSync(passwordFile)) {
      chownSync(passwordFile, world.who.euid, gid);
      chmodSync(passwordFile, 0o640);
    }
    // It holds no secret, and in /etc every user's sendmail has to read it.
    writeWhole(output, text, isSystem ? 0o644 : 0o600);
  } catch (error) {
    return failWith(`cannot write ${(error as NodeJS.ErrnoException).path ?? output}: ${explainSystemError(error)}`);
  }
  printDocument(text);
  const fate = password !== '' ? 'written' : before ? 'kept' : 'missing';
  const usual = output === defaultPlace(world);
  print([
    '',
    ...lastWords(output, isSystem, answers, fate, answered.group),
    `Try it: nospool check${usual ? '' : ` -C ${quoted(output)}`}`,
  ]);
  return 0;
}

/** Of a file that holds the password, or is to. */
type PasswordFate = 'written' | 'kept' | 'missing';

function lastWords(output: string, isSystem: boolean, { user, passwordFile }: FirstAnswers, fate: PasswordFate, group: string): string[] {
  const lines = [`This is now in ${output}.`];
  if (isSystem)
    lines.push(
      'It is locked: files of users, -C and the environment cannot put another configuration in its place.',
      'If they are to, take out the line lock = true.',
    );
  const file = quoted(passwordFile);
  if (user === '') {
    if (fate === 'kept') lines.push(`${passwordFile} still holds a password; nothing uses it now.`);
    return lines;
  }
  if (fate === 'missing') lines.push(`Write the password of ${user} to ${passwordFile}, and chmod ${group === '' ? '600' : '640'} it.`);
  if (fate === 'kept') lines.push(`${passwordFile} keeps the password that it had: is it that of ${user}?`);
  if (group !== '') lines.push(`Members of group ${group} can send, too: usermod -aG ${group} USER adds one.`);
  else if (isSystem)
    lines.push(
      'Root alone can read the password, and so send. To let members of a group send, too:',
      `  groupadd --system nospool; chgrp nospool ${file}; chmod 640 ${file}`,
      '  usermod -aG nospool USER',
    );
  return lines;
}

function defaultPlace({ who, environment }: InitSurroundings): string | null {
  if (who.euid === 0) return SYSTEM_FILE;
  const folder = environment.XDG_CONFIG_HOME?.startsWith('/')
    ? environment.XDG_CONFIG_HOME
    : who.home === null
      ? null
      : `${who.home}/.config`;
  return folder === null ? null : `${folder}/nospool/config.toml`;
}

/** What a text must be, as a sentence about the text when it is not. */
type AnswerCheck = (text: string) => string | null;

const checkSmarthost: AnswerCheck = (text) => {
  const read = parseSmarthost(text);
  return read.ok ? null : read.detail;
};
const checkUser: AnswerCheck = (text) => (/\p{Cc}/u.test(text) ? 'a user has no control characters' : null);
const checkDomain: AnswerCheck = (text) => {
  if (text !== '' && !isDomain(text)) return `"${text}" is not a domain such as example.org`;
  return text === '' || text.includes('.') ? null : `"${text}" is not a domain such as example.org: it has no dot`;
};
const checkAddress: AnswerCheck = (text) =>
  text === '' || parseMailbox(text).ok ? null : `"${text}" is not an address such as ops@example.org`;
/** What aliases of other programs lead to, and ours do not. */
const checkTarget: AnswerCheck = (text) =>
  /^"?[/|:\\~]/.test(text)
    ? `"${text}" is not an address such as ops@example.org: nothing is delivered to files and programs`
    : checkAddress(text);
const checkPassword: AnswerCheck = (text) => (/\p{Cc}/u.test(text) ? 'a password has no control characters' : null);

interface Prompt {
  readonly text: string;
  readonly initial: string;
  readonly check: AnswerCheck;
  readonly isSecret?: true;
}

interface Answered {
  readonly answers: Omit<FirstAnswers, 'lock'>;
  /** '' = none was given. */
  readonly password: string;
  /** '' = none. */
  readonly group: string;
  readonly gid: number | null;
}

/** From flags, else asked for, else what they are by default; a sentence when a flag is wrong, null when the answers ended. */
async function collectAnswers(
  options: InitOptions,
  passwordFile: string,
  isSystem: boolean,
  { questioner, who, gidOf, aliasFile }: InitSurroundings,
): Promise<Answered | string | null> {
  if (options.smarthost === null && questioner === null) return 'say which smart host: nospool init --smarthost mail.example.org';
  const checkGroup: AnswerCheck = (text) =>
    text === '' || gidOf(text) !== null ? null : `there is no group "${text}": groupadd --system ${quoted(text)} makes it`;
  const from = options.from ?? '';
  const given: readonly (readonly [string | null, AnswerCheck])[] = [
    [options.smarthost, checkSmarthost],
    [options.user, checkUser],
    [options.group, checkGroup],
    [options.domain, checkDomain],
    [options.root, checkTarget],
    [from.replaceAll('{login}', 'login'), checkAddress],
  ];
  for (const [text, check] of given) {
    const wrong = text === null ? null : check(text);
    if (wrong !== null) return wrong;
  }

  /** null once the answers have ended. */
  const answer = async (flag: string | null, question: Prompt): Promise<string | null> =>
    flag ?? (questioner ? await asked(questioner, question) : question.initial);
  const smarthost = await answer(options.smarthost, {
    text: 'Smart host (mail.example.org: STARTTLS; mail.example.org:465: TLS)',
    initial: '',
    check: checkSmarthost,
  });
  if (smarthost === null) return null;
  const user = await answer(options.user, { text: 'User there (empty: it asks for none)', initial: '', check: checkUser });
  if (user === null) return null;
  const keeps = existsSync(passwordFile) ? `empty: ${passwordFile} keeps the one that it has` : `goes to ${passwordFile}`;
  const secret = { text: `Password of ${user} (not shown; ${keeps})`, initial: '', check: checkPassword, isSecret: true } as const;
  const password = user === '' || !questioner ? '' : await asked(questioner, secret);
  if (password === null) return null;
  const isShared = isSystem && user !== '';
  const group = isShared
    ? await answer(options.group, { text: 'Group whose members may send, too (empty: root alone)', initial: '', check: checkGroup })
    : (options.group ?? '');
  if (group === null) return null;
  const name = await who.hostname();
  const qualifyDomain = await answer(options.domain, {
    text: 'Domain of addresses without one',
    initial: domainOf(name),
    check: checkDomain,
  });
  if (qualifyDomain === null) return null;
  const root = await answer(options.root, { text: "Who gets root's mail (empty: root at that domain)", initial: '', check: checkTarget });
  if (root === null) return null;
  const aliases = existsSync(aliasFile) ? aliasFile : '';
  const answers = { smarthost, user, passwordFile, qualifyDomain, from, root, aliasFile: aliases };
  return { answers, password, group, gid: group === '' ? null : gidOf(group) };
}

/** What stands behind the first label, if that is more than a top-level domain. */
function domainOf(name: string): string {
  const parent = name.slice(name.indexOf('.') + 1);
  return !name.includes('.') ? '' : parent.includes('.') ? parent : name;
}

async function asked({ ask, askSecret }: Questioner, { text, initial, check, isSecret }: Prompt): Promise<string | null> {
  const question = `${text}${initial === '' ? '' : ` [${initial}]`}: `;
  for (;;) {
    const answer = await (isSecret ? askSecret(question) : ask(question));
    if (answer === null) return null;
    const chosen = isSecret ? answer : answer.trim() || initial;
    const wrong = check(chosen);
    if (wrong === null) return chosen;
    print([`  ${wrong}`]);
  }
}

/** By group(5); a number stands for itself. */
function gidOf(group: string): number | null {
  if (/^\d{1,9}$/.test(group)) return Number(group);
  try {
    const row = readFileSync('/etc/group', 'utf8')
      .split('\n')
      .find((line) => line.startsWith(`${group}:`));
    return row === undefined ? null : Number(row.split(':')[2]);
  } catch {
    return null;
  }
}

/** What reading the file will say: nothing is written that sendmail would refuse. */
function errorsOf(file: string, text: string, isSystem: boolean, { who }: InitSurroundings): readonly string[] {
  const toml = parseToml(text);
  if (!toml.ok) return [`bug: ${file}:${toml.line}: ${toml.detail}`];
  const answer = interpret({ path: file, toml, refuses: () => null, isSystem }, {}, { home: who.home });
  return answer.ok ? [] : answer.errors;
}

/** What is typed while nothing is asked is kept for what comes, and not shown: it may be the password. */
function onTerminal(): Questioner {
  let isShown = false;
  const output = new Writable({
    write(chunk, _encoding, done) {
      if (isShown) echo(chunk);
      done();
    },
  });
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 });
  const early: string[] = [];
  let answered: ((line: string | null) => void) | null = null;
  let isOver = false;
  lines.on('line', (line) => {
    isShown = false;
    if (answered === null) early.push(line);
    else answered(line);
    answered = null;
  });
  lines.once('close', () => {
    isOver = true;
    answered?.(null);
  });
  const next = (question: string, isSecret: boolean): Promise<string | null> => {
    const typed = early.shift();
    if (typed !== undefined || isOver) {
      echo(`${lineOf(question)}${isSecret ? '' : lineOf(typed ?? '')}\n`);
      return Promise.resolve(typed ?? null);
    }
    if (isSecret) echo(lineOf(question));
    isShown = !isSecret;
    lines.setPrompt(isSecret ? '' : lineOf(question));
    lines.prompt(true);
    return new Promise((resolve) => {
      answered = (line) => {
        if (isSecret) echo('\n');
        resolve(line);
      };
    });
  };
  return { ask: (question) => next(question, false), askSecret: (question) => next(question, true), close: () => lines.close() };
}
