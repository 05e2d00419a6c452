/** `nospool route`: which router does what with an address, and where a message to all of them would go. Connects to nobody. */
import { readConfig } from '../config/read.ts';
import { parseOperands } from '../message/recipients.ts';
import { parseReversePath } from '../smtp/path.ts';
import { reversePathOf, routeRecipients } from '../submit/submission.ts';
import { identify } from './identity.ts';
import { isDeliverable, printRouting, routingJson } from './tree.ts';

export interface RouteOptions {
  /** Path of a configuration file; '' = where sendmail looks. */
  readonly config: string;
  /** Reverse-path; null = the default one. */
  readonly from: string | null;
  readonly json: boolean;
}

/** 0 when one message to all of the addresses would go out in one transaction. */
export async function runRoute({ config: path, from, json }: RouteOptions, operands: readonly string[]): Promise<number> {
  const complain = (...lines: readonly string[]): number => {
    process.stderr.write(lines.map((line) => `nospool: ${line}\n`).join(''));
    return 1;
  };
  const paths = parseOperands(operands);
  if (!paths.ok) return complain(paths.detail);
  if (paths.value.length === 0) return complain('name an address: nospool route root');
  const given = from === null ? undefined : parseReversePath(from.trim());
  if (given && !given.ok) return complain(`--from "${from}": ${given.detail}`);
  const who = identify(process.env);
  const answer = await readConfig({ path: path === '' ? null : path, env: process.env, home: who.home, euid: who.euid });
  if (!answer.ok) return complain(...answer.errors);
  const { config } = answer;
  const by = { login: who.login, hostname: config.hostname === '' ? await who.hostname() : config.hostname };
  const sender = reversePathOf(config, by, given?.value);
  if (!sender.ok) return complain(sender.detail);
  const routing = await routeRecipients(config, by, sender.value.reversePath, paths.value);
  if (answer.warnings.length > 0) complain(...answer.warnings);
  process.stdout.write(json ? `${JSON.stringify(routingJson(routing))}\n` : printRouting(routing));
  return isDeliverable(routing) ? 0 : 1;
}
