/** The questions of `nospool init`, and the checks of their answers. Writes nothing. */
import { existsSync } from 'node:fs';
import type { Identity } from '../../process/identity.ts';
import { writeLines } from '../../process/stderr.ts';
import { parseSmarthost } from '../../router/smarthost.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { isDomain, parseMailbox } from '../../smtp/path.ts';
import { fullName } from '../../submit/domain.ts';
import { quoteForShell } from '../../trust/rules.ts';
import type { FirstAnswers } from './first-config.ts';
import type { Questioner } from './terminal.ts';

/** Texts as on the command line; null = not given. */
export interface InitOptions {
  readonly smarthost: string | null;
  readonly user: string | null;
  readonly passwordFile: string | null;
  /** Members of this group may read the password, too. */
  readonly group: string | null;
  readonly domain: string | null;
  readonly from: string | null;
  readonly root: string | null;
  readonly output: string | null;
  readonly force: boolean;
}

/** The host and the person, so that tests can replace them. */
export interface InitSurroundings {
  readonly who: Pick<Identity, 'euid' | 'home' | 'hostname'>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** null: there is no terminal, so nobody can be asked. */
  readonly questioner: Questioner | null;
  readonly aliasFile: string;
  /** The number of a group of this host, by its name; null = there is none. */
  readonly gidOf: (group: string) => number | null;
  /** For tests; SYSTEM_FILE when absent. */
  readonly systemFile?: string;
}

/** A sentence about a text that cannot be used; null when it can. */
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
/** Aliases of other programs may name files and programs; ours may not. */
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

export interface Answered {
  readonly answers: Omit<FirstAnswers, 'lock'>;
  /** '' = none was given. */
  readonly password: string;
  /** '' = none. */
  readonly group: string;
  readonly gid: number | null;
  /** A sentence about the domain that senders would need; '' = nothing is lacking. */
  readonly lack: string;
}

const ENDED = parsed(null);

/** Takes each answer from its flag, else from the person, else its default. The value is null when the input ended before. */
export async function collectAnswers(
  options: InitOptions,
  passwordFile: string,
  isSystem: boolean,
  { questioner, who, gidOf, aliasFile }: InitSurroundings,
): Promise<Parsed<Answered | null>> {
  if (options.smarthost === null && questioner === null) return unparsed('name the smart host: nospool init --smarthost mail.example.org');
  const checkGroup: AnswerCheck = (text) =>
    text === '' || gidOf(text) !== null ? null : `there is no group "${text}": groupadd --system ${quoteForShell(text)} makes it`;
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
    if (wrong !== null) return unparsed(wrong);
  }

  /** null once the input has ended. */
  const answer = async (flag: string | null, question: Prompt): Promise<string | null> =>
    flag ?? (questioner ? await askUntilGood(questioner, question) : question.initial);
  const smarthost = await answer(options.smarthost, {
    text: 'Smart host (mail.example.org: STARTTLS; mail.example.org:465: TLS)',
    initial: '',
    check: checkSmarthost,
  });
  if (smarthost === null) return ENDED;
  const user = await answer(options.user, { text: 'User there (empty: it asks for none)', initial: '', check: checkUser });
  if (user === null) return ENDED;
  const keeps = existsSync(passwordFile) ? `empty: ${passwordFile} keeps the one that it has` : `goes to ${passwordFile}`;
  const secret = { text: `Password of ${user} (not shown; ${keeps})`, initial: '', check: checkPassword, isSecret: true } as const;
  const password = user === '' || !questioner ? '' : await askUntilGood(questioner, secret);
  if (password === null) return ENDED;
  const isShared = isSystem && user !== '';
  const group = isShared
    ? await answer(options.group, { text: 'Group whose members may send, too (empty: root alone)', initial: '', check: checkGroup })
    : (options.group ?? '');
  if (group === null) return ENDED;
  const name = await who.hostname();
  const needsDomain = fullName(name) === '' && !from.includes('@');
  const qualifyDomain = await answer(options.domain, {
    text: 'Domain of addresses without one',
    initial: domainOf(name),
    check: (text) => (text === '' && needsDomain ? describeLackOfDomain(name) : checkDomain(text)),
  });
  if (qualifyDomain === null) return ENDED;
  const root = await answer(options.root, { text: "Who gets root's mail (empty: root at that domain)", initial: '', check: checkTarget });
  if (root === null) return ENDED;
  const aliases = existsSync(aliasFile) ? aliasFile : '';
  const answers = { smarthost, user, passwordFile, qualifyDomain, from, root, aliasFile: aliases };
  const lack = needsDomain && qualifyDomain === '' ? describeLackOfDomain(name) : '';
  return parsed({ answers, password, group, lack, gid: group === '' ? null : gidOf(group) });
}

const describeLackOfDomain = (name: string): string =>
  `this host's name "${name}" gives no domain, and without one the mail of root and other users fails: name one such as example.org`;

/** The name without its first label, where more than a top-level domain is left. */
function domainOf(name: string): string {
  const parent = name.slice(name.indexOf('.') + 1);
  return !name.includes('.') ? '' : parent.includes('.') ? parent : name;
}

async function askUntilGood({ ask, askSecret }: Questioner, { text, initial, check, isSecret }: Prompt): Promise<string | null> {
  const question = `${text}${initial === '' ? '' : ` [${initial}]`}: `;
  for (;;) {
    const answer = await (isSecret ? askSecret(question) : ask(question));
    if (answer === null) return null;
    const chosen = isSecret ? answer : answer.trim() || initial;
    const wrong = check(chosen);
    if (wrong === null) return chosen;
    writeLines([`  ${wrong}`]);
  }
}
