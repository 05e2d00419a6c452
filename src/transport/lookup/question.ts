/** A question about a name, and the functions that answer it. Knows no way to answer it. */
import type { MxRecord, SrvRecord } from 'node:dns';
import type { EndSignal } from '../abort.ts';
import type { IpAddress } from './host-files.ts';

/** What is asked besides the name. */
export interface NameQuestion {
  /** The family of addresses to ask for. */
  readonly family: 'any' | 4 | 6;
  /** The name is absolute, as with a dot at its end: no domain of the search list is put behind it. RFC 1034 §3.1 */
  readonly isAbsolute?: boolean;
  /** It comes when nobody waits for the answer any more. */
  readonly signal: EndSignal;
}

/** Asks the C library. Rejects with a `code` of node:dns. */
export type AskSystem = (name: string, question: NameQuestion) => Promise<readonly IpAddress[]>;

/** Loads who asks it, when somebody must. */
export type LoadSystem = () => Promise<{ readonly askSystem: AskSystem }>;

/** The look-ups. Each rejects with a `code` of node:dns; names come without the dot at the end. */
export interface Names {
  readonly addresses: (name: string, question: NameQuestion) => Promise<readonly { readonly address: string; readonly family: number }[]>;
  readonly mx: (name: string, question: NameQuestion) => Promise<readonly MxRecord[]>;
  readonly srv: (name: string, question: NameQuestion) => Promise<readonly SrvRecord[]>;
}
