/** Shows without delivering how addresses are routed (-bt, -bv), whether alias files can be read (-bi), and what is in force (-bV). */
import type { Config } from '../config/config.ts';
import { printFiles } from '../config/facts.ts';
import type { ConfigAnswer } from '../config/read.ts';
import { parseOperands } from '../message/recipients.ts';
import { complain, say } from '../process/stderr.ts';
import { VERSION } from '../process/version.ts';
import { printProblems } from '../router/problem.ts';
import { type ForwardPath, printMailbox } from '../smtp/path.ts';
import { checkAliasFiles } from '../submit/alias-report.ts';
import { chooseReversePath, domainsOf, routeRecipients } from '../submit/envelope.ts';
import { openLog } from '../submit/logfile.ts';
import type { Routing } from '../submit/routing.ts';
import { isDeliverable, printRouting } from '../submit/routing-tree.ts';
import type { Submitter } from '../submit/submission.ts';
import type { Invocation } from './options.ts';

/** `-bV`: 0 when the configuration can be used. */
export async function showFacts(answer: ConfigAnswer): Promise<number> {
  const { bun, node } = process.versions;
  const facts = [`nospool ${VERSION}`, row('runtime', `${bun === undefined ? `Node ${node}` : `Bun ${bun}`} (${process.execPath})`)];
  if (!answer.ok) {
    say(1, facts);
    complain(answer.errors);
    return 1;
  }
  const { lock, log } = answer.config;
  const { place, problem } = await openLog(log).test();
  say(1, [...facts, row('configuration', `${printFiles(answer.config)}${lock ? ' (locked)' : ''}`), row('log', place ?? 'nowhere')]);
  complain([...answer.warnings, ...(problem === null ? [] : [problem])]);
  return 0;
}

const row = (label: string, text: string): string => label.padEnd(15) + text;

/** `newaliases`: 0 when every entry can be read. */
export async function showAliasCheck(config: Config): Promise<number> {
  const { entries, faults, locals, idle } = await checkAliasFiles(config);
  complain([...faults, ...idle]);
  const failing = locals.map((place) => `${place}: a file or a program, which fails the message`);
  say(1, [`${entries} aliases${locals.length > 0 ? `, ${locals.length} of them for files or pipes:` : ''}`, ...failing]);
  return faults.length === 0 ? 0 : 1;
}

/** `-bt` and `-bv`: 0 when one message to all of the addresses would go out in one transaction. */
export async function showRouting(config: Config, by: Submitter, invocation: Invocation): Promise<number> {
  const paths = parseOperands(invocation.operands);
  if (!paths.ok) return fail(paths.detail);
  const given = invocation.reversePath;
  if (!given.ok) return fail(given.detail);
  if (paths.value.length === 0) return fail('-bt and -bv need an address: sendmail -bt root');
  const domains = domainsOf(config, by.hostname);
  const sender = chooseReversePath(config, domains, by.login, given.value);
  if (!sender.ok) return fail(sender.detail);
  const { reversePath } = sender.value;
  const route = (recipients: readonly ForwardPath[]): Promise<Routing> => routeRecipients(config, domains, reversePath, recipients);
  const together = await route(paths.value);
  if (invocation.mode.kind === 'route') say(1, printRouting(together));
  else {
    for (const path of paths.value) say(1, [printVerdict(path, await route([path]))]);
    // Each may be deliverable, and all together not.
    complain(printProblems(together.problems));
  }
  return isDeliverable(together) ? 0 : 1;
}

function printVerdict(path: ForwardPath, routing: Routing): string {
  const [root] = routing.tree;
  return `${printMailbox(root?.path ?? path)} ${isDeliverable(routing) ? 'can be delivered' : 'cannot be delivered'}`;
}

function fail(detail: string): number {
  complain([detail]);
  return 1;
}
