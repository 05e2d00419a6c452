/** The door to the server's side of the protocol: the receiver machine, and what cuts octets for it. Knows no socket, no clock, no platform. */

export type { Parsed } from '../parsed.ts';
export { type ForwardPath, type Mailbox, mailboxKey, parseMailbox, printMailbox, printPath, type ReversePath } from '../path.ts';
export type { EnhancedStatus, Reply } from '../reply.ts';
export { makeReply, replyLines } from './answers.ts';
export type { ReceivedContent, Search } from './content.ts';
export { makeReception, type Performed, type Reception } from './input.ts';
export {
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
