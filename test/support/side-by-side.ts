/**
 * The same program over nodemailer's own transports and over ours, against the same kind of server: each single and pooled. What a
 * run gave is made comparable here; prose, times and stacks are not compared.
 */
import nodemailer from 'nodemailer';
import { NospoolTransport, type NospoolTransportOptions } from '../../src/library/nodemailer/index.ts';

/** What nodemailer's `createTransport` returns, as far as these tests use it. */
export interface Transporter {
  sendMail(mail: object): Promise<Info>;
  verify(): Promise<true>;
  close(options?: object): unknown;
  isIdle(): boolean;
  on(event: string, heard: (...args: readonly unknown[]) => void): unknown;
  set(key: string, value: unknown): unknown;
}

export interface Info {
  readonly accepted: readonly string[];
  readonly rejected: readonly string[];
  readonly rejectedErrors?: readonly Failed[];
  readonly response: string;
  readonly envelope: object;
  readonly messageId: string;
  readonly messageSize: number;
  readonly envelopeTime: number;
  readonly messageTime: number;
  readonly ehlo?: readonly string[];
}

/** An error of either. */
export interface Failed extends Error {
  readonly code?: string;
  readonly command?: string;
  readonly response?: string;
  readonly responseCode?: number;
  readonly permanent?: boolean;
  readonly recipient?: string;
  readonly rejected?: readonly string[];
  readonly rejectedErrors?: readonly Failed[];
  readonly timeoutType?: string;
  /** Only ours has it. */
  readonly retry?: string;
}

export const MAKERS = {
  nodemailer: (options: object): Transporter => nodemailer.createTransport(options) as unknown as Transporter,
  nospool: (options: object): Transporter =>
    nodemailer.createTransport(new NospoolTransport(options as NospoolTransportOptions)) as unknown as Transporter,
} as const;

export type Side = keyof typeof MAKERS;
export const SIDES = ['nodemailer', 'nospool'] as const satisfies readonly Side[];

/** The header section and the boundaries are always the same. */
export const MAIL = {
  from: 'me@here.example',
  to: 'you@there.example',
  subject: 'a trial',
  text: 'hello\n.dotted\n..twice\n',
  messageId: '<fixed@here.example>',
  date: new Date(0),
  baseBoundary: 'fixed',
} as const;

/** A result without what differs from run to run. */
export type Outcome = { readonly info: object } | { readonly error: object };

export const outcomeOf = (work: Promise<Info>): Promise<Outcome> =>
  work.then(
    (info) => ({ info: infoOf(info) }),
    (error: Failed) => ({ error: errorOf(error) }),
  );

function infoOf({ accepted, rejected, rejectedErrors, response, envelope, messageId, messageSize, ehlo }: Info): object {
  return { accepted, rejected, rejectedErrors: rejectedErrors?.map(errorOf), response, envelope, messageId, messageSize, ehlo };
}

/** `AUTH PLAIN` is `AUTH` here, because ours says no mechanism. */
export function errorOf({
  code,
  command,
  response,
  responseCode,
  permanent,
  recipient,
  rejected,
  rejectedErrors,
  timeoutType,
}: Failed): object {
  const found = {
    code,
    command: command?.replace(/^AUTH .*/, 'AUTH'),
    response,
    responseCode,
    permanent,
    recipient,
    rejected,
    rejectedErrors: rejectedErrors?.map(errorOf),
    timeoutType,
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}
