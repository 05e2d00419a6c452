/** Domains as SMTP without SMTPUTF8 can carry them, and what EHLO can say of a host by its name. */
import { isAddressLiteral, isHostName, type Mailbox, withDomain } from '../smtp/path.ts';
import { isAscii } from '../smtp/text.ts';
import { aLabels, uLabels } from '../transport/a-labels.ts';

/** Writes the domain in A-labels where the local-part is ASCII, because then no SMTPUTF8 is needed. RFC 6531 §3.2 */
export function asciiDomain(mailbox: Mailbox): Mailbox {
  if (isAscii(mailbox.domain) || !isAscii(mailbox.localPart)) return mailbox;
  return withDomain(mailbox, aLabels(mailbox.domain));
}

/**
 * The spellings of a domain, or of a pattern of domains or addresses: as it is written, and with the other form of its labels.
 * An address keeps its own where its local-part is not ASCII.
 */
export function spellings(pattern: string): readonly string[] {
  const at = pattern.lastIndexOf('@') + 1;
  const domain = pattern.slice(at);
  const other = isAscii(domain) ? uLabels(domain) : aLabels(domain);
  return other === domain ? [pattern] : [pattern, pattern.slice(0, at) + other];
}

/**
 * A host's name as an argument of EHLO: a domain in A-labels, or an address literal as it is. '' where the name is neither,
 * such as `my_app.local`, which Docker makes: servers refuse it, so EHLO says the literal of the socket. RFC 5321 §4.1.1.1
 */
export function helloName(hostname: string): string {
  if (isAddressLiteral(hostname)) return hostname;
  const name = hostname.replace(/\.$/, '');
  const ascii = isAscii(name) ? name : aLabels(name);
  return isHostName(ascii) ? ascii : '';
}

/** As helloName; '' also for a name of one label, which nobody outside can know. */
export function fullName(hostname: string): string {
  const name = helloName(hostname);
  return name.includes('.') || name.startsWith('[') ? name : '';
}
