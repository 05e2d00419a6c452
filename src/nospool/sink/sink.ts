/**
 * `nospool sink`: a smart host on loopback to try things on. Shows the conversation and what arrived, or stores
 * it; refuses on request. Knows no configuration file and delivers nothing.
 */
import { type FileHandle, open, rename, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { failWith, printLines } from '../../process/stderr.ts';
import { documentLine, jsonLine, type Line } from '../../smtp/line.ts';
import { type ForwardPath, type Mailbox, mailboxKey, parseMailbox, printPath, type ReversePath } from '../../smtp/path.ts';
import type { Reply } from '../../smtp/reply.ts';
import { makeReply, type Question, RECEIVING, type Receiving, USUAL_EXTENSIONS, type Visit } from '../../smtp/server/machine.ts';
import type { Parameter } from '../../smtp/server/parse.ts';
import { base64, fromUtf8, latin1, printable, textOf } from '../../smtp/text.ts';
import { helloName } from '../../submit/domain.ts';
import { type Client, type Listener, type ListenOptions, listen, type Owner, type Verdict } from '../../transport/listen.ts';
import { makeCertificate } from '../../transport/tls/certificate.ts';
import type { SinkOptions } from './sink-options.ts';

/** Where a running sink speaks to. */
export interface SinkOutput {
  readonly out: (lines: readonly Line[]) => void;
  readonly err: (fact: string) => void;
}

export interface StartedSink {
  readonly listener: Listener;
  /** Resolves when the sink has ended. */
  readonly done: Promise<void>;
  close(): Promise<void>;
}

/** 1 MiB of a message is kept to be shown; more goes to files only. */
const MOST_SHOWN = 1024 * 1024;
/** What a client has to say QUIT after the last message wanted. */
const PARTING = 2000;
/** Milliseconds between two lines about what was discarded. */
const PACE = 1000;

interface SinkMessage {
  readonly number: number;
  readonly reversePath: ReversePath;
  readonly parameters: readonly Parameter[];
  readonly recipients: { readonly path: ForwardPath; readonly parameters: readonly Parameter[] }[];
  readonly begun: number;
  octets: number;
  shown: string;
  file: { readonly handle: FileHandle; readonly partial: string; readonly name: string } | null;
  /** Resolves when what came so far is in the file. */
  written: Promise<void>;
}

/** The settings a sink speaks by; a sentence when an option is wrong. */
export function sinkSettings(options: SinkOptions): Receiving | string {
  if (options.tls && options.starttls) return 'choose one of --tls (TLS at once) and --starttls';
  if (options.auth !== '' && !/^[^:]+:/.test(options.auth)) return '--auth wants user:password';
  if (options.port > 65_535) return `--port wants a number up to 65535, not ${options.port}`;
  if (options.discard && options.store !== '') return '--discard keeps nothing to store: leave out one of --discard and --store';
  for (const text of options.refuseAt)
    if (refusalAt(text) === null)
      return `--refuse-at wants connect, mail, data or content, with =CODE from 400 to 599 behind it: not "${text}"`;
  for (const text of [...options.refuse, ...options.defer])
    if (!/^@./.test(text) && !parseMailbox(text).ok) return `"${text}" is neither an address nor @domain`;
  const extensions =
    options.extensions.length === 0
      ? USUAL_EXTENSIONS
      : options.extensions.flatMap((text) => text.split(',')).filter((word) => word !== '' && word.toLowerCase() !== 'none');
  return {
    ...RECEIVING,
    protocol: options.lmtp ? 'lmtp' : 'smtp',
    hostname: helloName(hostname()) || 'localhost',
    extensions: extensions.map((extension) => (/^[a-z0-9-]+$/i.test(extension) ? extension.toUpperCase() : extension)),
    tls: options.starttls ? 'offered' : 'none',
    mechanisms: options.auth === '' ? [] : ['PLAIN', 'LOGIN'],
    authRequired: options.auth !== '',
    authInClear: !options.starttls,
    sizeLimit: options.size > 0 ? options.size : Number.POSITIVE_INFINITY,
  };
}

function refusalAt(text: string): { readonly about: Question['about']; readonly code: number } | null {
  const [phase = '', code = '550', ...more] = text.split('=');
  const about = { connect: 'connection', mail: 'sender', data: 'data', content: 'content' }[phase] as Question['about'] | undefined;
  return about !== undefined && more.length === 0 && /^[45]\d\d$/.test(code) ? { about, code: Number(code) } : null;
}

const refusal = (code: number, text: string, detail = '7.1'): Reply => makeReply(code, `${Math.floor(code / 100)}.${detail}`, text);

/** True for an address on the list; its domain and its local-part are compared without case, as people expect of a toy. */
function isListed(list: readonly string[], mailbox: Mailbox): boolean {
  const key = mailboxKey(mailbox).toLowerCase();
  return list.some((text) => {
    if (text.startsWith('@')) return key.endsWith(text.toLowerCase());
    const read = parseMailbox(text);
    return read.ok && mailboxKey(read.value).toLowerCase() === key;
  });
}

/** Starts a sink; a sentence when it cannot. */
export async function startSink(options: SinkOptions, output: SinkOutput): Promise<StartedSink | string> {
  const receiving = sinkSettings(options);
  if (typeof receiving === 'string') return receiving;
  const encrypted = options.tls || options.starttls;
  const certificate = encrypted
    ? makeCertificate({ names: [...new Set(['localhost', receiving.hostname])], ips: ['127.0.0.1', '::1'] })
    : null;
  const refusals = options.refuseAt.map((text) => refusalAt(text));
  let accepted = 0;
  let clients = 0;
  let stored = 0;
  let finish = (): void => {};
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });

  const tell = (event: string, facts: Readonly<Record<string, unknown>>, lines: readonly string[]): void =>
    // A message that is shown whole to people is so to programs.
    output.out(options.json ? [jsonLine({ event, ...facts }, Number.POSITIVE_INFINITY)] : lines.map((line) => documentLine(line)));

  const discarded = tally((facts) => {
    const { messages, octets, seconds } = facts;
    const rates = seconds > 0 ? `: ${(messages / seconds).toFixed(0)} messages/s, ${(octets / seconds / 1e6).toFixed(1)} MB/s` : '';
    tell('discarded', { ...facts, total: accepted }, [
      `! ${messages} ${messages === 1 ? 'message' : 'messages'} in ${seconds.toFixed(3)} s${rates}; ${accepted} in all`,
    ]);
  });

  /** All the wanted messages are here: the clients may say QUIT, then the sink ends. */
  function mayEnd(): void {
    if (options.messages === 0 || accepted < options.messages) return;
    if (clients === 0) close();
    else setTimeout(close, PARTING).unref();
  }

  function owner(client: Client): Owner {
    clients++;
    let message: SinkMessage | null = null;

    function judge(question: Question, visit: Visit): Verdict | Promise<Verdict> {
      const refused = refusals.find((item) => item?.about === question.about);
      switch (question.about) {
        case 'connection':
          return refused ? refusal(refused.code, 'this sink refuses connections') : null;
        case 'credentials':
          return `${question.user}:${question.password}` === options.auth ? null : refusal(535, 'wrong user or password', '7.8');
        case 'sender':
          if (refused) return refusal(refused.code, 'this sink refuses senders');
          message = begun(question.path, question.parameters);
          return null;
        case 'recipient':
          if (isListed(options.refuse, question.path)) return refusal(550, `${printPath(question.path)} is refused by --refuse`, '1.1');
          if (isListed(options.defer, question.path)) return refusal(450, `${printPath(question.path)} is deferred by --defer`, '2.1');
          message?.recipients.push({ path: question.path, parameters: question.parameters });
          return null;
        case 'data':
          // What need not be waited for is answered at once: replies of one turn leave together.
          if (refused) return refusal(refused.code, 'this sink refuses DATA');
          return options.store === '' ? null : opened();
        case 'content':
          return refused
            ? abandon().then(() => refusal(refused.code, 'this sink refuses what was sent'))
            : taken(visit, question.facts.octets);
      }
    }

    const begun = (reversePath: ReversePath, parameters: readonly Parameter[]): SinkMessage => ({
      number: 0,
      reversePath,
      parameters,
      recipients: [],
      begun: performance.now(),
      octets: 0,
      shown: '',
      file: null,
      written: Promise.resolve(),
    });

    async function opened(): Promise<Verdict> {
      if (message === null) return null;
      stored++;
      // Time, process and number: no two sinks choose the same name.
      const stamp = new Date().toISOString().replace(/[-:]|\..*/g, '');
      const name = path.join(options.store, `${stamp}-${process.pid}-${String(stored).padStart(4, '0')}.eml`);
      try {
        message.file = { handle: await open(`${name}.part`, 'wx', 0o600), partial: `${name}.part`, name };
        return null;
      } catch (error) {
        return unstorable(error);
      }
    }

    function unstorable(error: unknown): Reply {
      output.err(`cannot store in ${options.store}: ${(error as Error).message}`);
      return refusal(451, 'the message cannot be stored', '3.0');
    }

    function content(octets: Uint8Array): void | Promise<void> {
      const current = message;
      if (current === null) return undefined;
      current.octets += octets.length;
      if (!options.quiet && current.shown.length < MOST_SHOWN)
        current.shown += latin1(octets.subarray(0, MOST_SHOWN - current.shown.length));
      const { file } = current;
      if (file === null) return undefined;
      // One write at a time keeps the order; the first failure stays.
      current.written = current.written.then(() => file.handle.writeFile(octets));
      return current.written.catch(() => {});
    }

    function taken(visit: Visit, octets: number): Verdict | Promise<Verdict> {
      const current = message as SinkMessage;
      message = null;
      const accept = (): Verdict => {
        accepted++;
        if (options.discard) discarded.add(octets, current.begun);
        else arrived({ ...current, number: accepted, octets }, visit);
        mayEnd();
        return null;
      };
      return current.file === null ? accept() : kept(current, current.file).then((failure) => failure ?? accept());
    }

    /** The file with its name; null when it is there. */
    async function kept({ written }: SinkMessage, file: NonNullable<SinkMessage['file']>): Promise<Reply | null> {
      try {
        await written;
        await file.handle.close();
        await rename(file.partial, file.name);
        return null;
      } catch (error) {
        await removed(file);
        return unstorable(error);
      }
    }

    function arrived(current: SinkMessage, visit: Visit): void {
      const seconds = (performance.now() - current.begun) / 1000;
      const facts = {
        client: client.number,
        message: current.number,
        reversePath: printPath(current.reversePath),
        parameters: parameterFacts(current.parameters),
        recipients: current.recipients.map((recipient) => ({
          path: printPath(recipient.path),
          parameters: parameterFacts(recipient.parameters),
        })),
        hello: visit.hello,
        user: visit.user,
        tls: client.tls?.getProtocol() ?? null,
        octets: current.octets,
        seconds: Number(seconds.toFixed(6)),
        file: current.file?.name ?? null,
        ...(options.quiet || current.octets > MOST_SHOWN ? {} : contentOf(current.shown)),
      };
      const to = facts.recipients.map((recipient) => recipient.path).join(', ');
      const head = `! message ${current.number}: ${current.octets} octets, from ${facts.reversePath} to ${to}`;
      tell('message', facts, [`${head}${facts.file === null ? '' : `, in ${facts.file}`}`, ...(options.quiet ? [] : shown(current))]);
    }

    async function abandon(): Promise<void> {
      const file = message?.file;
      message = null;
      if (file) await removed(file);
    }

    const removed = ({ handle, partial }: NonNullable<SinkMessage['file']>): Promise<unknown> =>
      Promise.allSettled([handle.close(), unlink(partial)]);

    function trace(side: 'C' | 'S' | '!', line: string): void {
      const mark = clients > 1 ? `[${client.number}] ` : '';
      tell('line', { client: client.number, side, line: textOf(line) }, [`${mark}${side}${side === '!' ? '' : ':'} ${printable(line)}`]);
    }

    return {
      judge,
      content,
      abandon: () => void abandon(),
      ...(options.quiet || options.discard ? {} : { trace }),
      closed() {
        clients--;
        mayEnd();
      },
    };
  }

  const at: ListenOptions['at'] = options.unix === '' ? { host: options.listen, port: options.port } : { path: options.unix };
  const listener = await listen({
    receiving,
    at,
    anywhere: options.anywhere,
    ...(certificate ? { tls: { key: certificate.key, cert: certificate.cert, implicit: options.tls } } : {}),
    owner,
    delay: options.delay,
    discard: options.discard,
    // Who measures opens as many as the client can.
    ...(options.discard ? { connections: Number.POSITIVE_INFINITY } : {}),
  });
  if (!listener.ok) return listener.detail;
  if (certificate && options.certificate !== '') {
    const failure = await writeFile(options.certificate, certificate.own).catch((error: Error) => error);
    if (failure) {
      await listener.value.close();
      return `the certificate cannot be written: ${failure.message}`;
    }
  }
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= listener.value.close().then(() => {
      discarded.end();
      finish();
    });
    return closing;
  };
  const { address, port } = listener.value;
  const scheme =
    options.unix === ''
      ? options.lmtp
        ? 'lmtp://'
        : options.tls
          ? 'submissions://'
          : 'submission://'
      : options.lmtp
        ? 'lmtp+unix:'
        : 'unix:';
  tell('listening', { address, port, smarthost: `${scheme}${address}`, fingerprint: certificate?.fingerprints.certificate ?? null }, [
    `! listening: smarthosts = ["${scheme}${address}"]`,
    ...(certificate ? [`! certificate: fingerprint = ["${certificate.fingerprints.certificate}"]`] : []),
  ]);
  return { listener: listener.value, done, close };
}

interface Discarded {
  readonly messages: number;
  readonly octets: number;
  /** From the first MAIL, or the report before, to the last message. */
  readonly seconds: number;
}

/** Counts messages and reports them once a second: a line for each would take more time than the message. */
function tally(report: (facts: Discarded) => void): { add(octets: number, begun: number): void; end(): void } {
  let messages = 0;
  let octets = 0;
  let since = 0;
  let last = 0;
  let clock: NodeJS.Timeout | undefined;
  function tick(): void {
    clock = undefined;
    if (messages === 0) return;
    report({ messages, octets, seconds: Number(((last - since) / 1000).toFixed(6)) });
    messages = 0;
    octets = 0;
    since = last;
    clock = setTimeout(tick, PACE).unref();
  }
  return {
    add(more, begun) {
      if (clock === undefined) {
        since = begun;
        clock = setTimeout(tick, PACE).unref();
      }
      messages++;
      octets += more;
      last = performance.now();
    },
    end() {
      clearTimeout(clock);
      tick();
      clearTimeout(clock);
    },
  };
}

const parameterFacts = (parameters: readonly Parameter[]): Record<string, string | null> =>
  Object.fromEntries(parameters.map(({ keyword, value }) => [keyword, value]));

function contentOf(octets: string): { readonly content: string } | { readonly base64: string } {
  const text = fromUtf8(octets);
  return text === null ? { base64: base64(octets) } : { content: text };
}

/** The message as lines behind a bar. */
function shown({ shown: octets, octets: total }: SinkMessage): readonly string[] {
  if (octets === '') return [];
  const lines = octets
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
    .map((line) => `| ${textOf(line)}`);
  return total > octets.length ? [...lines, `| … and ${total - octets.length} octets more`] : lines;
}

/** Runs until the messages are here or a signal comes; the exit status. */
export async function runSink(options: SinkOptions): Promise<number> {
  const sink = await startSink(options, {
    out: printLines,
    err: (fact) => void failWith(fact),
  });
  if (typeof sink === 'string') return failWith(sink);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, sink.close);
  // Whoever read our output has gone (`| head`).
  process.stdout.on('error', sink.close);
  await sink.done;
  return 0;
}
