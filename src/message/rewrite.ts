/**
 * Obeys `[rewrite]` of the configuration: replaces sender addresses in the envelope and in From, Sender and Reply-To. Names,
 * comments and folding stay. Never changes a recipient.
 */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { isDomain, type Mailbox, parseMailbox, printMailbox, qualify, type ReversePath, withDomain } from '../smtp/path.ts';
import { printable, utf8 } from '../smtp/text.ts';
import { bodyOffset, editField, type Field, isNamed } from './fields.ts';
import { parseAddressList } from './mailboxes.ts';

/** The replacement of a rule: a mailbox, or a domain behind the local-part that was there. */
type Replacement = { readonly mailbox: Mailbox } | { readonly domain: string };

export interface Rewrite {
  /** By address, its domain as `spell` has it; a whole domain has the local-part `*`. */
  readonly rules: ReadonlyMap<string, Replacement>;
  readonly spell: (domain: string) => string;
}

/**
 * Parses rules of the form `address → replacement`. A key is an address, a bare local-part (at `qualifyDomain`) or `*@domain`;
 * a replacement is an address, bare at `qualifyDomain`, or `*@domain`, which keeps the local-part. Errors name the rule.
 * `spell` makes one text of all spellings of a domain.
 */
export function parseRewrite(
  record: Readonly<Record<string, string>>,
  qualifyDomain: string,
  spell: (domain: string) => string,
): Parsed<Rewrite> {
  const rules = new Map<string, Replacement>();
  for (const [key, text] of Object.entries(record)) {
    const wrong = (what: string, why: string) =>
      unparsed(`[rewrite] "${printable(utf8(key), 200)}" = "${printable(utf8(text), 200)}": ${what}: ${why}`);
    const replacement = parseReplacement(text, qualifyDomain);
    if (!replacement.ok) return wrong('the replacement', replacement.detail);
    const mailbox = parseMailbox(key);
    if (!mailbox.ok) return wrong('the key', mailbox.detail);
    // Without a domain to qualify it, a bare key stands for the bare address.
    const { localPart, domain } = qualify(mailbox.value, qualifyDomain);
    rules.set(`${localPart}@${spell(domain)}`, replacement.value);
  }
  return parsed({ rules, spell });
}

function parseReplacement(text: string, qualifyDomain: string): Parsed<Replacement> {
  if (text.startsWith('*@')) {
    const domain = text.slice(2);
    return isDomain(domain) ? parsed({ domain }) : unparsed(`"${domain}" is not a domain`);
  }
  const mailbox = parseMailbox(text);
  if (!mailbox.ok) return mailbox;
  const whole = qualify(mailbox.value, qualifyDomain);
  return whole.domain === '' ? unparsed('it needs a domain: write it in full or set qualify_domain') : parsed({ mailbox: whole });
}

/** Returns the mailbox after the rules. One rule applies, once: that of the address before that of its domain. */
function rewriteMailbox({ rules, spell }: Rewrite, mailbox: Mailbox, qualifyDomain: string): Mailbox {
  const { localPart, domain } = qualify(mailbox, qualifyDomain);
  const at = `@${spell(domain)}`;
  const found = rules.get(localPart + at) ?? rules.get(`*${at}`);
  if (!found) return mailbox;
  return 'mailbox' in found ? found.mailbox : withDomain(mailbox, found.domain);
}

/** Returns the reverse-path after the rules; the null reverse-path stays null. */
export function rewriteReversePath(rewrite: Rewrite, path: ReversePath, qualifyDomain: string): ReversePath {
  return path === null ? null : rewriteMailbox(rewrite, path, qualifyDomain);
}

/** Returns the fields after the rules. A field that cannot be understood stays as it is. */
export function rewriteFields(rewrite: Rewrite, fields: readonly Field[], qualifyDomain: string): readonly Field[] {
  if (rewrite.rules.size === 0) return fields;
  return fields.map((field) => {
    if (!['from', 'sender', 'reply-to'].some((name) => isNamed(field, name))) return field;
    const list = parseAddressList(field.raw, bodyOffset(field));
    if (!list.ok) return field;
    const edits = list.value.mailboxes.flatMap(({ mailbox, start, end }) => {
      const after = rewriteMailbox(rewrite, mailbox, qualifyDomain);
      return after === mailbox ? [] : [{ start, end, text: utf8(printMailbox(after)) }];
    });
    return editField(field, edits);
  });
}
