/**
 * SMTP on standard input (`-bs`, `-bS`), with cut-through: recipients are routed as they come, content goes to the smart
 * host while it comes, and the smart host's verdict is the reply to its end. The machine of `src/smtp/server/machine.ts`
 * decides what may be said when, `src/submit` what becomes of a message.
 */
import type { Config } from '../../config/config.ts';
import type { Reports } from '../../process/report.ts';
import { listenForSignals } from '../../process/signals.ts';
import { limitErrors } from '../../process/stderr.ts';
import type { Stdin } from '../../process/stdin/open.ts';
import { RECEIVING, type Receiving, USUAL_EXTENSIONS } from '../../smtp/server/machine.ts';
import { helloName } from '../../submit/domain.ts';
import type { Submitter } from '../../submit/submission.ts';
import { readBatch } from './batch.ts';
import { speakWithReplies } from './bs.ts';
import { makeMessages } from './messages.ts';
import { isPipe } from './replies.ts';

export { refuseToSpeak } from './bs.ts';
export { keepRepliesAlone } from './replies.ts';

/** Speaks SMTP with replies, or as a batch without them; the value is the exit status. */
export async function speakSmtp(config: Config, by: Submitter, reports: Reports, stdin: Stdin, kind: 'smtp' | 'batch'): Promise<number> {
  stdin.place?.follow();
  if (!reports.isVerbose && isPipe(2)) limitErrors(MOST_ERRORS);
  const interrupts = listenForSignals(stdin.isTerminal);
  const messages = makeMessages(config, by, reports, interrupts);
  const speak = kind === 'batch' ? readBatch : speakWithReplies;
  const status = await speak(stdin, messages, settingsFor(config, by), interrupts.signal, config.exitCodes);
  stdin.close();
  return status;
}

/**
 * Characters. A client that waits for replies reads standard error at its end, if ever, and may give many messages before. In UTF-8 they fit
 * into a pipe, which takes 64 KiB.
 */
const MOST_ERRORS = 16_000;

/** The client is a program of this host and was started by whoever sends: it need not greet, and may err as often as it likes. */
function settingsFor(config: Config, by: Submitter): Receiving {
  return {
    ...RECEIVING,
    hostname: helloName(config.hostname || by.hostname) || 'localhost',
    extensions: USUAL_EXTENSIONS,
    sizeLimit: Number.POSITIVE_INFINITY,
    // Lone CR and LF end lines in a message given in any other way, too; only CR LF . CR LF ends the content.
    bareLineEnds: 'accept',
    lfEndsCommands: true,
    helloOptional: true,
    faultLimit: Number.POSITIVE_INFINITY,
  };
}
