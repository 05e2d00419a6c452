/**
 * The envelope of one submission: who it is from and who gets it, as options, configuration and header section say, and where its
 * recipients are routed. Knows neither content nor connection.
 */
import type { Field } from '../message/fields.ts';
import { collectRecipients } from '../message/recipients.ts';
import { parseRewrite, type Rewrite, rewriteReversePath } from '../message/rewrite.ts';
import { printProblems } from '../router/problem.ts';
import { NO_SMARTHOST } from '../router/resolve.ts';
import type { RoutedRecipient, RoutingProblem } from '../router/route.ts';
import type { Notify, Recipient } from '../smtp/client/print.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { type ForwardPath, type Mailbox, parseMailbox, printMailbox, qualify, quoteLocalPart, type ReversePath } from '../smtp/path.ts';
import { aLabels } from '../transport/a-labels.ts';
import { asciiDomain, fullName } from './domain.ts';
import type { Failure } from './outcome.ts';
import { ownDomains, type Routing, type RoutingFacts, routeMessage } from './routing.ts';
import type { Settings } from './settings.ts';
import type { GivenRecipients } from './submission.ts';

/* ---- domains ---- */

/** Domains that the configuration and this host's name give, '' where there is none. */
export interface Domains {
  /** This host's name, with its domain where it has one. */
  readonly host: string;
  /** For bare senders: qualify_domain, else this host's name where it is one that others may know. */
  readonly sender: string;
  /** For bare recipients. */
  readonly recipient: string;
  /** What '@' stands for in a router's `domains`. */
  readonly own: readonly string[];
}

/** `hostname`: as the system says; the configured one wins. */
export function domainsOf(config: Settings, hostname: string): Domains {
  const host = config.hostname || hostname;
  const sender = config.qualifyDomain || fullName(host);
  const { qualifyRecipient } = config;
  return { host, sender, recipient: qualifyRecipient || sender, own: ownDomains({ qualifyDomain: sender, qualifyRecipient }, host) };
}

/* ---- the sender ---- */

export interface Sender {
  readonly reversePath: ReversePath;
  readonly rewrite: Rewrite;
  /** The configured `from`, with {login} filled in; null when it is not set. */
  readonly from: Mailbox | null;
}

function configuredFrom(config: Settings, login: string): Parsed<Mailbox | null> {
  if (config.from === '') return parsed(null);
  const from = parseMailbox(config.from.replaceAll('{login}', quoteLocalPart(login)));
  return from.ok ? from : unparsed(`from = "${config.from}": ${from.detail}`);
}

/** The reverse-path in force: -f, else `from`, else login@qualify_domain; `force_from` and `force_reverse_path` let `from` win; then [rewrite]. */
export function chooseReversePath(config: Settings, domains: Domains, login: string, given: ReversePath | undefined): Parsed<Sender> {
  const domain = domains.sender;
  const from = configuredFrom(config, login);
  if (!from.ok) return from;
  const rewrite = parseRewrite(config.rewrite, domain, (name) => aLabels(name) || name.toLowerCase());
  if (!rewrite.ok) return rewrite;
  // The null reverse-path asks that nothing be sent back, which no default may undo.
  const forced = config.forceFrom || config.forceReversePath ? from.value : null;
  const set = forced ?? given ?? from.value;
  const chosen = given === null ? parsed(null) : set ? parsed(set) : parseMailbox(quoteLocalPart(login));
  if (!chosen.ok) return chosen;
  const rewritten = rewriteReversePath(rewrite.value, chosen.value === null ? null : qualify(chosen.value, domain), domain);
  if (rewritten === null) return parsed({ reversePath: null, rewrite: rewrite.value, from: from.value });
  if (rewritten.domain === '')
    return unparsed(
      hasNoSmarthost(config)
        ? NO_SMARTHOST
        : `the sender "${printMailbox(rewritten)}" has no domain, and neither has this host's name: set qualify_domain`,
    );
  return parsed({ reversePath: asciiDomain(rewritten), rewrite: rewrite.value, from: from.value });
}

/** Nothing can be sent, so whatever else is missing matters later. */
export const hasNoSmarthost = ({ smarthosts, routers }: Settings): boolean =>
  smarthosts.length === 0 && routers.every(({ driver }) => driver !== 'manualroute');

/** An alias that fails or defers an address does so whether or not there is a smart host. */
export function failRouting(config: Settings, problems: readonly RoutingProblem[]): Failure {
  const details = printProblems(problems);
  return problems.some(({ kind }) => kind === 'unrouteable') && hasNoSmarthost(config)
    ? { kind: 'config', details }
    : { kind: 'route', details, deferred: problems.every(({ kind }) => kind === 'deferred') };
}

/* ---- the recipients ---- */

export function collectGiven(
  config: Settings,
  domains: Domains,
  given: GivenRecipients,
  fields: readonly Field[],
): Parsed<readonly Recipient[]> {
  const qualifyRecipient = domains.recipient;
  if ('paths' in given) return parsed(given.paths.map((each) => ({ ...each, path: asciiDomain(qualify(each.path, qualifyRecipient)) })));
  const { operands, fromFields } = given;
  const found = collectRecipients(fields, operands, {
    fromFields,
    argumentsWithT: config.argumentsWithT,
    qualifyRecipient,
    spell: asciiDomain,
  });
  return found.ok ? parsed(found.value.map((path) => ({ path }))) : found;
}

/** Routes as this host does: also for `-bt` and `-bv`. */
export function routeRecipients(
  config: Settings,
  domains: Domains,
  reversePath: ReversePath,
  paths: readonly ForwardPath[],
): Promise<Routing> {
  return routeMessage(config, routingFacts(domains, reversePath), paths.map(asciiDomain));
}

/** The facts of this host for routing. */
export const routingFacts = ({ own, recipient }: Domains, reversePath: ReversePath): RoutingFacts => ({
  reversePath,
  ours: own,
  qualifyRecipient: recipient,
});

/** The recipients as RCPT names them: with the notifications asked for, and the addresses that aliases replaced. */
export function addressRecipients(
  routed: readonly RoutedRecipient[],
  given: readonly Recipient[],
  notify: readonly Notify[] | undefined,
): readonly Recipient[] {
  const asked = new Map(given.map((recipient) => [printMailbox(recipient.path), recipient]));
  return routed.map(({ path, original }) => {
    const first = asked.get(printMailbox(original));
    return { path, notify: first?.notify ?? notify, original: first?.original ?? original };
  });
}
