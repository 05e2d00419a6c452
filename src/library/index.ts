/**
 * The library's door: `submit` sends one message to the first of several smart hosts that takes it, `connect` many messages over
 * one session. The SMTP core has a door of its own, `nospool/smtp`.
 */
export type { Smarthost } from '../router/smarthost.ts';

import { type AuthPolicy, DEFAULT_TLS, parseSmarthost, type Smarthost, type TlsPolicy } from '../router/smarthost.ts';
import { type Parsed, parsed } from '../smtp/parsed.ts';

export type { Refusal, SessionFailure, SessionOutcome } from '../smtp/client/outcome.ts';
export type { Parsed } from '../smtp/parsed.ts';
export type { Reply } from '../smtp/reply.ts';
export {
  type Acceptance,
  type Attempt,
  exitStatus,
  type Failure,
  type Outcome,
  printFailure,
  printOutcome,
  printServer,
} from '../submit/outcome.ts';
export type { Timeouts } from '../submit/settings.ts';
export { type Client, connect } from './client.ts';
export { type Envelope, type Message, type SubmitOptions, submit, TIMEOUTS } from './submit.ts';

/**
 * A smart host from its URL (`submission://mail.example.org`, as in nospool.toml(5)). TLS is required and verified unless
 * `tls` says otherwise; with `auth`, authentication is required (`isToken`: `password` is an access token); EHLO keywords in `ignoreExtensions` count as not offered. The
 * failure is a sentence.
 */
export function smarthost(
  url: string,
  {
    tls = {},
    auth,
    ignoreExtensions = [],
  }: {
    readonly ignoreExtensions?: readonly string[];
    readonly tls?: Partial<TlsPolicy>;
    readonly auth?: { readonly user: string; readonly password: string } & Partial<AuthPolicy>;
  } = {},
): Parsed<Smarthost> {
  const address = parseSmarthost(url);
  if (!address.ok) return address;
  const ignored = ignoreExtensions.length === 0 ? {} : { ignoreExtensions: ignoreExtensions.map((keyword) => keyword.toUpperCase()) };
  const host = { ...address.value, tls: { ...DEFAULT_TLS, ...tls }, ...ignored };
  if (auth === undefined) return parsed({ ...host, auth: null });
  const { user, password, mechanisms = [], isToken = false, allowPlaintext = false } = auth;
  return parsed({
    ...host,
    auth: { user, mechanisms, isToken, allowPlaintext, secret: { from: 'literal', value: password } },
  });
}
