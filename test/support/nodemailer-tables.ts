/** Tables of docs/nodemailer.md as the code has them. */
import { ERROR_CODES, type Fate, type Table } from '../../src/library/nodemailer/index.ts';

const FATES: Readonly<Record<Fate, string>> = { mapped: 'yes', mail: 'nodemailer', refused: 'no', added: 'new' };

export function printOptions(table: Table): string {
  const rows: { readonly names: string[]; readonly rest: string }[] = [];
  for (const [key, [fate, why]] of Object.entries(table)) {
    const rest = `${FATES[fate]} | ${why} |`;
    // Neighbours of the same fate share a row.
    if (rows.at(-1)?.rest === rest) rows.at(-1)?.names.push(`\`${key}\``);
    else rows.push({ names: [`\`${key}\``], rest });
  }
  return ['| option | works | |', '|---|---|---|', ...rows.map(({ names, rest }) => `| ${names.join(', ')} | ${rest}`)].join('\n');
}

export const printErrors = (): string =>
  ['| `error.code` | means |', '|---|---|', ...Object.entries(ERROR_CODES).map(([code, means]) => `| \`${code}\` | ${means} |`)].join('\n');

/** A difference between the two in one line. */
export interface Difference {
  readonly title: string;
  readonly theirs: unknown;
  readonly ours: unknown;
  readonly why: string;
}

export function printDifferences(differences: readonly Difference[]): string {
  const rows = differences.map(({ title, theirs, ours, why }) => `| ${title} | ${word(theirs)} | ${word(ours)} | ${why} |`);
  return ['| case | nodemailer | here | because |', '|---|---|---|---|', ...rows].join('\n');
}

/** A result in a word or two. */
function word(result: unknown): string {
  const { info, error } = result as {
    readonly info?: { readonly rejected?: readonly string[] };
    readonly error?: { readonly code?: string; readonly command?: string };
  };
  if (info?.rejected !== undefined && info.rejected.length > 1) return info.rejected.map((address) => address.split('@')[0]).join(', ');
  if (info !== undefined) return 'ehlo' in info ? `\`${(info.ehlo as readonly string[]).at(-1)}\`` : 'sent';
  return error?.code === undefined ? 'made' : `\`${error.code}\``;
}
