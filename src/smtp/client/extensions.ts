/** The offers of a server: the keywords of its EHLO reply (RFC 5321 §4.1.1.1). Knows no session: a new EHLO makes a new value. */
import type { Reply } from '../reply.ts';

/** The extensions that a server offers in its answer to EHLO. RFC 5321 §4.1.1.1 */
export interface Extensions {
  /** The parameters of each keyword, in order; letters of ASCII in upper case. */
  readonly keywords: ReadonlyMap<string, readonly string[]>;
}

export const NO_EXTENSIONS: Extensions = { keywords: new Map() };

/** The extensions that a session here makes use of. */
export const USED_EXTENSIONS = [
  ...['PIPELINING', 'SIZE', '8BITMIME', 'SMTPUTF8', 'DSN', 'CHUNKING', 'BINARYMIME', 'STARTTLS', 'AUTH', 'LIMITS', 'REQUIRETLS'],
  ...['MT-PRIORITY', 'DELIVERBY', 'FUTURERELEASE', 'NO-SOLICITING', 'ENHANCEDSTATUSCODES'],
] as const;

/**
 * Reads keywords without regard to case, behind a first line with the server's name; `AUTH=` of old servers counts as AUTH.
 * Keywords in `ignored`, in upper case, count as not offered even if the server announces them.
 */
export function readExtensions(reply: Reply, ignored: readonly string[] = []): Extensions {
  const keywords = new Map<string, readonly string[]>();
  for (const line of reply.lines.slice(1)) {
    const words = line
      .replace(/[a-z]+/g, (letters) => letters.toUpperCase())
      .replace(/^\s*AUTH=/, 'AUTH ')
      .split(/[ \t]+/)
      .filter((word) => word !== '');
    const [keyword, ...parameters] = words;
    if (keyword === undefined || ignored.includes(keyword)) continue;
    const known = keyword === 'AUTH' ? (keywords.get('AUTH') ?? []) : [];
    keywords.set(keyword, [...known, ...parameters]);
  }
  return { keywords };
}

/** True when the server offers the extension; `keyword` is in upper case. */
export const offers = ({ keywords }: Extensions, keyword: string): boolean => keywords.has(keyword);

/**
 * The size of the largest message in octets; null when the server names none, because `SIZE` alone and `SIZE 0` mean no limit.
 * RFC 1870 §4
 */
export function sizeLimit({ keywords }: Extensions): number | null {
  return numberOf(keywords.get('SIZE')?.[0], /^\d{1,15}$/);
}

/** A number above 0 of these digits; null for anything else. */
const numberOf = (text: string | undefined, digits: RegExp): number | null =>
  text !== undefined && digits.test(text) && Number(text) > 0 ? Number(text) : null;

/** A limit of RFC 9422 §4; null when the server names none. */
export function limitOf({ keywords }: Extensions, name: 'RCPTMAX' | 'RCPTDOMAINMAX' | 'MAILMAX'): number | null {
  const limit = keywords.get('LIMITS')?.find((word) => word.startsWith(`${name}=`));
  return numberOf(limit?.slice(name.length + 1), /^[1-9]\d{0,5}$/);
}

/** The SASL mechanisms that the server offers, in upper case. RFC 4954 §3 */
export const mechanismsOf = ({ keywords }: Extensions): ReadonlySet<string> => new Set(keywords.get('AUTH') ?? []);
