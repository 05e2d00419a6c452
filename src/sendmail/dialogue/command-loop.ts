/**
 * Carries a client's octets to the machine of `src/smtp/server`, the machine's questions to the owner of the messages, and
 * the answers back, until the machine closes. Knows no descriptor and no signal, and neither -bs nor -bS.
 */
import type { Ended, Source } from '../../message/source.ts';
import { never } from '../../smtp/parsed.ts';
import { makeReception, type Performed } from '../../smtp/server/input.ts';
import type { OwnerQuestion, Receiving } from '../../smtp/server/machine.ts';
import { printable } from '../../smtp/text.ts';
import type { Messages } from './messages.ts';

/** A reply as it goes out. */
export type Said = Pick<Extract<Performed, { do: 'reply' }>, 'code' | 'lines'>;

/** The line that the client said last, and what the machine has asked because of it. */
export interface LastLine {
  readonly line: string;
  readonly question: OwnerQuestion['about'] | null;
}

/** The part in which -bs and -bS differ. */
export interface Side {
  readonly input: Source;
  /** Takes a reply; after 'stop' the client is heard no further. */
  reply(reply: Said, heard: LastLine): 'go on' | 'stop';
  /** Resolves when the client may say more. */
  waitUntilReady(): Promise<void>;
  /** Whether a signal has ended the input, so that the client is told that we close. */
  isClosing(): boolean;
}

export interface LoopEnd {
  /** How the input ended; null if the dialogue closed before that. */
  readonly ended: Ended | null;
  /** Whether a message was open when the dialogue closed, and then whether standard error says what became of it. */
  readonly open: 'nothing' | 'reported' | 'unreported';
}

/** Resolves when the dialogue has closed. */
export async function takeCommands(settings: Receiving, messages: Messages, side: Side): Promise<LoopEnd> {
  let heard: LastLine = { line: '', question: null };
  let ended: Ended | null = null;
  let open: LoopEnd['open'] = 'nothing';

  function perform(action: Performed): void {
    switch (action.do) {
      case 'heard':
        heard = { line: printable(action.line), question: null };
        break;
      case 'ask':
        heard = { ...heard, question: action.question.about };
        break;
      case 'reply':
        if (side.reply(action, heard) === 'stop') reception.tell('lost');
        break;
      case 'content':
        messages.addContent(action.octets);
        break;
      case 'abandon': {
        const isReported = messages.abandon(ended);
        if (reception.state.at === 'closed') open = isReported ? 'reported' : 'unreported';
        break;
      }
      case 'startTls':
      case 'close':
        break;
      /* c8 ignore next 2 */
      default:
        never(action);
    }
  }

  const reception = makeReception(settings, perform);
  reception.begin(false);
  for (;;) {
    // An answer may lead to the next question without another octet.
    while (reception.state.at === 'judging') reception.answer(await messages.judge(reception.state.question));
    await messages.waitUntilConsumed();
    await side.waitUntilReady();
    if (reception.state.at === 'closed') return { ended, open };
    const got = await side.input.read();
    if (got instanceof Uint8Array) {
      reception.hear(got);
      continue;
    }
    ended = got;
    if (side.isClosing()) reception.tell('closing');
    else if (got.end === 'clean') reception.end();
    else reception.tell('lost');
  }
}
