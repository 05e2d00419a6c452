/** The arguments of sendmail: the first line is the name it was called by, each other line a word. */
import assert from 'node:assert';
import { parseInvocation } from '../../../src/sendmail/arguments.ts';
import type { Invocation } from '../../../src/sendmail/options.ts';
import { listOptions } from '../../../src/sendmail/options.ts';
import { textOf } from '../../../src/smtp/text.ts';
import { assertSentence, type Reader, same } from '../reader.ts';

/** Without the part that a misuse leaves open. */
const meaning = (invocation: Invocation): Invocation => invocation;

export const reader: Reader = {
  name: 'argv',
  seeds: [
    'sendmail\n-t\n-i',
    'sendmail\n-f\nroot@example.org\n-oi\n-oem\na@b\nc@d',
    'mailq',
    'newaliases\nx',
    'sendmail\n-bs',
    'sendmail\n-odi\n-F\nJoe Doe\n-N\nfailure,delay\n-R\nhdrs\n-V\nx\n--\n-a@b',
    'sendmail\n-tif\na@b',
    'sendmail\n-q15m',
    'sendmail\n-o\ni\n-b\np',
    'rsmtp\n-oMr\nx',
  ],
  words: [
    ...listOptions().map(({ option }) => `\n${option}`),
    '\n',
    '\n--',
    '\n-',
    ' ',
    'a@b',
    '<>',
    'sendmail',
    'mailq',
    'newaliases',
    'never',
    'success',
    '1abcde-000001-AB',
  ],
  read: (input) => parseInvocation('sendmail', textOf(input).split('\n')),
  run(input) {
    const [name = '', ...words] = textOf(input).split('\n');
    const read = parseInvocation(name, words);
    same(parseInvocation(`/usr/sbin/${name}`, words), read);
    const { mode, operands, notify, reversePath } = read;
    if (mode.kind === 'misused' || mode.kind === 'refused') assertSentence(mode.detail);
    if (!reversePath.ok) assertSentence(reversePath.detail);
    if (notify !== null) assert.ok(notify.length > 0 && (notify.length === 1 || !notify.includes('NEVER')));
    // No word gets lost: operands are the last words, all of them.
    same(operands, operands.length === 0 ? [] : words.slice(-operands.length));
    if (mode.kind === 'misused') return;
    const ended = words.indexOf('--') >= 0;
    if (!ended && (mode.kind === 'send' || mode.kind === 'route' || mode.kind === 'verify'))
      for (const operand of operands) assert.ok(!/^-./.test(operand), `"${operand}" looks like an option`);
    // What sends nothing has nobody to send to.
    if (mode.kind === 'mailq') assert.ok(!read.recipientsFromHead);
    // A recipient more at the end changes nothing but the operands, or is refused; it is never taken for a value of an option.
    const more = parseInvocation(name, [...words, 'more@example.org']);
    if (mode.kind === 'send' && operands.length > 0) same(meaning(more), { ...meaning(read), operands: [...operands, 'more@example.org'] });
    // The end of the options may be written.
    if (operands.length > 0 && !ended) {
      const options = words.slice(0, words.length - operands.length);
      same(parseInvocation(name, [...options, '--', ...operands]), read);
    }
  },
};
