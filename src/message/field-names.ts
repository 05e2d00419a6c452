/** Names of header fields, in lower case, by what their bodies hold. Knows no field. */
export const SENDERS = ['from', 'sender', 'reply-to', 'resent-from', 'resent-sender', 'resent-reply-to'];
export const RECIPIENTS = ['to', 'cc', 'bcc', 'resent-to', 'resent-cc', 'resent-bcc'];
/** Fields of other standards whose body is an address list: RFC 8098 §2.1, and some that user agents made up. */
const OTHER_ADDRESSES = [
  'disposition-notification-to',
  'return-receipt-to',
  'errors-to',
  'mail-followup-to',
  'mail-reply-to',
  'apparently-to',
];
/** True for a field whose body is an address list. `name` in lower case. */
export const hasAddresses = (name: string): boolean =>
  SENDERS.includes(name) || RECIPIENTS.includes(name) || OTHER_ADDRESSES.includes(name);
/** Structured fields in which RFC 2047 §5 allows no encoded word, or in which one would break a signature or an identifier. */
export const NEVER_ENCODED =
  /^(received|return-path|date|message-id|in-reply-to|references|resent-date|resent-message-id|mime-version|content-(?!description$).*|dkim-signature|domainkey-signature|arc-.*|authentication-results|list-(help|unsubscribe|unsubscribe-post|subscribe|post|owner|archive)|autocrypt|archived-at|delivered-to)$/;
