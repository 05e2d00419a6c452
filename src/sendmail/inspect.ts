/** Shows without delivering how addresses are routed (-bt, -bv) and whether alias files can be read (-bi). */
import type { Config } from '../config/config.ts';
import { parseOperands } from '../message/recipients.ts';
import { complain, say } from '../process/stderr.ts';
import { printProblems } from '../router/problem.ts';
import { type ForwardPath, printMailbox, type ReversePath } from '../smtp/path.ts';
import { checkAliasFiles } from '../submit/routing.ts';
import { isDeliverable, printRouting } from '../submit/routing-tree.ts';
import { reversePathOf, routeRecipients, type Submitter } from '../submit/submission.ts';
import { parseSenderOption } from './arguments.ts';
import type { Invocation } from './options.ts';

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
  const given = parseSenderOption(invocation);
  if (!given.ok) return fail(given.detail);
  if (paths.value.length === 0) return fail('-bt and -bv need an address: sendmail -bt root');
  const sender = reversePathOf(config, by, given.value);
  if (!sender.ok) return fail(sender.detail);
  const { reversePath } = sender.value;
  const routing = await routeRecipients(config, by, reversePath, paths.value);
  if (invocation.mode.kind === 'verify') {
    await showEach(config, by, reversePath, paths.value);
    // Each may be deliverable, and all together not.
    complain(printProblems(routing.problems));
  } else say(1, printRouting(routing));
  return isDeliverable(routing) ? 0 : 1;
}

async function showEach(config: Config, by: Submitter, reversePath: ReversePath, paths: readonly ForwardPath[]): Promise<void> {
  for (const path of paths) {
    const alone = await routeRecipients(config, by, reversePath, [path]);
    const [root] = alone.tree;
    say(1, [`${printMailbox(root?.path ?? path)} ${isDeliverable(alone) ? 'can be delivered' : 'cannot be delivered'}`]);
  }
}

function fail(detail: string): number {
  complain([detail]);
  return 1;
}
