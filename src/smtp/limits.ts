/**
 * How long a line, a name or an answer may be: the limits of RFC 5321 and its neighbours, and ours where we bear more than
 * they ask. Lengths are octets without CRLF, where nothing else is said. Knows no text.
 */

/** A line of content. RFC 5321 §4.5.3.1.6 and RFC 5322 §2.1.1: 1,000 octets with CRLF. */
export const LONGEST_CONTENT_LINE = 998;

/** A command line that we send. RFC 5321 §4.5.3.1.4: 512 octets with CRLF. */
export const LONGEST_COMMAND_SENT = 510;
/** A command line that we hear. RFC 4954 §4 asks for 12,288 octets at least; no command is longer than this. */
export const LONGEST_COMMAND_HEARD = 64 * 1024;

/** The text of a reply line that we send. RFC 5321 §4.5.3.1.5: 512 octets with code and CRLF. */
export const LONGEST_REPLY_TEXT_SENT = 506;
/** A reply line and a whole reply that we hear: far beyond those 512 octets and any reply seen, and still harmless. */
export const LONGEST_REPLY_LINE_HEARD = 64 * 1024;
export const LONGEST_REPLY_HEARD = 256 * 1024;

/** A SASL challenge after decoding: a line of 12,288 octets of base64, which RFC 4954 §4 calls enough for every mechanism. */
export const LONGEST_CHALLENGE = 9216;

/**
 * An address, in characters. RFC 5321 §4.5.3.1.3 asks servers for 256 octets at least; 1,000 leaves room for VERP and still
 * bounds a command.
 */
export const LONGEST_ADDRESS = 1000;
/** A domain. RFC 5321 §4.5.3.1.2 */
export const LONGEST_DOMAIN = 255;

/** A timer of JavaScript, in milliseconds: for longer it would ring at once. */
export const LONGEST_TIMER = 2 ** 31 - 1;
