/**
 * Texts of the server on their way to people: each is scrubbed of secrets before an observer or an outcome has it. Knows no
 * secret itself.
 */
import type { Refusal, SessionFailure, SessionOutcome } from '../smtp/client/outcome.ts';
import type { Reply } from '../smtp/reply.ts';
import { maskLine } from '../smtp/sasl/mask.ts';
import type { Trace } from './observer.ts';

/** Takes secrets out of what a server says; `isToAuth`: in answer to AUTH, where they are likely. */
export type Scrub = (text: string, isToAuth: boolean) => string;

/** Shows a trace what the server says, line by line, in whatever pieces it comes. */
export class HeardLines {
  readonly #trace: Trace;
  readonly #scrub: Scrub;
  /** The beginning of a line whose end is still to come, and whether it answers AUTH. */
  #rest = '';
  #isToAuth = false;
  /** Lines of an answer to AUTH whose last line is still to come: they are shown together, because a secret may be folded. */
  #held: string[] = [];

  constructor(trace: Trace, scrub: Scrub) {
    this.#trace = trace;
    this.#scrub = scrub;
  }

  push(text: string, isToAuth: boolean): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    this.#isToAuth = isToAuth || this.#held.length > 0;
    for (const line of lines) this.#held.push(line.replace(/\r$/, ''));
    if (!this.#isToAuth || !/^\d{3}-/.test(this.#held.at(-1) ?? '')) this.#show();
  }

  /** Nothing more comes: the line that has no end is shown, too. */
  end(): void {
    if (this.#rest !== '') this.#held.push(this.#rest);
    this.#rest = '';
    this.#show();
  }

  #show(): void {
    const lines = this.#held;
    if (lines.length === 0) return;
    this.#held = [];
    // They are scrubbed as one text.
    const text = (this.#isToAuth ? lines.map(maskLine) : lines).join('\n');
    for (const line of this.#scrub(text, this.#isToAuth).split('\n')) this.#trace('S', line);
  }
}

/** The outcome with every text of the server scrubbed. */
export function scrubOutcome(outcome: SessionOutcome, scrub: Scrub): SessionOutcome {
  if (outcome.kind === 'failed') return { kind: 'failed', failure: scrubFailure(outcome.failure, scrub) };
  const clean = (text: string): string => scrub(text, false);
  return { ...outcome, reply: scrubReply(outcome.reply, clean), refusals: outcome.refusals.map((refusal) => scrubRefusal(refusal, clean)) };
}

/** The failure with every text of the server scrubbed. */
export function scrubFailure(failure: SessionFailure, scrub: Scrub): SessionFailure {
  const isToAuth = failure.at === 'auth';
  const clean = (text: string): string => scrub(text, isToAuth);
  if (failure.kind === 'rejected') {
    const [first, ...rest] = failure.refusals.map((refusal) => ({
      ...scrubRefusal(refusal, clean),
      // The command quotes what the server asked a mechanism before it refused.
      command: isToAuth ? clean(refusal.command) : refusal.command,
    }));
    return { ...failure, refusals: [first as Refusal, ...rest] };
  }
  return {
    ...failure,
    ...('detail' in failure ? { detail: clean(failure.detail) } : {}),
    ...('heard' in failure && failure.heard !== undefined ? { heard: clean(failure.heard) } : {}),
    ...('reply' in failure && failure.reply ? { reply: scrubReply(failure.reply, clean) } : {}),
    ...(failure.kind === 'uncertain' ? scrubDoubt(failure, scrub, clean) : {}),
  } as SessionFailure;
}

const scrubDoubt = (
  { instead, refusals, verdicts }: Extract<SessionFailure, { kind: 'uncertain' }>,
  scrub: Scrub,
  clean: (text: string) => string,
): Partial<SessionFailure> => ({
  ...(instead ? { instead: scrubFailure(instead, scrub) } : {}),
  ...(refusals ? { refusals: refusals.map((refusal) => scrubRefusal(refusal, clean)) } : {}),
  ...(verdicts ? { verdicts: verdicts.map((verdict) => ({ ...verdict, reply: scrubReply(verdict.reply, clean) })) } : {}),
});

const scrubRefusal = (refusal: Refusal, clean: (text: string) => string): Refusal => ({
  ...refusal,
  reply: scrubReply(refusal.reply, clean),
});

/** The lines are one text, because a secret may be folded. */
function scrubReply(reply: Reply, clean: (text: string) => string): Reply {
  const text = reply.lines.join('\n');
  const cleaned = clean(text);
  return cleaned === text ? reply : { ...reply, lines: cleaned.split('\n') };
}
