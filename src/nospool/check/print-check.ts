/** The findings of `nospool check`: for people as tables, for programs as JSON. Connects to nobody. */
import { printFiles } from '../../config/facts.ts';
import { printSmarthost, type Smarthost } from '../../router/smarthost.ts';
import { lineOf } from '../../smtp/line.ts';
import type { LogTest } from '../../submit/logfile.ts';
import { printServer } from '../../submit/outcome.ts';
import { type Audience, audienceJson, printAudience } from './audience.ts';
import { type InPlace, printInPlace } from './in-place.ts';
import type { Probe, TlsSeen } from './probe.ts';

/** A name of a smart host, and the probes of its addresses. */
export interface NameCheck {
  readonly name: string;
  readonly port: number;
  /** Why there is no address; null when there are some. */
  readonly problem: string | null;
  readonly probes: readonly Probe[];
}

export interface HostCheck {
  readonly host: Smarthost;
  /** The router whose `hosts` has it; '' = it stands in smarthosts. */
  readonly router: string;
  /** Why there are no MX or SRV records; null when they were found, or are not needed. */
  readonly problem: string | null;
  readonly names: readonly NameCheck[];
  /** At least one address would take a message. */
  readonly usable: boolean;
}

export interface Heading {
  /** The files of the configuration; [] = environment and defaults. */
  readonly files: readonly string[];
  readonly warnings: readonly string[];
  /** How many aliases were read. */
  readonly entries: number;
  readonly faults: readonly string[];
  readonly log: LogTest;
  readonly sendmail: InPlace;
  /** null where the configuration is the user's own. */
  readonly audience: Audience | null;
}

/** Days before its end from which a certificate is marked. Certificates of public CAs are renewed 30 days ahead. */
export const SOON = 21;
const DAY = 86_400_000;

const COLUMNS = 80;
const LABEL_WIDTH = 14;

/** A text behind its label, folded at blanks so that it stays in its column. */
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

export function printHeading({ files, warnings, entries, log, sendmail, audience }: Heading): readonly string[] {
  const rows = [...printRow('configuration', printFiles({ files })), ...warnings.flatMap((text) => printRow('warning', text))];
  if (entries > 0) rows.push(...printRow('aliases', String(entries)));
  rows.push(...printRow('log', log.place ?? 'nowhere'), ...printRow('sendmail', printInPlace(sendmail)));
  if (audience !== null) {
    const { can, cannot } = printAudience(audience);
    rows.push(...printRow('can send', can), ...cannot.flatMap((text) => printRow('cannot send', text)));
  }
  return [...rows, ''];
}

/** The table of a smart host. Its addresses come in the order in which a delivery tries them. */
export function printHostCheck(
  { host, router, problem, names, usable }: HostCheck,
  number: number,
  now: Date,
  soon: number,
): readonly string[] {
  const title = `${number}. ${printSmarthost(host)}${router === '' ? '' : ` (router "${router}")`}`;
  const out = [`${title}: ${usable ? 'usable' : 'NOT usable'}`];
  if (host.auth) out.push(...printRow('user', host.auth.user, 3));
  if (host.ignoreExtensions) out.push(...printRow('ignored', `${host.ignoreExtensions.join(', ')} (ignore_extensions)`, 3));
  if (problem !== null) out.push(...printRow('problem', problem, 3));
  for (const { name, probes, problem: unknown } of names) {
    if (unknown !== null) out.push(...printRow('problem', unknown, 3));
    for (const each of probes) out.push(...printProbe(host, name, each, now, soon));
  }
  return [...out, ''];
}

function printProbe(
  host: Smarthost,
  name: string,
  { endpoint, usable, connected, opened, greeting, tls, ...said }: Probe,
  now: Date,
  soon: number,
): readonly string[] {
  const out = printRow('address', `${printServer({ host, name, endpoint })}: ${usable ? 'usable' : 'NOT usable'}`, 3);
  const add = (label: string, text: string) => out.push(...printRow(label, text, 5));
  if (connected !== null) add('time', `connected after ${connected} ms${opened === null ? '' : `, ready after ${opened} ms`}`);
  for (const problem of said.problems) add('problem', problem);
  if (greeting !== '') add('greeting', greeting);
  if (tls !== null) out.push(...printTls(tls, now, soon));
  else if (usable) add('tls', 'none');
  if (said.extensions.length > 0) add('extensions', said.extensions.join(', '));
  if (said.auth) add('auth', `${said.auth.mechanism} as ${said.auth.user}: accepted`);
  return out;
}

function printTls({ cipher, by, peerName, chain }: TlsSeen, now: Date, soon: number): string[] {
  const how = by === 'ca' ? `verified for ${peerName}` : by === 'fingerprint' ? 'verified by its fingerprint' : 'NOT verified';
  const out = printRow('tls', `${cipher}, ${how}`, 5);
  for (const [i, certificate] of chain.entries()) {
    const { subject, issuer, names, fingerprint, keyFingerprint } = certificate;
    const alternatives = names.filter((name) => name !== subject);
    const also = i > 0 || alternatives.length === 0 ? '' : ` (also ${alternatives.join(', ')})`;
    out.push(...printRow(i === 0 ? 'certificate' : '', `${subject}${also}, issued by ${issuer}, ${validity(certificate, now, soon)}`, 5));
    if (i > 0) continue;
    out.push(...printRow('fingerprint', 'of the certificate, then of its key, for tls.fingerprint:', 5));
    out.push(`       ${fingerprint}`, `       ${keyFingerprint}`);
  }
  if (by === 'nothing') out.push(...printRow('', 'trust neither until you have compared it with what the operator says', 5));
  return out;
}

function validity({ notBefore, notAfter }: TlsSeen['chain'][number], now: Date, soon: number): string {
  const day = (time: number) => new Date(time).toISOString().slice(0, 10);
  const days = daysUntil(notAfter, now);
  if (now.getTime() < notBefore) return `NOT VALID before ${day(notBefore)}`;
  // A time in a form that RFC 5280 does not have; who pins such a certificate sends all the same.
  if (Number.isNaN(days)) return 'valid until (unknown)';
  if (days < 0) return `EXPIRED on ${day(notAfter)}`;
  return `valid until ${day(notAfter)}${days < soon ? `: ONLY ${days} DAYS` : ` (${days} days)`}`;
}

const daysUntil = (time: number, now: Date): number => Math.floor((time - now.getTime()) / DAY);

/** A certificate of a smart host that can be used, but ends soon. */
export interface Expiring {
  readonly host: Smarthost;
  readonly subject: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
  readonly days: number;
}

/** Those that end within so many days, each once for its smart host. A root ends when whoever trusts it takes it out, so it does not count. */
export function findExpiring(checks: readonly HostCheck[], now: Date, soon: number): readonly Expiring[] {
  const found = new Map<string, Expiring>();
  for (const { host, names } of checks)
    for (const { tls } of names.flatMap(({ probes }) => probes))
      for (const { subject, issuer, notAfter, fingerprint } of tls?.chain ?? []) {
        const days = daysUntil(notAfter, now);
        const isRoot = subject === issuer && tls?.chain[0]?.fingerprint !== fingerprint;
        if (days < soon && !isRoot) found.set(`${printSmarthost(host)} ${fingerprint}`, { host, subject, notAfter, days });
      }
  return [...found.values()];
}

export const printExpiring = ({ host, subject, days }: Expiring): string =>
  `${printSmarthost(host)}: the certificate of ${subject} ${days < 0 ? 'has ended' : `ends in ${days === 1 ? '1 day' : `${days} days`}`}`;

export const expiringJson = ({ host, subject, notAfter, days }: Expiring): Readonly<Record<string, unknown>> => ({
  url: printSmarthost(host),
  subject,
  not_after: new Date(notAfter).toISOString(),
  days,
});

export const headingJson = ({ files, warnings, entries, faults, log, sendmail, audience }: Heading): Readonly<Record<string, unknown>> => ({
  path: files[0] ?? '',
  files,
  warnings,
  entries,
  faults,
  log: log.place,
  sendmail,
  senders: audience && audienceJson(audience),
});

export function hostJson({ host, router, problem, names, usable }: HostCheck): Readonly<Record<string, unknown>> {
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
  const time = (milliseconds: number) => (Number.isNaN(milliseconds) ? null : new Date(milliseconds).toISOString());
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
