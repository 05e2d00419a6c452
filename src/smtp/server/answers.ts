/** Replies in the words of this program, and as lines of the wire. Knows no command. */
import { LONGEST_REPLY_TEXT_SENT } from '../limits.ts';
import { lineOf } from '../line.ts';
import type { EnhancedStatus, Reply } from '../reply.ts';
import { textOf, utf8 } from '../text.ts';

/** Makes a reply: its text lines become UTF-8, and the enhanced code stands before each (RFC 2034 §4). */
export function makeReply(code: number, enhanced: string, ...texts: readonly string[]): Reply {
  const [status = 0, subject = 0, detail = 0] = enhanced.split('.').map(Number);
  const known: EnhancedStatus | null = enhanced === '' ? null : { class: status, subject, detail };
  return { code, enhanced: known, lines: texts.map((text) => utf8(enhanced === '' ? text : `${enhanced} ${text}`)) };
}

/**
 * A reply as lines for the wire: nothing that a terminal obeys or a log takes for a line end, no line beyond RFC 5321
 * §4.5.3.1.5.
 * Deviation: text may be UTF-8, which RFC 6531 §3.7.4.2 forbids in nearly every reply, because addresses, aliases and smart hosts
 * have such text, clients hand it on as it is, and people could not read it escaped.
 */
export function replyLines({ code, lines }: Reply): readonly string[] {
  const texts = lines.flatMap((line) => foldText(utf8(lineOf(textOf(line)))));
  if (texts.length === 0) texts.push('');
  return texts.map((text, i) => `${code}${i === texts.length - 1 ? ' ' : '-'}${text}`.trimEnd());
}

/** Cuts UTF-8 at blanks where there are any, never inside a UTF-8 sequence; an enhanced code stands before each piece. RFC 2034 §4 */
function foldText(text: string): string[] {
  const [code = ''] = /^[245]\.\d{1,3}\.\d{1,3} /.exec(text) ?? [];
  const out: string[] = [];
  let rest = text;
  while (rest.length > LONGEST_REPLY_TEXT_SENT) {
    let end = rest.lastIndexOf(' ', LONGEST_REPLY_TEXT_SENT);
    if (end < Math.max(code.length, 1)) {
      end = LONGEST_REPLY_TEXT_SENT;
      while ((rest.charCodeAt(end) & 0xc0) === 0x80) end--;
    }
    out.push(rest.slice(0, end));
    rest = code + rest.slice(end).replace(/^ /, '');
  }
  return [...out, rest];
}
