/** What can be looked at without delivering: the routing of addresses (-bt, -bv) and the alias files (-bi). */
import type { Config } from '../config/config.ts';
import { parseOperands } from '../message/recipients.ts';
import { complain, say } from '../process/stderr.ts';
import { printProblems } from '../router/problem.ts';
import { printMailbox } from '../smtp/path.ts';
import { chooseReversePath, domainsOf, routeRecipients } from '../submit/envelope.ts';
import { checkAliasFiles } from '../submit/routing.ts';
import { isDeliverable, printRouting } from '../submit/routing-tree.ts';
import type { Submitter } from '../submit/submission.ts';
import { type Invocation, reversePathGiven } from './options.ts';

/** `newaliases`: 0 when every entry can be read. */
export async function checkAliases(config: Config): Promise<number> {
  const { entries, faults, locals, idle } = await checkAliasFiles(config);
  complain([...faults, ...idle]);
  const failing = locals.map((place) => `${place}: a file or a program, which fails the message`);
  say(1, [`${entries} aliases${locals.length > 0 ? `, ${locals.length} of them for files or pipes:` : ''}`, ...failing]);
  return faults.length === 0 ? 0 : 1;
}

/** `-bt` and `-bv`: 0 when one message to all of the addresses would go out in one transaction. */
export async function showRouting(config: Config, by: Submitter, invocation: Invocation): Promise<number> {
  const paths = parseOperands(invocation.operands);
  const given = reversePathGiven(invocation);
  if (!paths.ok || 'detail' in given) {
    complain([paths.ok ? (given as { detail: string }).detail : paths.detail]);
    return 1;
  }
  if (paths.value.length === 0) {
    complain(['-bt and -bv need an address: sendmail -bt root']);
    return 1;
  }
  const domains = domainsOf(config, by.hostname);
  const sender = chooseReversePath(config, domains, by.login, given.reversePath);
  if (!sender.ok) {
    complain([sender.detail]);
    return 1;
  }
  const { reversePath } = sender.value;
  const routing = await routeRecipients(config, domains, reversePath, paths.value);
  if (invocation.mode.kind !== 'route' || !invocation.mode.verify) {
    say(1, printRouting(routing));
    return isDeliverable(routing) ? 0 : 1;
  }
  for (const path of paths.value) {
    const alone = await routeRecipients(config, domains, reversePath, [path]);
    const [root] = alone.tree;
    say(1, [`${printMailbox(root?.path ?? path)} ${isDeliverable(alone) ? 'can be delivered' : 'cannot be delivered'}`]);
  }
  // Each may be deliverable, and all together not.
  complain(printProblems(routing.problems));
  return isDeliverable(routing) ? 0 : 1;
}
