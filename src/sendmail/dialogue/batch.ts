/** Batch SMTP (`-bS`): commands in a file or a pipe, and nobody who reads a reply, so the first failure ends it. Knows no message. */

import { makeAbortable } from '../../process/signals.ts';
import { complain } from '../../process/stderr.ts';
import { drain } from '../../process/stdin/drain.ts';
import type { Stdin } from '../../process/stdin/open.ts';
import type { Receiving } from '../../smtp/server/machine.ts';
import { exitStatus, type Failure, failedWith } from '../../submit/outcome.ts';
import type { Settings } from '../../submit/settings.ts';
import type { EndSignal } from '../../transport/abort.ts';
import { type LastLine, type LoopEnd, type Said, takeCommands } from './command-loop.ts';
import { withNetworkLineEnds } from './line-ends.ts';
import type { Messages } from './messages.ts';

/** Why a batch is not read to its end. */
type Stop =
  | { readonly at: 'command'; readonly detail: string }
  /** Standard error says already why the message failed. */
  | { readonly at: 'verdict' };

/** Reads until QUIT, the end of the input or the first failure; the value is the exit status. */
export async function readBatch(
  stdin: Stdin,
  messages: Messages,
  settings: Receiving,
  signal: EndSignal,
  codes: Settings['exitCodes'],
): Promise<number> {
  let stop: Stop | null = null;
  const closed = await takeCommands(settings, messages, {
    input: makeAbortable(withNetworkLineEnds(stdin, stdin.isTerminal), signal),
    reply(reply, heard) {
      stop ??= stopAt(reply, heard);
      return stop === null ? 'go on' : 'stop';
    },
    waitUntilReady: () => Promise.resolve(),
    isClosing: () => false,
  });
  await messages.waitUntilLogged();
  const { delivered, status } = messages.tally;
  const detail = detailOf(stop, closed);
  if (stop === null && detail === null && closed.open === 'nothing') return status;
  complain([
    ...(detail === null ? [] : [detail]),
    `the batch ended at message ${delivered + 1}: the ${delivered} before it were delivered, nothing after it was read`,
  ]);
  await drain({ ...stdin, ...makeAbortable(stdin, signal) });
  return status || exitStatus(failedWith(failureOf(stop, closed, messages, signal)), codes);
}

function stopAt({ code, lines }: Said, { line, question }: LastLine): Stop | null {
  if (code < 400) return null;
  return question === 'content' ? { at: 'verdict' } : { at: 'command', detail: `${line}: ${lines.join(' / ')}` };
}

/** Why the batch was not read to its end, where no message failed. */
function failureOf(stop: Stop | null, { ended }: LoopEnd, { refused }: Messages, { aborted }: EndSignal): Failure {
  const isInput = aborted || (stop === null && ended !== null);
  if (isInput) return { kind: 'content', at: 'closed', condemns: 'message', reason: 'input', detail: '' };
  return refused ?? { kind: 'message', detail: '' };
}

/** The sentence that standard error still lacks; null if it has all. */
function detailOf(stop: Stop | null, { ended, open }: LoopEnd): string | null {
  if (stop !== null) return stop.at === 'command' ? stop.detail : null;
  // The part of the input that could not be read belongs to the batch, too.
  return ended?.end === 'failed' && open !== 'reported' ? ended.detail : null;
}
