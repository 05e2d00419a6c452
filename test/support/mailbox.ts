/** Mailboxes for tests, as the program makes them. */
import { type Mailbox, parseMailbox } from '../../src/smtp/path.ts';

/** The mailbox that the text stands for. */
export function mailbox(text: string): Mailbox {
  const read = parseMailbox(text);
  if (!read.ok) throw new Error(`${text}: ${read.detail}`);
  return read.value;
}

/** A mailbox that nothing has checked, for what must not rely on a check alone. */
export const uncheckedMailbox = (localPart: string, domain: string): Mailbox => ({ localPart, domain }) as Mailbox;
