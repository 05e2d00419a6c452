/**
 * Reads replies off a session's text, bounded and strict (RFC 5321 §4.2). Knows no command: which reply answers
 * what is the machine's business.
 */
import { type Parsed, parsed, unparsed } from './parsed.ts';
import { printable } from './text.ts';

/** class.subject.detail of RFC 3463 §2. */
export interface EnhancedStatus {
  readonly class: number;
  readonly subject: number;
  readonly detail: number;
}

export interface Reply {
  /** 200 to 599. */
  readonly code: number;
  readonly enhanced: EnhancedStatus | null;
  /** The text of each line, without the code, as octet strings. */
  readonly lines: readonly string[];
}

/** 64 KiB and 256 KiB: far beyond RFC 5321 §4.5.3.1.5 (512 octets) and any reply seen, and still harmless. */
export const LONGEST_LINE = 64 * 1024;
export const LONGEST_REPLY = 256 * 1024;
/** Characters of a reply that people are shown: nineteen full lines of RFC 5321 §4.5.3.1.5 would be twice that, and none has been seen. */
const LONGEST_SHOWN = 4096;

const LINE = /^([2-5]\d\d)([ \t-]?)/;
const ENHANCED = /^([245])\.(\d{1,3})\.(\d{1,3})(?=[ \t]|$)/;

/** Reads replies from text that arrives in any pieces. Once malformed it stays malformed: the session is out of step. */
export class ReplyReader {
  #text = '';
  /** Where the search for the next LF goes on, so that one-octet pieces stay linear. */
  #searched = 0;
  #code = 0;
  #lines: string[] = [];
  #octets = 0;

  /** Takes octets as an octet string. */
  push(text: string): void {
    this.#text += text;
  }

  /** True when no octet waits, not even a part of a line. */
  get idle(): boolean {
    return this.#text === '' && this.#lines.length === 0;
  }

  /** The next whole reply; null when more text is needed; a detail when the peer does not speak SMTP. */
  next(): Parsed<Reply> | null {
    for (;;) {
      const end = this.#text.indexOf('\n', this.#searched);
      if (end < 0) {
        this.#searched = this.#text.length;
        if (looksLikeTls(this.#text)) return unparsed('the server speaks TLS here: use submissions:// for this port');
        return this.#text.length > LONGEST_LINE ? unparsed(`a reply line is longer than ${LONGEST_LINE} octets`) : null;
      }
      const line = this.#text.slice(0, end > 0 && this.#text[end - 1] === '\r' ? end - 1 : end);
      this.#text = this.#text.slice(end + 1);
      this.#searched = 0;
      if (looksLikeTls(line)) return unparsed('the server speaks TLS here: use submissions:// for this port');
      if (line.length > LONGEST_LINE) return unparsed(`a reply line is longer than ${LONGEST_LINE} octets`);
      this.#octets += line.length;
      if (this.#octets > LONGEST_REPLY) return unparsed(`a reply is longer than ${LONGEST_REPLY} octets`);
      const match = LINE.exec(line);
      const rest = line.slice(4);
      // A code and then something else than a blank, "-" or the end ("2500 ok") is no reply. RFC 5321 §4.2
      if (!match || (match[2] === '' && line.length > 3)) return unparsed(`not an SMTP reply: "${printable(line, 200)}"`);
      const code = Number(match[1]);
      if (this.#lines.length > 0 && code !== this.#code)
        return unparsed(`the lines of one reply carry different codes: ${this.#code} and ${code}`);
      this.#code = code;
      this.#lines.push(rest);
      if (match[2] === '-') continue;
      const lines = this.#lines;
      this.#lines = [];
      this.#octets = 0;
      return parsed({ code, enhanced: readEnhanced(code, lines[0] as string), lines });
    }
  }
}

/** A TLS record of type alert or handshake where a reply should be. RFC 8446 §5.1 */
function looksLikeTls(text: string): boolean {
  return (text[0] === '\x15' || text[0] === '\x16') && text[1] === '\x03';
}

/** RFC 2034 §4: the code's first digit and the class are the same, else it is text. */
function readEnhanced(code: number, text: string): EnhancedStatus | null {
  const match = ENHANCED.exec(text);
  if (!match || Number(match[1]) !== Math.floor(code / 100)) return null;
  return { class: Number(match[1]), subject: Number(match[2]), detail: Number(match[3]) };
}

/** First digit of the code: the only one a client has to look at. RFC 5321 §4.3.2 */
export const digit = (reply: Reply): number => Math.floor(reply.code / 100);

/** The lines of a reply, of which many servers begin each with the enhanced code: behind the first it would stand in the middle of a sentence. */
function withoutRepeatedCode({ enhanced, lines }: Reply): readonly string[] {
  if (enhanced === null) return lines;
  const code = `${enhanced.class}.${enhanced.subject}.${enhanced.detail}`;
  return lines.map((line, i) => (i > 0 && `${line} `.startsWith(`${code} `) ? line.slice(code.length) : line));
}

/** The reply on one line for people: `550 5.1.1 no such user / call the postmaster`. Cut where no person would read on. */
export function printReply(reply: Reply): string {
  const texts: string[] = [];
  let length = 0;
  for (const [i, line] of withoutRepeatedCode(reply).entries()) {
    const text = printable(line).trim();
    if (text === '' && i > 0) continue;
    texts.push(text);
    length += text.length;
    if (length > LONGEST_SHOWN) break;
  }
  const shown = `${reply.code} ${texts.join(' / ')}`.trimEnd();
  return length > LONGEST_SHOWN ? `${shown.slice(0, LONGEST_SHOWN)}…` : shown;
}
