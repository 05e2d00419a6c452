/**
 * The tables of "TLS AND CREDENTIALS" in nospool.toml(5), read as its readers read them: what must happen for a scheme, a mode,
 * what the server offers, with [auth] and without. It knows nothing of src.
 */
import { readFileSync } from 'node:fs';

/** What a server gets: message and, with [auth], credentials. */
export type Fate = 'TLS' | 'unverified' | 'clear' | 'nothing';

export type Mode = 'empty' | 'required' | 'opportunistic' | 'off';

/** Where a smart host is other than the first table takes it to be. */
export type Where = 'verify = false' | 'allow_plaintext' | 'loopback';

export interface Question {
  readonly where: Where | null;
  readonly isSubmissions: boolean;
  readonly mode: Mode;
  /** As the column calls what the server offers. */
  readonly server: string;
  readonly hasAuth: boolean;
}

interface Line {
  /** A scheme of the first table, a `Where` of the second. */
  readonly first: string;
  readonly modes: readonly Mode[];
  readonly server: string;
  readonly bare: Fate;
  readonly withAuth: Fate;
}

const ALL: readonly Mode[] = ['empty', 'required', 'opportunistic', 'off'];
const MANUAL = readFileSync(new URL('../../../man/nospool.toml.5', import.meta.url), 'utf8');

const tables: readonly (readonly Line[])[] = [
  ...(MANUAL.split('.SH TLS AND CREDENTIALS\n')[1]?.split('\n.SH ')[0] ?? '').matchAll(
    /^\.TS\nl2? l2? l2? l2? l\.\n[^\n]*\n_\n(.*?)^\.TE$/gms,
  ),
].map(([, body = '']) => body.trimEnd().split('\n').map(readLine));

function readLine(text: string): Line {
  const [first = '', modes = '', server = '', bare, withAuth] = text.split('\t');
  return { first, modes: readModes(modes), server, bare: readFate(bare), withAuth: readFate(withAuth) };
}

function readModes(text: string): readonly Mode[] {
  if (text === 'any') return ALL;
  if (text === 'any but off') return ALL.filter((mode) => mode !== 'off');
  const modes = ALL.filter((mode) => text.split(', ').includes(mode));
  if (modes.join(', ') !== text) throw new Error(`${text} are no modes`);
  return modes;
}

function readFate(text = ''): Fate {
  const fate = (['TLS', 'unverified', 'clear', 'nothing'] as const).find((each) => each === text);
  if (fate === undefined) throw new Error(`${text} is no fate`);
  return fate;
}

const [first = [], second = []] = tables;

/** Names in the columns that the tests have to know what to make of. */
export const SERVERS: ReadonlySet<string> = new Set(tables.flat().map(({ server }) => server));
export const WHERES: ReadonlySet<string> = new Set(second.map((line) => line.first));
export const LINES = first.length + second.length;

/** Lines that no question has led to. */
const unused = new Set([...first, ...second]);
export const unusedLines = (): readonly string[] =>
  [...unused].map(({ first: head, modes, server }) => `${head}, ${modes.join(' or ')}, ${server}`);

/** What the manual says. Throws where it says nothing, or two things. */
export function fateOf({ where, isSubmissions, mode, server, hasAuth }: Question): Fate {
  const fits = (line: Line, head: string) =>
    line.first === head && line.modes.includes(mode) && (line.server === server || line.server === 'anything');
  // Nothing that is said in clear is about submissions.
  const special = second.filter((line) => fits(line, where ?? '') && !(isSubmissions && line.bare === 'clear'));
  const found = special.length > 0 ? special : first.filter((line) => fits(line, isSubmissions ? 'submissions' : 'others'));
  const [line] = found;
  if (line === undefined || found.length > 1)
    throw new Error(`${found.length} lines for ${JSON.stringify({ where, isSubmissions, mode, server })}`);
  unused.delete(line);
  return hasAuth ? line.withAuth : line.bare;
}
