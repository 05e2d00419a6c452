/**
 * `nospool check`: reads the configuration and the alias files, and opens a session to every address of every smart host.
 * Sends no MAIL.
 */

import { existsSync, statSync } from 'node:fs';
import type { Config } from '../../config/config.ts';
import { userFile } from '../../config/read.ts';
import { commandNames } from '../../process/names.ts';
import { failWith, makeTrace, writeJson, writeLines } from '../../process/stderr.ts';
import { NO_SMARTHOST } from '../../router/resolve.ts';
import type { Smarthost } from '../../router/smarthost.ts';
import { checkAliasFiles } from '../../submit/alias-report.ts';
import { fullName, helloName } from '../../submit/domain.ts';
import { chooseReversePath, domainsOf } from '../../submit/envelope.ts';
import { type LogTest, openLog } from '../../submit/logfile.ts';
import { systemSecurity } from '../../submit/security.ts';
import type { Submitter } from '../../submit/submission.ts';
import { endpointsOf, targetsOf } from '../../transport/lookup/endpoints.ts';
import type { Endpoint, Target } from '../../transport/lookup/target.ts';
import { isSystemFile } from '../clashes.ts';
import { loadConfiguration } from '../load-configuration.ts';
import { type Audience, findAudience } from './audience.ts';
import { findInPlace } from './in-place.ts';
import {
  expiringJson,
  findExpiring,
  type Heading,
  type HostCheck,
  headingJson,
  hostJson,
  type NameCheck,
  printExpiring,
  printHeading,
  printHostCheck,
  SOON,
} from './print-check.ts';
import { type Probe, type ProbeOptions, probe } from './probe.ts';

export interface CheckOptions {
  /** Path of a configuration file; '' = where sendmail looks. */
  readonly config: string;
  readonly json: boolean;
  /** Show the conversation. */
  readonly verbose: boolean;
  /** A certificate that ends within so many days has an exit status of its own; null = it is only marked. */
  readonly warnDays: number | null;
}

/** The exit status where everything can be used, but not for long. */
const ENDS_SOON = 2;

/** Milliseconds for each step. A delivery would wait longer, but here a person waits. */
const LONGEST_PROBE_STEP = 20_000;

/** 0 when every smart host can be used and every alias file read; 2 when one of their certificates ends soon. */
export async function runCheck({ config: path, json, verbose, warnDays }: CheckOptions): Promise<number> {
  const loaded = await loadConfiguration(path);
  if (loaded === null) return 1;
  const { config, who } = loaded;
  const aliases = await checkAliasFiles(config);
  const hosts = listHosts(config);
  const submitter = await loaded.submitter();
  const { hostname } = submitter;
  const log = await openLog(config.log).test();
  // Nobody else uses the user's own file, and without a smart host nobody sends.
  const own = userFile(process.env, who.home);
  const audience = hosts.length === 0 || config.path === own ? null : findAudience(config, aliases.files);
  const warnings = [
    ...loaded.warnings,
    ...warnUnlocked(config, who.euid),
    ...warnUnused(config, own),
    ...(hosts.length === 0 ? [] : warnUnnamed(config, submitter)),
    ...aliases.idle,
    ...(log.problem === null ? [] : [log.problem]),
    ...(await warnUnlogged(log, audience)),
  ];
  const trace = makeTrace(verbose ? 2 : 0);
  const { connect, handshake, greeting, command, resolve } = config.timeouts;
  const capped = { connect, handshake, greeting, command, resolve };
  const options: ProbeOptions = {
    hello: fullName(hostname),
    timeouts: {
      ...config.timeouts,
      ...Object.fromEntries(Object.entries(capped).map(([name, limit]) => [name, Math.min(limit, LONGEST_PROBE_STEP)])),
    },
    security: systemSecurity(process.env),
    environment: process.env,
    ...(trace ? { trace } : {}),
  };
  const heading: Heading = {
    files: config.files,
    warnings,
    entries: aliases.entries,
    faults: aliases.faults,
    log,
    sendmail: findInPlace(),
    audience,
  };
  if (!json) writeLines(printHeading(heading));
  const checks: HostCheck[] = [];
  for (const [i, { host, router }] of hosts.entries()) {
    const checked = await checkHost(host, router, options);
    checks.push(checked);
    if (!json) writeLines(printHostCheck(checked, i + 1, new Date(), warnDays ?? SOON));
  }
  const bad = checks.filter(({ usable }) => !usable).length;
  const isUsable = bad === 0 && hosts.length > 0 && aliases.faults.length === 0;
  const expiring = findExpiring(checks, new Date(), warnDays ?? SOON);
  if (json)
    writeJson({ usable: isUsable, ...headingJson(heading), expiring: expiring.map(expiringJson), smarthosts: checks.map(hostJson) });
  if (hosts.length === 0) return failWith(NO_SMARTHOST);
  const verdict = bad === 0 ? `${printCount(hosts.length)} usable` : `${printCount(bad)} NOT usable`;
  const ends = expiring.map(printExpiring);
  // What the status is for comes last: watchers show the last line.
  if (!json) writeLines(isUsable ? [verdict, ...ends] : [...ends, verdict]);
  if (aliases.faults.length > 0) failWith(...aliases.faults);
  return isUsable ? (warnDays !== null && expiring.length > 0 ? ENDS_SOON : 0) : 1;
}

/** Warns of what fails because neither the configuration nor this host's name has a domain that others know. */
function warnUnnamed(config: Config, { hostname, login }: Submitter): readonly string[] {
  const domains = domainsOf(config, hostname);
  const sender = chooseReversePath(config, domains, login, undefined);
  const warnings = sender.ok ? [] : [`mail fails if its caller names no sender: ${sender.detail}`];
  // The configuration has warned of a configured name that is no domain at all.
  if (fullName(hostname) !== '' || (config.hostname !== '' && helloName(hostname) === '')) return warnings;
  const name = config.hostname === '' ? `this host's name "${hostname}"` : `hostname = "${hostname}"`;
  const fault = helloName(hostname) === '' ? 'is no domain of RFC 5321' : 'has no dot';
  const bare = sender.ok && domains.sender === '' ? ', and bare addresses need qualify_domain' : '';
  return [...warnings, `${name} ${fault}, so EHLO says the address of the socket${bare}; set hostname`];
}

/** An administrator should know that a user, or a web application, can send by another configuration. */
function warnUnlocked({ path, lock }: Config, euid: number): readonly string[] {
  if (euid !== 0 || lock || !isSystemFile(path)) return [];
  return [`${path} is not locked: files of users, -C and the environment are used in its place; lock = true makes it the only one`];
}

/** A user who has written a file should know that it changes nothing. */
const warnUnused = ({ path, lock }: Config, own: string | null): readonly string[] =>
  lock && isSystemFile(path) && own !== null && existsSync(own) ? [`${own} is not used, because ${path} is locked`] : [];

/** Users who cannot write the log have none, unless there is a syslog. */
async function warnUnlogged({ place }: LogTest, audience: Audience | null): Promise<readonly string[]> {
  if (audience === null || place === null || !place.startsWith('/') || isWritable(place)) return [];
  if ((await openLog('syslog').test()).place !== null) return [];
  return [
    `users who cannot write ${place} have no log, because there is no syslog: let a group write it (chgrp GROUP ${place}; chmod g+w ${place}), or set log`,
  ];
}

/** Whether the file's mode lets everybody write. */
function isWritable(file: string): boolean {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
  return (mode & 0o002) !== 0;
}

const printCount = (count: number): string => (count === 1 ? '1 smart host is' : `${count} smart hosts are`);

/** Those of the routers come first, because a delivery asks the routers first. Equal ones are tried once. */
function listHosts({ routers, smarthosts }: Config): readonly { readonly host: Smarthost; readonly router: string }[] {
  const all = [
    ...routers.flatMap((router) => (router.driver === 'manualroute' ? router.hosts.map((host) => ({ host, router: router.name })) : [])),
    ...smarthosts.map((host) => ({ host, router: '' })),
  ];
  return [...new Map(all.map((each) => [JSON.stringify(each.host), each])).values()];
}

async function checkHost(host: Smarthost, router: string, options: ProbeOptions): Promise<HostCheck> {
  const targets = await targetsOf(host, options.timeouts.resolve, commandNames);
  if (!targets.ok) return { host, router, problem: targets.detail, names: [], usable: false };
  const names: NameCheck[] = [];
  for (const target of targets.value) names.push(await checkName(host, target, options));
  return { host, router, problem: null, names, usable: names.some(({ probes }) => probes.some(({ usable }) => usable)) };
}

async function checkName(host: Smarthost, target: Target, options: ProbeOptions): Promise<NameCheck> {
  const { name, port } = target;
  const found = await endpointsOf(target, options.timeouts.resolve, commandNames);
  if (!found.ok) return { name, port, problem: found.detail, probes: [] };
  return { name, port, problem: null, probes: await probeAll(host, target, found.value, options) };
}

/** Tries one address after another. After a failed authentication it tries no other one, because that may lock the account. */
export async function probeAll(
  host: Smarthost,
  target: Target,
  endpoints: readonly Endpoint[],
  options: ProbeOptions,
): Promise<readonly Probe[]> {
  const probes: Probe[] = [];
  let isAuthRefused = false;
  for (const endpoint of endpoints) {
    const probed = await probe(isAuthRefused ? { ...host, auth: null } : host, target, endpoint, options);
    const problems = isAuthRefused && probed.usable ? ['authentication failed at another address and is not tried again'] : probed.problems;
    probes.push({ ...probed, problems, usable: probed.usable && problems.length === 0 });
    isAuthRefused ||= probed.failedAt === 'auth';
  }
  return probes;
}
