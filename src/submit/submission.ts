/**
 * The story of one submission: envelope, route, content, attempts, outcome. Reads one message from a source that it is
 * handed; knows no command line, no descriptor and no signal.
 */
import { domainToASCII } from 'node:url';
import { type Body, limitLines, limitSilence, skip, takeBody } from '../message/body.ts';
import { complete, lacksFrom } from '../message/complete.ts';
import { type Field, findField, parseField, printHead, withoutFields } from '../message/fields.ts';
import { readHead } from '../message/head.ts';
import { isUtf8, mimeCharset } from '../message/locale.ts';
import { type LoneDot, untilDot } from '../message/lone-dot.ts';
import { addOctets } from '../message/octet-sums.ts';
import { collectRecipients, removeBcc } from '../message/recipients.ts';
import { parseRewrite, type Rewrite, rewriteFields, rewriteReversePath } from '../message/rewrite.ts';
import { type Input, prefixSource, type Source } from '../message/source.ts';
import { printProblems } from '../router/problem.ts';
import { NO_SMARTHOST } from '../router/resolve.ts';
import type { Route, RoutedRecipient } from '../router/route.ts';
import { type ContentEncoder, contentEncoder, scanContent } from '../smtp/client/content.ts';
import type { Notify, Recipient, Transaction } from '../smtp/client/print.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type ForwardPath, type Mailbox, parseMailbox, printMailbox, qualify, quoteLocalPart, type ReversePath } from '../smtp/path.ts';
import { isAscii, latin1 } from '../smtp/text.ts';
import { untilRead } from '../transport/clock.ts';
import type { Kernel } from '../transport/kernel/kernel.ts';
import { type Delivery, type DeliveryOptions, deliver } from './delivery.ts';
import { asciiDomain, fullName, helloName } from './domain.ts';
import { type Failure, failedWith, type Outcome } from './outcome.ts';
import { ownDomains, type Routing, type RoutingDialogue, type RoutingFacts, routeMessage, routeOneByOne } from './routing.ts';
import { unlessAborted } from './session.ts';
import type { Settings } from './settings.ts';

/** Who submits, and from where: looked up by the caller, the costly facts only when they are asked for. */
export interface Submitter {
  readonly login: string;
  /** This host's name, with its domain where it has one. */
  readonly hostname: string;
  /** For an added From field; '' = none. */
  readonly fullName: () => Promise<string>;
  /** MIME name of the charset of the caller's locale; '' = C or POSIX. */
  readonly charset: string;
  readonly date: Date;
  /** Unique for this message: letters, digits, hyphens and dots. */
  readonly unique: string;
  readonly version: string;
}

/** Who gets the message, as it was asked for. */
export type Wanted =
  /** Arguments, each an address list, and with `fromFields` (-t) the recipient fields. */
  | { readonly operands: readonly string[]; readonly fromFields: boolean }
  /** An envelope that a caller already gave in SMTP. */
  | { readonly paths: readonly Recipient[] };

export interface Submission {
  readonly config: Settings;
  readonly by: Submitter;
  readonly input: Input;
  readonly wanted: Wanted;
  /** undefined: the default of the configuration. */
  readonly reversePath: ReversePath | undefined;
  /** A lone dot ends the message. */
  readonly dotEnds: boolean;
  readonly notify?: readonly Notify[];
  readonly ret?: 'FULL' | 'HDRS';
  readonly envid?: string;
}

/** Everything that is known of a submission when it has ended, however it ended. */
export interface Submitted {
  readonly outcome: Outcome;
  /** undefined = it ended before that was known. */
  readonly reversePath: ReversePath | undefined;
  readonly recipients: readonly RoutedRecipient[];
  readonly discarded: readonly RoutedRecipient[];
  readonly messageId: string;
  /** Octets of the message, null when not known. Of one that was streamed and taken: those that were sent. */
  readonly octets: number | null;
  /** What the log should say besides. */
  readonly notes: readonly string[];
}

/** Attempt options that the configuration does not know. */
export type Surroundings = Pick<DeliveryOptions, 'security' | 'trace' | 'progress' | 'signal' | 'urgent' | 'grace'> & {
  /** Told how the recipients are routed, whether or not they can be (-d). */
  readonly routed?: (routing: Routing) => void;
  /** Told where a lone dot ended the message, perhaps more than once. */
  readonly loneDot?: (dot: LoneDot) => void;
};

/** Content below this many octets is encoded without the faster encoder, which costs a millisecond and 5 MiB to load. */
const LARGE = 256 * 1024;

/** Submits one message. Never rejects for anything that a message, a file or a server does. */
export async function submitMessage(submission: Submission, surroundings: Surroundings): Promise<Submitted> {
  const { config } = submission;
  let known: Submitted = {
    outcome: { kind: 'discarded' },
    reversePath: undefined,
    recipients: [],
    discarded: [],
    messageId: '',
    octets: null,
    notes: [],
  };
  const failed = (failure: Failure): Submitted => ({ ...known, outcome: failedWith(failure) });
  const ofMessage = (detail: string): Submitted => failed({ kind: 'message', detail });

  const sender = reversePathOf(config, submission.by, submission.reversePath);
  if (!sender.ok) return ofMessage(sender.detail);
  const { reversePath, rewrite } = sender.value;
  known = { ...known, reversePath };

  const upToDot = (input: Source): Source => (submission.dotEnds ? untilDot(input, surroundings.loneDot) : input);
  const source = upToDot(submission.input);
  const head = await readHead(source, { limit: config.headerLimit });
  if (!head.ok) return ofMessage(head.detail);

  const wanted = recipientsOf(submission, head.value.fields);
  if (!wanted.ok) return ofMessage(wanted.detail);
  const recipients = wanted.value;
  const paths = recipients.map(({ path }) => path);
  // An alias file may lie on a server that does not answer.
  const routing = await unlessAborted(routeRecipients(config, submission.by, reversePath, paths), surroundings.signal);
  if (routing === null) return failed({ kind: 'content', at: 'closed', condemns: 'message', detail: String(surroundings.signal?.reason) });
  known = { ...known, recipients: routing.recipients, discarded: routing.discarded };
  surroundings.routed?.(routing);
  if (routing.problems.length > 0) {
    const deferred = routing.problems.every(({ kind }) => kind === 'deferred');
    return failed({ kind: 'route', details: printProblems(routing.problems), deferred });
  }
  if (routing.route === null) return known;
  const { errorsTo } = routing.route;
  const finalPath = errorsTo === undefined ? routing.reversePath : errorsTo === null ? null : asciiDomain(errorsTo);
  known = { ...known, reversePath: finalPath };

  const { file } = submission.input;
  const again = file ? () => skip(upToDot(file.at(0)), head.value.consumed) : null;
  const fileSize = file && !submission.dotEnds ? file.size - head.value.consumed : null;
  // What is long is worked on by the kernel, once it is known to be long and the kernel is there.
  let kernel: Kernel | null = null;
  const body = await takeBody(head.value.rest, source, {
    window: config.replayWindow,
    again,
    fileSize,
    addOctets: (octets, before) => (kernel?.addOctets ?? addOctets)(octets, before),
  });
  if (!body.ok) return ofMessage(body.detail);

  const message = await compose(submission, head.value.fields, body.value, {
    route: routing.route,
    rewrite,
    reversePath: finalPath,
    recipients: routing.recipients,
  });
  if (!message.ok) return ofMessage(message.detail);
  const { content, messageId, transaction, notes } = message.value;
  known = { ...known, messageId, octets: transaction.size ?? transaction.estimate, notes };

  const details = new Map(recipients.map((recipient) => [printMailbox(recipient.path), recipient]));
  const addressed = { ...transaction, recipients: routing.recipients.map((routed) => recipientOf(routed, details, submission)) };
  if (transaction.size === null || transaction.size > LARGE) {
    kernel = (await import('../transport/kernel/kernel.ts')).loadKernel();
    if (kernel !== null && !body.value.facts.whole) submission.input.useMemory?.(kernel.inputBuffer);
  }
  const heard: string[] = [];
  let encoder: ContentEncoder | null = null;
  const outcome = await deliver(
    { hosts: routing.route.hosts, transaction: addressed, content },
    {
      ...surroundings,
      timeouts: config.timeouts,
      hello: fullName(config.hostname || submission.by.hostname),
      partial: config.lmtpPartial,
      framing: 'auto',
      encoder: (framing) => {
        encoder = (kernel ?? contentEncoder)(framing);
        return encoder;
      },
      note: (note) => heard.push(note),
    },
  );
  const octets = outcome.kind === 'accepted' ? sizeOf(encoder, known.octets) : known.octets;
  return { ...known, outcome, octets, notes: [...notes, ...new Set(heard)] };
}

/** What the encoder of the last attempt has counted. */
const sizeOf = (encoder: ContentEncoder | null, otherwise: number | null): number | null => encoder?.facts.size ?? otherwise;

/* ---- the envelope ---- */

/** Domain of bare senders: qualify_domain, else this host's name where it is one that others may know; '' = none. */
export function senderDomain(config: Settings, hostname: string): string {
  return config.qualifyDomain || fullName(config.hostname || hostname);
}

const recipientDomain = (config: Settings, hostname: string): string => config.qualifyRecipient || senderDomain(config, hostname);

/** Routes as this host does: also for `-bt` and `-bv`. */
export function routeRecipients(
  config: Settings,
  by: Pick<Submitter, 'hostname'>,
  reversePath: ReversePath,
  paths: readonly ForwardPath[],
): Promise<Routing> {
  return routeMessage(config, routingFacts(config, by, reversePath), paths.map(asciiDomain));
}

/** As routeRecipients, one recipient at a time: for the RCPT of `-bs`. */
export function routingDialogue(config: Settings, by: Pick<Submitter, 'hostname'>, reversePath: ReversePath): Pick<RoutingDialogue, 'add'> {
  const dialogue = routeOneByOne(config, routingFacts(config, by, reversePath));
  return { add: (path) => dialogue.add(asciiDomain(path)) };
}

function routingFacts(config: Settings, { hostname }: Pick<Submitter, 'hostname'>, reversePath: ReversePath): RoutingFacts {
  const ours = ownDomains({ ...config, qualifyDomain: senderDomain(config, hostname) }, config.hostname || hostname);
  return { reversePath, ours, qualifyRecipient: recipientDomain(config, hostname) };
}

/** The configured `from`, with {login} filled in; null when it is not set. */
function configuredFrom(config: Settings, login: string): Parsed<Mailbox | null> {
  if (config.from === '') return parsed(null);
  const from = parseMailbox(config.from.replaceAll('{login}', quoteLocalPart(login)));
  return from.ok ? from : unparsed(`from = "${config.from}": ${from.detail}`);
}

/** The reverse-path in force: -f, else `from`, else login@qualify_domain; `force_from` and `force_reverse_path` let `from` win; then [rewrite]. */
export function reversePathOf(
  config: Settings,
  by: Pick<Submitter, 'login' | 'hostname'>,
  given: ReversePath | undefined,
): Parsed<{ reversePath: ReversePath; rewrite: Rewrite }> {
  const domain = senderDomain(config, by.hostname);
  const from = configuredFrom(config, by.login);
  if (!from.ok) return from;
  const rewrite = parseRewrite(config.rewrite, domain);
  if (!rewrite.ok) return rewrite;
  // The null reverse-path asks that nothing be sent back, which no default may undo.
  const forced = config.forceFrom || config.forceReversePath ? from.value : null;
  const set = forced ?? given ?? from.value;
  const chosen = given === null ? parsed(null) : set ? parsed(set) : parseMailbox(quoteLocalPart(by.login));
  if (!chosen.ok) return chosen;
  const rewritten = rewriteReversePath(rewrite.value, chosen.value === null ? null : qualify(chosen.value, domain), domain);
  if (rewritten === null) return parsed({ reversePath: null, rewrite: rewrite.value });
  if (rewritten.domain === '')
    return unparsed(
      hasNoSmarthost(config)
        ? NO_SMARTHOST
        : `the sender "${printMailbox(rewritten)}" has no domain, and neither has this host's name: set qualify_domain`,
    );
  return parsed({ reversePath: asciiDomain(rewritten), rewrite: rewrite.value });
}

/** Nothing can be sent, so whatever else is missing matters later. */
const hasNoSmarthost = ({ smarthosts, routers }: Settings): boolean =>
  smarthosts.length === 0 && routers.every(({ driver }) => driver !== 'manualroute');

function recipientsOf({ config, by, wanted }: Submission, fields: readonly Field[]): Parsed<readonly Recipient[]> {
  const qualifyRecipient = recipientDomain(config, by.hostname);
  if ('paths' in wanted) return parsed(wanted.paths.map((each) => ({ ...each, path: asciiDomain(qualify(each.path, qualifyRecipient)) })));
  const { operands, fromFields } = wanted;
  const found = collectRecipients(fields, operands, { fromFields, argumentsWithT: config.argumentsWithT, qualifyRecipient });
  if (found.ok) return parsed(found.value.map((path) => ({ path: asciiDomain(path) })));
  return hasNoSmarthost(config) ? unparsed(NO_SMARTHOST) : found;
}

/** The recipient as RCPT names it: with the notification asked for, and the address that aliases replaced. */
function recipientOf({ path, original }: RoutedRecipient, given: ReadonlyMap<string, Recipient>, { notify }: Submission): Recipient {
  const asked = given.get(printMailbox(original));
  const when = asked?.notify ?? notify;
  const first = asked?.original ?? original;
  return { path: asciiDomain(path), ...(when ? { notify: when } : {}), original: first };
}

/* ---- the content ---- */

interface Message {
  readonly content: Delivery['content'];
  readonly transaction: Transaction;
  readonly messageId: string;
  readonly notes: readonly string[];
}

interface Routed {
  readonly route: Route;
  readonly rewrite: Rewrite;
  readonly reversePath: ReversePath;
  readonly recipients: readonly RoutedRecipient[];
}

/** The completed head, what is known of the whole, and a way to open it as often as the body can be. */
async function compose(
  submission: Submission,
  fields: readonly Field[],
  body: Body,
  { route, rewrite, reversePath, recipients }: Routed,
): Promise<Parsed<Message>> {
  const { config, by } = submission;
  const { facts } = body;
  if (config.longLines === 'refuse' && facts.longestLine > LONGEST) return unparsed(TOO_LONG);
  const charset = mimeCharset(config.defaultCharset) || by.charset;
  const fromFields = 'fromFields' in submission.wanted && submission.wanted.fromFields;
  const shown = removeBcc(fields, { fromFields, keep: config.keepBcc });
  const isForeign = config.header8bit === 'encode' && shown.some(({ raw }) => !isAscii(raw));
  const understood = isForeign ? (await import('../message/unquoted-names.ts')).quoteNames(shown) : shown;
  const kept = changed(rewriteFields(rewrite, understood, senderDomain(config, by.hostname)), route);
  if (!kept.ok) return kept;
  const from = configuredFrom(config, by.login);
  if (!from.ok) return from;
  const completed = await complete(kept.value, {
    date: by.date,
    zone: -by.date.getTimezoneOffset(),
    unique: by.unique,
    hostname: helloName(config.hostname || by.hostname) || config.hostname || by.hostname,
    reversePath,
    fullName: lacksFrom(kept.value) || config.forceFrom ? await by.fullName() : '',
    login: by.login,
    qualifyDomain: senderDomain(config, by.hostname),
    qualifyRecipient: recipientDomain(config, by.hostname),
    from: from.value,
    forceFrom: config.forceFrom,
    received: config.received ? { id: by.unique, version: by.version, recipients: recipients.map(({ path }) => path) } : null,
    header8bit: config.header8bit,
    defaultCharset: charset,
    body: {
      eightBit: facts.eightBit,
      charset: facts.eightBit && needsCharset(kept.value) ? await bodyCharset(facts.sample, charset, !facts.whole) : null,
    },
    toAscii: (domain) => domainToASCII(domain) || null,
  });
  if (!completed.ok) return completed;
  const head = printHead(completed.value.fields);
  const headFacts = scanContent(head);
  if (config.longLines === 'refuse' && headFacts.longestLine > LONGEST) return unparsed(TOO_LONG);
  const eightBit = facts.eightBit || headFacts.eightBit ? 'some' : facts.whole ? 'none' : 'unknown';
  const smtputf8For = foreignPath(reversePath, recipients) ?? completed.value.needsSmtputf8;
  const notes = facts.longestLine > LONGEST ? [`a line of the message is longer than ${LONGEST} octets`] : [];
  const transaction: Transaction = {
    reversePath,
    recipients: [],
    size: facts.size === null ? null : headFacts.size + facts.size,
    estimate: facts.estimate === null ? null : headFacts.size + facts.estimate,
    eightBit,
    withoutEightBit: config.eightBit,
    smtputf8: smtputf8For !== null,
    ...(smtputf8For === null ? {} : { smtputf8For }),
    dsn: config.dsn,
    ...(submission.ret ? { ret: submission.ret } : {}),
    ...(submission.envid ? { envid: submission.envid } : {}),
  };
  const content = {
    get replayable() {
      return body.replayable;
    },
    open: (treatment: 'pass' | 'convert' | 'refuse', last: boolean) => openMessage(config, head, body, treatment, last),
  };
  return parsed({ content, transaction, messageId: completed.value.messageId, notes });
}

/** The first path of the envelope that is not ASCII, as a sentence; null when there is none. */
function foreignPath(reversePath: ReversePath, recipients: readonly RoutedRecipient[]): string | null {
  const isForeign = (path: ReversePath): path is Mailbox => path !== null && !isAscii(path.localPart);
  if (isForeign(reversePath)) return `the sender is ${printMailbox(reversePath)}`;
  const recipient = recipients.find(({ path }) => isForeign(path));
  return recipient ? `a recipient is ${printMailbox(recipient.path)}` : null;
}

/** RFC 5322 §2.1.1 */
const LONGEST = 998;
const TOO_LONG = `a line is longer than ${LONGEST} octets, and long_lines = "refuse"`;

/** The route's header changes: removals first, so that an added field stays. */
function changed(fields: readonly Field[], { changes }: Route): Parsed<readonly Field[]> {
  const kept = changes.remove.length === 0 ? fields : withoutFields(fields, ...changes.remove.map((name) => name.toLowerCase()));
  const added: Field[] = [];
  for (const text of changes.add) {
    const field = parseField(text);
    if (!field.ok) return unparsed(`headers_add "${text}": ${field.detail}`);
    added.push(field.value);
  }
  return parsed([...kept, ...added]);
}

/** MIME fields are added only where there are none. RFC 2045 §4 */
const needsCharset = (fields: readonly Field[]): boolean =>
  findField(fields, 'mime-version') === undefined && findField(fields, 'content-type') === undefined;

/** The charset whose octets these are: UTF-8 where they are valid in it, else the locale's or configured one if they are valid there. */
async function bodyCharset(sample: Uint8Array, charset: string, cut: boolean): Promise<string | null> {
  const octets = latin1(sample);
  if (isUtf8(octets, cut)) return 'UTF-8';
  return charset === '' ? null : (await import('../message/charset.ts')).chooseCharset(octets, [charset], cut);
}

function openMessage(
  config: Settings,
  head: Uint8Array,
  body: Body,
  treatment: 'pass' | 'convert' | 'refuse',
  last: boolean,
): Source | null {
  const opened = body.open(last);
  if (opened === null) return null;
  const limited = config.longLines === 'refuse' ? limitLines(opened) : opened;
  const patient = config.timeouts.input === Number.POSITIVE_INFINITY ? limited : limitSilence(limited, config.timeouts.input, untilRead);
  const whole = prefixSource(head, patient);
  return treatment === 'pass' ? whole : lazily(() => (treatment === 'convert' ? converted(config, whole, body) : refused(whole)));
}

/** Converting is rare: its module is loaded when a server makes it necessary. */
async function converted(config: Settings, message: Source, { facts }: Body): Promise<Source> {
  const { CONVERT, toSevenBit } = await import('../message/mime/convert.ts');
  const lookahead = facts.octets === null ? CONVERT.lookahead : facts.octets + 1;
  return toSevenBit(message, {
    ...CONVERT,
    lookahead,
    mislabelled: facts.whole ? 'convert' : 'fail',
    ...(config.defaultCharset === '' ? {} : { charset: config.defaultCharset }),
  });
}

async function refused(message: Source): Promise<Source> {
  const { refuseEightBit } = await import('../message/mime/convert.ts');
  return refuseEightBit(message);
}

function lazily(open: () => Promise<Source>): Source {
  let source: Promise<Source> | null = null;
  return {
    async read() {
      source ??= open();
      return (await source).read();
    },
    close: () => void source?.then((opened) => opened.close()),
  };
}
