/** Submits one message that a program has to the first of several servers that takes it. Adds no header field and reads no configuration. */

import { printSmarthost, type Smarthost } from '../router/smarthost.ts';
import { parsed } from '../smtp/parsed.ts';
import { deliver } from '../submit/delivery.ts';
import { abortReason } from '../transport/abort.ts';
import { type Content, failLoading, sendTaking, type TakenContent } from './content.ts';
import { type Envelope, parseEnvelope, withFacts } from './envelope.ts';
import { namesOf } from './names.ts';
import { nextSession, observerOf } from './observe.ts';
import { type Options, parseOptions } from './options.ts';
import { failedHere, type Outcome, outcomeOf } from './outcome.ts';
import { securityOf } from './security.ts';
import { dialOf, parseServers, type Server } from './server.ts';

/** Never rejects and never throws: what cannot be is a failure with the code `usage`. Servers are tried in order. */
export function submit(
  envelope: Envelope,
  content: Content,
  options: Options & { readonly servers: readonly (string | URL | Server)[] },
): Promise<Outcome> {
  return sendTaking(content, (given) => submitTaken(envelope, given, options));
}

async function submitTaken(
  envelope: Envelope,
  given: TakenContent,
  options: Options & { readonly servers: readonly (string | URL | Server)[] },
): Promise<Outcome> {
  const terms = parseOptions(options, ['servers']);
  if (!terms.ok) return failedHere('usage', terms.detail);
  const hosts = parseServers(options.servers);
  if (!hosts.ok) return failedHere('usage', hosts.detail);
  const parsedEnvelope = parseEnvelope(envelope);
  if (!parsedEnvelope.ok) return failedHere('usage', parsedEnvelope.detail);
  const { addresses, transaction } = parsedEnvelope.value;
  const signal = options.signal ?? new AbortController().signal;
  if (signal.aborted) return failedHere('aborted', abortReason(signal), signal.reason);
  const { hello, timeouts, partial, framing, commitsAtOnce, window, grace } = terms.value;
  const loaded = given.known ? parsed(given.known) : await given.load({ window, patience: timeouts.input, signal });
  if (!loaded.ok) return failLoading(given, loaded.detail, signal);
  const content = loaded.value;
  let cause: unknown;
  const tell = (error: unknown): void => {
    cause ??= error;
  };
  const hostOf = (wanted: Smarthost) => hosts.value.find(({ smarthost }) => smarthost === wanted);
  let attempt = 0;
  const outcome = await deliver(
    { hosts: hosts.value.map(({ smarthost }) => smarthost), transaction: withFacts(transaction, content.facts), content },
    {
      hello,
      partial,
      framing,
      commitsAtOnce,
      timeouts,
      security: securityOf(hosts.value, signal, tell),
      observe: (host) =>
        observerOf(options, { session: nextSession(), server: printSmarthost(host), attempt: attempt++ }, content.facts.size),
      names: (host) => namesOf(hostOf(host)),
      dialFor: (host) => dialOf(hostOf(host)),
      tell,
      interrupts: { signal, grace },
    },
  );
  content.close();
  return outcomeOf(outcome, { addresses, cause: content.cause ?? cause });
}
