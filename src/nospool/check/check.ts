/**
 * `nospool check`: the configuration, the alias files, and every address of every smart host, tried as far as a session
 * goes without a message. Sends no MAIL.
 */

import { statSync } from 'node:fs';
import type { Config } from '../../config/config.ts';
import { SYSTEM_FILE, userFile } from '../../config/read.ts';
import { conversation, failWith, print, printJson } from '../../process/stderr.ts';
import { NO_SMARTHOST } from '../../router/resolve.ts';
import { printSmarthost, type Smarthost } from '../../router/smarthost.ts';
import { lineOf } from '../../smtp/line.ts';
import { fullName, helloName } from '../../submit/domain.ts';
import { type LogTest, openLog } from '../../submit/logfile.ts';
import { printServer } from '../../submit/outcome.ts';
import { checkAliasFiles } from '../../submit/routing.ts';
import { systemSecurity } from '../../submit/security.ts';
import { type Endpoint, endpointsOf, type Target, targetsOf } from '../../transport/lookup/endpoints.ts';
import { loadConfiguration } from '../load-configuration.ts';
import { type Audience, audienceJson, audienceOf, printAudience } from './audience.ts';
import { type Probe, type ProbeOptions, probe, type TlsSeen } from './probe.ts';

export interface CheckOptions {
  /** Path of a configuration file; '' = where sendmail looks. */
  readonly config: string;
  readonly json: boolean;
  /** Show the conversation. */
  readonly verbose: boolean;
}

/** A smart host's name and what its addresses said. */
interface NameCheck {
  readonly name: string;
  readonly port: number;
  /** Why there is no address; null when there are some. */
  readonly problem: string | null;
  readonly probes: readonly Probe[];
}

export interface HostCheck {
  readonly host: Smarthost;
  /** Where it stands: '' = smarthosts, else the router's name. */
  readonly router: string;
  /** MX or SRV records that cannot be had; null otherwise. */
  readonly problem: string | null;
  readonly names: readonly NameCheck[];
  /** One address at least would take a message. */
  readonly usable: boolean;
}

/** Milliseconds: a person waits, so what a delivery would wait five minutes for is given up sooner. */
const LONGEST_PROBE_STEP = 20_000;
/** Days before its end when a certificate is worth a word: those of a public CA are renewed 30 days ahead. */
const SOON = 21;
const DAY = 86_400_000;

/** 0 when every smart host can be used and every alias file read. */
export async function runCheck({ config: path, json, verbose }: CheckOptions): Promise<number> {
  const loaded = await loadConfiguration(path);
  if (loaded === null) return 1;
  const { config, who } = loaded;
  const aliases = await checkAliasFiles(config);
  const hosts = hostsOf(config);
  const { hostname } = await loaded.submitter();
  const log = await openLog(config.log).test();
  // The user's own file is nobody else's.
  const audience = config.path === userFile(process.env, who.home) ? null : audienceOf(config, aliases.files);
  const warnings = [
    ...loaded.warnings,
    ...warnUnlocked(config, who.euid),
    ...(config.hostname === '' && lacksDomain(hostname) ? [noDomain(hostname)] : []),
    ...aliases.idle,
    ...(log.problem === null ? [] : [log.problem]),
    ...(await warnUnlogged(log, audience)),
  ];
  const trace = conversation(verbose ? 2 : 0);
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
  const heading: Heading = { path: config.path, warnings, entries: aliases.entries, faults: aliases.faults, log, audience };
  if (!json) print(printHeading(heading));
  const checks: HostCheck[] = [];
  for (const [i, { host, router }] of hosts.entries()) {
    const checked = await checkHost(host, router, options);
    checks.push(checked);
    if (!json) print(printHostCheck(checked, i + 1, new Date()));
  }
  const bad = checks.filter(({ usable }) => !usable).length;
  const status = bad === 0 && hosts.length > 0 && aliases.faults.length === 0 ? 0 : 1;
  if (json) printJson({ usable: status === 0, ...headingJson(heading), smarthosts: checks.map(hostJson) });
  if (hosts.length === 0) return failWith(NO_SMARTHOST);
  if (aliases.faults.length > 0) failWith(...aliases.faults);
  if (!json) print([bad === 0 ? `${counted(hosts.length)} usable` : `${counted(bad)} NOT usable`]);
  return status;
}

/** A name of one label is common, and told by nobody: whoever needs a longer one hears of it. */
const lacksDomain = (hostname: string): boolean => hostname.includes('.') && helloName(hostname) === '';
const noDomain = (hostname: string): string =>
  `this host's name "${hostname}" is no domain of RFC 5321, so EHLO says the address of the socket, and bare addresses need qualify_domain; set hostname`;
/** Whoever sends for all users should know that one of them, or who fills in a web form, can send by another configuration. */
function warnUnlocked({ path, lock }: Config, euid: number): readonly string[] {
  if (euid !== 0 || path !== SYSTEM_FILE || lock) return [];
  return [`${path} is not locked: files of users, -C and the environment are used in its place; lock = true makes it the only one`];
}

/** A log that the others cannot write is none for them, unless there is a syslog. */
async function warnUnlogged({ place }: LogTest, audience: Audience | null): Promise<readonly string[]> {
  if (audience === null || place === null || !place.startsWith('/') || isWritable(place)) return [];
  if ((await openLog('syslog').test()).place !== null) return [];
  return [
    `users who cannot write ${place} have no log, because there is no syslog: let a group write it (chgrp GROUP ${place}; chmod g+w ${place}), or set log`,
  ];
}

/** By everybody, as far as its own mode says. */
function isWritable(file: string): boolean {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
  return (mode & 0o002) !== 0;
}

const counted = (count: number): string => (count === 1 ? '1 smart host is' : `${count} smart hosts are`);

/** Those of the routers first, as they are asked first; one that is configured twice alike is tried once. */
function hostsOf({ routers, smarthosts }: Config): readonly { readonly host: Smarthost; readonly router: string }[] {
  const all = [
    ...routers.flatMap((router) => (router.driver === 'manualroute' ? router.hosts.map((host) => ({ host, router: router.name })) : [])),
    ...smarthosts.map((host) => ({ host, router: '' })),
  ];
  return [...new Map(all.map((each) => [JSON.stringify(each.host), each])).values()];
}

async function checkHost(host: Smarthost, router: string, options: ProbeOptions): Promise<HostCheck> {
  const targets = await targetsOf(host, options.timeouts.resolve);
  if (!targets.ok) return { host, router, problem: targets.detail, names: [], usable: false };
  const names: NameCheck[] = [];
  for (const target of targets.value) names.push(await checkName(host, target, options));
  return { host, router, problem: null, names, usable: names.some(({ probes }) => probes.some(({ usable }) => usable)) };
}

async function checkName(host: Smarthost, target: Target, options: ProbeOptions): Promise<NameCheck> {
  const { name, port } = target;
  const found = await endpointsOf(target, options.timeouts.resolve);
  if (!found.ok) return { name, port, problem: found.detail, probes: [] };
  return { name, port, problem: null, probes: await probeAll(host, target, found.value, options) };
}

/** The addresses one after another. Once authentication has failed it is not tried again: that may lock the account. */
export async function probeAll(
  host: Smarthost,
  target: Target,
  endpoints: readonly Endpoint[],
  options: ProbeOptions,
): Promise<readonly Probe[]> {
  const probes: Probe[] = [];
  let refused = false;
  for (const endpoint of endpoints) {
    const probed = await probe(refused ? { ...host, auth: null } : host, target, endpoint, options);
    const problems = refused && probed.usable ? ['authentication failed at another address and is not tried again'] : probed.problems;
    probes.push({ ...probed, problems, usable: probed.usable && problems.length === 0 });
    refused ||= probed.failedAt === 'auth';
  }
  return probes;
}

/* ---- for people ---- */

interface Heading {
  readonly path: string;
  readonly warnings: readonly string[];
  /** Aliases that were read. */
  readonly entries: number;
  readonly faults: readonly string[];
  readonly log: LogTest;
  /** null: the configuration is this user's alone. */
  readonly audience: Audience | null;
}

const COLUMNS = 80;
const LABEL_WIDTH = 14;

/** A labelled text, folded at blanks so that it stays in its column. */
function printRow(label: string, text: string, indent = 0): string[] {
  const lead = ' '.repeat(indent);
  const out: string[] = [];
  let line = lead + label.padEnd(LABEL_WIDTH);
  for (const word of lineOf(text).split(' ')) {
    if (line.length + word.length > COLUMNS && line.trim() !== '' && line.length > indent + LABEL_WIDTH) {
      out.push(line.trimEnd());
      line = lead + ' '.repeat(LABEL_WIDTH);
    }
    line += `${word} `;
  }
  return [...out, line.trimEnd()];
}

function printHeading({ path, warnings, entries, log, audience }: Heading): readonly string[] {
  const rows = [
    ...printRow('configuration', path === '' ? 'none: environment and defaults' : path),
    ...warnings.flatMap((text) => printRow('warning', text)),
  ];
  if (entries > 0) rows.push(...printRow('aliases', String(entries)));
  rows.push(...printRow('log', log.place ?? 'nowhere'));
  if (audience !== null) {
    const { can, cannot } = printAudience(audience);
    rows.push(...printRow('can send', can), ...cannot.flatMap((text) => printRow('cannot send', text)));
  }
  return [...rows, ''];
}

/** A smart host's table: what was found out of each address, in the order in which they would be tried. */
export function printHostCheck({ host, router, problem, names, usable }: HostCheck, number: number, now: Date): readonly string[] {
  const title = `${number}. ${printSmarthost(host)}${router === '' ? '' : ` (router "${router}")`}`;
  const out = [`${title}: ${usable ? 'usable' : 'NOT usable'}`];
  if (host.auth) out.push(...printRow('user', host.auth.user, 3));
  if (host.ignoreExtensions) out.push(...printRow('ignored', `${host.ignoreExtensions.join(', ')} (ignore_extensions)`, 3));
  if (problem !== null) out.push(...printRow('problem', problem, 3));
  for (const { name, probes, problem: unknown } of names) {
    if (unknown !== null) out.push(...printRow('problem', unknown, 3));
    for (const each of probes) out.push(...printProbe(host, name, each, now));
  }
  return [...out, ''];
}

function printProbe(
  host: Smarthost,
  name: string,
  { endpoint, usable, connected, opened, greeting, tls, ...said }: Probe,
  now: Date,
): readonly string[] {
  const out = printRow('address', `${printServer({ host, name, endpoint })}: ${usable ? 'usable' : 'NOT usable'}`, 3);
  const add = (label: string, text: string) => out.push(...printRow(label, text, 5));
  if (connected !== null) add('time', `connected after ${connected} ms${opened === null ? '' : `, ready after ${opened} ms`}`);
  for (const problem of said.problems) add('problem', problem);
  if (greeting !== '') add('greeting', greeting);
  if (tls !== null) out.push(...printTls(tls, now));
  else if (usable) add('tls', 'none');
  if (said.extensions.length > 0) add('extensions', said.extensions.join(', '));
  if (said.auth) add('auth', `${said.auth.mechanism} as ${said.auth.user}: accepted`);
  return out;
}

function printTls({ cipher, by, peerName, chain }: TlsSeen, now: Date): string[] {
  const how = by === 'ca' ? `verified for ${peerName}` : by === 'fingerprint' ? 'verified by its fingerprint' : 'NOT verified';
  const out = printRow('tls', `${cipher}, ${how}`, 5);
  for (const [i, certificate] of chain.entries()) {
    const { subject, issuer, names, fingerprint, keyFingerprint } = certificate;
    const alternatives = names.filter((name) => name !== subject);
    const also = i > 0 || alternatives.length === 0 ? '' : ` (also ${alternatives.join(', ')})`;
    out.push(...printRow(i === 0 ? 'certificate' : '', `${subject}${also}, issued by ${issuer}, ${validity(certificate, now)}`, 5));
    if (i > 0) continue;
    out.push(...printRow('fingerprint', 'of the certificate, then of its key, for tls.fingerprint:', 5));
    out.push(`       ${fingerprint}`, `       ${keyFingerprint}`);
  }
  if (by === 'nothing') out.push(...printRow('', 'trust neither before you have compared it with what the operator says', 5));
  return out;
}

function validity({ notBefore, notAfter }: TlsSeen['chain'][number], now: Date): string {
  const day = (time: number) => new Date(time).toISOString().slice(0, 10);
  const days = Math.floor((notAfter - now.getTime()) / DAY);
  if (now.getTime() < notBefore) return `NOT VALID before ${day(notBefore)}`;
  if (days < 0) return `EXPIRED on ${day(notAfter)}`;
  return `valid until ${day(notAfter)}${days < SOON ? `: ONLY ${days} DAYS` : ` (${days} days)`}`;
}

/* ---- for programs ---- */

const headingJson = ({ path, warnings, entries, faults, log, audience }: Heading): Readonly<Record<string, unknown>> => ({
  path,
  warnings,
  entries,
  faults,
  log: log.place,
  senders: audience && audienceJson(audience),
});

function hostJson({ host, router, problem, names, usable }: HostCheck): Readonly<Record<string, unknown>> {
  return {
    url: printSmarthost(host),
    router,
    usable,
    user: host.auth?.user ?? null,
    ignored_extensions: host.ignoreExtensions ?? [],
    problem,
    names: names.map(({ name, port, problem: unknown, probes }) => ({ name, port, problem: unknown, addresses: probes.map(probeJson) })),
  };
}

function probeJson({ endpoint, tls, ...said }: Probe): Readonly<Record<string, unknown>> {
  const { usable, problems, connected, opened, greeting, extensions, auth } = said;
  const time = (milliseconds: number) => new Date(milliseconds).toISOString();
  const certificates = tls?.chain.map(({ subject, issuer, names, notBefore, notAfter, fingerprint, keyFingerprint }) => ({
    subject,
    issuer,
    names,
    not_before: time(notBefore),
    not_after: time(notAfter),
    fingerprint,
    key_fingerprint: keyFingerprint,
  }));
  return {
    address: endpoint.address,
    port: endpoint.port,
    usable,
    problems,
    connected_ms: connected,
    opened_ms: opened,
    greeting,
    tls: tls === null ? null : { cipher: tls.cipher, verified_by: tls.by, name: tls.peerName, certificates },
    extensions,
    auth,
  };
}
