/**
 * The door to the server's side of the protocol, for SMTP and LMTP: what cuts octets into lines and content, and the machine that
 * decides what to answer. Knows no socket, no clock, no platform: it imports nothing, and needs ECMAScript only.
 *
 * A driver makes a reception for each client with `makeReception`, hands it the octets that arrive (`hear`) and what happens besides
 * (`end`, `tell`), and does what it is told, in order: it writes the lines of a `reply`, each with CRLF behind it, keeps the octets
 * of `content`, which are a view into those that arrived, and has TLS begin or the connection end only after the replies before.
 * To `ask` it answers with `answer`, at once or later: null is yes, a reply of `makeReply` is said instead. While a question is open
 * or `mayRead` is false nothing more need be read. The driver owns the clock: RFC 5321 §4.5.3.2.7 gives a client five minutes for
 * a command, and `tell('timeout')` says that they are over. docs/driver.md has an example.
 */

export type { Parsed } from '../parsed.ts';
export { type ForwardPath, type Mailbox, mailboxKey, parseMailbox, printMailbox, printPath, type ReversePath } from '../path.ts';
export type { EnhancedStatus, Reply } from '../reply.ts';
export { latin1, octets, utf8 } from '../text.ts';
export { makeReply, replyLines } from './answers.ts';
export type { ReceivedContent, Search } from './content.ts';
export { makeReception, type Performed, type Reception } from './input.ts';
export {
  type Broken,
  type Chunk,
  greet,
  type OwnerQuestion,
  RECEIVING,
  type Received,
  type Receiving,
  receive,
  type ServerAction,
  type ServerEvent,
  type ServerState,
  type ServerStep,
  type ServerVisit,
  USUAL_EXTENSIONS,
} from './machine.ts';
export { type Command, type Parameter, parseCommand } from './parse.ts';
