/**
 * Prints a configuration as TOML, for `nospool init` and `nospool import`. Knows no other program's format, and checks
 * nothing, because its callers read the text back before they use it.
 */

export type TomlValue = string | boolean | readonly string[];

/** Keys and values of a table, in the order in which they are printed. */
export type TomlTable = Record<string, TomlValue>;

export interface HostPlan {
  readonly url: string;
  /** Empty: the keys of [tls] hold. */
  readonly tls: TomlTable;
  /** null: nothing is written. */
  readonly auth: TomlTable | 'default' | 'none' | null;
  /** Keys that say how the host is reached: proxy, source_address, family. */
  readonly link?: TomlTable;
}

export interface RouterPlan {
  /** `name` and `driver` first. */
  readonly settings: TomlTable;
  readonly data?: TomlTable;
  readonly hosts?: readonly HostPlan[];
}

export interface ConfigPlan {
  /** Comment lines at the top, without their "#". */
  readonly remarks: readonly string[];
  readonly top: TomlTable;
  readonly hosts: readonly HostPlan[];
  readonly timeouts: TomlTable;
  readonly routers: readonly RouterPlan[];
  readonly rewrite: TomlTable;
}

/** A TOML basic string. Escapes characters that nobody sees or that a terminal obeys. */
export function printText(text: string): string {
  const code = (character: string) => (character.codePointAt(0) as number).toString(16);
  const escaped = text
    .replace(/[\\"]/g, '\\$&')
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => (c.length === 1 ? `\\u${code(c).padStart(4, '0')}` : `\\U${code(c).padStart(8, '0')}`));
  return `"${escaped}"`;
}

function printValue(value: TomlValue): string {
  if (typeof value === 'string') return printText(value);
  return typeof value === 'boolean' ? String(value) : `[${value.map(printText).join(', ')}]`;
}

/** A key, in quotes where TOML demands them. */
const printKey = (name: string): string => (/^[\w-]+$/.test(name) ? name : printText(name));

const printEntries = (settings: TomlTable): string[] =>
  Object.entries(settings).map(([name, value]) => `${printKey(name)} = ${printValue(value)}`);

const printInline = (settings: TomlTable): string => `{ ${printEntries(settings).join(', ')} }`;

const isEmpty = (settings: TomlTable): boolean => Object.keys(settings).length === 0;

/** A table with more entries is hard to read on one line. */
const MOST_INLINE = 3;

function printHostPlan({ url, tls, auth, link = {} }: HostPlan): string {
  if (isEmpty(tls) && auth === null && isEmpty(link)) return printText(url);
  const parts = [`url = ${printText(url)}`];
  if (!isEmpty(tls)) parts.push(`tls = ${printInline(tls)}`);
  if (auth !== null) parts.push(`auth = ${typeof auth === 'string' ? printText(auth) : printInline(auth)}`);
  return `{ ${[...parts, ...printEntries(link)].join(', ')} }`;
}

function printHosts(name: string, hosts: readonly HostPlan[]): string[] {
  const items = hosts.map(printHostPlan);
  return items.length < 2 ? [`${name} = [${items.join('')}]`] : [`${name} = [`, ...items.map((item) => `  ${item},`), ']'];
}

/**
 * The file's text. A single smart host has its credentials in [auth], where people look for them, and its TLS in [tls]
 * unless a router would inherit that. Several smart hosts have tables.
 */
export function printConfig({ remarks, top, hosts, timeouts, routers, rewrite }: ConfigPlan): string {
  const lines = remarks.map((remark) => `# ${remark}`);
  const only = hosts.length === 1 ? hosts[0] : undefined;
  const auth = only && only.auth !== null && typeof only.auth !== 'string' ? only.auth : {};
  const tls = only && routers.every((router) => router.hosts === undefined) ? only.tls : {};
  const rest = hosts.map((host) => ({ ...host, tls: isEmpty(tls) ? host.tls : {}, auth: isEmpty(auth) ? host.auth : null }));
  lines.push(...printHosts('smarthosts', rest), ...printEntries(top));
  const section = (heading: string, settings: TomlTable): void => {
    if (!isEmpty(settings)) lines.push('', heading, ...printEntries(settings));
  };
  section('[tls]', tls);
  section('[auth]', auth);
  section('[timeouts]', timeouts);
  for (const router of routers) {
    section('[[router]]', router.settings);
    const { data } = router;
    if (data && Object.keys(data).length <= MOST_INLINE) lines.push(`data = ${printInline(data)}`);
    else if (data) lines.push('[router.data]', ...printEntries(data));
    // Beside [auth] a host without credentials must say so, because it would inherit them.
    const own = router.hosts?.map((host) => (host.auth === null && !isEmpty(auth) ? { ...host, auth: 'none' as const } : host));
    if (own) lines.push(...printHosts('hosts', own));
  }
  section('[rewrite]', rewrite);
  return `${lines.join('\n')}\n`;
}
