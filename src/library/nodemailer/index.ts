/**
 * The door `nospool/nodemailer`: `nodemailer.createTransport(new NospoolTransport({ host, auth, pool: true }))`. It takes
 * nodemailer's own option names, and needs nothing of nodemailer.
 */
export type { TransportError, TransportErrorCode } from './error.ts';
export type { SentMessageInfo } from './info.ts';
export type { Dsn, GetSocket, GivenSocket, LoggerLike, LogMethod, MailEnvelope, MailLike, MessageLike } from './mail.ts';
export type { AuthSettings, NospoolTransportOptions, ProvisionCallback } from './options.ts';
export { AUTH_OPTIONS, ERROR_CODES, type Fate, OPTIONS, type Row, type Table, TLS_OPTIONS } from './table.ts';
export { type CloseOptions, NospoolTransport, type SendCallback, type VerifyCallback } from './transport.ts';
