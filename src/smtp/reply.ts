/**
 * Reads replies off a session's text, bounded and strict (RFC 5321 §4.2). Knows no command: the machine pairs each with its
 * reply.
 */
import { LONGEST_REPLY_HEARD, LONGEST_REPLY_LINE_HEARD } from './limits.ts';
import { type Parsed, parsed, unparsed } from './parsed.ts';
import { printable } from './text.ts';

/** class.subject.detail of RFC 3463 §2. */
export interface EnhancedStatus {
  readonly class: number;
  readonly subject: number;
  readonly detail: number;
}

/** A reply of a server, all its lines. RFC 5321 §4.2 */
export interface Reply {
  /** A number from 200 to 599. */
  readonly code: number;
  readonly enhanced: EnhancedStatus | null;
  /** The text of each line, without the code: as octet strings, but in the outcomes of `nospool` as text. */
  readonly lines: readonly string[];
}

/**
 * People see so many characters of a reply. Nineteen full lines of RFC 5321 §4.5.3.1.5 would be twice that, and none has been
 * seen.
 */
const LONGEST_SHOWN = 4096;
/**
 * People see so many characters of octets that are no reply: enough for an EHLO reply of thirty lines and the refusal that ends
 * it.
 */
const LONGEST_QUOTED = 1500;

/** What stands between the lines of a reply that is shown on one. */
const BETWEEN = ' / ';

/** A code, and then a blank, "-" or the end: "2500 ok" is no reply. RFC 5321 §4.2 */
const LINE = /^[2-5]\d\d(?:[ \t-]|$)/;
const ENHANCED = /^([245])\.(\d{1,3})\.(\d{1,3})(?=[ \t]|$)/;

/** Reads replies from text that arrives in any pieces. Once malformed it stays malformed, because the session is out of step. */
export class ReplyReader {
  #text = '';
  /** The search for the next LF goes on here, so that one-octet pieces stay linear. */
  #searched = 0;
  /** Lines of a reply whose last one is still to come, with their codes. */
  #lines: string[] = [];
  #octets = 0;
  #fault = '';

  /** Takes octets as an octet string. */
  push(text: string): void {
    this.#text += text;
  }

  /** True when no octet waits, not even a part of a line. */
  get idle(): boolean {
    return this.#text === '' && this.#lines.length === 0;
  }

  /** The text behind the last reply that `next` returned, line ends included; of a malformed reply all that is worth showing. */
  get rest(): string {
    return this.#lines.length === 0 ? this.#text : this.#lines.map((line) => `${line}\r\n`).join('') + this.#text;
  }

  /** Returns the next whole reply; null when it needs more text; a sentence when the peer does not speak SMTP. */
  next(): Parsed<Reply> | null {
    if (this.#fault !== '') return unparsed(this.#fault);
    for (;;) {
      const end = this.#text.indexOf('\n', this.#searched);
      if (end < 0) {
        this.#searched = this.#text.length;
        if (looksLikeTls(this.#text)) return this.#dropAll(TLS);
        return this.#text.length > LONGEST_REPLY_LINE_HEARD ? this.#dropAll(LONG_LINE) : null;
      }
      const line = this.#text.slice(0, this.#text[end - 1] === '\r' ? end - 1 : end);
      this.#text = this.#text.slice(end + 1);
      this.#searched = 0;
      if (looksLikeTls(line)) return this.#dropAll(TLS);
      if (line.length > LONGEST_REPLY_LINE_HEARD) return this.#dropAll(LONG_LINE);
      this.#octets += line.length;
      if (this.#octets > LONGEST_REPLY_HEARD) return this.#dropAll(`a reply is longer than ${LONGEST_REPLY_HEARD} octets`);
      this.#lines.push(line);
      if (!LINE.test(line)) return this.#malformed('not an SMTP reply');
      // A reply whose codes differ is read to its end all the same, because its last lines say why.
      if (line[3] === '-') continue;
      const code = line.slice(0, 3);
      const lines = this.#lines;
      if (lines.some((each) => !each.startsWith(code))) return this.#malformed('the lines of one reply carry different codes');
      for (let i = 0; i < lines.length; i++) lines[i] = (lines[i] as string).slice(4);
      this.#lines = [];
      this.#octets = 0;
      return parsed({ code: Number(code), enhanced: readEnhanced(code, lines[0] as string), lines });
    }
  }

  #malformed(detail: string): Parsed<never> {
    this.#fault = detail;
    return unparsed(detail);
  }

  /** Drops octets that are no text, or too many to show. */
  #dropAll(detail: string): Parsed<never> {
    this.#lines = [];
    this.#text = '';
    return this.#malformed(detail);
  }
}

const TLS = 'the server speaks TLS here: use submissions:// for this port';
const LONG_LINE = `a reply line is longer than ${LONGEST_REPLY_LINE_HEARD} octets`;

/** True for a TLS record of type alert or handshake where a reply should be. RFC 8446 §5.1 */
function looksLikeTls(text: string): boolean {
  return (text[0] === '\x15' || text[0] === '\x16') && text[1] === '\x03';
}

/** RFC 2034 §4: the class is the code's first digit, else the digits are text. */
function readEnhanced(code: string, text: string): EnhancedStatus | null {
  if (text[0] !== code[0]) return null;
  const match = ENHANCED.exec(text);
  return match && { class: Number(match[1]), subject: Number(match[2]), detail: Number(match[3]) };
}

/** The first digit of the code, which is the only one a client has to look at. RFC 5321 §4.3.2 */
export const digit = (reply: Reply): number => Math.floor(reply.code / 100);

/** Many servers begin each line with the enhanced code, which behind the first line would stand in the middle of a sentence. */
function dropRepeatedCode({ enhanced, lines }: Reply): readonly string[] {
  if (enhanced === null) return lines;
  const code = `${enhanced.class}.${enhanced.subject}.${enhanced.detail}`;
  return lines.map((line, i) => (i > 0 && `${line} `.startsWith(`${code} `) ? line.slice(code.length) : line));
}

/** Prints a reply on one line for people: `550 5.1.1 no such user / call the postmaster`. Cuts it where no person would read on. */
export const printReply = (reply: Reply): string =>
  `${reply.code} ${joinLines(dropRepeatedCode(reply), LONGEST_SHOWN, (line) => line.trim())}`.trimEnd();

/** Prints lines as they came, codes and all, on one line for people. */
export const printHeard = (heard: string): string => joinLines(heard.replace(/\r?\n$/, '').split(/\r?\n/), LONGEST_QUOTED);

function joinLines(lines: readonly string[], limit: number, tidy = (line: string) => line): string {
  const texts: string[] = [];
  let length = 0;
  for (const [i, line] of lines.entries()) {
    const text = tidy(printable(line));
    if (text === '' && i > 0) continue;
    length += text.length + (i > 0 ? BETWEEN.length : 0);
    texts.push(text);
    if (length > limit) break;
  }
  const shown = texts.join(BETWEEN);
  return length > limit ? `${shown.slice(0, limit)}…` : shown;
}
