/** The facts with which tests complete a header section, all of them fixed. */
import { domainToASCII } from 'node:url';
import type { CompletionFacts } from '../../src/message/complete.ts';
import { mailbox } from './mailbox.ts';

export const FACTS: CompletionFacts = {
  date: new Date('2026-11-22T14:56:56Z'),
  zone: 90,
  unique: '1700000000.123.abc',
  hostname: 'host.example.org',
  reversePath: mailbox('joe@example.org'),
  fullName: 'Joe Doe',
  login: 'joe',
  qualifyDomain: 'q.example',
  qualifyRecipient: 'r.example',
  from: null,
  forceFrom: false,
  received: null,
  header8bit: 'encode',
  defaultCharset: '',
  body: { eightBit: false, charset: null },
  toAscii: (domain) => domainToASCII(domain) || null,
};
