/** Who looks on while a message is under way. An observer is told and decides nothing. */

/** One line of the conversation: ours (`C`), the server's (`S`), or something that happened (`!`). Secrets are masked. */
export type Trace = (side: 'C' | 'S' | '!', line: string) => void;

export interface Observer {
  readonly trace?: Trace | undefined;
  /** A fact that the log should have besides the outcome. */
  readonly note?: ((note: string) => void) | undefined;
  /** Octets of content written so far. */
  readonly progress?: ((octets: number) => void) | undefined;
}
