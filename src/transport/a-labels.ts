/** Domains as DNS has them, and as people write them. It loads node:url when a domain needs it, because most do not. Knows no look-up. */

/** What is written already as it would come back; a last label that begins with a digit may be an address in an old form. */
const PLAIN = /^(?:(?:(?!..--)[a-z0-9-]{1,63}\.)*(?!..--)[a-z][a-z0-9-]{0,62})?$/;

/** The domain in A-labels and in lower case; '' for what is no domain. RFC 5890 §2.3.2.1 */
export const aLabels = (domain: string): string =>
  PLAIN.test(domain) ? domain : process.getBuiltinModule('node:url').domainToASCII(domain);

/** The domain in U-labels; itself where it has no A-label. RFC 5890 §2.3.2.1 */
export const uLabels = (domain: string): string =>
  /xn--/i.test(domain) ? process.getBuiltinModule('node:url').domainToUnicode(domain) || domain : domain;
