/**
 * The sendmail command line: one table of every option that Sendmail 8, Postfix 3, Exim 4 or the LSB knows, and the
 * parser it drives (getopt's rules: options cluster, values are attached or follow, the first operand ends them).
 * Parsing, `--help`, the manual page and the tests read this table. Knows no configuration and no message.
 */
import { parseSender } from '../message/mailboxes.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import type { ReversePath } from '../smtp/path.ts';

export type Mode =
  | { readonly kind: 'send' }
  /** SMTP on standard input and output; `batch` without replies. */
  | { readonly kind: 'smtp'; readonly batch: boolean }
  /** Shows the routing of the operands; `verify` says only whether they can be delivered. */
  | { readonly kind: 'route'; readonly verify: boolean }
  | { readonly kind: 'mailq' | 'newaliases' | 'version' | 'help' }
  /** `run`: the option that asks for a run of the queue; null for an operation on messages that the operands name. */
  | { readonly kind: 'queue'; readonly run: string | null }
  /** Something this program is not: the sentence says what. */
  | { readonly kind: 'refused'; readonly detail: string };

export interface Invocation {
  /** The name the program was called by, without its folder. */
  readonly name: string;
  readonly mode: Mode;
  readonly operands: readonly string[];
  /** -f or -r as written; null when not given. */
  readonly reversePath: string | null;
  /** -F; null when not given. */
  readonly fullName: string | null;
  /** -t */
  readonly recipientsFromHead: boolean;
  /** False with -i: a lone dot is text. */
  readonly dotEnds: boolean;
  /** 0, 1 with -v (the conversation), 2 with -d (and the decisions). */
  readonly verbosity: 0 | 1 | 2;
  /** -C */
  readonly config: string | null;
  /** -L */
  readonly tag: string | null;
  /** -B */
  readonly body: '7BIT' | '8BITMIME' | null;
  /** -N, upper case; null when not given. */
  readonly notify: readonly ('NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY')[] | null;
  /** -R */
  readonly ret: 'FULL' | 'HDRS' | null;
  /** -V */
  readonly envid: string | null;
}

type Change = Partial<Invocation> | { readonly error: string };

export interface Option {
  /** The option as written, e.g. `-f` or `-oi`; for rows of -b and -o with their letters. */
  readonly option: string;
  /** What follows: nothing, text in the same word only, or a value in the same word or the next. */
  readonly argument: 'none' | 'attached' | 'value';
  /** Name of the argument in the manual; '' when there is none. */
  readonly value: string;
  readonly meaning: string;
  /**
   * What the next word must look like to be the value; without it any word is. For options that one program has without
   * a value, or with one in the same word only, where another takes the next: a recipient must not be lost to them.
   */
  readonly next?: RegExp;
  /** Where the option comes from. */
  readonly sources: readonly ('LSB' | 'Sendmail' | 'Postfix' | 'Exim')[];
  readonly apply: (value: string, so: Invocation) => Change;
}

const ALL = ['LSB', 'Sendmail', 'Postfix', 'Exim'] as const;
const SPE = ['Sendmail', 'Postfix', 'Exim'] as const;
const NO_EFFECT = 'Accepted, no effect.';
const nothing = (): Change => ({});

const none = (option: string, sources: Option['sources'], meaning: string, apply: Option['apply'] = nothing): Option => ({
  option,
  argument: 'none',
  value: '',
  meaning,
  sources,
  apply,
});
const value = (option: string, name: string, sources: Option['sources'], meaning: string, apply: Option['apply'] = nothing): Option => ({
  option,
  argument: 'value',
  value: name,
  meaning,
  sources,
  apply,
});
const attached = (option: string, name: string, sources: Option['sources'], meaning: string, apply: Option['apply'] = nothing): Option => ({
  option,
  argument: 'attached',
  value: name,
  meaning,
  sources,
  apply,
});

/** The value is the next word if that looks like one. */
const perhaps = (option: string, name: string, next: RegExp, sources: Option['sources'], meaning: string): Option => ({
  ...value(option, name, sources, meaning),
  next,
});
const TIME = /^(?=\d)(\d+[smhdw])*\d*$/;
const NUMBER = /^\d+$/;
const PATH = /^\//;
/** What Exim's daemon_smtp_ports and local_interfaces may be. */
const PORTS = /^<?[\d.:[\]; <]+$/;

/** What is refused stays refused, whatever comes after it. */
const mode =
  (kind: Mode) =>
  (_: string, so: Invocation): Change =>
    so.mode.kind === 'refused' ? {} : { mode: kind };
const refused = (detail: string) => mode({ kind: 'refused', detail });
const NO_DAEMON = 'no daemon: nospool delivers while its caller waits, and has neither a queue nor a port';
const daemon = refused(NO_DAEMON);
const queue = mode({ kind: 'queue', run: null });

/** -q alone runs the queue once: there is none. With a time, or as -qp, it is a daemon; so is Exim's -qGname/time. */
function queueRun(text: string, so: Invocation): Change {
  const kind = text.replace(/^[q!fil]+/, '');
  return /^p?\d|^p$|^G[^/]*\/\d/.test(kind) ? daemon(text, so) : mode({ kind: 'queue', run: `-q${text}` })(text, so);
}

/** Exim's -S runs the queue for some senders, BusyBox's names the smart host: which is meant shows in what comes with it. */
const sendersRun = (text: string, so: Invocation): Change => mode({ kind: 'queue', run: `-S ${text}` })(text, so);

/** Exim's -M with a message id is an operation on the queue, Sendmail's -M sets a macro. */
const macro = (text: string, so: Invocation): Change => (isMessageId(text) ? queue(text, so) : {});
const isMessageId = (text: string): boolean => /^\w{6}-\w{6,11}-\w{2,4}$/.test(text);

function notify(text: string): Change {
  const words = text
    .toUpperCase()
    .split(',')
    .map((word) => word.trim());
  const known = words.filter((word): word is 'NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY' =>
    ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'].includes(word),
  );
  // RFC 3461 §4.1: NEVER stands alone.
  if (known.length !== words.length || (known.includes('NEVER') && known.length > 1))
    return { error: `-N takes "never" or a list of success, failure, delay, not "${text}"` };
  return { notify: [...new Set(known)] };
}

function ret(text: string): Change {
  const word = text.toUpperCase();
  return word === 'FULL' || word === 'HDRS' ? { ret: word } : { error: `-R takes "full" or "hdrs", not "${text}"` };
}

/** Sendmail ignores other values of -B, so does this. */
function body(text: string): Change {
  const word = text.toUpperCase();
  return word === '7BIT' || word === '8BITMIME' ? { body: word } : {};
}

const verbosity =
  (at: 1 | 2) =>
  (_: string, so: Invocation): Change => ({ verbosity: at > so.verbosity ? at : so.verbosity });

/** What the letters after -b ask for. */
const MODES: readonly Option[] = [
  none('-bm', ALL, 'Read a message from standard input and send it (the default).', mode({ kind: 'send' })),
  // The mode of the ARPANET, in which errors came as replies of FTP: they come as they always do.
  none('-ba', ['Sendmail'], 'As -bm.', mode({ kind: 'send' })),
  none(
    '-bs',
    ALL,
    'Speak SMTP on standard input and output; the final reply is the smart host’s verdict.',
    mode({ kind: 'smtp', batch: false }),
  ),
  none('-bS', ['Exim'], 'Batch SMTP: as -bs without replies; stops at the first failure.', mode({ kind: 'smtp', batch: true })),
  none('-bt', ['Sendmail', 'Exim'], 'Show how each address is routed; deliver nothing.', mode({ kind: 'route', verify: false })),
  none('-bv', SPE, 'Say whether each address can be delivered; deliver nothing.', mode({ kind: 'route', verify: true })),
  none('-bvs', ['Exim'], 'As -bv.', mode({ kind: 'route', verify: true })),
  attached('-bp', 'order', ALL, 'Print “Mail queue is empty”.', mode({ kind: 'mailq' })),
  none('-bi', SPE, 'Check the alias files and say how many entries they have.', mode({ kind: 'newaliases' })),
  none('-bV', ['Exim'], 'Print the version.', mode({ kind: 'version' })),
  none('-bnq', ['Exim'], NO_EFFECT),
  none('-bC', ['Sendmail'], 'Refused: see nospool check.', refused('-bC: use “nospool check” to see the configuration')),
  none('-bd', SPE, 'Refused: there is no daemon.', daemon),
  none('-bdf', ['Exim'], 'Refused: there is no daemon.', daemon),
  none('-bD', ['Sendmail'], 'Refused: there is no daemon.', daemon),
  none('-bl', ['Postfix'], 'Refused: there is no daemon.', daemon),
  none('-bw', ['Exim'], 'Refused: there is no daemon.', daemon),
  attached(
    '-bh',
    'address',
    ['Sendmail', 'Exim'],
    'Refused: there is no host status and no fake session.',
    refused('-bh: there is no host status, and no session can be simulated'),
  ),
  none('-bH', ['Sendmail'], 'Refused: there is no host status.', refused('-bH: there is no host status')),
  attached(
    '-bP',
    'name',
    ['Sendmail', 'Exim'],
    'Refused: see nospool check.',
    refused('-bP: use “nospool check” to see the configuration'),
  ),
  none('-be', ['Exim'], 'Refused: there is nothing to expand.', refused('-be: there are no expansions to test')),
  none('-bem', ['Exim'], 'Refused: there is nothing to expand.', refused('-bem: there are no expansions to test')),
  attached('-bf', 'file', ['Exim'], 'Refused: there are no filters.', refused('-bf: there are no filters to test')),
  none('-bF', ['Exim'], 'Refused: there are no filters.', refused('-bF: there are no filters to test')),
  attached('-bI:', 'topic', ['Exim'], 'Refused: see --help.', refused('-bI: use --help')),
  none('-brt', ['Exim'], 'Refused: nothing is retried.', refused('-brt: nothing is ever retried')),
  none('-brw', ['Exim'], 'Refused: see nospool route.', refused('-brw: use “nospool route”')),
  none('-bmalware', ['Exim'], 'Refused: there is no scanner.', refused('-bmalware: there is no scanner')),
];

/** What the letters after -o ask for; other letters are accepted without effect. */
const SETTINGS: readonly Option[] = [
  none('-oi', ALL, 'As -i.', () => ({ dotEnds: false })),
  none('-oitrue', ['Exim', 'Sendmail'], 'As -i.', () => ({ dotEnds: false })),
  none('-ov', ['Sendmail', 'Exim'], 'As -v.', verbosity(1)),
  attached('-od', 'mode', ALL, 'Accepted, no effect: delivery is always in the foreground.'),
  attached('-oe', 'mode', ALL, 'Accepted, no effect: errors always go to standard error.'),
  none('-om', ALL, NO_EFFECT),
  none('-oo', ['Sendmail', 'Exim'], NO_EFFECT),
  none('-o8', ['Sendmail', 'Postfix'], NO_EFFECT),
  perhaps('-oA', 'file', PATH, SPE, NO_EFFECT),
  perhaps('-oB', 'number', NUMBER, ['Exim'], NO_EFFECT),
  perhaps('-oP', 'path', PATH, ['Sendmail', 'Exim'], NO_EFFECT),
  none('-oPX', ['Exim'], NO_EFFECT),
  perhaps('-oX', 'ports', PORTS, ['Exim'], NO_EFFECT),
  none('-oY', ['Exim'], NO_EFFECT),
  perhaps('-or', 'time', TIME, ['Sendmail', 'Exim'], 'Accepted, no effect: see timeouts.input.'),
  perhaps('-os', 'time', TIME, ['Sendmail', 'Exim'], NO_EFFECT),
  ...['-oMa', '-oMaa', '-oMai', '-oMas', '-oMi', '-oMm', '-oMr', '-oMs', '-oMt'].map((option) =>
    value(option, 'text', ['Exim'], NO_EFFECT),
  ),
];

/** Exim's operations on queued messages: there are none, and the operands are message ids. */
const QUEUE_OPERATIONS = [
  '-MG',
  '-Mar',
  '-Mc',
  '-Meb',
  '-Mes',
  '-Mf',
  '-Mg',
  '-Mmad',
  '-Mmd',
  '-Mrm',
  '-Mset',
  '-Mt',
  '-Mvb',
  '-Mvc',
  '-Mvh',
  '-Mvl',
];

/** Every option. A word that is one of them as a whole is taken so; else its letters are looked up one by one. */
export const OPTIONS: readonly Option[] = [
  none('-t', ALL, 'Take recipients from To, Cc and Bcc (or Resent-To, Resent-Cc, Resent-Bcc).', () => ({ recipientsFromHead: true })),
  none('-i', ALL, 'A line with a single dot does not end the message.', () => ({ dotEnds: false })),
  value('-f', 'address', ALL, 'The reverse-path; ' + "'<>'" + ' or an empty value is the null reverse-path.', (text) => ({
    reversePath: text,
  })),
  value('-r', 'address', SPE, 'As -f.', (text) => ({ reversePath: text })),
  value('-F', 'name', ALL, 'The sender’s full name, for a From field that has to be added.', (text) => ({ fullName: text })),
  ...MODES,
  none('-v', SPE, 'Show the SMTP conversation on standard error, secrets and challenges of AUTH masked.', verbosity(1)),
  attached('-d', 'what', ['Sendmail', 'Exim'], 'As -v, with the decisions: routing, hosts, TLS.', verbosity(2)),
  value('-C', 'file', SPE, 'The configuration file.', (text) => ({ config: text })),
  value('-N', 'when', ['Sendmail', 'Postfix'], 'Delivery status notifications: never, or a list of success, failure, delay.', notify),
  value('-R', 'return', ['Sendmail', 'Postfix'], 'What a notification returns: full or hdrs.', ret),
  value('-V', 'envid', ['Sendmail', 'Postfix'], 'The envelope identifier for notifications.', (text) => ({ envid: text })),
  value('-B', 'type', SPE, 'The body type, 7BIT or 8BITMIME; the content itself decides.', body),
  value('-X', 'file', ['Sendmail', 'Postfix', 'Exim'], 'Accepted, no effect: an argument names no file to write; see -v.'),
  value('-L', 'tag', ['Sendmail', 'Postfix', 'Exim'], 'The tag of syslog lines.', (text) => ({ tag: text })),
  attached('-q', 'what', SPE, 'Run the queue: there is none. With a time: refused, there is no daemon.', queueRun),
  ...SETTINGS,
  value('-o', 'setting', ALL, NO_EFFECT),
  value('-O', 'option=value', SPE, NO_EFFECT),
  value('-e', 'mode', ALL, 'As -oe: no effect.'),
  none('-m', SPE, NO_EFFECT),
  none('-n', SPE, NO_EFFECT),
  none('-c', ['Sendmail', 'Postfix'], NO_EFFECT),
  none('-s', ['Sendmail'], NO_EFFECT),
  none('-x', ['Exim', 'Postfix'], NO_EFFECT),
  none('-U', SPE, NO_EFFECT),
  none('-G', SPE, NO_EFFECT),
  none('-I', ['Sendmail', 'Postfix'], 'As -bi.', mode({ kind: 'newaliases' })),
  value('-h', 'hops', SPE, NO_EFFECT),
  value('-p', 'protocol', SPE, NO_EFFECT),
  value('-A', 'which', ['Sendmail', 'Postfix', 'Exim'], NO_EFFECT),
  value('-D', 'file', ['Sendmail', 'Exim'], NO_EFFECT),
  attached('-E', 'id', ['Exim'], NO_EFFECT),
  attached('-Q', 'reason', ['Sendmail'], 'Accepted, no effect: there is no quarantine.'),
  attached('-T', 'time', ['Sendmail', 'Exim'], NO_EFFECT),
  value('-S', 'text', ['Exim'], 'A queue run for senders: there is no queue.', sendersRun),
  ...QUEUE_OPERATIONS.map((option) => none(option, ['Exim'], 'An operation on queued messages: there are none.', queue)),
  value('-M', 'macro', ['Sendmail', 'Exim'], 'Accepted, no effect; with the id of a queued message: there are none.', macro),
  value('-z', 'text', ['Exim'], 'Refused: nothing is logged by hand.', refused('-z: nothing is written to the log by hand')),
  none('-dropcr', ['Exim'], NO_EFFECT),
  value('-atrn', 'host', ['Exim'], 'Refused: no mail is fetched.', refused('-atrn: no mail is fetched')),
  none('-tls-on-connect', ['Exim'], NO_EFFECT),
  none('-pd', ['Exim'], NO_EFFECT),
  none('-ps', ['Exim'], NO_EFFECT),
  none('--version', ['Exim'], 'Print the version.', mode({ kind: 'version' })),
  none('--help', ['Exim'], 'Print this list.', mode({ kind: 'help' })),
];

/** What the name the program is called by stands for. */
export const NAMES: Readonly<Record<string, Partial<Invocation>>> = {
  mailq: { mode: { kind: 'mailq' } },
  newaliases: { mode: { kind: 'newaliases' } },
  runq: { mode: { kind: 'queue', run: 'runq' } },
  rsmtp: { mode: { kind: 'smtp', batch: true } },
  rmail: { dotEnds: false },
};

const optionOf = (word: string): Option | undefined => OPTIONS.find(({ option }) => option === word);

/** The longest option of several letters that the word begins with and goes on after. */
function longOption(word: string): Option | undefined {
  let longest: Option | undefined;
  for (const row of OPTIONS)
    if (row.argument !== 'none' && row.option.length > (longest?.option.length ?? 2) && word.startsWith(row.option)) longest = row;
  return longest;
}

/** What cannot be obeyed, and the options before it that say where that is logged. */
export interface Misused extends Pick<Invocation, 'config' | 'tag'> {
  readonly ok: false;
  readonly detail: string;
}

/** Parses the arguments after the program's name. `name`: argv[0] or the script's name, with or without its folder. */
export function parseInvocation(name: string, argv: readonly string[]): { readonly ok: true; readonly value: Invocation } | Misused {
  const called = name.replace(/^.*\//, '').replace(/\.c?js$/, '');
  let so: Invocation = {
    name: called,
    mode: { kind: 'send' },
    operands: [],
    reversePath: null,
    fullName: null,
    recipientsFromHead: false,
    dotEnds: true,
    verbosity: 0,
    config: null,
    tag: null,
    body: null,
    notify: null,
    ret: null,
    envid: null,
    ...NAMES[called],
  };
  const misused = (detail: string): Misused => ({ ok: false, detail, config: so.config, tag: so.tag });
  // With an argument it is the envelope identifier; alone it is what people try first.
  if (argv.length === 1 && argv[0] === '-V') return { ok: true, value: { ...so, mode: { kind: 'version' } } };
  let i = 0;
  let isEnded = false;
  for (; i < argv.length; i++) {
    const word = argv[i] as string;
    if (word === '--') {
      i++;
      isEnded = true;
      break;
    }
    if (word === '-' || !word.startsWith('-')) break;
    for (let rest = word; rest !== ''; ) {
      const taken = takeOption(rest, argv[i + 1]);
      if (taken === null) return misused(`unknown option ${rest === word ? word : `-${rest[1]} in ${word}`}: see --help`);
      if (!taken.ok) return misused(taken.detail);
      const { row, text, usedNext, left } = taken.value;
      const change = row.apply(text, so);
      if ('error' in change) return misused(change.error);
      so = { ...so, ...change };
      if (usedNext) i++;
      rest = left;
    }
  }
  const whole = { ...so, operands: argv.slice(i) };
  const misuse = contradiction(whole) ?? (isEnded ? null : misplacedOption(whole));
  return misuse === null ? { ok: true, value: whole } : misused(misuse);
}

/** Exim takes the next word as the text of -qR, -qS and -S when they have only its flags. */
const TAKES_TEXT = /^-(q[q!fil]*[RS]|S )(ff?|g|rf?f?)?$/;

/**
 * What asks for something else than a delivery and for a delivery, too, as a sentence: who is obeyed in the one loses a message
 * with status 0. Exim and Postfix refuse it likewise.
 */
function contradiction(so: Invocation): string | null {
  const instead = insteadOfSending(so.mode);
  const asked = instead && sendingAsked(so);
  return asked && `${instead} and sends nothing, but ${asked}`;
}

/**
 * A sentence about an option behind a recipient. Sendmail, Postfix and Exim send to the address "-v@…", and whoever wrote the
 * option believes that it was obeyed.
 */
function misplacedOption({ mode, operands }: Invocation): string | null {
  const at = mode.kind === 'send' || mode.kind === 'route' ? operands.findIndex((word) => /^-./.test(word)) : -1;
  return at < 0
    ? null
    : `${operands[at]} stands behind the recipient ${operands[0]}: options come before the recipients, and -- before an address that begins with a hyphen`;
}

function insteadOfSending(mode: Mode): string | null {
  if (mode.kind === 'mailq') return '-bp (mailq) shows the queue';
  if (mode.kind === 'newaliases') return '-bi (newaliases) checks the alias files';
  return mode.kind === 'queue' && mode.run !== null ? `${mode.run} runs the queue` : null;
}

function sendingAsked({ mode, operands, recipientsFromHead, reversePath }: Invocation): string | null {
  const run = mode.kind === 'queue' ? mode.run : null;
  const areIds = mode.kind !== 'newaliases' && operands.every(isMessageId);
  const isText = run !== null && TAKES_TEXT.test(run) && operands.length === 1;
  // As BusyBox has it: -S host:port.
  const host = run !== null && /^-S \S*[.:]/.test(run) ? '; the smart host is set in the configuration (smarthosts)' : '';
  if (operands.length > 0 && !areIds && !isText) return `there are recipients${host}`;
  if (recipientsFromHead) return `-t takes recipients from a message${host}`;
  return run !== null && reversePath !== null ? `-f names a sender${host}` : null;
}

interface Taken {
  readonly row: Option;
  readonly text: string;
  readonly usedNext: boolean;
  /** What is left of the word, with its hyphen; '' when all is taken. */
  readonly left: string;
}

/** The first option in a word, which begins with a hyphen; null if there is no such option. */
function takeOption(word: string, next: string | undefined): Parsed<Taken> | null {
  const whole = optionOf(word);
  const long = whole ?? longOption(word);
  // "-o setting" and "-b s": the letters may be the next word.
  if (whole && (word === '-o' || word === '-b')) return next === undefined ? unparsed(`${word} needs a value`) : joinedWith(word, next);
  if (word === '-b') return next === undefined ? unparsed('-b needs a value') : joinedWith(word, next);
  if (long) return withValue(long, word.slice(long.option.length), next);
  const row = optionOf(word.slice(0, 2));
  if (!row) return null;
  if (row.argument !== 'none') return withValue(row, word.slice(2), next);
  return parsed({ row, text: '', usedNext: false, left: word.length > 2 ? `-${word.slice(2)}` : '' });
}

function joinedWith(word: string, next: string): Parsed<Taken> | null {
  const joined = takeOption(word + next, undefined);
  return joined?.ok ? parsed({ ...joined.value, usedNext: true, left: '' }) : joined;
}

function withValue(row: Option, rest: string, next: string | undefined): Parsed<Taken> {
  const alone = row.argument !== 'value' || (row.next !== undefined && !row.next.test(next ?? ''));
  if (rest !== '' || alone) return parsed({ row, text: rest, usedNext: false, left: '' });
  return next === undefined ? unparsed(`${row.option} needs a value`) : parsed({ row, text: next, usedNext: true, left: '' });
}

/** The usage text of --help. */
export function printUsage(): readonly string[] {
  const told = OPTIONS.filter(({ meaning }) => !/no effect|^Refused|^An operation|^As |^A queue run/.test(meaning));
  const rows = told.map(({ option, value: name, meaning }) => `  ${`${option}${name === '' ? '' : ` ${name}`}`.padEnd(14)}${meaning}`);
  return [
    'usage: sendmail [options] [--] recipient …   (the message on standard input)',
    '       sendmail -t [options] [recipient …]   (recipients from the header section)',
    '',
    ...rows,
    '',
    'Every other option of Sendmail, Postfix and Exim is accepted; see sendmail.nospool(8).',
    'Exit status: 0 the smart host took the message for every recipient; 1 it did not.',
  ];
}

/** What -f says; undefined when it was not given. A display name or a comment says nothing, as in Exim and Postfix. */
export function reversePathGiven({
  reversePath,
}: Invocation): { readonly reversePath: ReversePath | undefined } | { readonly detail: string } {
  if (reversePath === null) return { reversePath: undefined };
  const path = parseSender(reversePath);
  return path.ok ? { reversePath: path.value } : { detail: `-f "${reversePath}": ${path.detail}` };
}
