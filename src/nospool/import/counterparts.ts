/**
 * Smart hosts, TLS, credentials and routers of other programs as nospool.toml has them, and the sentences that several
 * importers say. Knows no format of another program.
 */
import { PORTS } from '../../router/smarthost.ts';
import { isIPv6 } from '../../smtp/path.ts';
import type { RouterPlan, TomlTable } from '../print-config.ts';
import type { ForeignFile, Notes } from './foreign-file.ts';

/** Why a setting has no counterpart, or only a similar one. */
export const NO_QUEUE = 'there is no queue: a message is delivered at once or fails';
export const NO_BOUNCES = 'there are no bounces: the caller gets the error';
export const NO_LOCAL_DELIVERY = 'there is no local delivery';
export const ADDS_MESSAGE_ID = 'Message-ID is added where it is missing';
export const NOT_KNOWN = 'it is not known';
export const TLS_WAS_OFF = 'TLS was off; it is now required, except on loopback: tls.mode = "off" undoes that';
export const TLS_REQUIRED = 'tls.mode = "required"';
export const STRONGEST_MECHANISM = 'the strongest mechanism that both sides have';
export const PASSWORD_IN_FILE = 'better in a file of its own, named by auth.password_file';
export const NO_PASSWORD = 'no password is written: put it into /etc/nospool/password';
export const NOT_SHA_256 = 'only SHA-256 is accepted; "nospool check" prints it';
export const NULL_STAYS = "-f '<>' stays as it is";
export const NO_IP_ADDRESS = 'it is no IP address';

/** The smart host as `smarthosts` has it; the port is written only where the scheme does not imply it. */
export function urlOf(host: string, port: number, protocol: 'smtp' | 'tls' | 'lmtp'): string {
  const scheme = protocol === 'lmtp' ? 'lmtp' : protocol === 'tls' ? 'submissions' : port === PORTS.smtp ? 'smtp' : 'submission';
  return `${scheme}://${hostOf(host)}${port === PORTS[scheme] ? '' : `:${port}`}`;
}

/** A host as an address has it: IPv6, also with a zone, in brackets. */
export function hostOf(host: string): string {
  const bare = host.replace(/^\[|\]$/g, '');
  return isIPv6(bare.replace(/%.+$/, '')) ? `[${bare}]` : bare;
}

/** `HOST`, `HOST:PORT` or `HOST:SERVICE`; '' where no port is written. */
export function splitHost(text: string): { readonly name: string; readonly port: string } {
  const [, name = '', port = ''] = /^(.*?)(?::([^:\]]+))?$/.exec(text) ?? [];
  return { name, port };
}

/** The port that a number or a name of /etc/services means. */
export function portOf(text: string): number | null {
  const named = new Map([
    ['smtp', 25],
    ['submission', 587],
    ['submissions', 465],
    ['smtps', 465],
    ['ssmtp', 465],
    ['lmtp', 24],
  ]).get(text.toLowerCase());
  if (named !== undefined) return named;
  return /^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65_536 ? Number(text) : null;
}

/** The port that is written, else the usual one, with a note where what is written is none. `text` '' = nothing is written. */
export function portOr(usual: number, text: string, note: (text: string) => void): number {
  const port = portOf(text);
  if (port === null && text !== '') note(`it is no port: ${usual} is taken`);
  return port ?? usual;
}

/** Mechanisms by the names of other programs; null = not spoken here. */
export function mechanismOf(word: string): string | null {
  const name = word.toUpperCase();
  const known = [
    'PLAIN',
    'LOGIN',
    'CRAM-MD5',
    'SCRAM-SHA-1',
    'SCRAM-SHA-1-PLUS',
    'SCRAM-SHA-256',
    'SCRAM-SHA-256-PLUS',
    'XOAUTH2',
    'OAUTHBEARER',
    'EXTERNAL',
  ];
  return known.includes(name) ? name : null;
}

/** Required TLS is written, because on loopback the default is none. */
export const REQUIRED: TomlTable = { mode: 'required' };

/** A fingerprint by SHA-256 as `tls.fingerprint` has it; null when it is of another kind. */
export function sha256Of(text: string): string | null {
  const digits = text.replaceAll(':', '').toLowerCase();
  return /^[0-9a-f]{64}$/.test(digits) ? `sha256:${digits}` : null;
}

/** Our default reads /etc/aliases, which most other programs do not. A configuration with a router does not read it anyway. */
export function turnOffAliases(
  top: TomlTable,
  routers: readonly RouterPlan[],
  { notes, file, program }: { readonly notes: Notes; readonly file: ForeignFile; readonly program: string },
): void {
  if (routers.length === 0) top.aliases = [];
  const how = routers.length === 0 ? 'aliases = []' : 'as it is where there is a [[router]]';
  notes.mapped(file, 0, 'aliases', `${program} reads no /etc/aliases: ${how}`);
}

/** A name for a router, from an address or an account; none of the routers has it. */
export function routerName(text: string, routers: readonly RouterPlan[]): string {
  const taken = routers.map(({ settings }) => settings.name);
  const base = text.replace(/[^\w.-]+/g, '-').replace(/^-+|-+$/g, '') || 'route';
  let name = base;
  for (let i = 2; taken.includes(name); i++) name = `${base}-${i}`;
  return name;
}
