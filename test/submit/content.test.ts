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
  readonly from?: string;
  /** Octets of a file that the body is read from. */
  readonly fileSize?: number;
  readonly submission?: Partial<Submission>;
  /** The configuration says the host's name. */
  readonly isHostGiven?: boolean;
  /** Counts how often the full name is looked up. */
  readonly named?: () => void;
}

async function compose(
  message: string,
  { config = '', charset = 'UTF-8', add = [], remove = [], to, from = 'tim', fileSize, submission, isHostGiven, named }: Changes = {},
) {
  const settings = settingsOf(`smarthosts = ["mail.example"]\n${isHostGiven ? '' : 'hostname = "box.example.org"\n'}${config}`);
  const domains = domainsOf(settings, '');
  const source = sourceOf(Buffer.from(message, 'latin1'));
  const head = await readHead(source, { limit: settings.headerLimit });
  assert.ok(head.ok);
  const body = await takeBody(head.value.rest, source, { window: settings.replayWindow, again: null, fileSize: fileSize ?? null });
  assert.ok(body.ok);
  const rewrite = parseRewrite({}, '', (domain) => domain.toLowerCase());
  assert.ok(rewrite.ok);
  const by = {
    login: 'tim',
    hostname: '',
    fullName: async () => {
      named?.();
      return 'Tim';
    },
    charset,
    date: new Date(2026, 10, 22, 9, 5, 7),
    id: '1xOWGK-000101-WE',
    unique: '1xOWGK-000101-WE.7abcDEF0',
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
      reversePath: uncheckedMailbox(from, 'box.example.org'),
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

test('how far the conversion looks ahead, and what it makes of a wrong label, depends on whether all of a message is at hand', async () => {
  const labelled = (body: string) => `${HEAD}MIME-Version: 1.0\nContent-Transfer-Encoding: 7bit\n\n${body}`;
  const converted = async (body: string, config = '') =>
    read(composedOf(await compose(labelled(body), { config })).content.open('convert', true));
  // 64 KiB are looked at where more may follow.
  const long = `${'x'.repeat(69)}\n`.repeat(1000);
  assert.match(await converted(`${long}\xc3\xa9`), /quoted-printable[\s\S]*=C3=A9$/);
  assert.match(await converted('gr\xc3\xbc'), /quoted-printable[\s\S]*gr=C3=BC$/);
  const streamed = 'replay_window = "1KiB"';
  assert.match(await converted(`${long}\xc3\xa9`, streamed), /! .*announced as 7bit/);
  assert.match(await converted(`gr\xc3\xbc${long}`, streamed), /! .*announced as 7bit/);
});

test('8-bit fields of enclosed messages and parts are labelled with the charset that is configured', async () => {
  const enclosed = `${HEAD}MIME-Version: 1.0\nContent-Type: message/rfc822\n\nSubject: gr\xfcn\nContent-Type: a/b; name="\xfc"\n\nx\n`;
  for (const [config, label, parameter] of [
    ['', 'unknown-8bit', 'unknown-8bit'],
    ['default_charset = "KOI8-R"', 'KOI8-R', 'KOI8-R'],
  ] as const) {
    const text = await read(composedOf(await compose(enclosed, { config, charset: '' })).content.open('convert', true));
    assert.match(text, new RegExp(`^Subject: =\\?${label}\\?Q\\?gr=FCn\\?=\\r?$`, 'm'));
    assert.match(text, new RegExp(`; name\\*=${parameter}''%FC\\r?$`, 'm'));
  }
});

test('a line of more than 998 octets is noted, or refused in body and header section', async () => {
  const long = 'y'.repeat(1000);
  for (const message of [`${HEAD}\n${long}\n`, `X: ${long}\n${HEAD}\nhello\n`])
    assert.deepEqual(composedOf(await compose(message)).notes, ['a line of the message is longer than 998 octets']);
  const config = 'long_lines = "refuse"';
  assert.match(detailOf(await compose(`${HEAD}\n${long}\n`, { config })), /^a line is longer than 998 octets/);
  assert.match(detailOf(await compose(`X: ${long}\n${HEAD}\nhello\n`, { config })), /^a line is longer than 998 octets/);
  assert.equal(await read(composedOf(await compose(`${HEAD}\nhello\n`, { config })).content.open('pass', true)), `${HEAD}\nhello\n`);
});

test('lines of 998 octets are as long as lines may be, in body and header section', async () => {
  const config = 'long_lines = "refuse"';
  const [whole, longer] = [998, 999].map((length) => `X: ${'y'.repeat(length - 3)}`);
  for (const message of [`${HEAD}\n${whole}\n`, `${whole}\n${HEAD}\nhello\n`]) {
    const { content, notes } = composedOf(await compose(message, { config }));
    assert.deepEqual(notes, []);
    assert.ok((await read(content.open('pass', true))).includes(whole as string));
  }
  for (const message of [`${HEAD}\n${longer}\n`, `${longer}\n${HEAD}\nhello\n`])
    assert.equal(detailOf(await compose(message, { config })), 'a line is longer than 998 octets, and long_lines = "refuse"');
});

test('a From field that is missing, or written anew, is made with the full name of who runs this, which is looked up for nothing else', async () => {
  const fromOf = async (head: string, config = '') => {
    let lookups = 0;
    const named = () => {
      lookups += 1;
    };
    const text = await read(composedOf(await compose(`${head}\n\nhello\n`, { config, named })).content.open('pass', true));
    return [/^From: (.*?)\r?$/m.exec(text)?.[1], lookups];
  };
  assert.deepEqual(await fromOf('Subject: x'), ['Tim <tim@box.example.org>', 1]);
  assert.deepEqual(await fromOf('From: ann@there.example'), ['ann@there.example', 0]);
  assert.deepEqual(await fromOf('From: ann@there.example', 'force_from = true\nfrom = "web@box.example.org"'), ['ann@there.example', 1]);
});

test('Bcc stays only where it is asked for, and never where the recipients were taken from it', async () => {
  const keptBy = async (config: string, recipients: Submission['recipients']) => {
    const composed = await compose(`${HEAD}Bcc: eve@there.example\n\nhello\n`, { config, submission: { recipients } });
    return /^Bcc: eve/m.test(await read(composedOf(composed).content.open('pass', true)));
  };
  const [arguments_, fields] = [false, true].map((fromFields) => ({ operands: ['a@b.example'], fromFields }));
  for (const [config, recipients, isKept] of [
    ['', arguments_, false],
    ['keep_bcc = true', arguments_, true],
    ['keep_bcc = true', fields, false],
    ['keep_bcc = true', { paths: [] }, true],
  ] as const)
    assert.equal(await keptBy(config, recipients as Submission['recipients']), isKept, config);
});

test('a header section with 8-bit text is encoded with the charset that is configured, else with the caller’s, or sent as it is', async () => {
  const headOf = async (field: string, config: string, charset = '') => {
    const composed = composedOf(await compose(`${field}\n${HEAD.replace('Subject: x\n', '')}\nhello\n`, { config, charset }));
    const text = await read(composed.content.open('pass', true));
    return [text.slice(0, text.indexOf('\nDate:')).replace('\nFrom: tim@box.example.org', ''), composed.transaction.eightBit];
  };
  const subject = 'Subject: gr\xfcn';
  const inBase64 = (text: string) => `=?UTF-8?B?${Buffer.from(text).toString('base64')}?=`;
  assert.deepEqual(await headOf(subject, 'default_charset = "latin1"', 'KOI8-R'), [`Subject: ${inBase64('grün')}`, 'none']);
  assert.deepEqual(await headOf(subject, '', 'KOI8-R'), [`Subject: ${inBase64('grЭn')}`, 'none']);
  assert.deepEqual(await headOf(subject, '', ''), ['Subject: =?unknown-8bit?Q?gr=FCn?=', 'none']);
  assert.deepEqual(await headOf(subject, 'header_8bit = "send"', 'KOI8-R'), [subject, 'some']);
  const to = 'To: M\xc3\xbcller, Ann <ann@b.example>';
  assert.deepEqual(await headOf(to, ''), [`To: ${inBase64('Müller, Ann')} <ann@b.example>`, 'none']);
  const alone = composedOf(await compose('From: M\xc3\xbcller, Ann <ann@b.example>\n\nhello\n'));
  assert.ok((await read(alone.content.open('pass', true))).startsWith(`From: ${inBase64('Müller, Ann')} <ann@b.example>\n`));
  // Without quotes the word is an address, and what is sent as it is may be one.
  assert.deepEqual(await headOf(to, 'header_8bit = "send"'), [to.replace(',', '@box.example.org,'), 'some']);
});

test('domains that are not ASCII are A-labels in the header section, also in an identifier of ours', async () => {
  const composed = composedOf(
    await compose('From: tim@m\xc3\xbcller.example\nDate: Sun, 22 Nov 2026 09:05:07 +0000\n\nhello\n', {
      config: 'qualify_domain = "x.example"',
    }),
  );
  assert.match(await read(composed.content.open('pass', true)), /^From: tim@xn--mller-kva\.example$/m);
  for (const [hostname, right] of [
    ['box.example.org', 'box.example.org'],
    ['m\u00fcller.example', 'xn--mller-kva.example'],
    ['my_app.local', 'my_app.local'],
  ]) {
    const { messageId } = composedOf(
      await compose('From: a@b.example\n\nhello\n', { config: `hostname = "${hostname}"`, isHostGiven: true }),
    );
    assert.equal(messageId, `<1xOWGK-000101-WE.7abcDEF0@${right}>`);
  }
});

test('a Received field is added where it is asked for, and names a single recipient', async () => {
  const receivedOf = async (config: string) => {
    const text = await read(composedOf(await compose(`${HEAD}\nhello\n`, { config })).content.open('pass', true));
    return text.slice(0, text.indexOf('\nSubject:') + 1).replaceAll(/\n\t/g, ' ');
  };
  assert.equal(await receivedOf('received = false'), '');
  assert.match(
    await receivedOf('received = true'),
    /^Received: from tim by box\.example\.org with local \(nospool 0\) \(envelope-from <tim@box\.example\.org>\) id 1xOWGK-000101-WE for <ann@there\.example>; Sun, 22 Nov 2026 09:05:07 \S+\n$/,
  );
});

test('of a message that is longer than the window its size is estimated, if at all, and of 8-bit text only what is in the window is known', async () => {
  const config = 'replay_window = "4KiB"';
  const lines = `${'x'.repeat(63)}\n`.repeat(100);
  for (const [body, fileSize, estimate, eightBit] of [
    [lines, undefined, null, 'unknown'],
    [lines, 6400, Math.round((6400 * 65) / 64), 'unknown'],
    [`\xe4${lines}`, undefined, null, 'some'],
  ] as const) {
    const { transaction, content, notes } = composedOf(
      await compose(`${HEAD}\n${body}`, { config, charset: 'ISO-8859-1', ...(fileSize === undefined ? {} : { fileSize }) }),
    );
    const head = (await read(content.open('pass', true))).split('\n\n')[0] as string;
    const size = `${head}\n\n`.replaceAll('\n', '\r\n').length;
    assert.deepEqual(
      [transaction.size, transaction.estimate, transaction.eightBit, notes],
      [null, estimate === null ? null : estimate + size, eightBit, []],
    );
  }
});

test('text whose window ends within a character is UTF-8 all the same, but a whole text that ends so is not', async () => {
  const labelOf = async (body: string, config = '') => {
    const composed = composedOf(await compose(`${HEAD}\n${body}`, { config, charset: '' }));
    return /charset=(\S+)/.exec(await read(composed.content.open('pass', true)))?.[1];
  };
  assert.equal(await labelOf('gr\xc3'), 'unknown-8bit');
  assert.equal(await labelOf('gr\xc3\xbc'), 'UTF-8');
  assert.equal(await labelOf(`${'x'.repeat(1100)}gr\xc3`, 'replay_window = "1KiB"'), 'UTF-8');
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
  const sender = composedOf(await compose(`${HEAD}\nhello\n`, { from: 'jörg', to: 'günther' })).transaction;
  assert.deepEqual([sender.smtputf8, sender.smtputf8For], [true, 'the sender is jörg@box.example.org']);
  const named = composedOf(await compose(`To: j\xc3\xb6rg@b.example\n${HEAD}\nhello\n`)).transaction;
  assert.deepEqual([named.smtputf8, named.smtputf8For], [true, 'the To field has jörg@b.example']);
  const plain = composedOf(await compose(`${HEAD}\nhello\n`)).transaction;
  assert.deepEqual([plain.smtputf8, plain.smtputf8For], [false, undefined]);
});

test('DSN parameters are those of the submission, and an empty ENVID is none', async () => {
  const { transaction } = composedOf(await compose(`${HEAD}\nhello\n`, { submission: { ret: 'HDRS', envid: 'id' } }));
  assert.deepEqual([transaction.ret, transaction.envid], ['HDRS', 'id']);
  assert.equal(composedOf(await compose(`${HEAD}\nhello\n`, { submission: { envid: '' } })).transaction.envid, undefined);
});

test.run();
