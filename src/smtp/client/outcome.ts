/** How a session's work ends: accepted by all, or one failure of a closed set. Knows no smart host list: who is tried next is not decided here. */

import type { Reply } from '../reply.ts';
import type { TimeLimit } from '../timeout.ts';

/** Where the machine stood. */
export type Phase =
  | 'greeting'
  | 'hello'
  | 'starttls'
  | 'handshake'
  | 'auth'
  | 'ready'
  | 'envelope'
  | 'data'
  | 'content'
  | 'commit'
  | 'reset'
  | 'quit'
  | 'closed';

/** A command that was refused, as it stands in the transcript, secrets masked. */
export interface Refusal {
  readonly command: string;
  /** Index into the transaction's recipients when the command was theirs. */
  readonly recipient: number | null;
  readonly reply: Reply;
}

/** What a failure rules out: this address of the smart host, all its addresses, the message everywhere, or nothing. */
export type Condemned = 'address' | 'host' | 'message' | 'nothing';

export type SessionFailure = Failed & {
  /** What may be done about it, a sentence: of whoever opened the session and knows its policies. */
  readonly hint?: string;
};

type Failed =
  /** No usable connection: name, TCP, TLS handshake, certificate. */
  | {
      readonly kind: 'connect';
      readonly at: Phase;
      readonly condemns: Condemned;
      readonly during: 'resolve' | 'connect' | 'tls';
      readonly detail: string;
    }
  | { readonly kind: 'rejected'; readonly at: Phase; readonly condemns: Condemned; readonly refusals: readonly [Refusal, ...Refusal[]] }
  /**
   * The server lacks what the configuration requires or the message needs; nothing was asked of it. `isOurs`: what lacks is on
   * this side (a password, a certificate), and the server is not to blame.
   */
  | { readonly kind: 'unsupported'; readonly at: Phase; readonly condemns: Condemned; readonly detail: string; readonly isOurs?: true }
  | { readonly kind: 'malformed'; readonly at: Phase; readonly condemns: Condemned; readonly detail: string }
  /** `command` is what was waited for; `heard` the beginning of a reply to it, where one had come; `limit`, where the driver tells it, how long. */
  | {
      readonly kind: 'timeout';
      readonly at: Phase;
      readonly condemns: Condemned;
      readonly command: string;
      readonly heard?: string;
      readonly limit?: TimeLimit;
    }
  /** Connection lost, or given up by the server with 421. */
  | { readonly kind: 'lost'; readonly at: Phase; readonly condemns: Condemned; readonly command: string; readonly detail: string }
  /** Our own input failed, or a signal or the deadline ended the delivery. */
  | { readonly kind: 'content'; readonly at: Phase; readonly condemns: 'message'; readonly detail: string }
  /** The terminator went out and no verdict came back: the server may have the message. */
  | { readonly kind: 'uncertain'; readonly at: Phase; readonly condemns: 'message'; readonly detail: string };

export type SessionOutcome =
  | {
      readonly kind: 'accepted';
      readonly reply: Reply;
      /** LMTP only: refusals among the recipients, with `lmtp_partial`. RFC 2033 §4.2 */
      readonly refusals: readonly Refusal[];
    }
  | { readonly kind: 'failed'; readonly failure: SessionFailure };
