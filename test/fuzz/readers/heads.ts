/** Header sections, read, completed and printed. The first octet decides some settings. */
import assert from 'node:assert';
import { type CompletionFacts, complete } from '../../../src/message/complete.ts';
import { type Field, fieldBody, isNamed, printHead, resentBlock } from '../../../src/message/fields.ts';
import { readHead } from '../../../src/message/head.ts';
import { collectRecipients, removeBcc } from '../../../src/message/recipients.ts';
import { parseRewrite, rewriteFields } from '../../../src/message/rewrite.ts';
import { sourceOf } from '../../../src/message/source.ts';
import { quoteNames } from '../../../src/message/unquoted-names.ts';
import { contentEncoder } from '../../../src/smtp/client/content.ts';
import { parsed } from '../../../src/smtp/parsed.ts';
import { isAscii, latin1, octets } from '../../../src/smtp/text.ts';
import { FACTS } from '../../support/completion.ts';
import { mailbox } from '../../support/mailbox.ts';
import { readAll } from '../octets.ts';
import { assertSentence, type Reader, same, sameInAnyPiecesAsync } from '../reader.ts';

const JOE = mailbox('joe@example.org');

const rules = parseRewrite({ 'root@q.example': 'ops@x.example', '*@old.example': '*@new.example' }, 'q.example', (domain) =>
  domain.toLowerCase(),
);
assert.ok(rules.ok);

/** Asserts that a field is one field, whoever reads it. */
function checkField({ name, raw }: Field): void {
  assert.ok(raw.startsWith(name), JSON.stringify(raw));
  assert.match(raw.slice(name.length), /^[ \t]*:/);
  assert.doesNotMatch(raw, /[\0\r]|\n(?![ \t])/, `not one field: ${JSON.stringify(raw)}`);
}

/** The wire's octets of a header section: only CRLF ends lines, and a reader finds the same fields again. */
async function checkPrinted(fields: readonly Field[]): Promise<void> {
  const encoder = contentEncoder('bdat');
  const wire = latin1(encoder.push(printHead(fields))) + latin1(encoder.end());
  assert.doesNotMatch(wire.replaceAll('\r\n', ''), /[\r\n]/);
  assert.ok(wire.endsWith('\r\n\r\n') || fields.length === 0);
  const again = await readHead(sourceOf(octets(`${wire}body`)), { limit: 1 << 20 });
  if (fields.some(isUnreadable)) return;
  assert.ok(again.ok, again.ok ? '' : again.detail);
  same(again.value.fields, fields, 'a reader finds other fields');
  assert.equal(latin1(again.value.rest), 'body');
}

/** A line that is longer than a line may be before its colon is none of a header section. */
const isUnreadable = ({ name, raw }: Field): boolean => raw.indexOf(':', name.length) > 900;

const HEADS = [
  'From: a@b\nTo: c@d, e\nSubject: hello\n world\nMessage-ID: <x@y>\nDate: x\n\nbody',
  'From joe Sat Nov 28 10:00:00 2026\nReceived: x\r\nResent-From: a\nResent-To: b@c\nBcc: x@y\n\n',
  'Subject: J\xc3\xb6rg\nFrom: J\xc3\xb6rg M\xc3\xbcller <j@\xc3\xbc.example>\nX-Y: \xff\nTo: M\xc3\xbcller, J <j@b>\n\n',
  'To :a@b\r\n\tc\r\rX: y\nno header here',
  'Return-Path: <x@y>\nFrom: "a\\"b" <root@q.example> (c (d))\nReply-To: x@old.example\nContent-Type: text/plain\n\n',
];

export const reader: Reader = {
  name: 'heads',
  seeds: HEADS.flatMap((head) => [head, `\x01${head}`, `\x06${head}`, `\x08${head}`]),
  words: [
    'From: ',
    'To: ',
    'Cc: ',
    'Bcc: ',
    'Subject: ',
    'Resent-From: ',
    'Resent-To: ',
    'Received: ',
    'Message-ID: ',
    'Reply-To: ',
    'Return-Path: ',
    '\n',
    '\n ',
    '\r\n',
    '\r',
    'a@b',
    '@old.example',
    '=?UTF-8?B?',
    '\xc3\xbc',
    '"',
    '(',
    ')',
    'Content-Type: ',
    'MIME-Version: 1.0',
  ],
  read: async (input) => {
    const got = await readHead(sourceOf(octets(input)), { limit: 1 << 24 });
    if (!got.ok || !rules.ok) return;
    const { fields } = got.value;
    collectRecipients(fields, [], { fromFields: true, argumentsWithT: 'add', qualifyRecipient: 'r.example', spell: (mailbox) => mailbox });
    await complete(rewriteFields(rules.value, quoteNames(fields), 'q.example'), { ...FACTS, forceFrom: true, from: FACTS.reversePath });
  },
  async run(input) {
    const first = input.charCodeAt(0);
    const [options, text] = first < 9 ? [first, input.slice(1)] : [0, input];
    const limit = (options & 8) > 0 ? 300 : 1 << 20;
    const read = await sameInAnyPiecesAsync(text, async (pieces) => {
      const source = sourceOf(...pieces.map(octets));
      const got = await readHead(source, { limit });
      if (!got.ok) return got;
      const { fields, rest, consumed } = got.value;
      assert.equal(latin1(rest) + (await readAll(source)).text, text.slice(consumed));
      return parsed({ fields, consumed });
    });
    if (!read.ok) return assertSentence(read.detail);
    const { fields, consumed } = read.value;
    assert.ok(consumed <= limit);
    fields.forEach(checkField);
    // Without a lone CR all that is no line end is in a field as it came.
    const head = text.slice(0, consumed);
    if (!/\r(?!\n)/.test(head) && !/^>*From /.test(head))
      assert.equal(fields.map(({ raw }) => raw).join('\n'), head.replaceAll('\r\n', '\n').replace(/\n*$/, ''));
    await checkPrinted(fields);

    const recipients = collectRecipients(fields, [], {
      fromFields: true,
      argumentsWithT: 'add',
      qualifyRecipient: 'r.example',
      spell: (mailbox) => mailbox,
    });
    if (!recipients.ok) assertSentence(recipients.detail);
    const kept = removeBcc(fields, { fromFields: true, keep: true });
    same(
      kept,
      fields.filter((field) => !isNamed(field, 'bcc') && !isNamed(field, 'resent-bcc')),
    );
    const quoted = quoteNames(kept);
    quoted.forEach(checkField);
    assert.ok(rules.ok);
    const rewritten = rewriteFields(rules.value, quoted, 'q.example');
    rewritten.forEach(checkField);

    const facts: CompletionFacts = {
      ...FACTS,
      header8bit: (options & 1) > 0 ? 'send' : 'encode',
      forceFrom: (options & 2) > 0,
      from: (options & 2) > 0 ? JOE : null,
      defaultCharset: (options & 4) > 0 ? 'iso-8859-15' : '',
    };
    const done = await complete(rewritten, facts);
    if (!done.ok) return assertSentence(done.detail);
    const out = done.value.fields;
    out.forEach(checkField);
    await checkPrinted(out);
    checkOwned(rewritten, out, facts);
    // Nothing is left to do, but where a name without an address has become an encoded word, which is a word like any other.
    const twice = await complete(out, facts);
    if (rewritten.every(({ raw }) => isAscii(raw))) {
      assert.ok(twice.ok, twice.ok ? '' : twice.detail);
      same(twice.value.fields, out, 'completed again it differs');
    }
    if (facts.header8bit === 'encode')
      for (const field of out) if (/^(subject|comments|x-.*)$/i.test(field.name)) assert.ok(isAscii(field.raw), field.raw);
  },
};

const ADDRESSES =
  /^(?:resent-)?(?:from|sender|reply-to|to|cc|bcc|errors-to|return-receipt-to|disposition-notification-to|apparently-to|mail-followup-to|mail-reply-to|x-.*)$/i;

/** Asserts that fields which need nothing stay, octet by octet and in their order. */
function checkOwned(before: readonly Field[], after: readonly Field[], { forceFrom }: CompletionFacts): void {
  const raws = after.map(({ raw }) => raw);
  let at = 0;
  for (const { name, raw } of before) {
    if (!isAscii(raw) || ADDRESSES.test(name) || name.toLowerCase() === 'return-path' || forceFrom) continue;
    const found = raws.indexOf(raw, at);
    assert.ok(found >= at, `gone or moved: ${JSON.stringify(raw)}`);
    at = found + 1;
  }
  const block = resentBlock(after);
  assert.ok(block.length > 0 || after.some((field) => isNamed(field, 'from')));
  assert.ok(after.every((field) => !isNamed(field, 'return-path')));
  if (after.some((field) => isNamed(field, 'message-id')))
    assert.ok(fieldBody(after.find((field) => isNamed(field, 'message-id')) as Field) !== undefined);
}
