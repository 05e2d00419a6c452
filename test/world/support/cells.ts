/**
 * Cells of the manual's tables as runs of the built command: an ordinary user, a configuration, one message; then what the
 * manual says must happen is compared with what went over the wire, what the server has, and what the caller was told. Runs
 * go on beside each other, each in a client of its own. It does not know which server answers.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { type Command, installCommand } from '../../interop/support/command.ts';
import { caFile } from './faces.ts';
import { type Client, type Network, type Ran, readIfThere, UID, writeSecret } from './network.ts';
import { type Fate, fateOf, type Mode, type Where } from './table.ts';
import type { Flow, Wire } from './wire.ts';

/** A way to reach a server: a smart host as it is written, and what the manual's columns call it. */
export interface Way {
  readonly title: string;
  readonly url: string | ((client: Client) => string);
  readonly isSubmissions?: boolean;
  /** The word of the column "server". */
  readonly server: string;
  readonly where?: Where;
  readonly modes: readonly Mode[];
  /** User and password, where the server has its own; else any will do, and they are this cell's alone. */
  readonly credentials?: { readonly user: string; readonly password: string };
  /** Only with [auth], or only without. */
  readonly hasAuth?: boolean;
  /** More lines of [tls]. */
  readonly tls?: string;
}

export interface Cell {
  readonly title: string;
  readonly way: Way;
  readonly mode: Mode;
  readonly hasAuth: boolean;
  readonly fate: Fate;
  readonly user: string;
  readonly password: string;
  /** Of this cell alone. */
  readonly reversePath: string;
  readonly hello: string;
}

/** What came of it. */
export interface Seen {
  readonly ran: Ran;
  readonly log: string;
  readonly flows: readonly Flow[];
}

let number = 0;

/**
 * Modes of every way, with [auth] and without: of each way every third pair, and others of the next way. CELLS=full has all of
 * them.
 */
export function cellsOf(ways: readonly Way[]): readonly Cell[] {
  return ways.flatMap((way, at) =>
    way.modes
      .flatMap((mode) => (way.hasAuth === undefined ? [false, true] : [way.hasAuth]).map((hasAuth) => ({ mode, hasAuth })))
      .filter((_, i, { length }) => process.env.CELLS === 'full' || length === 1 || (at + i + (i >> 1)) % 3 === 1)
      .map(({ mode, hasAuth }): Cell => {
        number += 1;
        const { where = null, isSubmissions = false, server } = way;
        const fate = fateOf({ where, isSubmissions, mode, server, hasAuth });
        return {
          title: `${way.title}, ${where === null ? '' : `${where}, `}mode ${mode}, ${hasAuth ? '[auth]' : 'no [auth]'}: ${fate}`,
          way,
          mode,
          hasAuth,
          fate,
          user: way.credentials?.user ?? `user${number}`,
          password: way.credentials?.password ?? `secret of ${number}`,
          reversePath: `c${number}@client.example`,
          hello: `c${number}.client.example`,
        };
      }),
  );
}

/** All that a cell says in its configuration. */
function configuration({ way, mode, hasAuth, user, hello }: Cell, client: Client, log: string, password: string): string {
  const url = typeof way.url === 'string' ? way.url : way.url(client);
  // Keys of trust contradict a mode that needs none.
  const trust = way.where === 'verify = false' ? 'verify = false\n' : `ca_file = "${caFile()}"\n`;
  const tls = [mode === 'empty' ? '' : `mode = "${mode}"\n`, mode === 'off' ? '' : `${trust}${way.tls ?? ''}`];
  const plain = way.where === 'allow_plaintext' ? 'allow_plaintext = true\n' : '';
  const auth = hasAuth ? `[auth]\nuser = "${user}"\npassword_file = "${password}"\n${plain}` : '';
  return `smarthosts = ["${url}"]\nhostname = "${hello}"\nlog = "${log}"\naliases = []\n[tls]\n${tls.join('')}${auth}`;
}

const subject = ({ reversePath }: Cell): string => `from ${reversePath}`;

async function runCell(cell: Cell, client: Client, command: Command, wire: Wire): Promise<Seen> {
  const at = `${client.folder}/${cell.hello}`;
  const log = `${client.folder}/var/${cell.hello}.log`;
  const password = writeSecret(`${at}.password`, `${cell.password}\n`);
  writeFileSync(`${at}.toml`, configuration(cell, client, log, password), { mode: 0o644 });
  const argv = [...command.runtime, command.file, '-C', `${at}.toml`, '-i', '-f', cell.reversePath, 'ann@peer.test'];
  const ran = await client.run(argv, { uid: UID, input: `Subject: ${subject(cell)}\n\ntext\n` });
  return { ran, log: readIfThere(log), flows: await wire.said(client.at) };
}

/** Runs all of them, as many beside each other as there are clients. */
export async function walk(
  cells: readonly Cell[],
  network: Network,
  wire: Wire,
  prepare: (client: Client) => Promise<void> = async () => undefined,
): Promise<ReadonlyMap<Cell, Seen>> {
  const command = installCommand();
  const seen = new Map<Cell, Seen>();
  const left = [...cells];
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      const client = await network.client();
      await prepare(client);
      for (let cell = left.shift(); cell !== undefined; cell = left.shift()) seen.set(cell, await runCell(cell, client, command, wire));
      client.stop();
    }),
  );
  return seen;
}

/** Why nothing was sent, in the words that must stand on standard error. */
const reasonOf = ({ mode, way }: Cell): RegExp =>
  mode === 'off' ? /not encrypted|in the clear|no authentication/ : (REASONS[way.server] ?? /never/);

const REASONS: Readonly<Record<string, RegExp>> = {
  'good certificate': /authentication/,
  'bad certificate': /certificate/,
  'no AUTH in TLS': /authentication/,
  'STARTTLS fails': /TLS/i,
  'no STARTTLS': /STARTTLS|not encrypted/,
  'no TLS': /TLS/,
};

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Forms of the password that must be told to nobody: as it is, and as PLAIN and LOGIN say it. */
const secretsOf = ({ user, password }: Cell): readonly string[] => [password, base64(password), base64(`\0${user}\0${password}`)];

/** What the caller, the log and the wire must show. What the server has is the caller's to look at. */
export function assertSeen(cell: Cell, { ran, log, flows }: Seen): void {
  const { fate, hasAuth } = cell;
  const said = flows.map(({ octets }) => octets).join('\n');
  const told = `${JSON.stringify(ran)}\n${log}\n${JSON.stringify(said.slice(0, 2000))}`;
  assert.equal(ran.status, fate === 'nothing' ? 1 : 0, told);
  if (fate === 'nothing') {
    assert.match(ran.stderr, /^(sendmail: .*\n)+$/, told);
    assert.match(ran.stderr, reasonOf(cell), told);
  } else assert.equal(ran.stderr, '', told);
  assert.equal(ran.stdout, '', told);
  for (const secret of secretsOf(cell)) assert.ok(!`${ran.stderr}${log}`.includes(secret), `${secret} is told: ${told}`);

  // In clear: the message and the credentials where the table says so, else neither, not even whom it is from.
  assert.equal(said.includes(subject(cell)), fate === 'clear', told);
  assert.equal(said.includes(`MAIL FROM:<${cell.reversePath}>`), fate === 'clear', told);
  assert.equal(/^AUTH /m.test(said), fate === 'clear' && hasAuth, told);
  if (!(fate === 'clear' && hasAuth)) for (const secret of secretsOf(cell)) assert.ok(!said.includes(secret), told);
  // RFC 8446 §5.1: a record of a handshake, and the legacy version.
  if (fate === 'TLS' || fate === 'unverified') assert.ok(said.includes('\x16\x03'), told);
  if (fate === 'clear') assert.ok(!said.includes('\x16\x03'), told);

  const tls = / X=(\S+) CV=(\w+)/.exec(log);
  const verified = { TLS: 'yes', unverified: 'no' } as Readonly<Record<string, string>>;
  assert.equal(tls?.[2], verified[fate], told);
  assert.equal(/ A=\w/.test(log), fate !== 'nothing' && hasAuth, told);
}
