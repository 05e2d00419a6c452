/**
 * `nospool init`: the first configuration, from flags and, on a terminal, a question for each that is missing. Writes a
 * file that holds no password, and the password into a file of its own.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { interpret } from '../config/interpret.ts';
import { SYSTEM_FILE } from '../config/read.ts';
import { parseSmarthost } from '../config/smarthost.ts';
import { printStarter, type StarterAnswers } from '../config/starter.ts';
import { parseToml } from '../config/toml.ts';
import { lineOf } from '../smtp/line.ts';
import { isDomain, parseMailbox } from '../smtp/path.ts';
import { makeFolder, reasonOf, writeWhole } from './files.ts';
import { type Identity, identify } from './identity.ts';
import { echo, failWith, print, printDocument } from './terminal.ts';

/** Texts as on the command line; null = not given. */
export interface InitOptions {
  readonly smarthost: string | null;
  readonly user: string | null;
  readonly passwordFile: string | null;
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
export interface Surroundings {
  readonly who: Pick<Identity, 'euid' | 'home' | 'hostname'>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** null: nobody is there to be asked. */
  readonly questioner: Questioner | null;
  readonly aliasFile: string;
}

/** 0 when the file was written. */
export async function runInit(options: InitOptions): Promise<number> {
  const questioner = process.stdin.isTTY && process.stdout.isTTY ? onTerminal() : null;
  try {
    return await init(options, { who: identify(process.env), environment: process.env, questioner, aliasFile: '/etc/aliases' });
  } finally {
    questioner?.close();
  }
}

/** The command without a terminal of its own. */
export async function init(options: InitOptions, world: Surroundings): Promise<number> {
  const output = options.output === null ? defaultPlace(world) : path.resolve(options.output);
  if (output === null) return failWith('this user has no home directory: say where the file is to be with --output');
  if (existsSync(output) && !options.force) return failWith(`${output} exists: --force replaces it, --output writes another file`);
  const isSystem = output === SYSTEM_FILE;
  const passwordFile = path.resolve(
    options.passwordFile ?? (isSystem ? '/etc/nospool/password' : path.join(path.dirname(output), 'password')),
  );

  const answered = await answersFor(options, passwordFile, world);
  if (answered === null) return failWith('nothing was written');
  if (typeof answered === 'string') return failWith(answered);
  const answers = { ...answered, lock: isSystem };
  let password: string | null = null;
  if (answers.user !== '' && !existsSync(passwordFile) && world.questioner) {
    password = await world.questioner.askSecret(`Password of ${answers.user} (goes to ${passwordFile}): `);
    if (password === null) return failWith('nothing was written');
  }

  const text = printStarter(answers);
  const errors = errorsOf(output, text, isSystem, world);
  if (errors.length > 0) return failWith(...errors, 'nothing was written');
  try {
    makeFolder(output);
    if (password) {
      // A group that is to read the password must be able to get there.
      makeFolder(passwordFile, isSystem ? 0o755 : 0o700);
      writeWhole(passwordFile, `${password}\n`, 0o600);
    }
    // It holds no secret, and in /etc every user's sendmail has to read it.
    writeWhole(output, text, isSystem ? 0o644 : 0o600);
  } catch (error) {
    return failWith(`cannot write ${(error as NodeJS.ErrnoException).path ?? output}: ${reasonOf(error)}`);
  }
  printDocument(text);
  print(['', ...lastWords(output, isSystem, answers, password)]);
  return 0;
}

function lastWords(output: string, isSystem: boolean, { user, passwordFile }: StarterAnswers, password: string | null): string[] {
  const lines = [`This is now in ${output}.`];
  if (isSystem)
    lines.push(
      'It is locked: files of users, -C and the environment cannot put another configuration in its place.',
      'If they are to, take out the line lock = true.',
    );
  if (user !== '' && !password && !existsSync(passwordFile))
    lines.push(`Write the password of ${user} to ${passwordFile}, and chmod 600 it.`);
  if (user !== '' && isSystem) lines.push(`Other users need the password, too: chgrp GROUP ${passwordFile}; chmod 640 ${passwordFile}`);
  return [...lines, 'Try it: nospool check'];
}

function defaultPlace({ who, environment }: Surroundings): string | null {
  if (who.euid === 0) return SYSTEM_FILE;
  const folder = environment.XDG_CONFIG_HOME?.startsWith('/')
    ? environment.XDG_CONFIG_HOME
    : who.home === null
      ? null
      : `${who.home}/.config`;
  return folder === null ? null : `${folder}/nospool/config.toml`;
}

/** What a text must be, as a sentence about the text when it is not. */
type Check = (text: string) => string | null;

const aSmarthost: Check = (text) => {
  const read = parseSmarthost(text);
  return read.ok ? null : read.detail;
};
const aDomain: Check = (text) => (text === '' || isDomain(text) ? null : `"${text}" is not a domain such as example.org`);
const anAddress: Check = (text) => (text === '' || parseMailbox(text).ok ? null : `"${text}" is not an address such as ops@example.org`);
const anything: Check = () => null;

interface Question {
  readonly text: string;
  readonly initial: string;
  readonly check: Check;
}

/** The four answers, from flags, else asked for, else what they are by default; a sentence when a flag is wrong, null when the answers ended. */
async function answersFor(
  options: InitOptions,
  passwordFile: string,
  world: Surroundings,
): Promise<Omit<StarterAnswers, 'lock'> | string | null> {
  const { questioner } = world;
  if (options.smarthost === null && questioner === null) return 'say which smart host: nospool init --smarthost mail.example.org';
  const name = await world.who.hostname();
  const dot = name.indexOf('.');
  const domain = dot > 0 ? name.slice(dot + 1) : '';
  const questions: readonly (readonly [string | null, Question])[] = [
    [options.smarthost, { text: 'Smart host (mail.example.org: STARTTLS; mail.example.org:465: TLS)', initial: '', check: aSmarthost }],
    [options.user, { text: 'User there (empty: it asks for none)', initial: '', check: anything }],
    [
      options.domain,
      { text: 'Domain of addresses without one', initial: domain.includes('.') ? domain : name.includes('.') ? name : '', check: aDomain },
    ],
    [options.root, { text: "Who gets root's mail (empty: root at that domain)", initial: '', check: anAddress }],
  ];
  const texts: string[] = [];
  for (const [given, question] of questions) {
    const wrong = given === null ? null : question.check(given);
    if (wrong !== null) return wrong;
    const answer = given ?? (questioner ? await asked(questioner, question) : question.initial);
    if (answer === null) return null;
    texts.push(answer);
  }
  const from = options.from ?? '';
  const wrong = anAddress(from.replaceAll('{login}', 'login'));
  if (wrong !== null) return wrong;
  const [smarthost = '', user = '', qualifyDomain = '', root = ''] = texts;
  const aliasFile = existsSync(world.aliasFile) ? world.aliasFile : '';
  return { smarthost, user, passwordFile, qualifyDomain, from, root, aliasFile };
}

async function asked({ ask }: Questioner, { text, initial, check }: Question): Promise<string | null> {
  for (;;) {
    const answer = await ask(`${text}${initial === '' ? '' : ` [${initial}]`}: `);
    if (answer === null) return null;
    const chosen = answer.trim() || initial;
    const wrong = check(chosen);
    if (wrong === null) return chosen;
    print([`  ${wrong}`]);
  }
}

/** What reading the file will say: nothing is written that sendmail would refuse. */
function errorsOf(file: string, text: string, isSystem: boolean, { who }: Surroundings): readonly string[] {
  const toml = parseToml(text);
  if (!toml.ok) return [`bug: ${file}:${toml.line}: ${toml.detail}`];
  const answer = interpret({ path: file, toml, refuses: () => null, isSystem }, {}, { home: who.home });
  return answer.ok ? [] : answer.errors;
}

function onTerminal(): Questioner {
  let muted = false;
  const output = new Writable({
    write(chunk, _encoding, done) {
      if (!muted) echo(chunk);
      done();
    },
  });
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 });
  let ended = false;
  lines.once('close', () => {
    ended = true;
  });
  const ask = (question: string): Promise<string | null> =>
    new Promise((resolve) => {
      if (ended) return resolve(null);
      const stop = () => resolve(null);
      lines.once('close', stop);
      lines.question(lineOf(question), (answer) => {
        lines.off('close', stop);
        resolve(answer);
      });
    });
  return {
    ask,
    async askSecret(question) {
      echo(lineOf(question));
      muted = true;
      const answer = await ask('');
      muted = false;
      echo('\n');
      return answer;
    },
    close: () => lines.close(),
  };
}
