/**
 * Access tokens as nodemailer's `auth` describes them: one that is there already, a function, or a request to a server of tokens with
 * a refresh token or as a service account. A token is kept until it expires or is refused. Knows no SMTP.
 */
import { sign } from 'node:crypto';
import { whenAborted } from '../../transport/abort.ts';
import { guard } from '../../transport/observer.ts';
import { unlessLate } from '../patience.ts';
import type { AuthSettings, ProvisionCallback } from './options.ts';

const GOOGLE = 'https://accounts.google.com/o/oauth2/token';
const GOOGLE_MAIL = 'https://mail.google.com/';
/** Milliseconds that a server of tokens has. */
const PATIENCE = 60_000;
/** Seconds for which a service account vouches, and the most that servers take. */
const VOUCHED = 300;
const MOST_VOUCHED = 3600;

/** A new token, as nodemailer's `token` event has it. */
export interface NewToken {
  readonly user: string;
  readonly accessToken: string;
  /** Milliseconds since 1970; 0 where the server did not say. */
  readonly expires: number;
}

export interface TokenOptions {
  /** A function that was registered elsewhere; it goes before the one in `auth`. */
  provision(): ProvisionCallback | undefined;
  /** Is told of a token that a server of tokens gave. */
  tell(token: NewToken): void;
}

export class Tokens {
  readonly #auth: AuthSettings;
  readonly #options: TokenOptions;
  #token: string;
  #expires: number;
  #isRefused = false;
  /** The signal is that of the message which asks; others wait for the same token. */
  #asking: { readonly token: Promise<string>; readonly signal: AbortSignal } | null = null;
  /** Counts the tokens that took the place of one that was refused, so that one refused several times is renewed once. */
  renewals = 0;

  constructor(auth: AuthSettings, options: TokenOptions) {
    this.#auth = auth;
    this.#options = options;
    // What is no text is not given: `getAccessToken` of Google's library answers with an object, and programs pass it on.
    this.#token = typeof auth.accessToken === 'string' ? auth.accessToken : '';
    const lasts = Number(auth.timeout) || 0;
    this.#expires = Number(auth.expires) || (lasts > 0 ? Date.now() + lasts * 1000 : 0);
  }

  /** The token to authenticate with. Rejects when none can be had. */
  async get(signal: AbortSignal): Promise<string> {
    const isGood = this.#token !== '' && !this.#isRefused && (this.#expires === 0 || this.#expires > Date.now());
    if (isGood || (this.#token !== '' && !this.#mayRenew)) return this.#token;
    this.#asking ??= {
      token: this.#ask(signal).finally(() => {
        this.#asking = null;
      }),
      signal,
    };
    const { token, signal: asking } = this.#asking;
    return token.catch((error) => {
      if (!asking.aborted || signal.aborted) throw error;
      // Only the message that asked was ended.
      return this.get(signal);
    });
  }

  /** Has the token replaced, unless it was since `renewals` was so many; false when there is no way to another. */
  refuse(renewals: number): boolean {
    if (!this.#mayRenew) return false;
    if (renewals === this.renewals) this.#isRefused = true;
    return true;
  }

  get #provision(): ProvisionCallback | undefined {
    return this.#options.provision() ?? this.#auth.provisionCallback;
  }

  get #mayRenew(): boolean {
    return this.#provision !== undefined || Boolean(this.#auth.refreshToken) || Boolean(this.#auth.serviceClient);
  }

  async #ask(signal: AbortSignal): Promise<string> {
    const provision = this.#provision;
    if (!this.#mayRenew) throw tokenError('auth has neither a text as accessToken nor a way to get one');
    const given = provision
      ? await callProvision(provision, this.#auth.user ?? '', this.#isRefused, signal)
      : await requestToken(this.#auth, signal);
    this.#token = given.token;
    this.#expires = given.expires;
    if (this.#isRefused) this.renewals += 1;
    this.#isRefused = false;
    if (!provision) this.#options.tell({ user: this.#auth.user ?? '', accessToken: given.token, expires: given.expires });
    return given.token;
  }
}

interface Given {
  readonly token: string;
  readonly expires: number;
}

const tokenError = (message: string): Error => Object.assign(new Error(message), { code: 'EOAUTH2' });

function callProvision(provision: ProvisionCallback, user: string, renew: boolean, signal: AbortSignal): Promise<Given> {
  let unlink = (): void => {};
  return new Promise<Given>((resolve, reject) => {
    // A function that never answers must not hold the messages that come later.
    unlink = whenAborted(signal, () => reject(signal.reason));
    const answer = (error: unknown, token?: string, expires?: number): void => {
      if (error) reject(error);
      else if (typeof token === 'string' && token !== '') resolve({ token, expires: Number(expires) || 0 });
      else reject(tokenError('the function for tokens gave none'));
    };
    guard(provision, reject)(user, renew, answer);
  }).finally(() => unlink());
}

/** RFC 6749 §6, or RFC 7523 §2.1 for a service account. */
async function requestToken(auth: AuthSettings, signal: AbortSignal): Promise<Given> {
  const { accessUrl = GOOGLE, customHeaders = {}, customParams = {}, requestTimeout = PATIENCE } = auth;
  const form = auth.serviceClient
    ? { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: vouch(auth, accessUrl) }
    : {
        client_id: auth.clientId ?? '',
        client_secret: auth.clientSecret ?? '',
        refresh_token: auth.refreshToken ?? '',
        grant_type: 'refresh_token',
      };
  const body = new URLSearchParams({ ...form, ...customParams });
  const wait = { signal, patience: requestTimeout > 0 ? requestTimeout : Number.POSITIVE_INFINITY };
  const late = () => tokenError(`the server of tokens gave no answer for ${requestTimeout / 1000} s (auth.requestTimeout)`);
  const [status, text] = await unlessLate(wait, late, async (left) => {
    // A redirect would carry the refresh token elsewhere.
    const response = await fetch(accessUrl, { method: 'POST', headers: fieldsOf(customHeaders), body, signal: left, redirect: 'error' });
    return [response.status, await response.text()] as const;
  });
  const answer = parseAnswer(text);
  if (answer === null) throw tokenError(`the server of tokens answered ${status} without JSON`);
  const { access_token: token, expires_in: lasts, error, error_description: why } = answer;
  if (error !== undefined) throw tokenError(`${String(error)}${why === undefined ? '' : `: ${String(why)}`}`);
  if (typeof token !== 'string' || token === '') throw tokenError('the server of tokens gave none');
  const seconds = Number(lasts) || 0;
  return { token, expires: seconds > 0 ? Date.now() + seconds * 1000 : 0 };
}

/** As node:http takes them: a number is a text, and a list is several fields of one name. */
const fieldsOf = (headers: NonNullable<AuthSettings['customHeaders']>): [string, string][] =>
  Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().map((each): [string, string] => [name, String(each)]));

function parseAnswer(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** A JSON Web Token, signed with RS256. RFC 7515 §3.1 */
function vouch(auth: AuthSettings, audience: string): string {
  if (!auth.privateKey || !auth.user) throw tokenError('a service account needs auth.privateKey and auth.user');
  const now = Math.floor(Date.now() / 1000);
  const lasts = Math.min(Number(auth.serviceRequestTimeout) || VOUCHED, MOST_VOUCHED);
  const claims = { iss: auth.serviceClient, scope: auth.scope ?? GOOGLE_MAIL, sub: auth.user, aud: audience, iat: now, exp: now + lasts };
  const signed = [{ alg: 'RS256', typ: 'JWT' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  try {
    return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), auth.privateKey).toString('base64url')}`;
  } catch {
    throw tokenError('auth.privateKey cannot sign: it is no RSA key in PEM');
  }
}
