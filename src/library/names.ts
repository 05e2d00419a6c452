/** Look-ups by functions of the caller's; this system answers what they do not. */

import { reasonOf } from '../transport/abort.ts';
import { systemNames } from '../transport/lookup/endpoints.ts';
import type { Names } from '../transport/lookup/question.ts';
import type { Host, Resolver } from './server.ts';

/** undefined: this system answers everything. */
export function namesOf(host: Pick<Host, 'resolver'> | undefined): Names | undefined {
  const resolver = host?.resolver;
  if (resolver === undefined) return undefined;
  const { addresses = systemNames.addresses, mx = systemNames.mx, srv = systemNames.srv }: Resolver = resolver;
  return {
    addresses: async (name, question) => inWords(() => addresses.call(resolver, name, question)),
    mx: async (name, question) => inWords(() => mx.call(resolver, name, question)),
    srv: async (name, question) => inWords(() => srv.call(resolver, name, question)),
  };
}

/** An error without a code of node:dns is shown with its own words. */
async function inWords<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    throw (error as NodeJS.ErrnoException | null)?.code === undefined
      ? Object.assign(new Error(reasonOf(error)), { code: reasonOf(error) })
      : error;
  }
}
