/**
 * The content of a submission: the completed header section, the facts of the whole message, and how its octets are opened.
 * Loopback: nothing connects.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { takeBody } from '../../src/message/body.ts';
import { readHead } from '../../src/message/head.ts';
import { parseRewrite } from '../../src/message/rewrite.ts';
import { type Source, sourceOf } from '../../src/message/source.ts';
import type { Parsed } from '../../src/smtp/parsed.ts';
import { type ComposedContent, composeContent } from '../../src/submit/content.ts';
import { domainsOf } from '../../src/submit/envelope.ts';
import type { Submission } from '../../src/submit/submission.ts';
import { mailbox, uncheckedMailbox } from '../support/mailbox.ts';
import { settingsOf } from '../support/settings.ts';

const test = suite('content');

const TO = { path: mailbox('ann@there.example'), original: mailbox('ann@there.example'), router: 'r' };

interface Changes {
  readonly config?: string;
  readonly charset?: string;
  readonly add?: readonly string[];
  readonly remove?: readonly string[];
  readonly to?: string;
  readonly submission?: Partial<Submission>;
}

async function compose(message: string, { config = '', charset = 'UTF-8', add = [], remove = [], to, submission }: Changes = {}) {
  const settings = settingsOf(`smarthosts = ["mail.example"]\nhostname = "box.example.org"\n${config}`);
  const domains = domainsOf(settings, '');
  const source = sourceOf(Buffer.from(message, 'latin1'));
  const head = await readHead(source, { limit: settings.headerLimit });
  assert.ok(head.ok);
  const body = await takeBody(head.value.rest, source, { window: settings.replayWindow, again: null, fileSize: null });
  assert.ok(body.ok);
  const rewrite = parseRewrite({}, '');
  assert.ok(rewrite.ok);
  const by = {
    login: 'tim',
    hostname: '',
    fullName: async () => 'Tim',
    charset,
    date: new Date(2026, 10, 22, 9, 5, 7),
    unique: '1xOWGK-000101-WE',
    version: '0',
  };
  const recipients = { operands: [], fromFields: false };
  return composeContent(
    { config: settings, by, input: source, recipients, reversePath: undefined, dotEnds: false, ...submission },
    domains,
    head.value.fields,
    body.value,
    {
      route: { hosts: [], changes: { add, remove } },
      rewrite: rewrite.value,
      from: null,
      reversePath: mailbox('tim@box.example.org'),
      recipients: [to === undefined ? TO : { ...TO, path: uncheckedMailbox(to, 'there.example') }],
    },
  );
}

const composedOf = (composed: Parsed<ComposedContent>): ComposedContent => {
  assert.ok(composed.ok, composed.ok ? '' : composed.detail);
  return composed.value;
};
const detailOf = (composed: Parsed<ComposedContent>): string => (composed.ok ? '' : composed.detail);

async function read(source: Source | null): Promise<string> {
  assert.ok(source);
  let text = '';
  for (;;) {
    const got = await source.read();
    if (!(got instanceof Uint8Array)) {
      source.close();
      return got.end === 'clean' ? text : `${text}! ${got.detail}`;
    }
    text += Buffer.from(got).toString('latin1');
  }
}

const HEAD = 'Subject: x\nFrom: tim@box.example.org\nDate: Sun, 22 Nov 2026 09:05:07 +0000\nMessage-ID: <1@box.example.org>\n';

test('a whole message has its exact size and its Message-ID, and opens as often as it is asked for', async () => {
  const { content, transaction, messageId, notes } = composedOf(await compose(`${HEAD}Bcc: eve@there.example\n\nhello\n`));
  assert.equal(messageId, '<1@box.example.org>');
  assert.deepEqual(notes, []);
  assert.equal(content.replayable, true);
  for (const last of [false, true]) {
    const text = await read(content.open('pass', last));
    assert.equal(text, `${HEAD}\nhello\n`);
    assert.equal(transaction.size, text.replaceAll('\n', '\r\n').length);
  }
  assert.equal(transaction.eightBit, 'none');
});

test('8-bit content names its charset, and passes, is converted or is refused as the treatment says', async () => {
  const { content, transaction } = composedOf(await compose(`${HEAD}\ngr\xc3\xbc\xc3\x9fe\n`, { charset: '' }));
  assert.equal(transaction.eightBit, 'some');
  assert.match(await read(content.open('pass', false)), /^Content-Type: text\/plain; charset=UTF-8$[\s\S]*gr\xc3\xbc\xc3\x9fe\n$/m);
  assert.match(await read(content.open('convert', false)), /^Content-Transfer-Encoding: (quoted-printable|base64)\r?$/m);
  assert.match(await read(content.open('refuse', false)), /! /);
  const untouched = content.open('convert', false);
  untouched?.close();
  const foreign = composedOf(await compose(`${HEAD}\ngr\xfc\xdfe\n`, { charset: 'ISO-8859-1' }));
  assert.match(await read(foreign.content.open('pass', false)), /charset=ISO-8859-1/i);
  const unknown = composedOf(await compose(`${HEAD}\ngr\xfc\xdfe\n`, { charset: '' }));
  assert.doesNotMatch(await read(unknown.content.open('pass', false)), /charset=ISO/i);
});

test('a line of more than 998 octets is noted, or refused in body and header section', async () => {
  const long = 'y'.repeat(1000);
  assert.deepEqual(composedOf(await compose(`${HEAD}\n${long}\n`)).notes, ['a line of the message is longer than 998 octets']);
  const config = 'long_lines = "refuse"';
  assert.match(detailOf(await compose(`${HEAD}\n${long}\n`, { config })), /^a line is longer than 998 octets/);
  assert.match(detailOf(await compose(`X: ${long}\n${HEAD}\nhello\n`, { config })), /^a line is longer than 998 octets/);
  assert.equal(await read(composedOf(await compose(`${HEAD}\nhello\n`, { config })).content.open('pass', true)), `${HEAD}\nhello\n`);
});

test('a From field that is missing is made with the full name of who runs this', async () => {
  const fromOf = async (head: string) => {
    const text = await read(composedOf(await compose(`${head}\n\nhello\n`)).content.open('pass', true));
    return /^From: (.*?)\r?$/m.exec(text)?.[1];
  };
  assert.equal(await fromOf('Subject: x'), 'Tim <tim@box.example.org>');
  assert.equal(await fromOf('From: ann@there.example'), 'ann@there.example');
});

test('the route removes fields before it adds some, and a field that is none is refused', async () => {
  const { content } = composedOf(await compose(`X-One: 1\n${HEAD}\nhello\n`, { remove: ['x-one'], add: ['X-One: 2'] }));
  const text = await read(content.open('pass', true));
  assert.match(text, /^X-One: 2$/m);
  assert.doesNotMatch(text, /^X-One: 1$/m);
  assert.match(detailOf(await compose(`${HEAD}\nhello\n`, { add: ['no field'] })), /^headers_add "no field": /);
});

test('the sentence about SMTPUTF8 names the first address that is not ASCII', async () => {
  const { transaction } = composedOf(await compose(`${HEAD}\nhello\n`, { to: 'günther' }));
  assert.deepEqual([transaction.smtputf8, transaction.smtputf8For], [true, 'a recipient is günther@there.example']);
  const plain = composedOf(await compose(`${HEAD}\nhello\n`)).transaction;
  assert.deepEqual([plain.smtputf8, plain.smtputf8For], [false, undefined]);
});

test('DSN parameters are those of the submission, and an empty ENVID is none', async () => {
  const { transaction } = composedOf(await compose(`${HEAD}\nhello\n`, { submission: { ret: 'HDRS', envid: 'id' } }));
  assert.deepEqual([transaction.ret, transaction.envid], ['HDRS', 'id']);
  assert.equal(composedOf(await compose(`${HEAD}\nhello\n`, { submission: { envid: '' } })).transaction.envid, undefined);
});

test.run();
