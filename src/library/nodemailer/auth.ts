/** Credentials of a transport, or of one message, as the library takes them. Asks for no token. */
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { type Auth, secretFault } from '../server.ts';
import type { Tokens } from './oauth.ts';
import type { AuthSettings } from './options.ts';

/** The keys of `auth` that a message may have; the others name servers and secrets of the program itself. */
const OF_MESSAGES: readonly (keyof AuthSettings)[] = ['type', 'user', 'pass', 'accessToken', 'refreshToken', 'expires'];

/** The transport's credentials with those of a message over them. */
export function mergeAuth(auth: AuthSettings | null, own: object): AuthSettings {
  return { ...auth, ...Object.fromEntries(Object.entries(own).filter(([key]) => (OF_MESSAGES as readonly string[]).includes(key))) };
}

export const usesTokens = ({ type }: AuthSettings): boolean => (type ?? '').toUpperCase() === 'OAUTH2';

/** null: none. `method`: the one for passwords where `auth` names none. */
export function readAuth(given: AuthSettings, tokens: Tokens | null, method: string | undefined, isSecured: boolean): Parsed<Auth | null> {
  const { mechanism } = given;
  // What came by YAML or JSON may be a number.
  const user = String(given.user ?? '');
  const pass = typeof given.pass === 'number' ? String(given.pass) : given.pass;
  const inClear = given.allowPlaintext || isSecured ? { allowPlaintext: true } : {};
  if (mechanism !== undefined) return parsed({ mechanism });
  if (tokens !== null)
    return user === ''
      ? unparsed('Missing credentials: auth.user is not given')
      : parsed({ user, token: (signal) => tokens.get(signal), ...inClear });
  if (user === '' && !pass) return parsed(null);
  if (user === '' || pass === undefined || pass === '')
    return unparsed(`Missing credentials: auth.${user === '' ? 'user' : 'pass'} is not given`);
  const fault = typeof pass === 'string' ? secretFault(pass, 'auth.pass') : null;
  if (fault !== null) return unparsed(fault);
  const chosen = (given.method ?? method ?? '').trim();
  return parsed({ user, password: pass, ...(chosen === '' ? {} : { mechanisms: [chosen] }), ...inClear });
}
