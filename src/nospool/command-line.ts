/**
 * The command line of `nospool`: yargs parses it, and the help is in our own words because it has to fit a screen. Knows
 * no command except through the table.
 */
import yargs from 'yargs';
import { failWith, writeLines } from '../process/stderr.ts';
import { nearest } from '../router/nearest.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type AdminCommand, COMMANDS, type CommandOption, type OptionValues } from './commands.ts';

/** `nospool --help`. */
export function printOverview(): readonly string[] {
  const lines = COMMANDS.map(({ name, operands, help }) => `  ${`${name} ${operands}`.trim().padEnd(22)} ${help}`);
  return [
    'Usage: nospool COMMAND [OPTION...]',
    "The administrator's side of nospool, the sendmail command without a queue.",
    '',
    ...lines,
    `  ${'completion'.padEnd(22)} print a completion script for your shell`,
    '',
    'nospool COMMAND --help says more; nospool(1) says everything.',
    'Example: nospool init && nospool check',
  ];
}

/** `nospool COMMAND --help`: at most 24 lines of 80 columns. */
export function printHelp(command: AdminCommand): readonly string[] {
  return [
    `Usage: nospool ${`${command.name} ${command.operands}`.trim()} [OPTION...]`,
    `${command.help.charAt(0).toUpperCase()}${command.help.slice(1)}.`,
    ...command.options.map(({ name, value, help }) => `  ${`--${name} ${value}`.trim().padEnd(22)} ${help}`),
    ...command.examples.map((example) => `Example: ${example}`),
  ];
}

/** The completion scripts call the first; those of nospool 0.1 call the second, with the program's name behind it. */
const COMPLETE = '--complete';
const COMPLETE_BEFORE = '--get-yargs-completions';

const COMPLETION_HELP = [
  'Usage: nospool completion [bash|zsh]',
  'Print a completion script, for the shell that SHELL names if none is given.',
  'Example: nospool completion >> ~/.bashrc',
];

/** The same letters as sendmail's. */
const SHORT_NAMES: Readonly<Record<string, string>> = { config: 'C', from: 'f', verbose: 'v' };

const YARGS_TYPES = {
  text: { string: true, requiresArg: true },
  number: { string: true, requiresArg: true },
  list: { array: true, string: true, requiresArg: true, nargs: 1 },
  switch: { boolean: true },
} as const;

/** The last value of an option counts, and lists grow. */
function readValues(options: readonly CommandOption[], given: OptionValues): Parsed<OptionValues> {
  const values: Record<string, unknown> = { once: given.once === true };
  for (const { name, kind } of options) {
    const raw = given[name];
    const last = kind !== 'list' && Array.isArray(raw) ? raw.at(-1) : raw;
    if (last === undefined) continue;
    // 15 digits are exact in a number.
    if (kind === 'number' && !/^\d{1,15}$/.test(String(last))) return unparsed(`--${name} expects a number, not "${last}"`);
    values[name.replace(/-[a-z]/g, (match) => match.charAt(1).toUpperCase())] = kind === 'number' ? Number(last) : last;
  }
  return parsed(values);
}

/** Joins "-" to the option whose value it is, because yargs would drop it. */
function joinDashes(options: readonly CommandOption[], words: readonly string[]): readonly string[] {
  const takesValue = (word: string | undefined): boolean =>
    options.some(({ name, kind }) => kind !== 'switch' && (word === `--${name}` || word === `-${SHORT_NAMES[name]}`));
  return words.flatMap((word, i) => {
    if (word === '-' && takesValue(words[i - 1])) return [];
    return words[i + 1] === '-' && takesValue(word) ? [`${word}=-`] : [word];
  });
}

/** What follows a sentence about a word that is none of these: a question for the one that may be meant, else a semicolon. */
function suggest(word: string, names: readonly string[]): string {
  const meant = nearest(word, names);
  return meant.near ? `; did you mean "${meant.name}"? ` : '; ';
}

/** Words for the version in other programs. */
const suggestCommand = (word: string): string =>
  ['-v', '-version', 'version'].includes(word)
    ? '; did you mean "--version"? '
    : suggest(word, [...COMMANDS.map(({ name }) => name), 'completion', '--version', '--help']);

/** A sentence about the first option that the command does not have. yargs would name it without its hyphens. */
function unknownOption({ name, options }: AdminCommand, words: readonly string[]): string | null {
  const names = [...options.map((option) => `--${option.name}`), ...(name === 'sink' ? ['--once'] : [])];
  const word = words
    .slice(1)
    .map((each) => each.replace(/=.*$/s, ''))
    .find((each) => each.startsWith('--') && !names.includes(each));
  return word === undefined ? null : `${word} is unknown${suggest(word, names)}`;
}

/** Runs the command that the arguments name; the exit status. */
export async function main(argv: readonly string[], version: string): Promise<number> {
  let status = 0;
  const say = (lines: readonly string[]): number => {
    writeLines(lines);
    return 0;
  };
  const complain = (text: string): void => {
    if (status === 0) status = failWith(text);
  };
  const [first = '--help'] = argv;
  if (first === '--help' || first === '-h' || first === 'help') return say(printOverview());
  if (first === '--version' || first === '-V') return say([`nospool ${version}`]);
  if (first === 'completion' || first === COMPLETE || first === COMPLETE_BEFORE) {
    const { completions, completionScript } = await import('./shell-completion.ts');
    if (first === 'completion') {
      const [, shell = process.env.SHELL ?? ''] = argv;
      if (/^(?:--help|-h)$/.test(shell)) return say(COMPLETION_HELP);
      const script = completionScript(shell);
      return script === null ? failWith(`there is no completion for "${shell}": name bash or zsh`) : say(script);
    }
    return say(completions(COMMANDS, argv.slice(first === COMPLETE ? 1 : 2)));
  }
  const asked = COMMANDS.find(({ name }) => name === first);
  if (asked && argv.some((word) => word === '--help' || word === '-h')) return say(printHelp(asked));
  if (!asked) {
    complain(`"${first}" is not a command${suggestCommand(first)}"nospool --help" lists them`);
    return status;
  }
  // yargs would not take the words behind `--` as operands, and would drop "-".
  const dashes = argv.indexOf('--');
  const [given, rest] = dashes < 0 ? [argv, []] : [argv.slice(0, dashes), argv.slice(dashes + 1)];
  const words = joinDashes(asked.options, given);
  const before = words.filter((word) => word !== '-');
  const unknown = unknownOption(asked, before);
  if (unknown !== null) {
    complain(`${unknown}"nospool ${first} --help" lists the options`);
    return status;
  }
  const behind = [...words.filter((word) => word === '-'), ...rest];
  const parser = yargs([...before])
    .scriptName('nospool')
    .help(false)
    .version(false)
    .locale('en')
    .parserConfiguration({ 'camel-case-expansion': false, 'boolean-negation': false, 'dot-notation': false, 'parse-numbers': false })
    .exitProcess(false)
    .strict()
    .fail((message, error) => {
      // yargs reports wrong usage, too, as an error: a YError.
      if (error && error.name !== 'YError') throw error;
      complain(`${message.charAt(0).toLowerCase()}${message.slice(1)}; "nospool ${first} --help" lists the options`);
    });
  for (const command of COMMANDS)
    parser.command({
      command: command.operands === '' ? command.name : `${command.name} [operands..]`,
      describe: command.help,
      builder: (builder) => {
        for (const { name, kind, help } of command.options)
          builder.option(name, { ...YARGS_TYPES[kind], describe: help, ...(SHORT_NAMES[name] ? { alias: SHORT_NAMES[name] } : {}) });
        if (command.operands !== '') builder.positional('operands', { type: 'string', array: true });
        return command.name === 'sink' ? builder.option('once', { boolean: true, hidden: true }) : builder;
      },
      handler: async (given) => {
        const values = readValues(command.options, given);
        const operands = [...((given.operands ?? []) as unknown[]).map(String), ...behind];
        if (!values.ok) complain(values.detail);
        else if (operands.length > 0 !== (command.operands !== '') && !command.operands.startsWith('['))
          complain(`${first} expects ${command.operands || 'no operand'}; "nospool ${first} --help" lists the options`);
        else if (status === 0) status = await command.run(values.value, operands);
      },
    });
  await parser.parseAsync();
  return status;
}
