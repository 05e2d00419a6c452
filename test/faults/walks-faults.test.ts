/** Walks find the faults that are put into the library. WALKS over 100 look for every fault, else for every third. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { within } from '../support/within.ts';
import { type Change, loadBundled, splitSource } from './support/bundle.ts';
import type * as Walks from './support/walks/walk.ts';

const test = suite('walks-faults');

const COUNT = Number(process.env.WALKS ?? 100);

const load = (changes: readonly Change[]) => loadBundled<typeof Walks>('test/faults/support/walks/walk.ts', changes);

/** Faults, and the check that finds each. */
const FAULTS: readonly (readonly [what: string, check: string, ...Change[]])[] = [
  [
    'a part that is null counts as the end of a content',
    'content that failed is sent to nobody',
    ['library/content.ts', 'const part = text.push(chunk);', 'if (chunk === null) return CLEAN;\n const part = text.push(chunk);'],
  ],
  [
    'a stream that was used is used again',
    'content is sent twice only where it can be read twice',
    ['library/content.ts', '  used.add(content);\n', ''],
  ],
  [
    'a content stays open',
    'content is closed',
    ['library/content.ts', 'value.known === null ? sent.finally(() => value.close()) : sent', 'sent'],
  ],
  [
    'an error of a stream has no listener',
    'nothing goes uncaught',
    ['library/content.ts', "stream.on('error', (error) => {\n    input.cause", "stream.on('nothing', (error) => {\n    input.cause"],
  ],
  [
    'memory that is gone counts as content',
    'who has a message has it whole',
    ['library/content.ts', '(this.#isThere ? source.read() : Promise.resolve(TAKEN_AWAY))', 'source.read()'],
  ],
  [
    'half a pair is forgotten',
    'content that failed is sent to nobody',
    ['library/content.ts', "return this.#half === '' ? null : HALF_PAIR;", 'return null;'],
  ],
  [
    'a pool sends again what is uncertain',
    'a message is committed once',
    ['library/pool.ts', "if (retry !== 'safe' || code", "if (retry === 'never' || code"],
  ],
  [
    'an envelope that a server would not hear behind a content is refused',
    'what has no fault arrives',
    ['smtp/client/session.ts', 'refusals.last.reply.code === 503', 'refusals.last.reply.code < 0'],
  ],
  ['a pool counts no messages', 'a pool keeps to its limits', ['library/pool.ts', 'given >= messages || ', '']],
  ['a pool knows no rate', 'a pool keeps to its limits', ['library/pool.ts', '+ rate.per <= now)', '+ rate.per / 2 <= now)']],
  [
    'a pool that is destroyed forgets what waits',
    'each message has an outcome',
    [
      'library/pool.ts',
      'task = this.#waiting.take())\n      task.settle(',
      'task = this.#waiting.take())\n      if (task === null) (task as Task).settle(',
    ],
  ],
  [
    'a session takes more messages than its server',
    'the client keeps to the protocol',
    ['library/open.ts', 'connection.isUsable && (most === null || sent < most)', 'connection.isUsable'],
  ],
  [
    'messages pass one another while they are read',
    'messages of a session keep their order',
    ['library/client.ts', 'Promise.all([this.#reading, this.#session.opened()])', 'null'],
  ],
  [
    'recipients that were refused count as taken',
    'whom an outcome calls taken has the message',
    ['library/outcome.ts', 'taken: refused.length === 0 ? all :', 'taken: refused.length >= 0 ? all :'],
  ],
  [
    'a deadline goes on behind the outcome',
    'no clock and no listener is left',
    ['submit/interrupts.ts', '    stop();\n    for', '    for'],
  ],
  ['a signal keeps a listener', 'no clock and no listener is left', ['submit/interrupts.ts', '.finally(unlink)', '']],
  [
    'eight bits go to everybody',
    'eight bits go only where they may',
    ['submit/seven-bits.ts', "if (treatment === 'pass') return message;", 'return message;'],
  ],
  [
    'a stream with eight bits that is refused fails as a broken one',
    'only what is at fault fails as input',
    ['message/mime/convert.ts', ", lacks: '8bitmime' };\n      return ended", ' };\n      return ended'],
  ],
  [
    'a signed part that is not converted fails as a broken stream',
    'only what is at fault fails as input',
    ['message/mime/convert.ts', "failure ??= { end: 'failed', detail, lacks: '8bitmime' };", "failure ??= { end: 'failed', detail };"],
  ],
  [
    'eight bits that are refused pass',
    'eight bits go only where they may',
    ['smtp/client/session.ts', "eightBit: eightBit === 'send' ?", "eightBit: eightBit !== 'convert' ?"],
  ],
  [
    'a signed part is altered',
    'who has a message has it whole',
    ['message/mime/part.ts', "  if (type === 'multipart' && subtype === 'signed') return 'signed';\n", ''],
  ],
  ['eight bits are not announced', 'eight bits are announced', ['smtp/client/print.ts', "words.push('BODY=8BITMIME')", "words.push('')"]],
  [
    'a recipient has parameters of DSN at every server',
    'the client keeps to the protocol',
    ['smtp/client/print.ts', "  if (offers(extensions, 'DSN')) {\n    if (notify", '  {\n    if (notify'],
  ],
  [
    'nobody is told who wants a notification',
    'what is asked for is said where it is understood',
    ['smtp/client/print.ts', 'words.push(`NOTIFY=${', 'words.push(...[], `NOTIFY=NEVER${'],
  ],
  [
    'the address before has no xtext',
    'what is asked for is said where it is understood',
    ['smtp/client/print.ts', '`rfc822;${xtext(', '`rfc822;${String('],
  ],
  [
    'DSN that is required is dropped',
    'nobody gets what it cannot take',
    ['smtp/client/print.ts', "(transaction) => transaction.dsn === 'require' && asksDsn(transaction)]", '() => false]'],
  ],
  [
    'every message needs DSN',
    'unsupported is what a server lacks',
    ['smtp/client/print.ts', "(transaction) => transaction.dsn === 'require' && asksDsn(transaction)]", 'asksDsn]'],
  ],
  [
    'an address beyond ASCII goes to every server',
    'nobody gets what it cannot take',
    ['smtp/client/print.ts', '({ smtputf8 }) => smtputf8]', '() => false]'],
  ],
  [
    'an address beyond ASCII is said without SMTPUTF8',
    'the client keeps to the protocol',
    ['smtp/client/print.ts', "if (transaction.smtputf8) words.push('SMTPUTF8');", ''],
  ],
  [
    'a domain beyond ASCII is said as it is written',
    'unsupported is what a server lacks',
    ['submit/domain.ts', 'return withDomain(mailbox, aLabels(mailbox.domain));', 'return mailbox;'],
  ],
  [
    'nodemailer takes what is uncertain for a lost connection',
    'nodemailer hears what became of a message',
    ['library/nodemailer/error.ts', "uncertain: 'EUNCERTAIN'", "uncertain: 'ECONNECTION'"],
  ],
  [
    'nodemailer has errors without retry',
    'nodemailer hears what became of a message',
    ['library/nodemailer/error.ts', '    retry,\n  });', "    retry: 'safe',\n  });"],
  ],
  [
    'nodemailer counts no dots',
    'nodemailer hears what became of a message',
    ['library/nodemailer/content.ts', '=== LF && octets[next] === DOT', '=== LF && octets[next] === CR'],
  ],
  [
    'a stream of nodemailer that failed has ended',
    'content that failed is sent to nobody',
    [
      'library/nodemailer/content.ts',
      '      this.#failed = { error };\n      throw error;',
      '      return { done: error !== null, value: NOTHING };',
    ],
  ],
  [
    'a pool of nodemailer is closed over what is composed',
    'only mistakes are usage',
    ['library/nodemailer/transport.ts', '      if (this.#isForced) throw poolClosed();\n', ''],
  ],
  [
    'a signal of nodemailer ends nothing',
    'a signal is obeyed in time',
    [
      'library/nodemailer/transport.ts',
      'octets, { signal, progress }));\n    } finally {\n      this',
      'octets, { progress }));\n    } finally {\n      this',
    ],
  ],
  [
    'nodemailer has no word for DSN',
    'what is asked for is said where it is understood',
    ['library/nodemailer/mail.ts', 'own ?? data.dsn ?? defaultDsn', 'own ?? defaultDsn'],
  ],
  [
    'QUIT waits as long as the server likes',
    'QUIT waits a second',
    ['transport/driver.ts', 'setTimeout(() => this.destroy(), FAREWELL)', 'setTimeout(() => this.destroy(), 40 * FAREWELL)'],
  ],
  [
    'a refused recipient is overlooked',
    'all or nobody',
    [
      'smtp/client/session.ts',
      '  if (isEnvelopeRefused(plan, state, refusals)) return failEnvelope(plan, endingOf(plan), state, refusals);\n  const framing',
      '  const framing',
    ],
  ],
  [
    'a lost verdict is taken for a lost connection',
    'of a message that failed nobody has anything',
    ['smtp/client/session.ts', "state.at === 'commit' ? doubt(plan, state, failure)", "state.at === 'greeting' ? failure"],
  ],
  [
    'credentials are printed as they are',
    'no word has a secret',
    [
      'submit/scrub.ts',
      'function maskRanges(text: string, ranges: Range[]): string {',
      'function maskRanges(text: string, ranges: Range[]): string {\n  if (ranges !== null) return text;',
    ],
  ],
];

/** Faults that only sockets show. */
const TLS_FAULTS: typeof FAULTS = [
  [
    'TLS that is required is done without',
    'nothing goes in clear where TLS must be',
    ['smtp/client/session.ts', "if (!secured && plan.tls === 'required')", "if (!secured && plan.tls === 'implicit')"],
  ],
  [
    'STARTTLS that is offered is passed over',
    'nothing goes in clear where TLS must be',
    ['smtp/client/session.ts', "if (!secured && plan.tls !== 'off' && offers", "if (!secured && plan.tls === 'required' && offers"],
  ],
  [
    'a certificate is not looked at',
    'a stranger is told nothing',
    ['transport/tls/tls.ts', 'const reason = distrust(peer, chain, attempt, anchors);', 'const reason = null as string | null;'],
  ],
  [
    'a certificate that is wrong is a broken handshake',
    'TLS fails by its own code',
    ['smtp/client/classify.ts', "certificate: 'tls-certificate'", "certificate: 'tls-handshake'"],
  ],
  [
    'TLS is not told of',
    'an outcome tells of TLS',
    ['library/outcome.ts', 'tls: tls && { cipher: tls.cipher, verified: tls.verified },', 'tls: null,'],
  ],
];

test('every fault can be put into the library', () => {
  for (const [, , ...changes] of [...FAULTS, ...TLS_FAULTS]) for (const change of changes) splitSource(change);
});

// At once, because sessions on sockets mostly wait. Then a walk may warn when another has ended that would have heard it.
test('walks on sockets find each of the faults that only sockets show', () =>
  within(120_000, async () => {
    const { emitWarning } = process;
    process.emitWarning = () => {};
    const sought = TLS_FAULTS.map(async ([what, check, ...changes]) => {
      const { findOnLoopback } = await load(changes);
      return (await findOnLoopback(check, 8)) ? [] : [`${what}: ${check}`];
    });
    try {
      assert.deepEqual((await Promise.all(sought)).flat(), [], 'not found');
    } finally {
      process.emitWarning = emitWarning;
    }
  }));

for (const [what, check, ...changes] of FAULTS.filter((_, i) => COUNT > 100 || i % 3 === 0))
  test(`walks find it when ${what}: ${check}`, async () => {
    const { findByCheck } = await load(changes);
    const { found, others } = await findByCheck(check, 300);
    assert.ok(found !== null, `not found; besides: ${others.slice(0, 3).join('\n') || 'nothing'}`);
  });

test.run();
