/**
 * SASLprep (RFC 4013), the profile of stringprep (RFC 3454) that SCRAM requires for user names and passwords.
 * Knows no mechanism.
 *
 * Deviation: two tables come from the JavaScript engine's Unicode instead of Unicode 3.2 (RFC 3454 §3): the compatibility
 * normalisation, and "is a letter" for table D.2. Characters of Unicode 3.2 give the same result, except for the few whose
 * normalisation was corrected since. The engine normalises later characters, too, which Unicode 3.2 could not do.
 * And passwords are "queries", as user names are, not "stored strings" (RFC 5802 §2.2), which could hold no character that is
 * younger than Unicode 3.2.
 */
import { type Parsed, parsed, unparsed } from '../parsed.ts';

/** RFC 3454 §B.1 maps these to nothing. U+200B stands in C.1.2 as well; implementations drop it. */
// biome-ignore lint/suspicious/noMisleadingCharacterClass: these are single code points, listed one by one.
const NOTHING = /[\u00ad\u034f\u1806\u180b-\u180d\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]/g;
/** RFC 3454 §C.1.2 maps these to a space. */
const SPACE = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g;

/** Characters that may not stand in the result. RFC 4013 §2.3 */
const PROHIBITED: readonly (readonly [RegExp, string])[] = [
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
  [/[\u0000-\u001f\u007f-\u009f]/, 'a control character'], // RFC 3454 §C.2.1 and §C.2.2
  [/[\u06dd\u070f\u180e\u2028\u2029\u2061-\u2063\u206a-\u206f\ufff9-\ufffc\u{1d173}-\u{1d17a}]/u, 'a format control character'], // §C.2.2
  [/\p{Co}/u, 'a private-use character'], // §C.3
  [/\p{Noncharacter_Code_Point}/u, 'a code point that is no character'], // §C.4
  [/\p{Cs}/u, 'half a surrogate pair'], // §C.5
  [/\ufffd/, 'the replacement character'], // §C.6
  [/[\u2ff0-\u2ffb]/, 'an ideographic description character'], // §C.7
  [/[\u0340\u0341\u200e\u200f\u202a-\u202e]/, 'a text direction character'], // §C.8
  [/[\u{e0001}\u{e0020}-\u{e007f}]/u, 'a tagging character'], // §C.9
];

/** Table D.1: characters that are written from right to left. RFC 3454 §D.1 */
const RIGHT_TO_LEFT =
  /[\u05be\u05c0\u05c3\u05d0-\u05ea\u05f0-\u05f4\u061b\u061f\u0621-\u063a\u0640-\u064a\u066d-\u066f\u0671-\u06d5\u06e5\u06e6\u06fa-\u06fe\u0700-\u070d\u0710\u0712-\u072c\u0780-\u07a5\u07b1\ufb1d\ufb1f-\ufb28\ufb2a-\ufb36\ufb38-\ufb3c\ufb3e\ufb40\ufb41\ufb43\ufb44\ufb46-\ufbb1\ufbd3-\ufd3d\ufd50-\ufd8f\ufd92-\ufdc7\ufdf0-\ufdfc\ufe70-\ufe74\ufe76-\ufefc]/;
/** Stands in for table D.2, characters that are written from left to right: letters that are not in D.1. RFC 3454 §D.2 */
const LETTER = /[\p{L}\p{Nl}\p{Mc}]/u;

/**
 * Prepares the text as a "query" in the words of RFC 3454 §7: code points without a character in Unicode 3.2 pass. The result
 * may be empty; a caller that cannot use an empty one says so.
 */
export function saslPrep(text: string): Parsed<string> {
  const prepared = text.replace(NOTHING, '').replace(SPACE, ' ').normalize('NFKC');
  for (const [pattern, name] of PROHIBITED) if (pattern.test(prepared)) return unparsed(`it contains ${name}`);
  return mixesDirections(prepared) ? unparsed('it mixes text from right to left with other text') : parsed(prepared);
}

/** RFC 3454 §6: text from right to left begins and ends with such a character and holds no letter of the other direction. */
function mixesDirections(prepared: string): boolean {
  if (!RIGHT_TO_LEFT.test(prepared)) return false;
  const characters = [...prepared];
  const isOutward = (character: string | undefined) => character !== undefined && RIGHT_TO_LEFT.test(character);
  return !isOutward(characters[0]) || !isOutward(characters.at(-1)) || characters.some((c) => LETTER.test(c) && !RIGHT_TO_LEFT.test(c));
}
