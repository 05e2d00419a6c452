/** SMTP with replies (`-bs`), for a client that waits for them. Knows no message. */

import { makeAbortable } from '../../process/signals.ts';
import type { Stdin } from '../../process/stdin/open.ts';
import { replyLines } from '../../smtp/server/answers.ts';
import type { Receiving } from '../../smtp/server/machine.ts';
import { unlessAborted } from '../../submit/interrupts.ts';
import type { EndSignal } from '../../transport/abort.ts';
import { takeCommands } from './command-loop.ts';
import { withNetworkLineEnds } from './line-ends.ts';
import type { Messages } from './messages.ts';
import { openReplies } from './replies.ts';
import { replyWith } from './verdict.ts';

/** Milliseconds for which the last reply waits for a client that may not read it. */
const LAST_WORDS = 200;

/** Says why nobody can speak here, to a client that waits for the greeting. */
export async function refuseToSpeak(details: readonly string[]): Promise<void> {
  const replies = openReplies();
  replies.write(printWire(replyLines(replyWith({ code: 554, enhanced: '5.3.5' }, details))));
  // A client that says QUIT would wait for its answer.
  await Promise.race([replies.end(), waitShortly()]);
}

/** Speaks until QUIT, the end of the input or a signal; the value is the exit status. */
export async function speakWithReplies(stdin: Stdin, messages: Messages, settings: Receiving, signal: EndSignal): Promise<number> {
  const replies = openReplies();
  await takeCommands(settings, messages, {
    input: makeAbortable(stdin.isTerminal ? withNetworkLineEnds(stdin, true) : stdin, signal),
    reply({ lines }) {
      replies.write(printWire(lines));
      return 'go on';
    },
    async waitUntilReady() {
      await unlessAborted(replies.waitUntilReady(), signal);
    },
    isClosing: () => signal.aborted,
  });
  await messages.waitUntilLogged();
  if (signal.aborted) await Promise.race([replies.end(), waitShortly()]);
  else await unlessAborted(replies.end(), signal);
  return messages.tally.status;
}

const waitShortly = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, LAST_WORDS));

const printWire = (lines: readonly string[]): string => lines.map((line) => `${line}\r\n`).join('');
