/** A message as the sink has received it, printed for people and as facts for programs. Knows no connection. */
import { type ForwardPath, printPath, type ReversePath } from '../../smtp/path.ts';
import type { ServerVisit } from '../../smtp/server/machine.ts';
import type { Parameter } from '../../smtp/server/parse.ts';
import { base64, fromUtf8, latin1, textOf } from '../../smtp/text.ts';
import type { MessageFile } from './message-file.ts';

export interface SinkMessage {
  readonly reversePath: ReversePath;
  readonly parameters: readonly Parameter[];
  readonly recipients: { readonly path: ForwardPath; readonly parameters: readonly Parameter[] }[];
  /** When MAIL came, by performance.now(). */
  readonly begun: number;
  octets: number;
  /** The first octets, as latin1; '' = nothing is shown. */
  shown: string;
  /** null = it is not stored. */
  file: MessageFile | null;
}

/** 1 MiB of a message is kept to be shown; more goes to files only. */
const MOST_SHOWN = 1024 * 1024;

export const beginMessage = (reversePath: ReversePath, parameters: readonly Parameter[]): SinkMessage => ({
  reversePath,
  parameters,
  recipients: [],
  begun: performance.now(),
  octets: 0,
  shown: '',
  file: null,
});

/** Keeps the octets to be shown, up to the limit. */
export function keepShown(message: SinkMessage, octets: Uint8Array): void {
  if (message.shown.length < MOST_SHOWN) message.shown += latin1(octets.subarray(0, MOST_SHOWN - message.shown.length));
}

interface Arrival {
  /** The number of the connection, from 1. */
  readonly client: number;
  /** The number of the message, from 1. */
  readonly number: number;
  readonly visit: ServerVisit;
  /** The version; null without TLS. */
  readonly tls: string | null;
  /** Leave the content out. */
  readonly quiet: boolean;
}

export function messageJson(message: SinkMessage, { client, number, visit, tls, quiet }: Arrival): Readonly<Record<string, unknown>> {
  return {
    client,
    message: number,
    reversePath: printPath(message.reversePath),
    parameters: parameterFacts(message.parameters),
    recipients: message.recipients.map(({ path, parameters }) => ({ path: printPath(path), parameters: parameterFacts(parameters) })),
    hello: visit.hello,
    user: visit.user,
    tls,
    octets: message.octets,
    seconds: Number(((performance.now() - message.begun) / 1000).toFixed(6)),
    file: message.file?.name ?? null,
    ...(quiet || message.octets > MOST_SHOWN ? {} : contentFacts(message.shown)),
  };
}

export function printMessage(message: SinkMessage, { number, quiet }: Arrival): readonly string[] {
  const to = message.recipients.map(({ path }) => printPath(path)).join(', ');
  const head = `! message ${number}: ${message.octets} octets, from ${printPath(message.reversePath)} to ${to}`;
  return [`${head}${message.file === null ? '' : `, in ${message.file.name}`}`, ...(quiet ? [] : printContent(message))];
}

const parameterFacts = (parameters: readonly Parameter[]): Record<string, string | null> =>
  Object.fromEntries(parameters.map(({ keyword, value }) => [keyword, value]));

function contentFacts(octets: string): { readonly content: string } | { readonly base64: string } {
  const text = fromUtf8(octets);
  return text === null ? { base64: base64(octets) } : { content: text };
}

/** The content as lines behind a bar. */
function printContent({ shown, octets }: SinkMessage): readonly string[] {
  if (shown === '') return [];
  const lines = shown
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
    .map((line) => `| ${textOf(line)}`);
  return octets > shown.length ? [...lines, `| … and ${octets - shown.length} octets more`] : lines;
}
