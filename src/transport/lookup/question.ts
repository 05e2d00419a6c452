/** A question about a name, and whom it is put to. Knows no way to answer it. */
import type { MxRecord, SrvRecord } from 'node:dns';

export interface NameQuestion {
  /** Addresses of another family are not asked for. */
  readonly family: 'any' | 4 | 6;
  /** Nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Whom names are asked. Each rejects with a `code` of node:dns; names come without the dot at the end. */
export interface Names {
  readonly addresses: (name: string, question: NameQuestion) => Promise<readonly { readonly address: string; readonly family: number }[]>;
  readonly mx: (name: string, question: NameQuestion) => Promise<readonly MxRecord[]>;
  readonly srv: (name: string, question: NameQuestion) => Promise<readonly SrvRecord[]>;
}
