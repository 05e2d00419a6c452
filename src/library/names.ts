/** Look-ups by functions of the caller's, whose answers are checked; this system answers what they do not. */

import { isIPv4, isIPv6 } from '../smtp/path.ts';
import { reasonOf, whenAborted } from '../transport/abort.ts';
import { systemNames } from '../transport/lookup/endpoints.ts';
import type { Names, NameQuestion as OwnQuestion } from '../transport/lookup/question.ts';
import type { Causes, Tell } from './causes.ts';
import type { Host, NameQuestion, Resolver } from './server.ts';

/** undefined: this system answers everything. */
export function namesOf(host: Pick<Host, 'resolver' | 'smarthost'> | undefined, causes: Causes): Names | undefined {
  const resolver = host?.resolver;
  if (host === undefined || resolver === undefined) return undefined;
  const tell = causes.tellOf(host.smarthost, 'resolver');
  const { addresses, mx, srv }: Resolver = resolver;
  return {
    addresses: addresses
      ? (name, asked) => inWords('addresses', asked, (question) => addresses.call(resolver, name, question), addressOf, tell)
      : systemNames.addresses,
    mx: mx ? (name, asked) => inWords('mx', asked, (question) => mx.call(resolver, name, question), mxOf, tell) : systemNames.mx,
    srv: srv ? (name, asked) => inWords('srv', asked, (question) => srv.call(resolver, name, question), srvOf, tell) : systemNames.srv,
  };
}

/** An error without a code of node:dns is shown with its own words. `read` gives null for what is no answer. */
async function inWords<Answer>(
  key: keyof Resolver,
  { family, signal }: OwnQuestion,
  ask: (question: NameQuestion) => Promise<readonly Answer[]>,
  read: (answer: Partial<Answer> | null) => Answer | null,
  tell: Tell,
): Promise<readonly Answer[]> {
  // The caller's function gets the runtime's own signal.
  const left = new AbortController();
  if (signal.aborted) left.abort();
  const unlink = whenAborted(signal, () => left.abort());
  try {
    return recordsOf(key, await ask({ family, signal: left.signal }), read);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException | null)?.code;
    // That a name has no such records is an answer.
    if (code !== 'ENODATA') tell(error);
    throw code === undefined ? Object.assign(new Error(reasonOf(error)), { code: reasonOf(error) }) : error;
  } finally {
    unlink();
  }
}

/** The records of what a function of the caller's gave; throws where it is something else. */
export function recordsOf<Answer>(
  key: keyof Resolver,
  answers: unknown,
  read: (answer: Partial<Answer> | null) => Answer | null,
): readonly Answer[] {
  const found = Array.isArray(answers) ? answers.map(read) : [null];
  if (found.includes(null)) throw new Error(`resolver.${key} gave no records`);
  return found as readonly Answer[];
}

type Answers<Key extends keyof Names> = Awaited<ReturnType<Names[Key]>>[number];

/** The text of an address decides its family: what is none would be taken for this host. */
export function addressOf(answer: Partial<Answers<'addresses'>> | null): Answers<'addresses'> | null {
  const address: unknown = answer?.address;
  if (typeof address !== 'string') return null;
  if (isIPv4(address)) return { address, family: 4 };
  return isIPv6(address.replace(/%[\w.-]+$/, '')) ? { address, family: 6 } : null;
}

function mxOf(answer: Partial<Answers<'mx'>> | null): Answers<'mx'> | null {
  const { exchange, priority } = answer ?? {};
  return isName(exchange) && isNumber(priority) ? { exchange: withoutDot(exchange), priority } : null;
}

function srvOf(answer: Partial<Answers<'srv'>> | null): Answers<'srv'> | null {
  const { name, port, priority, weight } = answer ?? {};
  return isName(name) && isNumber(port) && port < 65_536 && isNumber(priority) && isNumber(weight)
    ? { name: withoutDot(name), port, priority, weight }
    : null;
}

const isName = (value: unknown): value is string => typeof value === 'string' && !/[\p{Cc}\s]/u.test(value);
const isNumber = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;
/** Other resolvers than node:dns write names with the root. */
const withoutDot = (name: string): string => name.replace(/\.$/, '');
