/**
 * The first configuration, of about ten lines, from the answers to a few questions. Asks nothing and writes nothing.
 */
import { type ConfigPlan, printConfig, type RouterPlan } from '../print-config.ts';

/** '' = not answered. */
export interface FirstAnswers {
  /** As in `smarthosts`. */
  readonly smarthost: string;
  readonly user: string;
  /** Where the password is or will be; used with `user` only. */
  readonly passwordFile: string;
  readonly qualifyDomain: string;
  readonly from: string;
  /** Who gets the mail of root. */
  readonly root: string;
  /** An alias file that exists, to be asked after `root`. */
  readonly aliasFile: string;
  /** Of the system file: no other configuration counts. */
  readonly lock: boolean;
}

/** The text of nospool.toml. It holds no secret: any mode will do. */
export function printFirstConfig({ smarthost, user, passwordFile, qualifyDomain, from, root, aliasFile, lock }: FirstAnswers): string {
  const routers: RouterPlan[] = [];
  if (root !== '') {
    routers.push({ settings: { name: 'root', driver: 'redirect' }, data: { root } });
    // Where a router is written, aliases need one of their own.
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
