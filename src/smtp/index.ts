/** The door through which other programs embed the SMTP core. Knows no socket, no clock, no platform. */

export { classifyFailure, type FailureClass, type Retry, type SessionFailureCode } from './client/classify.ts';
export { type ContentEncoder, type ContentFacts, type ContentScan, contentEncoder, type Framing, scanContent } from './client/content.ts';
export { Dialogue, type DriverEvent } from './client/dialogue.ts';
export { type Extensions, limitOf, mechanismsOf, offers, readExtensions, sizeLimit } from './client/extensions.ts';
export type { Condemned, Lack, Phase, Refusal, SessionFailure, SessionOutcome, Verb } from './client/outcome.ts';
export { type Notify, type Recipient, type Transaction, xtext } from './client/print.ts';
export { type Action, advance, begin, type Channel, type Event, type Plan, STEPS, type State, type Step } from './client/session.ts';
export type { Parsed } from './parsed.ts';
export {
  type ForwardPath,
  isDomain,
  type Mailbox,
  mailboxKey,
  parseMailbox,
  parseReversePath,
  printMailbox,
  printPath,
  type ReversePath,
} from './path.ts';
export { type EnhancedStatus, printReply, type Reply, ReplyReader } from './reply.ts';
export { type Cancelled, type Exchange, login, type Mechanism, plain } from './sasl/sasl.ts';
