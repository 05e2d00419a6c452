/** The options of `nospool sink` with their defaults. Knows neither the command line nor the server. */

/** As on the command line; '' and [] are "not given". */
export interface SinkOptions {
  readonly listen: string;
  /** 0: any free one. */
  readonly port: number;
  /** Path of a unix socket, in place of `listen` and `port`. */
  readonly unix: string;
  readonly anywhere: boolean;
  readonly tls: boolean;
  readonly starttls: boolean;
  /** A file for the certificate, which `ca_file` can name. */
  readonly certificate: string;
  /** `user:password`. */
  readonly auth: string;
  /** Recipients, or `@domain`. */
  readonly refuse: readonly string[];
  readonly defer: readonly string[];
  /** `connect`, `mail`, `data` or `content`, alone or with `=CODE` behind it. */
  readonly refuseAt: readonly string[];
  /** Milliseconds. */
  readonly delay: number;
  readonly discard: boolean;
  /** Folder for `.eml` files. */
  readonly store: string;
  /** The sink ends after so many; 0: never. */
  readonly messages: number;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly lmtp: boolean;
  /** In place of the usual ones; `none` alone means no extension. */
  readonly extensions: readonly string[];
  /** Octets. */
  readonly size: number;
}

export const SINK_DEFAULTS: SinkOptions = {
  listen: '127.0.0.1',
  port: 2525,
  unix: '',
  anywhere: false,
  tls: false,
  starttls: false,
  certificate: '',
  auth: '',
  refuse: [],
  defer: [],
  refuseAt: [],
  delay: 0,
  discard: false,
  store: '',
  messages: 0,
  json: false,
  quiet: false,
  lmtp: false,
  extensions: [],
  size: 50 * 1024 * 1024,
};
