/**
 * The parts that the tests of the pitfalls share: a message that the library sends to a smart host that misbehaves, transcripts
 * that are run, servers that say raw octets. Knows no pitfall.
 */

import assert from 'node:assert/strict';
import type { TlsOptions } from 'node:tls';
import { DEFAULT_TLS, type Smarthost } from '../../src/router/smarthost.ts';
import { type Outcome, printOutcome } from '../../src/submit/outcome.ts';
import { type Envelope, type Message, type SubmitOptions, submit } from '../support/engine.ts';
import { type Script, startScripted } from '../support/scripted.ts';
import { type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { readTranscripts, replay, type Transcript } from '../support/transcript.ts';
import { within } from '../support/within.ts';

export const hostAt = (port: number, more: Partial<Smarthost> = {}): Smarthost => ({
  scheme: 'smtp',
  host: '127.0.0.1',
  port,
  expand: 'none',
  tls: DEFAULT_TLS,
  auth: null,
  ...more,
});

export const MESSAGE = 'Subject: pitfall\r\n\r\nhello\r\n';

export interface Sending extends Partial<Omit<SubmitOptions, 'hosts'>> {
  readonly to?: Envelope['to'];
  readonly from?: string;
  readonly message?: Message;
  readonly envelope?: Partial<Envelope>;
}

/** One message, by the library. */
export function send(
  hosts: readonly Smarthost[],
  { to = ['b@example.org'], from = 'a@example.org', message = MESSAGE, envelope, ...options }: Sending = {},
): Promise<Outcome> {
  return submit({ from, to, ...envelope }, message, { hello: 'client.example.org', ...options, hosts });
}

export const reasons = (outcome: Outcome): string => printOutcome(outcome, '').join('\n');

export function assertTaken(outcome: Outcome): void {
  assert.equal(outcome.kind, 'accepted', reasons(outcome));
}

/** Nobody has the message: every reason matches, in order. */
export function assertFailed(outcome: Outcome, ...expected: readonly RegExp[]): void {
  assert.equal(outcome.kind, 'failed', reasons(outcome));
  const lines = printOutcome(outcome, '');
  for (const [i, pattern] of expected.entries()) assert.match(lines[i] ?? '(no such line)', pattern, lines.join('\n'));
}

/** Waits until it holds; gives up before `within` does, so that nothing waits on behind a test that has failed. */
export async function until(holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 5) {
    if (waited > 10_000) throw new Error(`waited in vain until ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A smart host for the time of the work. */
export async function served(options: SmarthostOptions, work: (host: TestHost) => Promise<void>): Promise<void> {
  const host = await startHost(options);
  try {
    await within(20_000, () => work(host));
  } finally {
    await host.stop();
  }
}

/** Commands that were heard in all sessions. */
export const heard = (host: TestHost): string[] => host.sessions.flat();
export const verbs = (host: TestHost): string[] => heard(host).map((line) => line.split(' ')[0] as string);

/** Nothing that ends a content was heard, and nothing is held. */
export function assertNothingHeld(host: TestHost): void {
  assert.deepEqual(host.held, []);
}

/** A scripted server for the time of the work. */
export async function raw(script: Script, work: (port: number) => Promise<void>, tls?: TlsOptions): Promise<void> {
  const server = await startScripted(script, tls);
  try {
    await within(20_000, () => work(server.port));
  } finally {
    await server.close();
  }
}

export { conversing, usual } from '../support/scripted.ts';

const transcripts = new Map(readTranscripts().map((transcript) => [transcript.file, transcript]));

/** Runs a transcript through the machine in pieces of every kind: it is what the client does. Its lines. */
export function play(file: string): readonly string[] {
  const transcript = transcripts.get(file);
  assert.ok(transcript, `there is no ${file}`);
  for (const size of transcript.whole ? [Number.POSITIVE_INFINITY] : [1, 7, Number.POSITIVE_INFINITY])
    assert.deepEqual(replay(transcript, size), transcript.lines, file);
  return transcript.lines;
}

export const allTranscripts = (): readonly Transcript[] => [...transcripts.values()];

/** Commands of the client in a transcript, without their arguments. */
export const verbsOf = (lines: readonly string[]): string[] =>
  lines.filter((line) => line.startsWith('C: ')).map((line) => line.slice(3).split(' ')[0] as string);
