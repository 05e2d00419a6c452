/** What holds for every mailbox that a reader has found. */
import assert from 'node:assert';
import { isDomain, type Mailbox, mailboxKey, parseMailbox, printMailbox, printPath } from '../../src/smtp/path.ts';
import { parseCommand } from '../../src/smtp/server/parse.ts';
import { utf8 } from '../../src/smtp/text.ts';
import { hasControl, same } from './reader.ts';

/** What addresses are made of. */
export const ADDRESS_WORDS = [
  '@',
  '<',
  '>',
  '"',
  '\\',
  '\\"',
  '@[192.0.2.1]',
  '@[IPv6:2001:db8::1]',
  'a@b.example',
  '@x,@y:',
  '.',
  '..',
  '(c)',
  ':',
  ';',
  ',',
  ' ',
];

/** Asserts that the mailbox printed and read again is the same, here and by a server that hears it. */
export function checkMailbox(mailbox: Mailbox): void {
  const printed = printMailbox(mailbox);
  const again = parseMailbox(printed);
  assert.ok(again.ok, `${printed} is not read again`);
  same({ ...again.value }, { ...mailbox });
  assert.equal(printMailbox(again.value), printed);
  assert.equal(mailboxKey(again.value), mailboxKey(mailbox));
  assert.ok(!hasControl(printed) && !/[\u0080-\u009f\u2028\u2029]/.test(printed));
  if (mailbox.domain !== '') assert.ok(isDomain(mailbox.domain));
  const path = parseMailbox(printPath(mailbox));
  // Brackets count for the length.
  if (printed.length + 2 > 1000) return;
  assert.ok(path.ok && mailboxKey(path.value) === mailboxKey(mailbox));
  const command = parseCommand(`RCPT TO:${utf8(printPath(mailbox))} NOTIFY=NEVER`);
  assert.ok(command.verb === 'RCPT' && command.parameters.length === 1, `a server does not understand ${printPath(mailbox)}`);
  same({ ...command.path }, { ...mailbox });
}
