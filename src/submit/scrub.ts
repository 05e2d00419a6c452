/**
 * Takes secrets out of every text that is shown. `scrub` finds a secret in the forms that it is known to take; `scrubRuns`,
 * for what a server says to AUTH, finds parts of it, too, however they are cut up. Reads no secret.
 */
import { base64, fromBase64, hex, printable, utf8 } from '../smtp/text.ts';

const MASK = '****';
/** Secrets of fewer octets are masked only where they stand alone, because masks within words would tell them. */
const SHORT_SECRET = 4;
/** Characters that are enough to recognise a form of more than twice this length, because servers and terminals cut long tokens. */
const BEGINNING = 16;

/** A form a secret may take in text, in lower case. */
interface Form {
  readonly text: string;
  /** Neither a letter nor a digit may touch it. */
  readonly alone: boolean;
  /** Characters before and behind it that belong to the same coded text. */
  readonly run: RegExp | null;
}

type Range = readonly [from: number, to: number];

const BASE64_RUN = /[A-Za-z0-9+/=_-]/;
const TOKEN_RUN = /[^\s"'<>,;)\]}]/;

/**
 * Replaces every secret in the text by `****`: in clear, escaped by `printable` or for quotes, URL-encoded, as xtext, in
 * quoted-printable, in hexadecimal, in base64, and in base64 as a part of something longer (the response of PLAIN or XOAUTH2), which is
 * masked whole. Compares without case.
 * It must be called before a text is cut short, because half a secret is not recognised unless it is long.
 */
export function scrub(text: string, secrets: readonly string[]): string {
  return maskRanges(text, findWhole(text, secrets));
}

function findWhole(text: string, secrets: readonly string[]): Range[] {
  const known = secrets.filter((secret) => secret !== '');
  const searched = fold(text);
  return known.flatMap((secret) => [...formsOf(secret).flatMap((form) => findForm(searched, form)), ...findResponses(text, secret)]);
}

/** Returns the text in lower case, where the only character that would become two is one, because ranges are those of the text. */
const fold = (text: string): string => text.replaceAll('\u0130', 'i').toLowerCase();

function maskRanges(text: string, ranges: Range[]): string {
  let out = '';
  let at = 0;
  for (const [from, to] of ranges.sort(([a], [b]) => a - b)) {
    if (from >= at) out += text.slice(at, from) + MASK;
    at = Math.max(at, to);
  }
  return out + text.slice(at);
}

function formsOf(secret: string): readonly Form[] {
  const coded = utf8(secret);
  const percent = (kept: RegExp, sign = '%') => Array.from(coded, (c) => (kept.test(c) ? c : sign + hex(c))).join('');
  const plain = [
    secret,
    coded,
    printable(coded, Number.POSITIVE_INFINITY),
    percent(/[A-Za-z0-9\-._~]/), // RFC 3986 §2.3
    percent(/[A-Za-z0-9\-._~!'()*]/), // encodeURIComponent
    percent(/[A-Za-z0-9\-._*]/).replaceAll('%20', '+'), // application/x-www-form-urlencoded
    percent(/[^\s\S]/),
    hex(coded),
    ...[secret, coded].map((text) => text.replace(/["\\]/g, '\\$&')),
    percent(/[!-*,-<>-~]/, '+'), // xtext, RFC 3461 §4
    percent(/[!-<>-~]/, '='), // quoted-printable, RFC 2045 §6.7
  ];
  const isShort = coded.length < SHORT_SECRET;
  const inBase64 = isShort ? [base64(coded)] : base64Cores(coded);
  const urlSafe = inBase64.map((digits) => digits.replaceAll('+', '-').replaceAll('/', '_'));
  return [
    ...[...new Set(plain)].map((form) => ({ text: fold(form), alone: isShort, run: null })),
    ...[...new Set([...inBase64, ...urlSafe])].map((form) => ({ text: fold(form), alone: isShort, run: BASE64_RUN })),
  ];
}

/** The digits of base64 that depend on the secret alone, wherever in a longer text it stands. RFC 4648 §4 */
function base64Cores(coded: string): readonly string[] {
  return [0, 1, 2].map((before) => {
    const bits = 8 * (before + coded.length);
    return base64('\0'.repeat(before) + coded).slice(Math.ceil((8 * before) / 6), Math.floor(bits / 6));
  });
}

function findForm(text: string, form: Form): Range[] {
  const isCut = form.text.length > 2 * BEGINNING;
  const sought = isCut ? form.text.slice(0, BEGINNING) : form.text;
  const behind = form.run ?? (isCut ? TOKEN_RUN : null);
  const ranges: Range[] = [];
  for (let next = 0, at = text.indexOf(sought); at >= 0; at = text.indexOf(sought, next)) {
    let [from, to] = [at, at + sought.length];
    next = to;
    if (form.alone && (isWordAt(text, from - 1) || isWordAt(text, to))) continue;
    // The range covers all of the form that is there, whatever it holds; then the rest of a word that differs.
    while (to - at < form.text.length && to < text.length && text[to] === form.text[to - at]) to++;
    while (behind !== null && to < text.length && behind.test(text[to] as string)) to++;
    while (form.run !== null && from > 0 && form.run.test(text[from - 1] as string)) from--;
    next = to;
    ranges.push([from, to]);
  }
  return ranges;
}

const isWordAt = (text: string, at: number): boolean => /[\p{L}\p{N}_]/u.test(text[at] ?? '');

/** Finds responses of PLAIN that end with a secret too short to be found by its digits. RFC 4616 §2 */
function findResponses(text: string, secret: string): Range[] {
  const coded = utf8(secret);
  if (coded.length >= SHORT_SECRET) return [];
  return [...text.matchAll(/[A-Za-z0-9+/]{4,}={0,2}/g)].flatMap(({ 0: digits, index }): Range[] =>
    fromBase64(digits)?.endsWith(`\0${coded}`) ? [[index, index + digits.length]] : [],
  );
}

/* ---- parts of secrets ---- */

/** So many characters of a form tell too much: they are six octets in base64, four in hexadecimal. */
const RUN = 8;
/** Characters of a text that are searched, four times what people are shown of a reply; the rest is masked whole. */
const LONGEST_SEARCHED = 16 * 1024;

/** The words that AUTH sends. The user's name is no secret, but a run may hold its end and the beginning of the password. */
export interface Credential {
  readonly user: string;
  readonly secret: string;
}

/**
 * As scrub; it masks every run of eight or more characters that is a part of a known form, too: in clear, hexadecimal or base64
 * (also of the response of PLAIN, and of a bearer token with what stands before it), escaped in any of ESCAPES, in pieces with
 * blanks, line ends, status codes and, except in clear text, anything else between them.
 */
export function scrubRuns(text: string, credentials: readonly Credential[]): string {
  const searched = text.slice(0, LONGEST_SEARCHED);
  const known = credentials.filter(({ secret }) => secret !== '');
  const secrets = known.map(({ secret }) => secret);
  const ranges = [...findWhole(searched, secrets), ...known.flatMap((credential) => runsOf(searched, credential))];
  return maskRanges(searched, ranges) + (text.length > LONGEST_SEARCHED && known.length > 0 ? MASK : text.slice(LONGEST_SEARCHED));
}

function runsOf(text: string, { user, secret }: Credential): Range[] {
  const coded = utf8(secret);
  // A shorter secret would be found in any word.
  if (coded.length < SHORT_SECRET) return [];
  const clear = [secret, coded];
  const inBase64 = [...base64Cores(coded), ...base64Cores(`auth=Bearer ${coded}`), base64(`\0${utf8(user)}\0${coded}`)];
  const whole = strip(text, NOISE);
  // In quoted-printable, a line end behind "=" is none.
  const joined = /=[ \t]*\r?\n/.test(text) ? [strip(text, SOFT_NOISE)] : [];
  return [
    ...findRuns(whole, [...clear, ...escapedForms(secret)]),
    ...[whole, ...joined].flatMap((view) => ESCAPES.flatMap((each) => findRuns(readEscapes(view, each), clear))),
    ...findRuns(keepOnly(/[0-9a-f]/, readEscapes(whole, HEX_PREFIX)), [hex(coded)]),
    ...findRuns(keepOnly(/[a-z0-9+/]/, readEscapes(whole, URL_SAFE)), inBase64),
  ];
}

/** The secret with all its characters escaped, and with those that the coding asks for. */
function escapedForms(secret: string): readonly string[] {
  const coded = utf8(secret);
  const each = (kept: RegExp, before: string) => Array.from(coded, (c) => (kept.test(c) ? c : before + hex(c))).join('');
  const points = (print: (point: number) => string) => Array.from(secret, (c) => print(c.codePointAt(0) as number)).join('');
  return [
    ...['%', '=', '+', '\\x'].map((before) => each(/[^\s\S]/, before)),
    each(/[A-Za-z0-9\-._~]/, '%'),
    each(/[A-Za-z0-9\-._~!'()*]/, '%'),
    each(/[!-<>-~]/, '='),
    each(/[!-*,-<>-~]/, '+'),
    points((point) => `&#${point};`),
    points((point) => `&#x${point.toString(16)};`),
    points((point) => `\\u${point.toString(16).padStart(4, '0')}`),
    secret.replace(/[&<>"]/g, (c) => `&${Object.keys(ENTITIES).find((name) => ENTITIES[name] === c)};`),
    secret.replace(/["\\]/g, '\\$&'),
    printable(coded, Number.POSITIVE_INFINITY),
  ];
}

/* ---- ways to read a text ---- */

/** Characters of a text, in lower case, and where each of them stands in it. */
interface View {
  readonly text: string;
  readonly ranges: readonly Range[];
}

/** Blanks, and what begins each line of a reply, also where `printReply` has joined them. */
const NOISE = /(?:^|\n| \/ )(?:[2-5]\d\d[ -])?(?:[245]\.\d{1,3}\.\d{1,3} )?|\s/g;
const SOFT_NOISE = new RegExp(`=[ \\t]*\\r?(?=\\n)|${NOISE.source}`, 'g');

function strip(text: string, noise: RegExp): View {
  const skipped = new Set<number>();
  for (const { 0: found, index } of text.matchAll(noise)) for (let at = index; at < index + found.length; at++) skipped.add(at);
  const characters: [string, Range][] = [];
  for (let at = 0; at < text.length; at++) if (!skipped.has(at)) characters.push([text[at] as string, [at, at + 1]]);
  return viewOf(characters);
}

/** Makes a view without blanks, which forms do not have either. In lower case a character may become two. */
function viewOf(characters: readonly (readonly [string, Range])[]): View {
  const units = characters.flatMap(([character, range]) => [...character.toLowerCase()].map((unit) => [unit, range] as const));
  const kept = units.filter(([unit]) => !/\s/.test(unit)).flatMap(([unit, range]) => unit.split('').map((half) => [half, range] as const));
  return { text: kept.map(([unit]) => unit).join(''), ranges: kept.map(([, range]) => range) };
}

function keepOnly(kept: RegExp, { text, ranges }: View): View {
  return viewOf(text.split('').flatMap((unit, at): [string, Range][] => (kept.test(unit) ? [[unit, ranges[at] as Range]] : [])));
}

/** An escape: its pattern, in lower case, and the character for which a match stands. */
type Escape = readonly [RegExp, (match: RegExpExecArray) => string];

const character = (code: string | undefined, radix: number): string => {
  const point = Number.parseInt(code ?? '', radix);
  return point <= 0x10ffff ? String.fromCodePoint(point) : '';
};
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const ESCAPES: readonly Escape[] = [
  [/%([0-9a-f]{2})/g, ([, code]) => character(code, 16)], // RFC 3986 §2.1
  [/=([0-9a-f]{2})/g, ([, code]) => character(code, 16)], // quoted-printable, RFC 2045 §6.7
  [/\+([0-9a-f]{2})/g, ([, code]) => character(code, 16)], // xtext, RFC 3461 §4
  [
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos));/g, // HTML
    ([, decimal, code, name]) => (name ? (ENTITIES[name] as string) : code ? character(code, 16) : character(decimal, 10)),
  ],
  [
    /\\(?:x([0-9a-f]{2})|u\{?([0-9a-f]{2,6})\}?|(.))/g, // JSON, and text that `printable` made
    ([, code, point, itself]) => itself ?? character(code ?? point, 16),
  ],
];
const HEX_PREFIX: Escape = [/0x|\\x|&#x/g, () => ''];
/** RFC 4648 §5 */
const URL_SAFE: Escape = [/[-_]/g, ([sign]) => (sign === '-' ? '+' : '/')];

function readEscapes({ text, ranges }: View, [pattern, meaning]: Escape): View {
  const characters: [string, Range][] = [];
  let at = 0;
  const pass = (to: number): void => {
    for (; at < to; at++) characters.push([text[at] as string, ranges[at] as Range]);
  };
  for (const match of text.matchAll(pattern)) {
    pass(match.index);
    at = match.index + match[0].length;
    characters.push([meaning(match), [(ranges[match.index] as Range)[0], (ranges[at - 1] as Range)[1]]]);
  }
  pass(text.length);
  return viewOf(characters);
}

/** Finds the runs of the view that are parts of one of the forms. Takes time and memory in proportion to both. */
function findRuns({ text, ranges }: View, forms: readonly string[]): Range[] {
  const found: Range[] = [];
  for (const form of new Set(forms.map((each) => each.replace(/\s/g, '').toLowerCase()))) {
    if (form.length < SHORT_SECRET) continue;
    const length = Math.min(RUN, form.length);
    const runs = new Set<string>();
    for (let at = 0; at + length <= text.length; at++) runs.add(text.slice(at, at + length));
    const common = new Set<string>();
    for (let at = 0; at + length <= form.length; at++) {
      const run = form.slice(at, at + length);
      if (runs.has(run)) common.add(run);
    }
    if (common.size === 0) continue;
    for (let at = 0; at + length <= text.length; at++)
      if (common.has(text.slice(at, at + length))) found.push([(ranges[at] as Range)[0], (ranges[at + length - 1] as Range)[1]]);
  }
  return found;
}
