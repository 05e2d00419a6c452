/** What a program learns of a message that was sent, in nodemailer's shape. Knows no session. */
import type { Accepted } from '../outcome.ts';
import { printResponse, refusalError, type TransportError } from './error.ts';
import type { MailEnvelope } from './mail.ts';

/** What became of a message, as nodemailer tells it. */
export interface SentMessageInfo {
  /** Those who have the message. */
  accepted: string[];
  /** Those whom the server refused; not empty only where `allOrNothing` is false. */
  rejected: string[];
  /** One for each of `rejected`; left out where there is none. */
  rejectedErrors?: TransportError[];
  /** The reply to the message. */
  response: string;
  envelope: MailEnvelope;
  messageId: string;
  /** Milliseconds until the server wanted the content: from the first command of the transaction, in a pool from when the message had its turn. */
  envelopeTime: number;
  /** Milliseconds from there until the server had taken the message. */
  messageTime: number;
  /** Octets of the message as DATA sends it. */
  messageSize: number;
  /** The lines of the EHLO reply, but for the first. */
  ehlo?: string[];
}

export interface InfoFacts {
  readonly envelope: MailEnvelope;
  readonly messageId: string;
  readonly envelopeTime: number;
  readonly messageTime: number;
  readonly messageSize: number;
  readonly ehlo: readonly string[];
}

export function infoOf({ taken, refusals, reply }: Pick<Accepted, 'taken' | 'refusals' | 'reply'>, facts: InfoFacts): SentMessageInfo {
  const { ehlo, envelope, messageId, envelopeTime, messageTime, messageSize } = facts;
  return {
    accepted: taken.map(({ address }) => address),
    rejected: refusals.map(({ address }) => address),
    ...(ehlo.length === 0 ? {} : { ehlo: [...ehlo] }),
    ...(refusals.length === 0 ? {} : { rejectedErrors: refusals.map(refusalError) }),
    envelopeTime: Math.round(envelopeTime),
    messageTime: Math.round(messageTime),
    messageSize,
    response: printResponse(reply),
    envelope,
    messageId,
  };
}
