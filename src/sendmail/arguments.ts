/**
 * Parses the words after the program's name by getopt's rules: options cluster, values are attached or follow, the first
 * operand ends them. The table of `options.ts` says what each option changes. Knows no configuration and no message.
 */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { CALLED_AS, FREQUENT, type Invocation, isMessageId, listOptions, type Mode, type OptionRow } from './options.ts';

const DEFAULTS: Invocation = {
  mode: { kind: 'send' },
  operands: [],
  reversePath: parsed(undefined),
  fullName: null,
  recipientsFromHead: false,
  dotEnds: true,
  verbosity: 0,
  config: null,
  tag: null,
  notify: null,
  ret: null,
  envid: null,
};

/**
 * Parses the arguments after the program's name. `name`: argv[0] or the script's name, with or without its folder. Of arguments that
 * cannot be obeyed it keeps the options before the wrong one, because they may say where that is logged.
 */
export function parseInvocation(name: string, argv: readonly string[]): Invocation {
  const called = name.replace(/^.*\//, '').replace(/\.c?js$/, '');
  let soFar: Invocation = { ...DEFAULTS, ...CALLED_AS[called] };
  const misuse = (detail: string): Invocation => ({ ...soFar, mode: { kind: 'misused', detail } });
  // With an argument it is the envelope identifier; alone it is what people try first.
  if (argv.length === 1 && argv[0] === '-V') return { ...soFar, mode: { kind: 'version' } };
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
      if (taken === null) return misuse(`unknown option ${rest === word ? word : `-${rest[1]} in ${word}`}: see --help`);
      if (!taken.ok) return misuse(taken.detail);
      const { row, text, usedNext, left } = taken.value;
      const change = row.apply(text, soFar);
      if (!change.ok) return misuse(change.detail);
      soFar = { ...soFar, ...change.value };
      if (usedNext) i++;
      rest = left;
    }
  }
  const invocation = { ...soFar, operands: argv.slice(i) };
  const wrong = findContradiction(invocation) ?? (isEnded ? null : findMisplacedOption(invocation));
  return wrong === null ? invocation : misuse(wrong);
}

/* ---- one option ---- */

interface Taken {
  readonly row: OptionRow;
  readonly text: string;
  readonly usedNext: boolean;
  /** The rest of the word, with its hyphen; '' when all is taken. */
  readonly left: string;
}

/** Takes the first option of a word, which begins with a hyphen; null if there is no such option. */
function takeOption(word: string, next: string | undefined): Parsed<Taken> | null {
  const whole = findRow(word);
  const long = whole ?? findLongRow(word);
  // "-o setting" and "-b s": the letters may be the next word.
  if (word === '-o' || word === '-b') return next === undefined ? unparsed(`${word} needs a value`) : takeJoined(word, next);
  if (long) return takeValue(long, word.slice(long.option.length), next);
  const row = findRow(word.slice(0, 2));
  if (!row) return null;
  if (row.argument !== 'none') return takeValue(row, word.slice(2), next);
  return parsed({ row, text: '', usedNext: false, left: `-${word.slice(2)}` });
}

const findRow = (word: string): OptionRow | undefined =>
  FREQUENT.find(({ option }) => option === word) ?? listOptions().find(({ option }) => option === word);

/** The longest option of several letters that the word begins with and goes on after. */
function findLongRow(word: string): OptionRow | undefined {
  let longest: OptionRow | undefined;
  for (const row of listOptions())
    if (row.argument !== 'none' && row.option.length > (longest?.option.length ?? 2) && word.startsWith(row.option)) longest = row;
  return longest;
}

function takeJoined(word: string, next: string): Parsed<Taken> | null {
  const joined = takeOption(word + next, undefined);
  return joined?.ok ? parsed({ ...joined.value, usedNext: true, left: '' }) : joined;
}

function takeValue(row: OptionRow, rest: string, next: string | undefined): Parsed<Taken> {
  const standsAlone = row.argument !== 'value' || (row.next !== undefined && !row.next.test(next ?? ''));
  if (rest !== '' || standsAlone) return parsed({ row, text: rest, usedNext: false, left: '' });
  return next === undefined ? unparsed(`${row.option} needs a value`) : parsed({ row, text: next, usedNext: true, left: '' });
}

/* ---- contradictions ---- */

/**
 * A sentence if the options ask for something that sends nothing, and for a delivery, too: a caller who was obeyed in the
 * one would lose a message with status 0. Exim and Postfix refuse it likewise.
 */
function findContradiction(invocation: Invocation): string | null {
  const instead = findOtherWork(invocation.mode);
  const delivery = instead && findDelivery(invocation);
  return delivery && `${instead} and sends nothing, but ${delivery}`;
}

/**
 * A sentence about an option behind a recipient. Sendmail, Postfix and Exim send to the address "-v@…", and whoever wrote the
 * option believes that it was obeyed.
 */
function findMisplacedOption({ mode, operands }: Invocation): string | null {
  if (mode.kind !== 'send' && mode.kind !== 'route' && mode.kind !== 'verify') return null;
  const found = operands.find((word) => /^-./.test(word));
  return found === undefined
    ? null
    : `${found} stands behind the recipient ${operands[0]}: options come before the recipients, and -- before an address that begins with a hyphen`;
}

function findOtherWork(mode: Mode): string | null {
  if (mode.kind === 'mailq') return '-bp (mailq) shows the queue';
  if (mode.kind === 'newaliases') return '-bi (newaliases) checks the alias files';
  return mode.kind === 'queue' && mode.run !== null ? `${mode.run} runs the queue` : null;
}

/** Exim takes the next word as the text of -qR, -qS and -S when they have only its flags. */
const TAKES_TEXT = /^-(q[q!fil]*[RS]|S )(ff?|g|rf?f?)?$/;

function findDelivery({ mode, operands, recipientsFromHead, reversePath }: Invocation): string | null {
  const run = mode.kind === 'queue' ? mode.run : null;
  const areIds = mode.kind !== 'newaliases' && operands.every(isMessageId);
  const isText = run !== null && TAKES_TEXT.test(run) && operands.length === 1;
  // BusyBox has -S host:port.
  const host = run !== null && /^-S \S*[.:]/.test(run) ? '; the smart host is set in the configuration (smarthosts)' : '';
  if (operands.length > 0 && !areIds && !isText) return `there are recipients${host}`;
  if (recipientsFromHead) return `-t takes recipients from a message${host}`;
  const namesSender = !reversePath.ok || reversePath.value !== undefined;
  return run !== null && namesSender ? `-f names a sender${host}` : null;
}
