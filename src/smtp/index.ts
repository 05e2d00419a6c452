/**
 * The door through which other programs embed the SMTP core: the client's machine, the content encoder, the reply reader, SASL.
 * Knows no socket, no clock, no platform: it imports nothing, and needs ECMAScript only. docs/driver.md has a whole driver.
 *
 * A driver is whoever owns the stream and the clock. It makes a `Dialogue`, performs the actions that `begin`, `receive` and `on`
 * return, in order, and reports what happens, one thing after another: what happens while actions are performed waits until they
 * are. Its duties stand at `Action` (what each action obliges to), `Event` (when each may be reported), and `STEPS` (which time
 * limit runs in which state). Lines and replies are octet strings: each character is one octet, 0 to 255. Lines come without
 * their end; the driver writes CRLF behind each, also behind the last.
 *
 * Nothing here throws because of what a server says: a throw is a bug of the driver, which reported what nobody asked it for.
 */

export { classifyFailure, type FailureClass, type Retry, type SessionFailureCode } from './client/classify.ts';
export { type ContentEncoder, type ContentFacts, type ContentScan, contentEncoder, type Framing, scanContent } from './client/content.ts';
export { printDetail } from './client/detail.ts';
export { Dialogue, type DriverEvent } from './client/dialogue.ts';
export { type Extensions, limitOf, mechanismsOf, offers, readExtensions, sizeLimit } from './client/extensions.ts';
export type { LinkedList } from './client/linked-list.ts';
export type { Condemned, ConnectReason, Lack, Phase, Refusal, SessionFailure, SessionOutcome, Verb, Verdict } from './client/outcome.ts';
export { type Notify, type Recipient, type Transaction, xtext } from './client/print.ts';
export {
  type Action,
  advance,
  begin,
  type Channel,
  type Event,
  type In,
  type Plan,
  type Refusals,
  type Sending,
  STEPS,
  type State,
  type Step,
  type StepFacts,
  type Within,
} from './client/session.ts';
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
export { type AuthChannel, type Credentials, chooseMechanism, type MechanismPolicy } from './sasl/choose.ts';
export { cramMd5 } from './sasl/cram.ts';
export { external } from './sasl/external.ts';
export { oauthBearer, xoauth2 } from './sasl/oauth.ts';
export { type Cancelled, type Choice, type Digest, type Exchange, type Hashes, login, type Mechanism, plain } from './sasl/sasl.ts';
export { type Binding, type ChannelBinding, type ScramOptions, scram } from './sasl/scram.ts';
export { base64, fromBase64, fromUtf8, latin1, octets, utf8 } from './text.ts';
export type { TimeLimit } from './timeout.ts';
