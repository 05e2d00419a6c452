/**
 * The administrator's commands as a table, and their command line: parsing by yargs, help in our own words because
 * it has to fit a screen. What a command does is loaded when it is called.
 */
import yargs from 'yargs';
import { SINK_DEFAULTS, type SinkOptions } from './sinkOptions.ts';

type Kind = 'text' | 'number' | 'list' | 'switch';

export interface Option {
  readonly name: string;
  /** What stands for the value in the help; '' for a switch. */
  readonly value: string;
  readonly kind: Kind;
  readonly help: string;
}

/** Values by option name, as yargs has read them. */
type Values = Readonly<Record<string, unknown>>;

export interface AdminCommand {
  readonly name: string;
  /** Operands, as the usage line shows them; '' when the command takes none. At least one is needed where it takes any. */
  readonly operands: string;
  readonly help: string;
  readonly options: readonly Option[];
  readonly examples: readonly string[];
  /** The exit status. */
  readonly run: (values: Values, operands: readonly string[]) => Promise<number>;
}

const option = (name: string, kind: Kind, value: string, help: string): Option => ({ name, kind, value, help });

export const COMMANDS: readonly AdminCommand[] = [
  {
    name: 'sink',
    operands: '',
    help: 'run a smart host on loopback that shows what it gets',
    options: [
      option('listen', 'text', 'ADDR', 'address to listen on (127.0.0.1)'),
      option('port', 'number', 'N', 'port (2525); 0: any free one'),
      option('unix', 'text', 'PATH', 'a unix socket in place of address and port'),
      option('anywhere', 'switch', '', 'allow an address that is not loopback'),
      option('starttls', 'switch', '', 'offer STARTTLS'),
      option('tls', 'switch', '', 'TLS at once, as on port 465'),
      option('certificate', 'text', 'FILE', 'write the certificate there, for ca_file'),
      option('auth', 'text', 'USER:PASS', 'ask for authentication'),
      option('refuse', 'list', 'ADDR', 'refuse a recipient or @domain with 550'),
      option('defer', 'list', 'ADDR', 'refuse it with 450'),
      option('refuse-at', 'list', 'STEP', 'connect, mail, data, content; =CODE or 550'),
      option('delay', 'number', 'MS', 'hold every reply back'),
      option('store', 'text', 'DIR', 'write messages there as .eml files'),
      option('messages', 'number', 'N', 'end after N messages (--once: after one)'),
      option('discard', 'switch', '', 'count octets only: fast, for measuring'),
      option('size', 'number', 'N', 'largest message in octets (50 MiB); 0: any'),
      option('extensions', 'list', 'WORD', 'offer these extensions, or none'),
      option('lmtp', 'switch', '', 'LMTP in place of SMTP'),
      option('json', 'switch', '', 'one JSON object a line'),
      option('quiet', 'switch', '', 'no conversation, no content'),
    ],
    examples: ['nospool sink --starttls --auth me:secret --refuse bob@example.org'],
    run: async (values) => (await import('./sink.ts')).runSink(sinkOptions(values)),
  },
  {
    name: 'route',
    operands: 'ADDRESS...',
    help: 'show where addresses go, and why; nothing is sent',
    options: [
      option('config', 'text', 'FILE', 'read this configuration (also -C)'),
      option('from', 'text', 'ADDR', 'the reverse-path (also -f)'),
      option('json', 'switch', '', 'JSON in place of a tree'),
    ],
    examples: ['nospool route root alice@example.org'],
    run: async (values, operands) =>
      (await import('./route.ts')).runRoute(
        { config: text(values.config) ?? '', from: text(values.from), json: values.json === true },
        operands,
      ),
  },
];

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

function sinkOptions(values: Values): SinkOptions {
  const given = Object.fromEntries(Object.keys(SINK_DEFAULTS).flatMap((key) => (values[key] === undefined ? [] : [[key, values[key]]])));
  return { ...SINK_DEFAULTS, ...(values.once ? { messages: 1 } : {}), ...given };
}

/** `nospool --help`. */
export function printOverview(): string {
  const lines = COMMANDS.map(({ name, operands, help }) => `  ${`${name} ${operands}`.trim().padEnd(22)} ${help}`);
  return [
    'Usage: nospool COMMAND [OPTION...]',
    "The administrator's side of nospool, the sendmail command without a queue.",
    '',
    ...lines,
    `  ${'completion'.padEnd(22)} print a completion script for your shell`,
    '',
    'nospool COMMAND --help says more; nospool(1) says everything.',
    'Example: nospool sink --store /tmp/mail',
    '',
  ].join('\n');
}

/** `nospool COMMAND --help`: at most 24 lines of 80 columns. */
export function printHelp(command: AdminCommand): string {
  return [
    `Usage: nospool ${`${command.name} ${command.operands}`.trim()} [OPTION...]`,
    `${command.help.charAt(0).toUpperCase()}${command.help.slice(1)}.`,
    ...command.options.map(({ name, value, help }) => `  ${`--${name} ${value}`.trim().padEnd(22)} ${help}`),
    ...command.examples.map((example) => `Example: ${example}`),
    '',
  ].join('\n');
}

/** As sendmail has them. */
const SHORT: Readonly<Record<string, string>> = { config: 'C', from: 'f' };

const KINDS = {
  text: { string: true, requiresArg: true },
  number: { string: true, requiresArg: true },
  list: { array: true, string: true, requiresArg: true, nargs: 1 },
  switch: { boolean: true },
} as const;

/** An option given twice counts as given last, but lists grow; a sentence when a number is none. */
function readValues(options: readonly Option[], given: Values): Values | string {
  const values: Record<string, unknown> = { once: given.once === true };
  for (const { name, kind } of options) {
    const raw = given[name];
    const last = kind !== 'list' && Array.isArray(raw) ? raw.at(-1) : raw;
    if (last === undefined) continue;
    // 15 digits are exact in a number.
    if (kind === 'number' && !/^\d{1,15}$/.test(String(last))) return `--${name} wants a number, not "${last}"`;
    values[name.replace(/-[a-z]/g, (match) => match.charAt(1).toUpperCase())] = kind === 'number' ? Number(last) : last;
  }
  return values;
}

/** Runs the command that the arguments name; the exit status. */
export async function main(argv: readonly string[], version: string): Promise<number> {
  let status = 0;
  const say = (text: string): number => {
    process.stdout.write(text);
    return 0;
  };
  const complain = (text: string): void => {
    if (status === 0) process.stderr.write(`nospool: ${text}\n`);
    status = 1;
  };
  const [first = '--help'] = argv;
  if (first === '--help' || first === '-h' || first === 'help') return say(printOverview());
  if (first === '--version' || first === '-V') return say(`nospool ${version}\n`);
  const asked = COMMANDS.find(({ name }) => name === first);
  if (asked && argv.some((word) => word === '--help' || word === '-h')) return say(printHelp(asked));
  if (!asked && first !== 'completion' && first !== '--get-yargs-completions') {
    complain(`"${first}" is not a command; "nospool --help" lists them`);
    return status;
  }
  // yargs would take what stands behind `--` for something else than operands.
  const dashes = argv.indexOf('--');
  const [before, behind] = dashes < 0 ? [argv, []] : [argv.slice(0, dashes), argv.slice(dashes + 1)];
  const parser = yargs([...before])
    .scriptName('nospool')
    .help(false)
    .version(false)
    .locale('en')
    .parserConfiguration({ 'camel-case-expansion': false, 'boolean-negation': false, 'dot-notation': false, 'parse-numbers': false })
    .exitProcess(false)
    .completion('completion', 'print a completion script for your shell')
    .strict()
    .fail((message, error) => {
      // yargs reports wrong usage as an error of its own, too.
      if (error && error.name !== 'YError') throw error;
      complain(`${message.charAt(0).toLowerCase()}${message.slice(1)}; "nospool ${first} --help" lists the options`);
    });
  for (const command of COMMANDS)
    parser.command({
      command: command.operands === '' ? command.name : `${command.name} [operands..]`,
      describe: command.help,
      builder: (builder) => {
        for (const { name, kind, help } of command.options)
          builder.option(name, { ...KINDS[kind], describe: help, ...(SHORT[name] ? { alias: SHORT[name] } : {}) });
        if (command.operands !== '') builder.positional('operands', { type: 'string', array: true });
        return command.name === 'sink' ? builder.option('once', { boolean: true, hidden: true }) : builder;
      },
      handler: async (given) => {
        const values = readValues(command.options, given);
        const operands = [...((given.operands ?? []) as unknown[]).map(String), ...behind];
        if (typeof values === 'string') complain(values);
        else if (operands.length > 0 !== (command.operands !== ''))
          complain(`${first} wants ${command.operands || 'no operand'}; "nospool ${first} --help" lists the options`);
        else if (status === 0) status = await command.run(values, operands);
      },
    });
  if (first === 'completion') parser.showCompletionScript();
  else await parser.parseAsync();
  return status;
}
