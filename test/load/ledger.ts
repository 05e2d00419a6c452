/** Compares what a program was told of its messages with what the server's ledger says. Knows no connection. */
import { readFileSync } from 'node:fs';

/** What a program was told of a message. */
export const GIVEN = 1;
export const ACCEPTED = 2;
export const UNCERTAIN = 3;
export const FAILED = 4;

export interface Balance {
  readonly accepted: number;
  readonly failed: number;
  /** Of those that are uncertain, how many the server has. */
  readonly uncertain: number;
  readonly uncertainHeld: number;
  /** Sentences; none where the promise held. */
  readonly breaches: readonly string[];
}

/** `told`: the word for each id from 1. */
export function balance(told: Uint8Array, file: string): Balance {
  const held = new Uint8Array(told.length);
  const breaches: string[] = [];
  for (const line of readFileSync(file, 'utf8').split('\n').slice(0, -1)) {
    const id = Number(line);
    if (!(id < told.length)) breaches.push(`the server holds "${line}"`);
    else held[id] = (held[id] as number) + 1;
  }
  const counts = { accepted: 0, failed: 0, uncertain: 0, uncertainHeld: 0 };
  for (let id = 1; id < told.length; id++) {
    const copies = held[id] as number;
    const breach = (said: string): void => void breaches.push(`${id}: ${said}, and the server has ${copies}`);
    switch (told[id]) {
      case ACCEPTED:
        counts.accepted += 1;
        if (copies !== 1) breach('accepted');
        break;
      case UNCERTAIN:
        counts.uncertain += 1;
        counts.uncertainHeld += Math.min(copies, 1);
        if (copies > 1) breach('uncertain');
        break;
      case FAILED:
        counts.failed += 1;
        if (copies !== 0) breach('failed');
        break;
      case GIVEN:
        breach('no outcome');
        break;
      default:
        if (copies !== 0) breach('never given');
    }
  }
  return { ...counts, breaches };
}
