/**
 * The library's door: `submit` sends one message to the first of several servers that takes it, `connect` many messages over one
 * session, and `Pool` many messages over several. The SMTP core has a door of its own, `nospool/smtp`.
 */
export type { Retry } from '../smtp/client/classify.ts';
export type { Lack, Phase, Verb } from '../smtp/client/outcome.ts';
export type { Notify } from '../smtp/client/print.ts';
export type { EnhancedStatus, Reply } from '../smtp/reply.ts';
export type { AuthChannel } from '../smtp/sasl/choose.ts';
export type { Cancelled, Exchange, Mechanism } from '../smtp/sasl/sasl.ts';
export type { ChannelBinding } from '../smtp/sasl/scram.ts';
export type { Timeouts } from '../submit/settings.ts';
export type { ChannelMessage } from './channels.ts';
export { type Client, type Connected, connect } from './client.ts';
export type { Content, Octets } from './content.ts';
export type { Envelope, EnvelopeRecipient } from './envelope.ts';
export { type Failure, type FailureCode, type RecipientRefusal, SmtpError } from './failure.ts';
export type { PoolOptions } from './limits.ts';
export type { SendOptions } from './message.ts';
export { type Options, type Progress, TIMEOUTS, type TraceEvent } from './options.ts';
export { type Accepted, type Attempt, type Failed, type Outcome, orThrow, type ServerFacts, type SessionFacts } from './outcome.ts';
export { Pool } from './pool.ts';
export type { Auth, Destination, NameQuestion, Resolver, Server, TlsOptions } from './server.ts';
export { submit } from './submit.ts';
