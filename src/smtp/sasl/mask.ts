/**
 * Masks an exchange of AUTH for people: both sides of it, because nonce, salt and signature are enough to guess a password
 * offline (RFC 5802 §9). Knows no secret: the place of a word tells whether it is one.
 */
import type { Reply } from '../reply.ts';
import { fromBase64 } from '../text.ts';

const MASK = '****';

/** Masks a line of ours: the command and its mechanism stay readable, and the rest is a secret. */
export const maskCommand = (line: string): string => line.replace(/^(AUTH \S+ )?.*$/, `$1${MASK}`);

/**
 * Masks a line of the server: a challenge keeps its code, any other line everything that does not look like a part of an
 * exchange.
 */
export function maskLine(line: string): string {
  const [, challenge] = /^(3\d\d[ -])/.exec(line) ?? [];
  return challenge === undefined ? line.replace(RUNS, (run) => (isPart(run) ? MASK : run)) : `${challenge}…`;
}

/** Masks lines of the server, as they came. */
export const maskLines = (heard: string): string => heard.split('\n').map(maskLine).join('\n');

export const maskReply = ({ code, enhanced, lines }: Reply): Reply => ({
  code,
  enhanced,
  lines: lines.map((line) => maskLine(`${code} ${line}`).slice(4)),
});

/** Attributes of SCRAM in clear, and what may be base64. */
const RUNS = /(?<![^\s,"'(])[crsv]=[!-~]{4,}|[A-Za-z0-9+/]{8,}={0,2}/g;

/**
 * True for a message of SCRAM, or the beginning of one, in clear or in base64, where the client's first has the header of channel
 * binding (RFC 5802 §7); and for challenge and response of CRAM-MD5 in base64 (RFC 2195 §2).
 */
function isPart(run: string): boolean {
  if (/^[crsv]=/.test(run)) return true;
  const digits = run.replace(/=+$/, '');
  const message = fromBase64(digits.slice(0, digits.length - (digits.length % 4)));
  return message !== null && /^(?:(?:n|y|p=[^,]*),[^,]*,)?[cnrsv]=|^<.+@|^.+ [\da-f]{8,}$/.test(message);
}
