/**
 * One table of every option that Sendmail 8, Postfix 3, Exim 4 or the LSB knows, and what each changes in an invocation. The
 * parser (`arguments.ts`), `--help`, the manual page and the tests read this table. Knows no configuration and no message.
 */

import { parseSender } from '../message/mailboxes.ts';
import { isEnvid } from '../smtp/client/print.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import type { ReversePath } from '../smtp/path.ts';

export type Mode =
  /** A message on standard input; SMTP there, with replies or without. */
  | { readonly kind: 'send' | 'smtp' | 'batch' }
  /** The routing of the operands is shown, or only whether they can be delivered. */
  | { readonly kind: 'route' | 'verify' }
  /** 'facts': the version, and what is in force. */
  | { readonly kind: 'mailq' | 'newaliases' | 'version' | 'facts' | 'help' }
  /** `run`: the option that asks for a run of the queue; null for an operation on messages that the operands name. */
  | { readonly kind: 'queue'; readonly run: string | null }
  /** The caller asks for something that this program is not; the sentence says what. */
  | { readonly kind: 'refused'; readonly detail: string }
  /** Nobody can obey what the caller wrote; the sentence says why. */
  | { readonly kind: 'misused'; readonly detail: string };

export interface Invocation {
  readonly mode: Mode;
  readonly operands: readonly string[];
  /** -f or -r; undefined when not given. Only what needs a sender complains of one that cannot be parsed. */
  readonly reversePath: Parsed<ReversePath | undefined>;
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
  /** -N, upper case; null when not given. */
  readonly notify: readonly ('NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY')[] | null;
  /** -R */
  readonly ret: 'FULL' | 'HDRS' | null;
  /** -V */
  readonly envid: string | null;
}

/** The change that an option makes, or the sentence that says why nobody can obey its value. */
export type Change = Parsed<Partial<Invocation>>;

/** The effect that an option has here: `--help` lists those that act, and the manual has a section for each effect. */
export interface Meaning {
  readonly effect: 'acts' | 'as another' | 'none' | 'of a queue' | 'refused';
  readonly meaning: string;
}

export interface OptionRow extends Meaning {
  /** The option as written, e.g. `-f` or `-oi`; for rows of -b and -o with their letters. */
  readonly option: string;
  /** Nothing follows, or text in the same word only, or a value in the same word or the next. */
  readonly argument: 'none' | 'attached' | 'value';
  /** Name of the argument in the manual; '' when there is none. */
  readonly value: string;
  /**
   * The next word is the value only if it looks like this; without it any word is. One program has such an option without
   * a value, or with one in the same word only, where another takes the next word: no recipient may be lost to it.
   */
  readonly next?: RegExp;
  /** The programs that have the option. */
  readonly sources: readonly ('LSB' | 'Sendmail' | 'Postfix' | 'Exim')[];
  readonly apply: (value: string, soFar: Invocation) => Change;
}

const ALL = ['LSB', 'Sendmail', 'Postfix', 'Exim'] as const;
const SPE = ['Sendmail', 'Postfix', 'Exim'] as const;
const SP = ['Sendmail', 'Postfix'] as const;
const SE = ['Sendmail', 'Exim'] as const;
const S = ['Sendmail'] as const;
const E = ['Exim'] as const;
const changeNothing = (): Change => parsed({});
const change = (changed: Partial<Invocation>) => (): Change => parsed(changed);

const NO_EFFECT: Meaning = { effect: 'none', meaning: 'Accepted, no effect.' };
const noEffect = (why: string): Meaning => ({ effect: 'none', meaning: `Accepted, no effect: ${why}.` });
const sameAs = (option: string): Meaning => ({ effect: 'as another', meaning: `As ${option}.` });
const refused = (why: string): Meaning => ({ effect: 'refused', meaning: `Refused: ${why}.` });

type Sources = OptionRow['sources'];
type Apply = OptionRow['apply'];

/** A row without an argument; a meaning that is a text alone is that of an option that acts. */
const flag = (option: string, sources: Sources, meaning: string | Meaning, apply: Apply = changeNothing): OptionRow => ({
  option,
  argument: 'none',
  value: '',
  ...(typeof meaning === 'string' ? { effect: 'acts', meaning } : meaning),
  sources,
  apply,
});
const value = (option: string, name: string, sources: Sources, meaning: string | Meaning, apply?: Apply): OptionRow => ({
  ...flag(option, sources, meaning, apply),
  argument: 'value',
  value: name,
});
const attached = (option: string, name: string, sources: Sources, meaning: string | Meaning, apply?: Apply): OptionRow => ({
  ...flag(option, sources, meaning, apply),
  argument: 'attached',
  value: name,
});

/** Takes the next word as the value only if that looks like one. */
const optional = (option: string, name: string, next: RegExp, sources: Sources, meaning: Meaning): OptionRow => ({
  ...value(option, name, sources, meaning),
  next,
});
const TIME = /^(?=\d)(\d+[smhdw])*\d*$/;
const NUMBER = /^\d+$/;
const PATH = /^\//;
/** Values of Exim's daemon_smtp_ports and local_interfaces. */
const LISTENING_PORTS = /^<?[\d.:[\]; <]+$/;

/** Sets the mode, unless an option before has asked for what is refused. */
const setMode =
  (mode: Mode): Apply =>
  (_, soFar) =>
    parsed(soFar.mode.kind === 'refused' ? {} : { mode });
const refuse = (detail: string): Apply => setMode({ kind: 'refused', detail });
const NO_DAEMON = refused('there is no daemon');
const NO_EXPANSIONS = refused('there is nothing to expand');
const NO_FILTERS = refused('there are no filters');
const SEE_CHECK = refused('see nospool check');
const refuseDaemon = refuse('no daemon: nospool delivers while its caller waits, and has neither a queue nor a port');
const operateOnQueue = setMode({ kind: 'queue', run: null });

/** -q alone runs the queue once: there is none. With a time, or as -qp, it is a daemon; so is Exim's -qGname/time. */
function runQueue(text: string, soFar: Invocation): Change {
  const kind = text.replace(/^[q!fil]+/, '');
  return /^p?\d|^p$|^G[^/]*\/\d/.test(kind) ? refuseDaemon(text, soFar) : setMode({ kind: 'queue', run: `-q${text}` })(text, soFar);
}

/** Exim's -S runs the queue for some senders, BusyBox's names the smart host: which is meant shows in what comes with it. */
const runQueueOfSenders: Apply = (text, soFar) => setMode({ kind: 'queue', run: `-S ${text}` })(text, soFar);

/** Exim's -M with a message id is an operation on the queue, Sendmail's -M sets a macro. */
const setMacro: Apply = (text, soFar) => (isMessageId(text) ? operateOnQueue(text, soFar) : parsed({}));
export const isMessageId = (text: string): boolean => /^\w{6}-\w{6,11}-\w{2,4}$/.test(text);

/** A display name or a comment in -f says nothing, as in Exim and Postfix. */
function setReversePath(text: string): Change {
  const path = parseSender(text);
  return parsed({ reversePath: path.ok ? path : unparsed(`-f "${text}": ${path.detail}`) });
}

/** What no server may be given is ignored, as in Postfix. */
const setEnvid = (text: string): Change => parsed({ envid: isEnvid(text) ? text : null });

function setNotify(text: string): Change {
  const words = text
    .toUpperCase()
    .split(',')
    .map((word) => word.trim());
  const known = words.filter((word): word is 'NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY' =>
    ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'].includes(word),
  );
  // RFC 3461 §4.1: NEVER stands alone.
  if (known.length !== words.length || (known.includes('NEVER') && known.length > 1))
    return unparsed(`-N takes "never" or a list of success, failure, delay, not "${text}"`);
  return parsed({ notify: [...new Set(known)] });
}

function setRet(text: string): Change {
  const word = text.toUpperCase();
  return word === 'FULL' || word === 'HDRS' ? parsed({ ret: word }) : unparsed(`-R takes "full" or "hdrs", not "${text}"`);
}

const raiseVerbosity =
  (to: 1 | 2): Apply =>
  (_, soFar) =>
    parsed({ verbosity: to > soFar.verbosity ? to : soFar.verbosity });

const T = flag(
  '-t',
  ALL,
  'Take recipients from To, Cc and Bcc (or Resent-To, Resent-Cc, Resent-Bcc).',
  change({ recipientsFromHead: true }),
);
const I = flag('-i', ALL, 'A line with a single dot does not end the message.', change({ dotEnds: false }));
const F = value('-f', 'address', ALL, 'The reverse-path; ' + "'<>'" + ' or an empty value is the null reverse-path.', setReversePath);
const OI = flag('-oi', ALL, sameAs('-i'), change({ dotEnds: false }));
const C = value('-C', 'file', SPE, 'The configuration file.', (text) => parsed({ config: text }));
/** Most callers give no others, so the rest of the rows is made when an option is none of these. */
export const FREQUENT: readonly OptionRow[] = [T, I, F, OI, C];

/** The rows of -b with its letters. */
const makeModes = (): readonly OptionRow[] => [
  flag('-bm', ALL, 'Read a message from standard input and send it (the default).', setMode({ kind: 'send' })),
  // The mode of the ARPANET, in which errors came as replies of FTP: they come as they always do.
  flag('-ba', S, sameAs('-bm'), setMode({ kind: 'send' })),
  flag('-bs', ALL, 'Speak SMTP on standard input and output; the final reply is the smart host’s verdict.', setMode({ kind: 'smtp' })),
  flag('-bS', E, 'Batch SMTP: as -bs without replies; stops at the first failure.', setMode({ kind: 'batch' })),
  flag('-bt', SE, 'Show how each address is routed; deliver nothing.', setMode({ kind: 'route' })),
  flag('-bv', SPE, 'Say whether each address can be delivered; deliver nothing.', setMode({ kind: 'verify' })),
  flag('-bvs', E, sameAs('-bv'), setMode({ kind: 'verify' })),
  attached('-bp', 'order', ALL, 'Print “Mail queue is empty”.', setMode({ kind: 'mailq' })),
  flag('-bi', SPE, 'Check the alias files and say how many entries they have.', setMode({ kind: 'newaliases' })),
  flag('-bV', E, 'Print the version, and which runtime, configuration and log are in force.', setMode({ kind: 'facts' })),
  flag('-bnq', E, NO_EFFECT),
  flag('-bC', S, SEE_CHECK, refuse('-bC: use “nospool check” to see the configuration')),
  flag('-bd', SPE, NO_DAEMON, refuseDaemon),
  flag('-bdf', E, NO_DAEMON, refuseDaemon),
  flag('-bD', S, NO_DAEMON, refuseDaemon),
  flag('-bl', ['Postfix'], NO_DAEMON, refuseDaemon),
  flag('-bw', E, NO_DAEMON, refuseDaemon),
  attached(
    '-bh',
    'address',
    SE,
    refused('there is no host status and no fake session'),
    refuse('-bh: there is no host status, and no session can be simulated'),
  ),
  flag('-bH', S, refused('there is no host status'), refuse('-bH: there is no host status')),
  attached('-bP', 'name', SE, SEE_CHECK, refuse('-bP: use “nospool check” to see the configuration')),
  flag('-be', E, NO_EXPANSIONS, refuse('-be: there are no expansions to test')),
  flag('-bem', E, NO_EXPANSIONS, refuse('-bem: there are no expansions to test')),
  attached('-bf', 'file', E, NO_FILTERS, refuse('-bf: there are no filters to test')),
  flag('-bF', E, NO_FILTERS, refuse('-bF: there are no filters to test')),
  attached('-bI:', 'topic', E, refused('see --help'), refuse('-bI: use --help')),
  flag('-brt', E, refused('nothing is retried'), refuse('-brt: nothing is ever retried')),
  flag('-brw', E, refused('see nospool route'), refuse('-brw: use “nospool route”')),
  flag('-bmalware', E, refused('there is no scanner'), refuse('-bmalware: there is no scanner')),
];

/** The rows of -o with its letters; it takes other letters without effect. */
const makeSettings = (): readonly OptionRow[] => [
  OI,
  flag('-oitrue', SE, sameAs('-i'), change({ dotEnds: false })),
  flag('-ov', SE, sameAs('-v'), raiseVerbosity(1)),
  attached('-od', 'mode', ALL, noEffect('delivery is always in the foreground')),
  attached('-oe', 'mode', ALL, noEffect('errors always go to standard error')),
  flag('-om', ALL, NO_EFFECT),
  flag('-oo', SE, NO_EFFECT),
  flag('-o8', SP, NO_EFFECT),
  optional('-oA', 'file', PATH, SPE, NO_EFFECT),
  optional('-oB', 'number', NUMBER, E, NO_EFFECT),
  optional('-oP', 'path', PATH, SE, NO_EFFECT),
  flag('-oPX', E, NO_EFFECT),
  optional('-oX', 'ports', LISTENING_PORTS, E, NO_EFFECT),
  flag('-oY', E, NO_EFFECT),
  optional('-or', 'time', TIME, SE, noEffect('see timeouts.input')),
  optional('-os', 'time', TIME, SE, NO_EFFECT),
  ...['-oMa', '-oMaa', '-oMai', '-oMas', '-oMi', '-oMm', '-oMr', '-oMs', '-oMt'].map((option) => value(option, 'text', E, NO_EFFECT)),
];

/** Exim's operations on queued messages: there are none, and the operands are message ids. */
const QUEUE_OPERATION: Meaning = { effect: 'of a queue', meaning: 'An operation on queued messages: there are none.' };
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
const makeOptions = (): readonly OptionRow[] => [
  T,
  I,
  F,
  value('-r', 'address', SPE, sameAs('-f'), setReversePath),
  value('-F', 'name', ALL, 'The sender’s full name, for a From field that has to be added.', (text) => parsed({ fullName: text })),
  ...makeModes(),
  flag('-v', SPE, 'Show the SMTP conversation on standard error, secrets and challenges of AUTH masked.', raiseVerbosity(1)),
  attached('-d', 'what', SE, { effect: 'as another', meaning: 'As -v, with the decisions: routing, hosts, TLS.' }, raiseVerbosity(2)),
  C,
  value('-N', 'when', SP, 'Delivery status notifications: never, or a list of success, failure, delay.', setNotify),
  value('-R', 'return', SP, 'What a notification returns: full or hdrs.', setRet),
  value('-V', 'envid', SP, 'The envelope identifier for notifications, of at most 100 printable characters.', setEnvid),
  value('-B', 'type', SPE, 'The body type, 7BIT or 8BITMIME; the content itself decides.'),
  value('-X', 'file', SPE, noEffect('an argument names no file to write; see -v, and nospool send --trace')),
  value('-L', 'tag', SPE, 'The tag of syslog lines.', (text) => parsed({ tag: text })),
  attached('-q', 'what', SPE, 'Run the queue: there is none. With a time: refused, there is no daemon.', runQueue),
  ...makeSettings(),
  value('-o', 'setting', ALL, NO_EFFECT),
  value('-O', 'option=value', SPE, NO_EFFECT),
  value('-e', 'mode', ALL, { effect: 'none', meaning: 'As -oe: no effect.' }),
  flag('-m', SPE, NO_EFFECT),
  flag('-n', SPE, NO_EFFECT),
  flag('-c', SP, NO_EFFECT),
  flag('-s', S, NO_EFFECT),
  flag('-x', ['Exim', 'Postfix'], NO_EFFECT),
  flag('-U', SPE, NO_EFFECT),
  flag('-G', SPE, NO_EFFECT),
  flag('-I', SP, sameAs('-bi'), setMode({ kind: 'newaliases' })),
  value('-h', 'hops', SPE, NO_EFFECT),
  value('-p', 'protocol', SPE, NO_EFFECT),
  value('-A', 'which', SPE, NO_EFFECT),
  value('-D', 'file', SE, NO_EFFECT),
  attached('-E', 'id', E, NO_EFFECT),
  attached('-Q', 'reason', S, noEffect('there is no quarantine')),
  attached('-T', 'time', SE, NO_EFFECT),
  value('-S', 'text', E, { effect: 'of a queue', meaning: 'A queue run for senders: there is no queue.' }, runQueueOfSenders),
  ...QUEUE_OPERATIONS.map((option) => flag(option, E, QUEUE_OPERATION, operateOnQueue)),
  value('-M', 'macro', SE, { effect: 'none', meaning: 'Accepted, no effect; with the id of a queued message: there are none.' }, setMacro),
  value('-z', 'text', E, refused('nothing is logged by hand'), refuse('-z: nothing is written to the log by hand')),
  flag('-dropcr', E, NO_EFFECT),
  value('-atrn', 'host', E, refused('no mail is fetched'), refuse('-atrn: no mail is fetched')),
  flag('-tls-on-connect', E, NO_EFFECT),
  flag('-pd', E, NO_EFFECT),
  flag('-ps', E, NO_EFFECT),
  flag('--version', E, 'Print the version.', setMode({ kind: 'version' })),
  flag('--help', E, 'Print this list.', setMode({ kind: 'help' })),
];

let all: readonly OptionRow[] | null = null;
/** Every option, once. */
export function listOptions(): readonly OptionRow[] {
  all ??= makeOptions();
  return all;
}

/** Other names by which the program is called, and what they change. */
export const CALLED_AS: Readonly<Record<string, Partial<Invocation>>> = {
  mailq: { mode: { kind: 'mailq' } },
  newaliases: { mode: { kind: 'newaliases' } },
  runq: { mode: { kind: 'queue', run: 'runq' } },
  rsmtp: { mode: { kind: 'batch' } },
  rmail: { dotEnds: false },
};
