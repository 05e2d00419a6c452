/**
 * Prints the first configuration, about ten lines, from the answers of `nospool init`. Asks nothing and writes nothing.
 */
import { type ConfigPlan, printConfig, type RouterPlan } from '../print-config.ts';

/** '' = not answered. */
export interface FirstAnswers {
  /** As in `smarthosts`. */
  readonly smarthost: string;
  readonly user: string;
  /** The file that holds or will hold the password; used with `user` only. */
  readonly passwordFile: string;
  readonly qualifyDomain: string;
  readonly from: string;
  /** The address that gets the mail of root. */
  readonly root: string;
  /** An alias file that exists. Its router comes behind that of `root`. */
  readonly aliasFile: string;
  /** True makes the system file the only configuration. */
  readonly lock: boolean;
}

/** The text of nospool.toml. Its file may have any mode, because it holds no secret. */
export function printFirstConfig({ smarthost, user, passwordFile, qualifyDomain, from, root, aliasFile, lock }: FirstAnswers): string {
  const routers: RouterPlan[] = [];
  if (root !== '') {
    routers.push({ settings: { name: 'root', driver: 'redirect' }, data: { root } });
    // Once any router is written, the alias file needs a router, too.
    if (aliasFile !== '') routers.push({ settings: { name: 'aliases', driver: 'redirect', file: aliasFile } });
  }
  const plan: ConfigPlan = {
    remarks: ['See nospool.toml(5) for all keys; "nospool check" tries what is written here.'],
    hosts: [{ url: smarthost, tls: {}, auth: user === '' ? null : { user, password_file: passwordFile } }],
    top: { ...(qualifyDomain && { qualify_domain: qualifyDomain }), ...(from && { from }), ...(lock && { lock }) },
    timeouts: {},
    routers,
    rewrite: {},
  };
  return printConfig(plan);
}
