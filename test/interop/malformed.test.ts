/**
 * Malformed header sections, through Exim in the mode that nospool stands in for and through nospool: the same recipients
 * and the same fields, octets aside that fold. Where they differ on purpose the row says so.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { type Command, installCommand, run } from './support/command.ts';
import { type Wrapper, wrapExim } from './support/exim.ts';
import { suiteWith } from './support/needs.ts';
import { DOMAIN } from './support/peer.ts';

const test = suiteWith('malformed header sections, as Exim takes them', 'root', 'exim4-daemon-heavy');

let host: TestHost;
let exim: Wrapper;
let command: Command;

test.before(async () => {
  host = await startHost({ offers: ['PIPELINING', '8BITMIME', 'SMTPUTF8'] });
  exim = wrapExim(host.port);
  command = installCommand();
  command.configure(
    `smarthosts = ["smtp://127.0.0.1:${host.port}"]\naliases = []\nqualify_domain = "${DOMAIN}"\nhostname = "exim.${DOMAIN}"\n`,
  );
});
test.after(async () => {
  exim.stop();
  await host.stop();
});

/** What a smart host was given, or why it was given nothing. */
interface Sent {
  readonly status: number | null;
  readonly stderr: string;
  readonly recipients: readonly string[];
  /** Unfolded, every run of blanks as one; without those that each of the two writes in its own way. */
  readonly fields: readonly string[];
  /** Words, because an empty line at its start may come of what no field could hold. */
  readonly body: readonly string[];
}

const OWN = /^(Message-ID|Date):/i;

async function sentBy(send: () => Promise<{ readonly status: number | null; readonly stderr: string }>): Promise<Sent> {
  const before = host.held.length;
  const { status, stderr } = await send();
  const [message, more] = host.held.slice(before);
  assert.equal(more, undefined, 'one message');
  const text = message?.octets.toString('latin1') ?? '';
  assert.doesNotMatch(text.replaceAll('\r\n', ''), /[\r\n]/, 'only CR LF on the wire');
  const end = text.startsWith('\r\n') ? 0 : text.indexOf('\r\n\r\n') + 2;
  const fields = text
    .slice(0, end)
    .split(/\r\n(?![ \t]|$)/)
    .map((field) =>
      field
        .replaceAll(/[ \t\r\n]+/g, ' ')
        .replace(/^([^\s:]+) :/, '$1:')
        .trim(),
    )
    .filter((field) => field !== '' && !OWN.test(field));
  const body = text.slice(end).split(/[ \t\r\n]+/);
  return { status, stderr, recipients: [...(message?.recipients ?? [])], fields, body: body.filter((word) => word !== '') };
}

async function bySame(args: readonly string[], input: string): Promise<readonly [exim: Sent, ours: Sent]> {
  return [await sentBy(() => exim.run(args, input)), await sentBy(() => run(command, args, input))];
}

const facts = ({ status, recipients, fields, body }: Sent) => ({ status, recipients, fields, body });

const FROM = 'From: s@x.example';
const content = (text: string) => `EHLO x\r\nMAIL FROM:<s@x.example>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n${text}\r\n.\r\nQUIT\r\n`;

/** [what, arguments, input]; without arguments -t and -i. */
const SAME: readonly (readonly [string, string, (readonly string[])?])[] = [
  ['CR CR LF ends lines', `To: a@b.example\r\r\nCc: c@d.example\r\r\nBcc: e@f.example\r\r\n${FROM}\r\r\n\r\r\nbody\r\r\n`],
  ['a lone CR makes no field', `To: a@b.example\nSubject: hi\rBcc: victim@x.example\r\rtext\n${FROM}\n\nbody\n`],
  ['a lone CR within an address list', `To: a@b.example,\rc@d.example\n${FROM}\n\nbody\n`],
  ['a lone CR within an address', `To: a@b.exa\rmple\n${FROM}\n\nbody\n`],
  ['a lone CR between addresses', `To: a@b.example\rc@d.example\n${FROM}\n\nbody\n`],
  ['a lone CR within Bcc', `To: a@b.example\nBcc: c@d.example,\re@f.example\n${FROM}\n\nbody\n`],
  ['a lone CR within MIME fields', `To: a@b.example\nMIME-Version: 1.0\nContent-Type: text/plain;\rcharset=utf-8\n${FROM}\n\nbody\n`],
  ['a lone CR before a blank', `To: a@b.example\nSubject: x\r y\r\tz\n${FROM}\n\nbody\n`],
  ['a lone CR behind the colon', `To:\ra@b.example\nSubject:\rx\n${FROM}\n\nbody\n`],
  ['a lone CR before the colon', `To\r: a@b.example\n${FROM}\n\nbody\n`],
  ['a lone CR within a name', `To: a@b.example\n${FROM}\nSubj\rect: x\n\nbody\n`],
  ['a lone CR at the start of a line', `To: a@b.example\n${FROM}\n\rBcc: c@d.example\n\nbody\n`],
  ['a lone CR at the start of the message', `\rTo: c@d.example\n${FROM}\n\nbody\n`, ['-i', 'a@b.example']],
  ['a CR before the empty line', `To: a@b.example\n${FROM}\n\r\nbody\n`],
  ['CRs and blanks at the end of a field', `To: a@b.example\nSubject: x\r \t\nX: y\n${FROM}\n\nbody\n`],
  ['a CR at the end of the file, in a field', `${FROM}\nTo: a@b.example\r`],
  ['CRs at the end of the file, on a line of their own', `To: a@b.example\n${FROM}\n\r\r`],
  ['a file of Mac OS 9', `Subject: x\rTo: c@d.example\r\rbody\r`, ['-i', 'a@b.example']],
  [
    'a lone CR behind a line of an mbox',
    `From s@x.example Mon Jan  1 00:00:00 2026\rTo: c@d.example\n${FROM}\n\nbody\n`,
    ['-i', 'a@b.example'],
  ],
  ['-bs', content(`Subject: hi\rReply-To: evil@x.example\r\n${FROM}\r\n\r\nbody`), ['-bs']],
  ['-bs, CR CR LF', content(`Subject: hi\r\r\n${FROM}\r\r\n\r\r\nbody`), ['-bs']],
  ['-bS', content(`Subject: hi\rReply-To: evil@x.example\n${FROM}\n\nbody`).replaceAll('\r\n', '\n'), ['-bS']],
];

for (const [what, input, args = ['-t', '-i']] of SAME)
  test(`M1, M6: ${what}: as Exim`, () =>
    within(30_000, async () => {
      const [theirs, ours] = await bySame(args, input);
      assert.deepEqual(facts(ours), facts(theirs), `${ours.stderr}${theirs.stderr}`);
    }));

/** [what, the body of To, recipients besides the one that Cc has]; Exim takes them. */
const TAKEN: readonly (readonly [string, string, readonly string[]])[] = [
  ['an empty group', 'undisclosed-recipients:;', []],
  ['a host behind an empty group', 'undisclosed-recipients:;@host', []],
  ['two ends of a group', 'undisclosed-recipients:;;', []],
  ['a host behind a group, and more', 'A:a@b.example;@host, c@d.example', ['a@b.example', 'c@d.example']],
  ['a comment behind a group', 'undisclosed-recipients:;(none)', []],
  ['a group that is not closed', 'list: a@b.example, c@d.example', ['a@b.example', 'c@d.example']],
  ['quotes that were quoted', 'Foo \\"Bar\\" <a@b.example>', ['a@b.example']],
  ['a comma that was quoted', 'Foo\\, Bar <a@b.example>', ['a@b.example']],
  ['a comment that is not closed', 'a@b.example (Foo', ['a@b.example']],
  ['empty elements', ',, a@b.example , (x),', ['a@b.example']],
  ['a route', '<@x.example,@y.example:a@b.example>', ['a@b.example']],
  ['blanks within an address', 'Foo <a @ b . example>', ['a@b.example']],
  ['words beside quoted strings', 'Foo "x" y "z" <a@b.example>', ['a@b.example']],
  ['a quoted local-part', '"a b"@b.example', ['"a b"@b.example']],
];

for (const [what, to, recipients] of TAKEN)
  test(`${what}: as Exim`, () =>
    within(30_000, async () => {
      const [theirs, ours] = await bySame(['-t', '-i'], `${FROM}\nTo: ${to}\nCc: z@z.example\n\nbody\n`);
      assert.deepEqual(facts(ours), facts(theirs), `${ours.stderr}${theirs.stderr}`);
      assert.deepEqual(ours.recipients, [...recipients, 'z@z.example']);
    }));

/** Nobody who is meant is lost or made up, as would be by Exim. */
const UNLIKE: readonly (readonly [string, string, readonly string[] | null])[] = [
  ['an address behind a group', 'A:a@b.example;c@d.example', ['a@b.example', 'c@d.example']],
  ['a semicolon first', ';a@b.example', ['a@b.example']],
  ['a comment that is not closed and holds the address', 'Foo (bar <a@b.example>', null],
];

for (const [what, to, recipients] of UNLIKE)
  test(`M6: ${what}: not as Exim`, () =>
    within(30_000, async () => {
      const [theirs, ours] = await bySame(['-t', '-i'], `${FROM}\nTo: ${to}\nCc: z@z.example\n\nbody\n`);
      assert.equal(theirs.status, 0);
      assert.notDeepEqual(theirs.recipients, ours.recipients);
      assert.deepEqual([ours.status, ours.recipients], recipients === null ? [1, []] : [0, [...recipients, 'z@z.example']]);
    }));

test('M1: LF alone in a header section whose first line ends with CR LF: a line end, where Exim folds', () =>
  within(30_000, async () => {
    const [theirs, ours] = await bySame(['-t', '-i'], `To: a@b.example\r\nSubject: x\nX: y\r\n${FROM}\r\n\r\nbody\r\n`);
    assert.deepEqual(theirs.fields, ['To: a@b.example', 'Subject: x X: y', FROM]);
    assert.deepEqual(facts(ours), { ...facts(theirs), fields: ['To: a@b.example', 'Subject: x', 'X: y', FROM] });
  }));

test('M1: any header section, however its CRs lie', () => {
  const crs = fc.constantFrom('\r', '\r\r', '\r ', ' \r', '\r\t', '\r\r\r');
  const addresses = fc.constantFrom('b@x.example', ',c@x.example', ',', ' ', '(d@x.example)', ',E: f@x.example;,');
  const words = fc.constantFrom('word', ':', 'Bcc: v@x.example', 'X: 1', ' ', '.', '<g@x.example>');
  const field = fc.oneof(
    fc.tuple(fc.constantFrom('To', 'Cc', 'Bcc', 'Bcc\r'), fc.array(fc.oneof(addresses, crs), { maxLength: 4 })),
    fc.tuple(fc.constantFrom('Subject', 'X-Y ', 'X\r', 'Sub\rject', '\rBcc'), fc.array(fc.oneof(words, crs), { maxLength: 5 })),
  );
  const section = fc.tuple(fc.array(field, { minLength: 1, maxLength: 4 }), fc.constantFrom('\n', '\r\n', '\r\r\n'), fc.boolean());
  return within(240_000, () =>
    fc.assert(
      fc.asyncProperty(section, async ([fields, end, ends]) => {
        const lines = [`To: a@x.example`, FROM, ...fields.map(([name, parts]) => `${name}: ${parts.join('')}`)];
        const input = `${lines.join(end)}${ends ? `${end}${end}body${end}` : ''}`;
        const [theirs, ours] = await bySame(['-t', '-i'], input);
        assert.deepEqual(facts(ours), facts(theirs), `${JSON.stringify(input)}\n${ours.stderr}${theirs.stderr}`);
      }),
      { numRuns: 60 },
    ),
  );
});

test.run();
