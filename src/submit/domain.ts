/** Domains as SMTP without SMTPUTF8 can carry them, and what EHLO can say of a host by its name. */
import { domainToASCII } from 'node:url';
import { isAddressLiteral, isHostName, type Mailbox, withDomain } from '../smtp/path.ts';
import { isAscii } from '../smtp/text.ts';

/** A domain in A-labels where the local-part leaves ASCII enough: SMTPUTF8 is not needed then. RFC 6531 §3.2 */
export function asciiDomain(mailbox: Mailbox): Mailbox {
  if (isAscii(mailbox.domain) || !isAscii(mailbox.localPart)) return mailbox;
  return withDomain(mailbox, domainToASCII(mailbox.domain));
}

/** A domain, or a pattern of domains or addresses, as it is written and in A-labels: addresses have the one or the other. */
export function spellings(pattern: string): readonly string[] {
  if (isAscii(pattern)) return [pattern];
  const at = pattern.lastIndexOf('@') + 1;
  return [pattern, pattern.slice(0, at) + domainToASCII(pattern.slice(at))];
}

/**
 * A host's name as an argument of EHLO: a domain in A-labels, or an address literal as it is. '' where the name is neither,
 * such as `my_app.local`, which Docker makes: servers refuse it, so the literal of the socket is said. RFC 5321 §4.1.1.1
 */
export function helloName(hostname: string): string {
  if (isAddressLiteral(hostname)) return hostname;
  const name = hostname.replace(/\.$/, '');
  const ascii = isAscii(name) ? name : domainToASCII(name);
  return isHostName(ascii) ? ascii : '';
}

/** As helloName; '' also for a name of one label, which nobody outside can know. */
export function fullName(hostname: string): string {
  const name = helloName(hostname);
  return name.includes('.') || name.startsWith('[') ? name : '';
}
