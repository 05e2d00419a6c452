/**
 * The settings of a submission: every key of nospool.toml(5), typed, with defaults filled in. Knows neither TOML nor the environment,
 * nor where a key stands.
 */

import type { RouterDefinition } from '../router/route.ts';
import type { Smarthost } from '../router/smarthost.ts';

/** Milliseconds; Infinity is "none". */
export interface Timeouts {
  readonly resolve: number;
  readonly connect: number;
  readonly handshake: number;
  readonly greeting: number;
  readonly command: number;
  readonly data: number;
  readonly block: number;
  readonly final: number;
  readonly input: number;
  readonly deadline: number;
}

export interface Settings {
  readonly smarthosts: readonly Smarthost[];
  readonly randomize: boolean;
  readonly aliases: readonly string[];
  /** EHLO argument as configured; '' = the host's FQDN. The socket's address literal replaces whatever is no full domain. */
  readonly hostname: string;
  readonly qualifyDomain: string;
  readonly qualifyRecipient: string;
  /** Default reverse-path and added From; may contain `{login}`; '' = login@qualify_domain. */
  readonly from: string;
  readonly forceFrom: boolean;
  /** As forceFrom, but only for the envelope. */
  readonly forceReversePath: boolean;
  /** Octets. */
  readonly replayWindow: number;
  readonly headerLimit: number;
  readonly argumentsWithT: 'add' | 'remove';
  readonly loneDot: 'ends' | 'text';
  readonly keepBcc: boolean;
  readonly received: boolean;
  readonly defaultCharset: string;
  readonly header8bit: 'encode' | 'send';
  readonly eightBit: 'convert' | 'send' | 'refuse';
  readonly longLines: 'send' | 'refuse';
  readonly dsn: 'drop' | 'require';
  readonly lmtpPartial: boolean;
  readonly exitCodes: 'simple' | 'sysexits';
  /** Path, 'syslog', 'stderr', 'none', or '' = /var/log/nospool.log if writable, else syslog. */
  readonly log: string;
  readonly logFormat: 'exim' | 'json';
  readonly timeouts: Timeouts;
  /** As written; [] = none, then `aliases` and `smarthosts` are the routers. */
  readonly routers: readonly RouterDefinition[];
  /** Sender address, bare local-part or `*@domain` → replacement. */
  readonly rewrite: Readonly<Record<string, string>>;
  /** An argument named the file, and root does not own it: whoever did so must not see lists of addresses that only some users may read. */
  readonly isByArgument?: boolean;
}
