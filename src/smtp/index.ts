/** The SMTP core as other programs embed it: no socket, no clock, no platform. */
export { type Notify, type Recipient, type Transaction, xtext } from './commands.ts';
export { type ContentEncoder, type ContentFacts, type ContentScan, contentEncoder, type Framing, scanContent } from './content.ts';
export { Dialogue, type DriverEvent } from './dialogue.ts';
export { type Extensions, limitOf, mechanismsOf, offers, readExtensions, sizeLimit } from './extensions.ts';
export type { At, Condemned, Refusal, SessionFailure, SessionOutcome } from './outcome.ts';
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
export { type Cancelled, type Exchange, login, type Mechanism, plain } from './sasl.ts';
export { type Action, advance, begin, type Channel, type Event, type Plan, STEPS, type State, type Step } from './session.ts';
