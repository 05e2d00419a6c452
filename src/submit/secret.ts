/**
 * Passwords and tokens: read where the configuration says, at the attempt, and taken out of every text that is shown.
 * Knows no mechanism. No text made here holds a secret, and none is put into arguments or the environment.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { isAbsolute, join, normalize } from 'node:path';
import type { Secret } from '../router/route.ts';
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import { base64, fromBase64, fromUtf8, hex, octets, printable, utf8 } from '../smtp/text.ts';
import { refuseFile, runningUser, whyUnread } from '../trust/facts.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Octets of a secret; tokens of Microsoft have about 3,000. A command that writes more is stopped. */
const LONGEST = 64 * 1024;
/** Milliseconds: a password manager that must ask a token or a network answers within this, a prompt nobody sees never. */
const PATIENCE = 30_000;
/** Milliseconds that output is still waited for when the command has ended: a child of its own may hold the pipe open. */
const GRACE = 500;

export interface SecretOptions {
  /** Milliseconds for a command; default 30 s. */
  readonly patience?: number;
  /** Default `/run/secrets/`. */
  readonly containerSecrets?: string;
}

/**
 * The secret, '' where none is configured, or a sentence that says why there is none. One line end at its end is dropped,
 * other control characters are refused. `environment` is the process's: CREDENTIALS_DIRECTORY, PATH and the variable named.
 */
export async function readSecret(secret: Secret, environment: Environment, options: SecretOptions = {}): Promise<Parsed<string>> {
  switch (secret.from) {
    case 'none':
      return parsed('');
    case 'literal':
      return usable('the configured password', secret.value);
    case 'env': {
      const value = environment[secret.name];
      const what = `the environment variable ${secret.name}`;
      return value === undefined ? unparsed(`${what} is not set, and password_env names it`) : usable(what, value);
    }
    case 'file':
      return fromFile(secret, environment, options.containerSecrets);
    case 'command':
      return fromCommand(secret.argv, environment, options.patience ?? PATIENCE);
  }
}

function usable(what: string, value: string): Parsed<string> {
  if (value === '') return unparsed(`${what} is empty`);
  if (/[\p{Cc}\p{Cs}]/u.test(value)) return unparsed(`${what} holds a control character or a line end within the password`);
  return parsed(value);
}

/** UTF-8 without its last line end, and without the byte order mark that some editors write. */
function textOf(what: string, bytes: Uint8Array): Parsed<string> {
  try {
    return usable(what, new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r?\n$/, ''));
  } catch {
    return unparsed(`${what} is not in UTF-8`);
  }
}

/* ---- a file ---- */

async function fromFile(
  { path: configured, isOwn }: Extract<Secret, { from: 'file' }>,
  environment: Environment,
  containerSecrets: string | undefined,
): Promise<Parsed<string>> {
  const place = placeOf(configured, environment);
  if (!place.ok) return place;
  const path = place.value;
  const what = `password_file ${path}`;
  try {
    // Without waiting: opening a named pipe would otherwise last until somebody writes to it.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      const refused = refuseFile(isOwn ? 'own password' : 'password', path, stats, file.fd, { ...runningUser(), containerSecrets });
      if (refused !== null) return unparsed(`${what} ${refused}`);
      if (stats.size > LONGEST) return unparsed(`${what} is larger than ${LONGEST / 1024} KiB`);
      return textOf(what, await file.readFile());
    } finally {
      await file.close();
    }
  } catch (error) {
    return unparsed(`${what} ${whyUnread(path, error)}`);
  }
}

/** A name without a leading slash is a systemd credential (systemd.exec(5), LoadCredential=). */
function placeOf(configured: string, environment: Environment): Parsed<string> {
  if (isAbsolute(configured)) return parsed(normalize(configured));
  const folder = environment.CREDENTIALS_DIRECTORY ?? '';
  if (folder === '') return unparsed(`password_file "${configured}" is relative, and there is no $CREDENTIALS_DIRECTORY it could be in`);
  if (configured.split('/').includes('..')) return unparsed(`password_file "${configured}" leads out of $CREDENTIALS_DIRECTORY`);
  return parsed(join(folder, configured));
}

/* ---- a command ---- */

async function fromCommand(argv: readonly string[], environment: Environment, patience: number): Promise<Parsed<string>> {
  const [program = '', ...args] = argv;
  // Arguments are not shown: somebody may have put a secret there.
  const what = `password_command ${printable(utf8(program), 200)}`;
  if (program === '') return unparsed('password_command names no program');
  if (argv.some((word) => word.includes('\0'))) return unparsed(`${what} has a NUL in its words`);
  const { spawn } = await import('node:child_process');
  const unstarted = ({ code }: NodeJS.ErrnoException) => unparsed(`${what} cannot be run (${code ?? 'unknown error'})`);
  const started = new Promise<Parsed<string>>((resolve) => {
    // Never our standard input: the message waits there.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment as NodeJS.ProcessEnv });
    const said = { stdout: '', stderr: '' };
    let grace: NodeJS.Timeout | undefined;
    const settle = (result: Parsed<string>) => {
      clearTimeout(clock);
      clearTimeout(grace);
      // Where there was no descriptor left for them, it has none.
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
      resolve(result);
    };
    const stop = (detail: string) => {
      child.kill('SIGKILL');
      settle(unparsed(`${what} ${detail}`));
    };
    const clock = setTimeout(() => stop(`did not end within ${patience / 1000} s`), patience);
    child.on('error', (error) => settle(unstarted(error)));
    child.stdout?.on('data', (octetsRead: Buffer) => {
      said.stdout += octetsRead.toString('latin1');
      if (said.stdout.length > LONGEST) stop(`writes more than ${LONGEST / 1024} KiB`);
    });
    child.stderr?.on('data', (octetsRead: Buffer) => {
      said.stderr = (said.stderr + octetsRead.toString('latin1')).slice(0, LONGEST);
    });
    const ended = (code: number | null, signal: NodeJS.Signals | null) => {
      const [first = ''] = said.stdout.split('\n');
      if (code === 0) return settle(textOf(`the first line that ${what} writes`, octets(first.replace(/\r$/, ''))));
      const how = signal === null ? `ended with status ${code}` : `was ended by ${signal}`;
      const [words = ''] = said.stderr.trim().split(/\r?\n/);
      settle(unparsed(`${what} ${how}${words === '' ? '' : `: ${printable(scrub(words, [first, fromUtf8(first) ?? '']), 200)}`}`));
    };
    child.on('exit', (code, signal) => {
      grace = setTimeout(() => ended(code, signal), GRACE);
    });
    child.on('close', ended);
  });
  return started.catch(unstarted);
}

/* ---- taking secrets out of text ---- */

const MASK = '****';
/** Secrets below this many octets are only masked where they stand alone: as parts of words they would tell themselves. */
const SHORT = 4;
/** Of a form longer than twice this, so many characters are enough: servers and terminals cut long tokens. */
const BEGINNING = 16;

/** A form a secret may take in text, in lower case. */
interface Form {
  readonly text: string;
  /** Neither a letter nor a digit may touch it. */
  readonly alone: boolean;
  /** Characters before and behind it that belong to the same coded text. */
  readonly run: RegExp | null;
}

type Range = readonly [from: number, to: number];

const BASE64_RUN = /[A-Za-z0-9+/=_-]/;
const TOKEN_RUN = /[^\s"'<>,;]/;

/**
 * The text with every secret replaced by `****`: in clear, escaped by `printable`, URL-encoded, in hexadecimal, in base64, and
 * in base64 as a part of something longer (the response of PLAIN or XOAUTH2), which is masked whole. Compares without case.
 * Call it before a text is cut short: half a secret is not recognised unless it is long.
 */
export function scrub(text: string, secrets: readonly string[]): string {
  const known = secrets.filter((secret) => secret !== '');
  const lower = text.toLowerCase();
  // A few characters change their length in lower case; such a text is searched as it is.
  const searched = lower.length === text.length ? lower : text;
  const ranges = known.flatMap((secret) => [...formsOf(secret).flatMap((form) => rangesOf(searched, form)), ...responsesIn(text, secret)]);
  let out = '';
  let at = 0;
  for (const [from, to] of ranges.sort(([a], [b]) => a - b)) {
    if (from >= at) out += text.slice(at, from) + MASK;
    at = Math.max(at, to);
  }
  return out + text.slice(at);
}

function formsOf(secret: string): readonly Form[] {
  const coded = utf8(secret);
  const percent = (kept: RegExp) => Array.from(coded, (c) => (kept.test(c) ? c : `%${hex(c)}`)).join('');
  const plain = [
    secret,
    coded,
    printable(coded, Number.POSITIVE_INFINITY),
    percent(/[A-Za-z0-9\-._~]/), // RFC 3986 §2.3
    percent(/[A-Za-z0-9\-._~!'()*]/), // encodeURIComponent
    percent(/[A-Za-z0-9\-._*]/).replaceAll('%20', '+'), // application/x-www-form-urlencoded
    percent(/[^\s\S]/),
    hex(coded),
    secret.replace(/["\\]/g, '\\$&'),
  ];
  const isShort = coded.length < SHORT;
  const inBase64 = isShort ? [base64(coded)] : base64Cores(coded);
  const urlSafe = inBase64.map((digits) => digits.replaceAll('+', '-').replaceAll('/', '_'));
  return [
    ...[...new Set(plain)].map((form) => ({ text: form.toLowerCase(), alone: isShort, run: null })),
    ...[...new Set([...inBase64, ...urlSafe])].map((form) => ({ text: form.toLowerCase(), alone: isShort, run: BASE64_RUN })),
  ];
}

/** The digits of base64 that depend on the secret alone, wherever in a longer text it stands. RFC 4648 §4 */
function base64Cores(coded: string): readonly string[] {
  return [0, 1, 2].map((before) => {
    const bits = 8 * (before + coded.length);
    return base64('\0'.repeat(before) + coded).slice(Math.ceil((8 * before) / 6), Math.floor(bits / 6));
  });
}

function rangesOf(text: string, form: Form): Range[] {
  const isCut = form.text.length > 2 * BEGINNING;
  const sought = isCut ? form.text.slice(0, BEGINNING) : form.text;
  const behind = form.run ?? (isCut ? TOKEN_RUN : null);
  const ranges: Range[] = [];
  for (let next = 0, at = text.indexOf(sought); at >= 0; at = text.indexOf(sought, next)) {
    let [from, to] = [at, at + sought.length];
    next = to;
    if (form.alone && (isWordAt(text, from - 1) || isWordAt(text, to))) continue;
    while (behind !== null && to < text.length && behind.test(text[to] as string)) to++;
    while (form.run !== null && from > 0 && form.run.test(text[from - 1] as string)) from--;
    next = to;
    ranges.push([from, to]);
  }
  return ranges;
}

const isWordAt = (text: string, at: number): boolean => /[\p{L}\p{N}_]/u.test(text[at] ?? '');

/** Responses of PLAIN that end with a secret too short to be found by its digits. RFC 4616 §2 */
function responsesIn(text: string, secret: string): Range[] {
  const coded = utf8(secret);
  if (coded.length >= SHORT) return [];
  return [...text.matchAll(/[A-Za-z0-9+/]{4,}={0,2}/g)].flatMap(({ 0: digits, index }): Range[] =>
    fromBase64(digits)?.endsWith(`\0${coded}`) ? [[index, index + digits.length]] : [],
  );
}
