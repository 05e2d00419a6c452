/**
 * Completes the header section as a submission agent must (RFC 6409 §8, RFC 5322 §3.6): adds what is missing, qualifies bare
 * addresses, encodes raw 8-bit text, and leaves everything else octet for octet as it came. The caller hands in every fact
 * (date, names, addresses). Knows neither the clock nor the configuration.
 */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import {
  isAsciiMailbox,
  type Mailbox,
  parseMailbox,
  printMailbox,
  printPath,
  qualify,
  quoteLocalPart,
  type ReversePath,
  withDomain,
} from '../smtp/path.ts';
import { fromUtf8, isAscii, printable, utf8 } from '../smtp/text.ts';
import { type TextSpan, unquote } from './address-tokens.ts';
import { printDate } from './date.ts';
import { commentWords, encodeWords, printPhrase, textWords, type Word } from './encoded-words.ts';
import { hasAddresses, NEVER_ENCODED, RECIPIENTS, SENDERS } from './field-names.ts';
import {
  bodyOffset,
  type Edit,
  editField,
  type Field,
  fieldBody,
  findField,
  isNamed,
  makeField,
  resentBlock,
  withoutFields,
} from './fields.ts';
import { type AddressList, isPartOfName, parseAddressList } from './mailboxes.ts';

export interface CompletionFacts {
  readonly date: Date;
  /** Minutes east of UTC. */
  readonly zone: number;
  /** Unique for this message: letters, digits, hyphens and dots. */
  readonly unique: string;
  /** Right side of Message-ID, and the host of Received. */
  readonly hostname: string;
  /** The reverse-path of the envelope, after rewriting. */
  readonly reversePath: ReversePath;
  /** The name in an added From field; '' = none. */
  readonly fullName: string;
  readonly login: string;
  /** The domain of bare senders; '' = none is known, so they fail. */
  readonly qualifyDomain: string;
  /** The domain of bare recipients; '' = none is known, so they fail. */
  readonly qualifyRecipient: string;
  /** Configuration key `from`; null = not set. */
  readonly from: Mailbox | null;
  /** True if `from` also replaces the addresses of the message's From. */
  readonly forceFrom: boolean;
  /** The facts of an added Received field; null = none is added (configuration key received). */
  readonly received: { readonly id: string; readonly version: string; readonly recipients: readonly Mailbox[] } | null;
  readonly header8bit: 'encode' | 'send';
  /** MIME name of the charset of header text that is not UTF-8; '' = none is known. */
  readonly defaultCharset: string;
  /** The facts that the body's first octets show: octets above 127, and the MIME name of their charset; null = not found out. */
  readonly body: { readonly eightBit: boolean; readonly charset: string | null };
  /** Returns the domain in A-labels; null if it has none. RFC 5890 §2.3.2.1 */
  readonly toAscii: (domain: string) => string | null;
}

export interface CompletedHead {
  readonly fields: readonly Field[];
  /** The message's identifier with its brackets (octet string), for the log: the one it had, or the added one. */
  readonly messageId: string;
  /** The first header address whose local-part is not ASCII, as `the From field has jörg@example.org`; null when there is none. RFC 6531 §3.4 */
  readonly needsSmtputf8: string | null;
}

/**
 * The number of Exim's received_headers_max: more hops than any path has. RFC 5321 §6.3 asks for at least 100, but of relays,
 * and this is none.
 */
const MOST_RECEIVED = 30;
/** True if a From or Resent-From field will be added. Only then is a full name of use, so only then does the caller look it up. */
export function lacksFrom(fields: readonly Field[]): boolean {
  const block = resentBlock(fields);
  return block.length > 0
    ? !block.some((index) => isNamed(fields[index] as Field, 'resent-from'))
    : findField(fields, 'from') === undefined;
}

/**
 * Completes the header section. Fails on a mail loop, and on a bare address if there is no domain to qualify it. It loads
 * iconv-lite only if a field has octets that are not UTF-8 and a default charset is known.
 */
export async function complete(fields: readonly Field[], facts: CompletionFacts): Promise<Parsed<CompletedHead>> {
  const hops = fields.filter((field) => isNamed(field, 'received')).length;
  if (hops > MOST_RECEIVED)
    return unparsed(`the message has ${hops} Received fields, which suggests a mail loop (at most ${MOST_RECEIVED})`);
  let out: readonly Field[] = withoutFields(fields, 'return-path');
  out = facts.forceFrom && facts.from ? forceFrom(out, facts.from, facts) : out;
  const added = addMissing(out, facts);
  if (!added.ok) return added;
  let needsSmtputf8: string | null = null;
  const done: Field[] = [];
  for (const field of added.value) {
    const finished = await finishField(field, facts);
    if (!finished.ok) return finished;
    done.push(finished.value.field);
    needsSmtputf8 ??= finished.value.needsSmtputf8;
  }
  const messageId = findField(done, 'message-id') ?? findField(done, 'resent-message-id');
  return parsed({ fields: done, messageId: messageId ? fieldBody(messageId) : '', needsSmtputf8 });
}

/** Obeys the configuration key force_from: the address changes, the name stays. A field that is not one address is written anew. */
function forceFrom(fields: readonly Field[], from: Mailbox, facts: CompletionFacts): readonly Field[] {
  const block = new Set(resentBlock(fields));
  return fields.map((field, index) => {
    if (!isNamed(field, 'from') && !(isNamed(field, 'resent-from') && block.has(index))) return field;
    const list = parseAddressList(field.raw, bodyOffset(field));
    const only = list.ok && list.value.mailboxes.length === 1 ? list.value.mailboxes[0] : undefined;
    if (!only) return makeField(field.name, printNamed(from, facts.fullName, facts));
    return editField(field, [{ start: only.start, end: only.end, text: utf8(printMailbox(withAsciiDomain(from, facts))) }]);
  });
}

/**
 * Adds what is missing, in Exim's order, behind the fields that are there; MIME fields come last. In a resent message the
 * resent fields go to the head of the newest block instead. RFC 5322 §3.6 and §3.6.6
 */
function addMissing(fields: readonly Field[], facts: CompletionFacts): Parsed<readonly Field[]> {
  const block = resentBlock(fields);
  const prefix = block.length > 0 ? 'Resent-' : '';
  const there = block.length > 0 ? block.map((index) => fields[index] as Field) : fields;
  const lacks = (name: string) => findField(there, `${prefix}${name}`.toLowerCase()) === undefined;
  const missing: Field[] = [];
  if (lacks('Message-ID')) missing.push(makeField(`${prefix}Message-ID`, `<${facts.unique}@${idDomain(facts)}>`));
  if (lacks('From')) {
    const sender = defaultSender(facts);
    if (!sender.ok) return sender;
    if (sender.value.domain === '') return unparsed(explainBare(`${prefix}From`, utf8(printMailbox(sender.value)), 'qualify_domain'));
    missing.push(makeField(`${prefix}From`, printNamed(sender.value, facts.fullName, facts)));
  }
  if (lacks('Date')) missing.push(makeField(`${prefix}Date`, printDate(facts.date, facts.zone)));
  const at = block[0] ?? fields.length;
  const trace = facts.received ? [makeReceived(facts.received, facts)] : [];
  return parsed([...trace, ...fields.slice(0, at), ...missing, ...fields.slice(at), ...makeMimeFields(fields, facts)]);
}

/** Returns the mailbox of an added From field: the envelope's sender, else the configured one, else the user who runs this. */
function defaultSender({ forceFrom, from, reversePath, login, qualifyDomain }: CompletionFacts): Parsed<Mailbox> {
  const known = (forceFrom ? from : null) ?? reversePath ?? from;
  if (known) return parsed(known);
  const mailbox = parseMailbox(quoteLocalPart(login));
  if (!mailbox.ok) return unparsed(`the login name "${printable(utf8(login), 200)}" makes no address: ${mailbox.detail}; set from`);
  return parsed(qualify(mailbox.value, qualifyDomain));
}

/**
 * Labels 8-bit text that has no label (RFC 2045 §4, RFC 6152 §2). A message with any MIME field is left to its composer;
 * Content-Length is a field of mbox, not of MIME.
 */
function makeMimeFields(fields: readonly Field[], { body }: CompletionFacts): readonly Field[] {
  const has = fields.some(({ name }) => /^(mime-version|content-(?!length$).*)$/.test(name.toLowerCase()));
  if (!body.eightBit || has) return [];
  // RFC 1428 §3 has this label for 8-bit text whose charset nobody knows.
  const charset = body.charset !== null && /^[A-Za-z0-9][A-Za-z0-9!#$%&+^_`{}~-]*$/.test(body.charset) ? body.charset : 'unknown-8bit';
  return [
    makeField('MIME-Version', '1.0'),
    makeField('Content-Type', `text/plain; charset=${charset}`),
    makeField('Content-Transfer-Encoding', '8bit'),
  ];
}

/** A Received field (RFC 5321 §4.4) in Exim's words. */
function makeReceived(received: NonNullable<CompletionFacts['received']>, facts: CompletionFacts): Field {
  const word = (text: string) => text.replaceAll(/[^A-Za-z0-9.:_[\]-]/g, '_') || 'unknown';
  const sender = facts.reversePath ? `\n\t(envelope-from ${utf8(printPath(withAsciiDomain(facts.reversePath, facts)))})` : '';
  const [only, second] = received.recipients;
  // Several recipients would learn of each other from the field. RFC 5321 §7.2
  const forOne = only && !second ? `\n\tfor ${utf8(printPath(withAsciiDomain(only, facts)))}` : '';
  return makeField(
    'Received',
    `from ${word(facts.login)} by ${word(facts.hostname)} with local (nospool ${word(received.version)})${sender}\n\tid ${word(received.id)}${forOne};\n\t${printDate(facts.date, facts.zone)}`,
  );
}

/** Prints a mailbox with its name, folded where the line would be long. */
function printNamed(mailbox: Mailbox, fullName: string, facts: CompletionFacts): string {
  const phrase = printPhrase(fullName);
  const spec = utf8(printMailbox(withAsciiDomain(mailbox, facts)));
  if (phrase === '') return spec;
  const lastLine = phrase.slice(phrase.lastIndexOf('\n') + 1);
  return `${phrase}${lastLine.length + spec.length > 60 ? '\n' : ''} <${spec}>`;
}

/** Returns the right side of Message-ID: a name that the world knows, if there is one. RFC 5322 §3.6.4 */
function idDomain({ hostname, reversePath, qualifyDomain, toAscii }: CompletionFacts): string {
  const names = [hostname, reversePath?.domain ?? '', qualifyDomain].map((name) => (isAscii(name) ? name : (toAscii(name) ?? '')));
  const usable = names.filter((name) => /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(name));
  return usable.find((name) => name.includes('.')) ?? usable[0] ?? 'nospool.invalid';
}

/** Writes the domain in A-labels where the local-part is ASCII, so that the message needs no SMTPUTF8. RFC 6531 §3.2 */
function withAsciiDomain(mailbox: Mailbox, { toAscii }: CompletionFacts): Mailbox {
  if (isAscii(mailbox.domain) || !isAscii(mailbox.localPart)) return mailbox;
  return withDomain(mailbox, toAscii(mailbox.domain) ?? '');
}

function explainBare(name: string, text: string, key: string): string {
  return `the ${name} field has the bare address "${printable(text, 200)}", and no domain is known for it: set ${key}`;
}

type Finished = Pick<CompletedHead, 'needsSmtputf8'> & { readonly field: Field };

/** Finishes one field: qualifies its addresses and encodes its 8-bit text. */
async function finishField(field: Field, facts: CompletionFacts): Promise<Parsed<Finished>> {
  const name = field.name.toLowerCase();
  const isEncoded = facts.header8bit === 'encode' && !isAscii(field.raw) && !NEVER_ENCODED.test(name);
  if (!hasAddresses(name)) return parsed({ field: isEncoded ? await encodeText(field, facts) : field, needsSmtputf8: null });
  if (!isEncoded) return finishAddresses(field, field, facts, null);
  const utf8Field = await toUtf8(field, facts.defaultCharset);
  return finishAddresses(field, utf8Field ?? field, facts, utf8Field ? 'UTF-8' : 'unknown-8bit');
}

/** Finishes an address list. `source`: the field, in UTF-8 if it could be; `charset`: that of the text to encode, null = none is. */
function finishAddresses(field: Field, source: Field, facts: CompletionFacts, charset: string | null): Parsed<Finished> {
  const list = parseAddressList(source.raw, bodyOffset(field));
  // A list that cannot be understood cannot be completed. It is the composer's, and the smart host judges it.
  if (!list.ok) return parsed({ field: charset === null ? field : encodeAddresses(source, charset), needsSmtputf8: null });
  const edits: Edit[] = charset === null ? [] : list.value.blanks.map(({ start, end }) => ({ start, end, text: ' ' }));
  let needsSmtputf8: string | null = null;
  for (const listed of list.value.mailboxes) {
    if (charset !== null && isPartOfName(listed)) continue;
    const { mailbox, start, end } = listed;
    const domain = mailbox.domain === '' ? missingDomain(source, listed, facts) : parsed(null);
    if (!domain.ok) return domain;
    if (domain.value !== null)
      edits.push({ start: end, end, text: `@${utf8(withAsciiDomain(qualify(mailbox, domain.value), facts).domain)}` });
    const ascii = withAsciiDomain(mailbox, facts);
    if (ascii !== mailbox) edits.push({ start, end, text: utf8(printMailbox(ascii)) });
    if (!isAsciiMailbox(ascii)) needsSmtputf8 ??= `the ${field.name} field has ${printable(utf8(printMailbox(mailbox)), 200)}`;
  }
  const edited = editField(source, edits);
  return parsed({ field: charset === null ? edited : encodeAddresses(edited, charset), needsSmtputf8 });
}

/** Returns the domain that a bare address of this field gets; null if it stays bare, as in fields of other standards. */
function missingDomain(field: Field, { start, end }: TextSpan, facts: CompletionFacts): Parsed<string | null> {
  const name = field.name.toLowerCase();
  const key = SENDERS.includes(name) ? 'qualify_domain' : RECIPIENTS.includes(name) ? 'qualify_recipient' : null;
  if (key === null) return parsed(null);
  const domain = key === 'qualify_domain' ? facts.qualifyDomain : facts.qualifyRecipient;
  return domain === '' ? unparsed(explainBare(field.name, field.raw.slice(start, end), key)) : parsed(domain);
}

/**
 * Encodes display names, group names and comments, never an addr-spec (RFC 2047 §5(2) and §5(3)). In a field that is no address
 * list it encodes the words that hold no address.
 */
export function encodeAddresses(field: Field, charset: string): Field {
  const from = bodyOffset(field);
  const list = parseAddressList(field.raw, from);
  const words = list.ok ? addressWords(field.raw, list.value) : looseWords(field.raw, from);
  return { name: field.name, raw: encodeWords(field.raw, words, charset) };
}

function addressWords(raw: string, { mailboxes, words, comments }: AddressList): readonly Word[] {
  const alone = mailboxes.filter(isPartOfName).map(({ start, end }) => ({ start, end, quoted: raw[start] === '"' }));
  const inPhrases = [...words, ...alone].map(({ start, end, quoted }) => {
    const text = raw.slice(start, end);
    return { start, end, quoted, content: unquote(quoted ? text.slice(1, -1) : text) };
  });
  return [...inPhrases, ...comments.flatMap(({ start, end }) => commentWords(raw, start, end))].sort((a, b) => a.start - b.start);
}

/**
 * Returns the words of what is no address list, but those that may be an address. What separates addresses, encloses a comment or
 * quotes a name is no part of a word, because encoded it would join the addresses beside it.
 */
function looseWords(raw: string, from: number): readonly Word[] {
  const found = raw.slice(from).matchAll(/"(?:[^"\\]|\\.)*"(?![^ \t\n,:;()<])|[^ \t\n,:;()]+/gs);
  return [...found].flatMap(({ 0: text, index }) => {
    const quoted = /^".*"$/s.test(text);
    const start = from + index;
    return /[@<>]/.test(text) ? [] : [{ start, end: start + text.length, quoted, content: quoted ? unquote(text.slice(1, -1)) : text }];
  });
}

async function encodeText(field: Field, facts: CompletionFacts): Promise<Field> {
  const known = await toUtf8(field, facts.defaultCharset);
  const { raw } = known ?? field;
  return { name: field.name, raw: encodeWords(raw, textWords(raw, bodyOffset(field)), known ? 'UTF-8' : 'unknown-8bit') };
}

/** Returns the field in UTF-8; null if it is neither UTF-8 nor valid in the default charset. */
async function toUtf8(field: Field, defaultCharset: string): Promise<Field | null> {
  if (fromUtf8(field.raw) !== null) return field;
  if (defaultCharset === '') return null;
  const { decode } = await import('./charset.ts');
  const text = decode(field.raw, defaultCharset);
  return text === null ? null : { name: field.name, raw: utf8(text) };
}
