/** What one submission is asked to do, and what is known of it when it has ended. */
import type { Input } from '../message/source.ts';
import type { RoutedRecipient } from '../router/route.ts';
import type { Notify, Recipient } from '../smtp/client/print.ts';
import type { ReversePath } from '../smtp/path.ts';
import { type Failure, failedWith, type Outcome } from './outcome.ts';
import type { Settings } from './settings.ts';

/** Who submits, and from where: looked up by the caller, the costly facts only when they are asked for. */
export interface Submitter {
  readonly login: string;
  /** This host's name, with its domain where it has one. */
  readonly hostname: string;
  /** For an added From field; '' = none. */
  readonly fullName: () => Promise<string>;
  /** MIME name of the charset of the caller's locale; '' = C or POSIX. */
  readonly charset: string;
  readonly date: Date;
  /** The message in the log: Exim's message id. */
  readonly id: string;
  /** The message in the world, left side of a Message-ID: letters, digits, hyphens and dots. */
  readonly unique: string;
  readonly version: string;
}

/** Who gets the message, as the caller says. */
export type GivenRecipients =
  /** Arguments, each an address list, and with `fromFields` (-t) the recipient fields. */
  | { readonly operands: readonly string[]; readonly fromFields: boolean }
  /** An envelope that a caller already gave in SMTP. */
  | { readonly paths: readonly Recipient[] };

export interface Submission {
  readonly config: Settings;
  readonly by: Submitter;
  readonly input: Input;
  readonly recipients: GivenRecipients;
  /** undefined: the default of the configuration. */
  readonly reversePath: ReversePath | undefined;
  /** A lone dot ends the message. */
  readonly dotEnds: boolean;
  readonly notify?: readonly Notify[] | undefined;
  readonly ret?: 'FULL' | 'HDRS' | undefined;
  readonly envid?: string | undefined;
}

/** Everything that is known of a submission when it has ended, however it ended. */
export interface Submitted extends SubmissionFacts {
  readonly outcome: Outcome;
}

/** The same before its outcome is known. */
export interface SubmissionFacts {
  /** undefined = it ended before that was known. */
  readonly reversePath: ReversePath | undefined;
  readonly recipients: readonly RoutedRecipient[];
  readonly discarded: readonly RoutedRecipient[];
  readonly messageId: string;
  /** Octets of the message, null when not known. Of one that was streamed and taken: those that were sent. */
  readonly octets: number | null;
  /** What the log should say besides. */
  readonly notes: readonly string[];
}

export const NO_FACTS: SubmissionFacts = { reversePath: undefined, recipients: [], discarded: [], messageId: '', octets: null, notes: [] };

export const endWith = (known: SubmissionFacts, failure: Failure): Submitted => ({ ...known, outcome: failedWith(failure) });

/** Fails a submission before anybody looked at its message. */
export const failUnsent = (failure: Failure): Submitted => endWith(NO_FACTS, failure);
