/**
 * Collects the recipients of a message: from the arguments, and with -t from the recipient fields. Knows no envelope parameters
 * and no routing.
 */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type Mailbox, mailboxKey, printMailbox, qualify } from '../smtp/path.ts';
import { printable, utf8 } from '../smtp/text.ts';
import { bodyOffset, type Field, isNamed, resentBlock, withoutFields } from './fields.ts';
import { isPartOfName, parseAddressList } from './mailboxes.ts';

interface RecipientOptions {
  /** True if recipients are taken from the header section (-t). */
  readonly fromFields: boolean;
  /** The effect of arguments together with -t; configuration key arguments_with_t. */
  readonly argumentsWithT: 'add' | 'remove';
  /** The domain of bare addresses; '' = none is known, so a bare address fails. */
  readonly qualifyRecipient: string;
  /** Spells the domain as RCPT has it: two spellings of a domain are one recipient. */
  readonly spell: (mailbox: Mailbox) => Mailbox;
}

/**
 * Returns the recipients in the order in which they are named, each once, all with a domain. `operands`: command-line arguments
 * as text (not octets), each an address list. Errors name the argument or field.
 */
export function collectRecipients(
  fields: readonly Field[],
  operands: readonly string[],
  options: RecipientOptions,
): Parsed<readonly Mailbox[]> {
  const fromArguments = parseOperands(operands);
  if (!fromArguments.ok) return fromArguments;
  if (!options.fromFields) {
    const named = qualifyAll(fromArguments.value, options);
    if (!named.ok) return named;
    return named.value.size > 0 ? listOf(named.value) : unparsed(`no recipients: ${argumentCount(operands)}, and -t was not given`);
  }
  const fromFields = parseFields(fields);
  if (!fromFields.ok) return fromFields;
  const named = qualifyAll(fromArguments.value, options);
  if (!named.ok) return named;
  const adds = options.argumentsWithT === 'add';
  const found = qualifyAll(adds ? [...fromArguments.value, ...fromFields.value] : fromFields.value, options);
  if (!found.ok) return found;
  if (found.value.size === 0)
    return unparsed(`no recipients: ${argumentCount(operands)}, and the ${recipientNames(fields).join(', ')} fields hold no address`);
  if (adds) return listOf(found.value);
  const left = new Map([...found.value].filter(([key]) => !named.value.has(key)));
  return left.size > 0 ? listOf(left) : unparsed('no recipients: the arguments remove all that -t found (arguments_with_t = "remove")');
}

/**
 * Returns the fields without Bcc and Resent-Bcc, so that no recipient learns of them. They stay only with `keep` (keep_bcc),
 * and never if the recipients are taken from the fields. Deviation: Exim leaves a Bcc field in without -t, and in a resent
 * message; but callers such as git send-email and nodemailer rely on us to remove it.
 */
export function removeBcc(
  fields: readonly Field[],
  { fromFields, keep }: { readonly fromFields: boolean; readonly keep: boolean },
): readonly Field[] {
  return keep && !fromFields ? fields : withoutFields(fields, 'bcc', 'resent-bcc');
}

/** Parses command-line arguments as address lists. */
export function parseOperands(operands: readonly string[]): Parsed<readonly Mailbox[]> {
  const out: Mailbox[] = [];
  for (const operand of operands) {
    // Callers pass lists as they stand in a file; to Exim and Postfix, too, a line end in one is a blank.
    const list = parseAddressList(utf8(operand.replaceAll(/[\r\n]+/g, '\n ')));
    if (!list.ok) return unparsed(`in the argument "${printable(utf8(operand), 200)}": ${list.detail}`);
    for (const { mailbox } of list.value.mailboxes) out.push(mailbox);
  }
  return parsed(out);
}

/** RFC 5322 §3.6.6: a resent message goes to the recipients of its newest Resent block only. */
function recipientNames(fields: readonly Field[]): readonly string[] {
  return resentBlock(fields).length > 0 ? ['Resent-To', 'Resent-Cc', 'Resent-Bcc'] : ['To', 'Cc', 'Bcc'];
}

function parseFields(fields: readonly Field[]): Parsed<readonly Mailbox[]> {
  const names = recipientNames(fields).map((name) => name.toLowerCase());
  const block = resentBlock(fields);
  const looked = block.length > 0 ? block.map((index) => fields[index] as Field) : fields;
  const out: Mailbox[] = [];
  for (const field of looked) {
    if (!names.some((name) => isNamed(field, name))) continue;
    const list = parseAddressList(field.raw, bodyOffset(field));
    if (!list.ok) return unparsed(`in the ${field.name} field: ${list.detail}`);
    const name = list.value.mailboxes.find(isPartOfName);
    if (name) {
      const text = printable(utf8(name.mailbox.localPart), 200);
      return unparsed(
        `in the ${field.name} field: "${text}" has no "@" and is not ASCII; if a name has a comma, put the name in quotes: "${text}, …" <address>`,
      );
    }
    for (const { mailbox } of list.value.mailboxes) out.push(mailbox);
  }
  return parsed(out);
}

/** Qualifies the mailboxes. The keys of the map make sure that each recipient is there once, in the first way of writing. */
function qualifyAll(mailboxes: readonly Mailbox[], { qualifyRecipient, spell }: RecipientOptions): Parsed<ReadonlyMap<string, Mailbox>> {
  const out = new Map<string, Mailbox>();
  for (const mailbox of mailboxes) {
    const whole = spell(qualify(mailbox, qualifyRecipient));
    if (whole.domain === '')
      return unparsed(
        `the recipient "${printable(utf8(printMailbox(mailbox)), 200)}" has no domain: set qualify_recipient, or write the address in full`,
      );
    const key = mailboxKey(whole);
    if (!out.has(key)) out.set(key, whole);
  }
  return parsed(out);
}

function listOf(recipients: ReadonlyMap<string, Mailbox>): Parsed<readonly Mailbox[]> {
  return parsed([...recipients.values()]);
}

/** Shows the arguments that came, because callers lose recipients in their quoting. */
function argumentCount(operands: readonly string[]): string {
  if (operands.length === 0) return 'there are no arguments';
  const shown = operands.slice(0, 3).map((operand) => `"${printable(utf8(operand), 60)}"`);
  const more = operands.length > 3 ? ' …' : '';
  return operands.length === 1
    ? `the only argument is ${shown[0]}`
    : `${operands.length} arguments hold no address (${shown.join(' ')}${more})`;
}
