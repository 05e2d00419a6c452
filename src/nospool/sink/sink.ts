/**
 * `nospool sink`: a smart host on loopback for trials. It shows the conversation and each message, or stores
 * it, and refuses on request. Knows no configuration file and delivers nothing.
 */
import { writeFile } from 'node:fs/promises';
import { failWith, writePrintedLines } from '../../process/stderr.ts';
import { documentLine, jsonLine, type Line } from '../../smtp/line.ts';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { printPath } from '../../smtp/path.ts';
import type { Reply } from '../../smtp/reply.ts';
import { makeReply } from '../../smtp/server/answers.ts';
import type { OwnerQuestion, ServerVisit } from '../../smtp/server/machine.ts';
import { printable, textOf } from '../../smtp/text.ts';
import { type Listener, type ListenOptions, listen } from '../../transport/listen.ts';
import type { OwnerVerdict, ServedClient, SessionOwner } from '../../transport/serve.ts';
import { makeCertificate } from '../../transport/tls/certificate.ts';
import { countDiscarded, printDiscarded } from './discarded.ts';
import { type MessageFile, openMessageFile } from './message-file.ts';
import { isListed, parseSink, type SinkRules } from './parse-sink.ts';
import { beginMessage, keepShown, messageJson, printMessage, type SinkMessage } from './received-message.ts';
import type { SinkOptions } from './sink-options.ts';

/** Where a running sink writes. */
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

/** Milliseconds in which a client may say QUIT after the last message of --messages. */
const PARTING = 2000;

const makeRefusal = (code: number, text: string, detail = '7.1'): Reply => makeReply(code, `${Math.floor(code / 100)}.${detail}`, text);

/** The value is a sink that listens. */
export async function startSink(options: SinkOptions, output: SinkOutput): Promise<Parsed<StartedSink>> {
  const rules = parseSink(options);
  if (!rules.ok) return rules;
  const { receiving } = rules.value;
  const isEncrypted = options.tls || options.starttls;
  const certificate = isEncrypted
    ? makeCertificate({ names: [...new Set(['localhost', receiving.hostname])], ips: ['127.0.0.1', '::1'] })
    : null;
  let finish = (): void => {};
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const desk = openDesk(options, rules.value, output, () => close());
  const at: ListenOptions['at'] = options.unix === '' ? { host: options.listen, port: options.port } : { path: options.unix };
  const listener = await listen({
    receiving,
    at,
    anywhere: options.anywhere,
    ...(certificate ? { tls: { key: certificate.key, cert: certificate.cert, implicit: options.tls } } : {}),
    owner: desk.receive,
    delay: options.delay,
    discard: options.discard,
    // A load test opens as many connections as the client can.
    ...(options.discard ? { connections: Number.POSITIVE_INFINITY } : {}),
  });
  if (!listener.ok) return listener;
  if (certificate && options.certificate !== '') {
    const failure = await writeFile(options.certificate, certificate.own).catch((error: Error) => error);
    if (failure) {
      await listener.value.close();
      return unparsed(`the certificate cannot be written: ${failure.message}`);
    }
  }
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= listener.value.close().then(() => {
      desk.end();
      finish();
    });
    return closing;
  };
  const { address, port } = listener.value;
  const smarthost = `${schemeOf(options)}${address}`;
  const fingerprint = certificate?.fingerprints.certificate ?? null;
  desk.tell('listening', { address, port, smarthost, fingerprint }, [
    `! listening: smarthosts = ["${smarthost}"]`,
    ...(fingerprint === null ? [] : [`! certificate: fingerprint = ["${fingerprint}"]`]),
  ]);
  return parsed({ listener: listener.value, done, close });
}

function schemeOf({ unix, lmtp, tls }: SinkOptions): string {
  if (unix !== '') return lmtp ? 'lmtp+unix:' : 'unix:';
  if (lmtp) return 'lmtp://';
  return tls ? 'submissions://' : 'submission://';
}

/** The counts and the output, which all connections of a sink share. */
interface Desk {
  /** Writes an event: its facts for programs, or its lines for people. */
  readonly tell: (event: string, facts: Readonly<Record<string, unknown>>, lines: readonly string[]) => void;
  /** Owns the messages of one connection. */
  readonly receive: (client: ServedClient) => SessionOwner;
  readonly end: () => void;
}

function openDesk(options: SinkOptions, { refusals }: SinkRules, output: SinkOutput, close: () => void): Desk {
  let accepted = 0;
  let clients = 0;
  let stored = 0;

  const tell: Desk['tell'] = (event, facts, lines) =>
    // A message that people see whole is whole for programs, too, so its line has no limit.
    output.out(options.json ? [jsonLine({ event, ...facts }, Number.POSITIVE_INFINITY)] : lines.map((line) => documentLine(line)));
  const discarded = countDiscarded((facts) => tell('discarded', { ...facts, total: accepted }, [printDiscarded(facts, accepted)]));

  /** Ends the sink once all messages of --messages are here; clients that are still connected may say QUIT first. */
  function endIfComplete(): void {
    if (options.messages === 0 || accepted < options.messages) return;
    if (clients === 0) close();
    else setTimeout(close, PARTING).unref();
  }

  function receive(client: ServedClient): SessionOwner {
    clients++;
    let message: SinkMessage | null = null;

    function judge(question: OwnerQuestion, visit: ServerVisit): OwnerVerdict | Promise<OwnerVerdict> {
      const refusal = refusals.find(({ about }) => about === question.about);
      switch (question.about) {
        case 'connection':
          return refusal ? makeRefusal(refusal.code, 'this sink refuses connections') : null;
        case 'credentials':
          return `${question.user}:${question.password}` === options.auth ? null : makeRefusal(535, 'wrong user or password', '7.8');
        case 'sender':
          if (refusal) return makeRefusal(refusal.code, 'this sink refuses senders');
          message = beginMessage(question.path, question.parameters);
          return null;
        case 'recipient':
          if (isListed(options.refuse, question.path)) return makeRefusal(550, `${printPath(question.path)} is refused by --refuse`, '1.1');
          if (isListed(options.defer, question.path)) return makeRefusal(450, `${printPath(question.path)} is deferred by --defer`, '2.1');
          message?.recipients.push({ path: question.path, parameters: question.parameters });
          return null;
        case 'data':
          // Answers without a promise where nothing is waited for, because the replies of one turn leave together.
          if (refusal) return makeRefusal(refusal.code, 'this sink refuses DATA');
          return options.store === '' || message === null ? null : openFile(message);
        case 'content':
          return refusal
            ? abandon().then(() => makeRefusal(refusal.code, 'this sink refuses what was sent'))
            : take(visit, question.facts.octets);
      }
    }

    async function openFile(current: SinkMessage): Promise<OwnerVerdict> {
      stored++;
      try {
        current.file = await openMessageFile(options.store, stored);
        return null;
      } catch (error) {
        return refuseToStore(error);
      }
    }

    function refuseToStore(error: unknown): Reply {
      output.err(`cannot store in ${options.store}: ${(error as Error).message}`);
      return makeRefusal(451, 'the message cannot be stored', '3.0');
    }

    function content(octets: Uint8Array): void | Promise<void> {
      if (message === null) return undefined;
      message.octets += octets.length;
      if (!options.quiet) keepShown(message, octets);
      return message.file?.write(octets);
    }

    function take(visit: ServerVisit, octets: number): OwnerVerdict | Promise<OwnerVerdict> {
      const current = message as SinkMessage;
      message = null;
      const accept = (): OwnerVerdict => {
        accepted++;
        if (options.discard) discarded.add(octets, current.begun);
        else show({ ...current, octets }, visit);
        endIfComplete();
        return null;
      };
      return current.file === null ? accept() : finish(current.file).then((failure) => failure ?? accept());
    }

    async function finish(file: MessageFile): Promise<Reply | null> {
      try {
        await file.finish();
        return null;
      } catch (error) {
        return refuseToStore(error);
      }
    }

    function show(current: SinkMessage, visit: ServerVisit): void {
      const tls = client.tls?.getProtocol() ?? null;
      const arrival = { client: client.number, number: accepted, visit, tls, quiet: options.quiet };
      tell('message', messageJson(current, arrival), printMessage(current, arrival));
    }

    async function abandon(): Promise<void> {
      const file = message?.file;
      message = null;
      await file?.remove();
    }

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
        endIfComplete();
      },
    };
  }

  return { tell, receive, end: () => discarded.end() };
}

/** Runs until the messages are here or a signal comes; the exit status. */
export async function runSink(options: SinkOptions): Promise<number> {
  const sink = await startSink(options, { out: writePrintedLines, err: (fact) => void failWith(fact) });
  if (!sink.ok) return failWith(sink.detail);
  const { close, done } = sink.value;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, close);
  // The reader of our output has gone (`| head`).
  process.stdout.on('error', close);
  await done;
  return 0;
}
