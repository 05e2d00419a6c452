/** Submits one message that a program has to the first of several servers that takes it. Adds no header field and reads no configuration. */

import { printSmarthost, type Smarthost } from '../router/smarthost.ts';
import { parsed } from '../smtp/parsed.ts';
import { deliver } from '../submit/delivery.ts';
import { abortReason } from '../transport/abort.ts';
import { Causes } from './causes.ts';
import { type Content, failLoading, sendTaking, type TakenContent } from './content.ts';
import { type Envelope, type ParsedEnvelope, parseEnvelope, withFacts } from './envelope.ts';
import { type Ends, inTime } from './message.ts';
import { namesOf } from './names.ts';
import { nextSession, observerOf } from './observe.ts';
import { type Options, parseOptions, type Terms } from './options.ts';
import { failedHere, type Outcome, outcomeOf } from './outcome.ts';
import { requireTlsFault, securityOfAll } from './security.ts';
import { dialOf, type Host, parseServers, type Server } from './server.ts';

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
  const trust = requireTlsFault(parsedEnvelope.value.transaction, () => hosts.value.map(({ smarthost }) => smarthost));
  if (trust !== null) return trust;
  const { signal, grace, timeouts } = terms.value;
  if (signal?.aborted) return failedHere('aborted', abortReason(signal), signal.reason);
  return inTime(signal, { grace, deadline: timeouts.deadline }, (ends) =>
    deliverTaken(parsedEnvelope.value, given, hosts.value, terms.value, ends),
  );
}

async function deliverTaken(
  { addresses, transaction }: ParsedEnvelope,
  given: TakenContent,
  hosts: readonly Host[],
  terms: Terms,
  ends: Ends,
): Promise<Outcome> {
  const { hello, timeouts, partial, framing, commitsAtOnce, window } = terms;
  const { signal = new AbortController().signal } = ends;
  const loaded = given.known ? parsed(given.known) : await given.load({ window, patience: timeouts.input, signal });
  if (!loaded.ok) return failLoading(given, loaded.detail, signal);
  const content = loaded.value;
  const causes = new Causes();
  const security = securityOfAll(hosts, signal, causes, timeouts.command);
  const hostOf = (wanted: Smarthost) => hosts.find(({ smarthost }) => smarthost === wanted);
  let attempt = 0;
  const measured = withFacts(transaction, content.facts);
  const outcome = await deliver(
    { hosts: hosts.map(({ smarthost }) => smarthost), transaction: measured, content },
    {
      hello,
      partial,
      framing,
      commitsAtOnce,
      timeouts: { ...timeouts, deadline: Number.POSITIVE_INFINITY },
      security,
      observe: (host) => observerOf(terms, { session: nextSession(), server: printSmarthost(host), attempt: attempt++ }, measured.size),
      namesFor: (host) => namesOf(hostOf(host), causes),
      dialFor: (host) => dialOf(hostOf(host)),
      noteFailure: causes.note,
      interrupts: { ...ends, signal },
    },
  );
  content.close();
  return outcomeOf(outcome, { addresses, cause: content.cause, causes, scrub: security.scrub });
}
