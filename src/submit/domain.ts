/** Domains as SMTP without SMTPUTF8 can carry them. */
import { domainToASCII } from 'node:url';
import type { Mailbox } from '../smtp/path.ts';
import { isAscii } from '../smtp/text.ts';

/** A domain in A-labels where the local-part leaves ASCII enough: SMTPUTF8 is not needed then. RFC 6531 §3.2 */
export function asciiDomain(mailbox: Mailbox): Mailbox {
  if (isAscii(mailbox.domain) || !isAscii(mailbox.localPart)) return mailbox;
  return { ...mailbox, domain: domainToASCII(mailbox.domain) || mailbox.domain };
}
