/**
 * The content of one submission: the completed header section, what is known of the whole message, and a way to open it as often
 * as its body can be. Knows no smart host and no connection.
 */
import { type Body, limitLines, limitSilence } from '../message/body.ts';
import { complete, lacksFrom } from '../message/complete.ts';
import { type Field, findField, parseField, printHead, withoutFields } from '../message/fields.ts';
import { isUtf8, mimeCharset } from '../message/locale.ts';
import { removeBcc } from '../message/recipients.ts';
import { rewriteFields } from '../message/rewrite.ts';
import { prefixSource, type Source } from '../message/source.ts';
import type { Route, RoutedRecipient } from '../router/route.ts';
import { scanContent } from '../smtp/client/content.ts';
import type { Transaction } from '../smtp/client/print.ts';
import { LONGEST_CONTENT_LINE } from '../smtp/limits.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type Mailbox, printMailbox, type ReversePath } from '../smtp/path.ts';
import { isAscii, latin1 } from '../smtp/text.ts';
import { aLabels } from '../transport/a-labels.ts';
import { untilRead } from '../transport/clock.ts';
import type { EightBitTreatment } from '../transport/driver.ts';
import type { Delivery } from './delivery.ts';
import { helloName } from './domain.ts';
import type { Domains, Sender } from './envelope.ts';
import { minutesEast } from './local-time.ts';
import { treatEightBit } from './seven-bits.ts';
import type { Submission } from './submission.ts';

/** The envelope that the content goes with. */
interface RoutedEnvelope extends Sender {
  readonly route: Route;
  readonly recipients: readonly RoutedRecipient[];
}

export interface ComposedContent {
  readonly content: Delivery['content'];
  /** All of the transaction that does not depend on who gets the message. */
  readonly transaction: Omit<Transaction, 'recipients'>;
  readonly messageId: string;
  readonly notes: readonly string[];
}

/** Completes the header section of a message whose body was taken. */
export async function composeContent(
  submission: Submission,
  domains: Domains,
  fields: readonly Field[],
  body: Body,
  envelope: RoutedEnvelope,
): Promise<Parsed<ComposedContent>> {
  const { config } = submission;
  const { facts } = body;
  if (config.longLines === 'refuse' && facts.longestLine > LONGEST_CONTENT_LINE) return unparsed(LINE_TOO_LONG);
  const kept = await changeFields(submission, domains, fields, envelope);
  if (!kept.ok) return kept;
  const completed = await completeFields(submission, domains, kept.value, body, envelope);
  if (!completed.ok) return completed;
  const head = printHead(completed.value.fields);
  const headFacts = scanContent(head);
  if (config.longLines === 'refuse' && headFacts.longestLine > LONGEST_CONTENT_LINE) return unparsed(LINE_TOO_LONG);
  const smtputf8For = findForeignPath(envelope) ?? completed.value.needsSmtputf8 ?? undefined;
  return parsed({
    content: {
      get replayable() {
        return body.replayable;
      },
      open: (treatment, last) => openMessage(submission, head, body, treatment, last),
    },
    transaction: {
      reversePath: envelope.reversePath,
      size: facts.size === null ? null : headFacts.size + facts.size,
      estimate: facts.estimate === null ? null : headFacts.size + facts.estimate,
      eightBit: facts.eightBit || headFacts.eightBit ? 'some' : facts.whole ? 'none' : 'unknown',
      withoutEightBit: config.eightBit,
      smtputf8: smtputf8For !== undefined,
      smtputf8For,
      dsn: config.dsn,
      ret: submission.ret,
      envid: submission.envid || undefined,
    },
    messageId: completed.value.messageId,
    notes:
      Math.max(facts.longestLine, headFacts.longestLine) > LONGEST_CONTENT_LINE
        ? [`a line of the message is longer than ${LONGEST_CONTENT_LINE} octets`]
        : [],
  });
}

/** The fields without Bcc, rewritten, and with the route's changes. */
async function changeFields(
  { config, recipients }: Submission,
  domains: Domains,
  fields: readonly Field[],
  { rewrite, route }: RoutedEnvelope,
): Promise<Parsed<readonly Field[]>> {
  const fromFields = 'fromFields' in recipients && recipients.fromFields;
  const shown = removeBcc(fields, { fromFields, keep: config.keepBcc });
  const isForeign = config.header8bit === 'encode' && shown.some(({ raw }) => !isAscii(raw));
  const understood = isForeign ? (await import('../message/unquoted-names.ts')).quoteNames(shown) : shown;
  return applyRoute(rewriteFields(rewrite, understood, domains.sender), route);
}

async function completeFields(
  { config, by }: Submission,
  domains: Domains,
  fields: readonly Field[],
  { facts }: Body,
  { reversePath, recipients, from }: RoutedEnvelope,
): ReturnType<typeof complete> {
  const charset = mimeCharset(config.defaultCharset) || by.charset;
  return complete(fields, {
    date: by.date,
    zone: minutesEast(by.date),
    unique: by.unique,
    hostname: helloName(domains.host) || domains.host,
    reversePath,
    fullName: lacksFrom(fields) || config.forceFrom ? await by.fullName() : '',
    login: by.login,
    qualifyDomain: domains.sender,
    qualifyRecipient: domains.recipient,
    from,
    forceFrom: config.forceFrom,
    received: config.received ? { id: by.id, version: by.version, recipients: recipients.map(({ path }) => path) } : null,
    header8bit: config.header8bit,
    defaultCharset: charset,
    body: {
      eightBit: facts.eightBit,
      charset: facts.eightBit && needsCharset(fields) ? await chooseBodyCharset(facts.sample, charset, !facts.whole) : null,
    },
    toAscii: (domain) => aLabels(domain) || null,
  });
}

/** A sentence about the first path of the envelope that is not ASCII; null when there is none. */
function findForeignPath({ reversePath, recipients }: RoutedEnvelope): string | null {
  const isForeign = (path: ReversePath): path is Mailbox => path !== null && !isAscii(path.localPart);
  if (isForeign(reversePath)) return `the sender is ${printMailbox(reversePath)}`;
  const recipient = recipients.find(({ path }) => isForeign(path));
  return recipient ? `a recipient is ${printMailbox(recipient.path)}` : null;
}

const LINE_TOO_LONG = `a line is longer than ${LONGEST_CONTENT_LINE} octets, and long_lines = "refuse"`;

/** Makes the route's header changes: removals first, so that an added field stays. */
function applyRoute(fields: readonly Field[], { changes }: Route): Parsed<readonly Field[]> {
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

/** The charset of the octets: UTF-8 where they are valid in it, else the locale's or configured one if they are valid there. */
async function chooseBodyCharset(sample: Uint8Array, charset: string, cut: boolean): Promise<string | null> {
  const octets = latin1(sample);
  if (isUtf8(octets, cut)) return 'UTF-8';
  return charset === '' ? null : (await import('../message/charset.ts')).chooseCharset(octets, [charset], cut);
}

/* ---- octets ---- */

function openMessage(
  { config, input }: Submission,
  head: Uint8Array,
  body: Body,
  treatment: EightBitTreatment,
  last: boolean,
): Source | null {
  const opened = body.open(last);
  if (opened === null) return null;
  if (treatment === 'convert') input.willConvert?.();
  const limited = config.longLines === 'refuse' ? limitLines(opened) : opened;
  const patient = config.timeouts.input === Number.POSITIVE_INFINITY ? limited : limitSilence(limited, config.timeouts.input, untilRead);
  const whole = prefixSource(head, patient);
  return treatEightBit(whole, treatment, { octets: body.facts.octets, whole: body.facts.whole, charset: config.defaultCharset });
}
