import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { Field } from '../../src/message/fields.ts';
import { collectRecipients, parseOperands, removeBcc } from '../../src/message/recipients.ts';
import { printMailbox } from '../../src/smtp/path.ts';

const test = suite('message/recipients');

const fieldsOf = (...raws: string[]): Field[] => raws.map((raw) => ({ name: raw.slice(0, raw.indexOf(':')).trimEnd(), raw }));

function collect(raws: string[], operands: string[], t: 'add' | 'remove' | null, qualifyRecipient = 'q.example'): string[] | string {
  const got = collectRecipients(fieldsOf(...raws), operands, {
    fromFields: t !== null,
    argumentsWithT: t ?? 'add',
    qualifyRecipient,
    spell: (mailbox) => mailbox,
  });
  return got.ok ? got.value.map(printMailbox) : got.detail;
}

/** [fields, arguments, -t with arguments_with_t or null, expected, why] */
const table: [string[], string[], 'add' | 'remove' | null, string[], string][] = [
  [[], ['a@x'], null, ['a@x'], 'an argument'],
  [[], ['a@x,b@y', ' c@z , ', ''], null, ['a@x', 'b@y', 'c@z'], 'comma lists, an empty argument'],
  [
    [],
    ['a@x\n', '\r\nb@x', 'c@x,\nd@x\r,\r\n\r\ne@x,\n', 'E\nF <f@x>', '\n'],
    null,
    ['a@x', 'b@x', 'c@x', 'd@x', 'e@x', 'f@x'],
    'line ends around addresses, as callers read them from a file',
  ],
  [[], ['root', '"x y" <b@y>', 'G: c@d;'], null, ['root@q.example', 'b@y', 'c@d'], 'bare, named, group'],
  [
    [],
    ['a@X', 'A@x', 'a@x', 'root', 'root@Q.example'],
    null,
    ['a@X', 'A@x', 'root@q.example'],
    'each once; the local-part decides by case',
  ],
  [['To: n@o'], ['a@x'], null, ['a@x'], 'without -t fields do not count'],
  [['To: a@x', 'Subject: b@x', 'Cc: c@x', 'Bcc: d@x', 'Reply-To: e@x'], [], 'add', ['a@x', 'c@x', 'd@x'], 'To, Cc, Bcc'],
  [['bcc: a@x', 'TO: b@x', 'To: c@x'], [], 'add', ['a@x', 'b@x', 'c@x'], 'any case, any order, more than one'],
  [
    ['To: "Doe, John" <a@x>,\n\tG: b@x (c, d) ,,\n  c@x;', 'Cc:', 'Bcc: undisclosed-recipients:;'],
    [],
    'add',
    ['a@x', 'b@x', 'c@x'],
    'folded, group, comment, empty lists',
  ],
  [['To: =?utf-8?Q?J,_D?= <a@x>'], [], 'add', ['a@x'], 'an encoded name'],
  [['To: <j\xc3\xb6rg>, \xc2\xa0a@x'], [], 'add', ['jörg@q.example', 'a@x'], 'outside ASCII in brackets, and a no-break space'],
  [[], ['jörg', '\u00a0a@x'], null, ['jörg@q.example', 'a@x'], 'as arguments'],
  [['To: undisclosed-recipients:;@host', 'Cc: Foo \\"Bar\\" <a@x>; b@x;'], [], 'add', ['a@x', 'b@x'], 'forms of other programs'],
  [['To : a@x'], [], 'add', ['a@x'], 'a blank before the colon'],
  [['To: a@x, b@x', 'Cc: A@X'], ['c@x', 'b@X'], 'add', ['c@x', 'b@X', 'a@x', 'A@X'], 'arguments are added, duplicates not'],
  [['To: a@x, b@x, root'], ['b@X, root'], 'remove', ['a@x'], 'arguments are removed after qualification'],
  [['To: a@x'], ['B@x'], 'remove', ['a@x'], 'nothing to remove'],
  [['To: a@x', 'Resent-To: b@x', 'Cc: c@x', 'Resent-Bcc: d@x'], [], 'add', ['b@x', 'd@x'], 'resent: only its recipients'],
  [
    ['Resent-From: r@x', 'Resent-To: b@x', 'Resent-From: s@x', 'Resent-To: c@x', 'To: a@x'],
    [],
    'add',
    ['b@x'],
    'the first block ends where a name comes again',
  ],
  [
    ['Resent-To: b@x', 'Resent-Cc: e@x', 'Received: x', 'Resent-Bcc: c@x', 'To: a@x'],
    [],
    'add',
    ['b@x', 'e@x'],
    'the first block ends at a trace field',
  ],
  [
    ['Received: x', 'Resent-To: b@x', 'Resent-To: c@x', 'Resent-Date: x', 'Resent-To: d@x'],
    [],
    'add',
    ['b@x', 'c@x'],
    'two fields of one name beside each other',
  ],
  [['Resent-To: b@x', 'Received: x', 'Resent-To: c@x'], [], 'add', ['b@x'], 'a block of one field'],
  [['Resent-To: b@x', 'To: a@x', 'Resent-Cc: c@x'], [], 'add', ['b@x', 'c@x'], 'a block may be scattered'],
  [['Resent-Date: x', 'To: a@x'], ['b@x'], 'add', ['b@x'], 'resent to arguments only: To is of the first sending'],
];

test('recipients come from arguments and fields', () => {
  for (const [fields, operands, t, expected, why] of table) assert.deepEqual(collect(fields, operands, t), expected, why);
});

const refused: [string[], string[], 'add' | 'remove' | null, RegExp, string][] = [
  [[], [], null, /^no recipients: there are no arguments, and -t was not given$/, 'nothing'],
  [[], [''], null, /^no recipients: the only argument is "", and -t was not given$/, 'an empty argument, as cron with MAILTO=""'],
  [[], ['', ',', '()', ' '], null, /^no recipients: 4 arguments hold no address \("" "," "\(\)" …\)/, 'several'],
  [[], ['', ',', '()'], null, /^no recipients: 3 arguments hold no address \("" "," "\(\)"\), and/, 'three'],
  [[], [`(${'x'.repeat(99)})`, ''], null, /^no recipients: 2 arguments hold no address \("\(x{59}…" ""\)/, 'a long one'],
  [[], ['x'.repeat(300)], null, /^the recipient "x{200}…" has no domain/, 'a long address'],
  [[], [`${'x'.repeat(300)}@@`], null, /^in the argument "x{200}…": "x{200}…" is not an address: /, 'a long argument'],
  [['To: '.concat('\xc3\xbc'.repeat(250))], [], 'add', /^in the To field: "ü{200}…" has no "@"/, 'a long word'],
  [['Subject: x'], [], 'add', /^no recipients: there are no arguments, and the To, Cc, Bcc fields hold no address$/, 'no field'],
  [
    ['Resent-Date: x', 'To: a@x'],
    [],
    'remove',
    /the Resent-To, Resent-Cc, Resent-Bcc fields hold no address$/,
    'a resent message without recipients',
  ],
  [['To: a@x'], ['a@X'], 'remove', /^no recipients: the arguments remove all/, 'all removed'],
  [['To: a@x', 'Cc: b@x, John Smith, c@x'], [], 'add', /^in the Cc field: "John Smith" is not an address: /, 'one bad address fails all'],
  [['To: a@x'], ['a@x', 'b@@x'], 'add', /^in the argument "b@@x": "b@@x" is not an address/, 'a bad argument'],
  [
    [],
    ['a@x\nb@x'],
    null,
    /^in the argument "a@x\\x0ab@x": "a@x b@x" is not an address: it has more than one "@"/,
    'a line end is no comma',
  ],
  [
    ['To: M\xc3\xbcller, J\xc3\xb6rg <j@x>'],
    [],
    'add',
    /^in the To field: "Müller" has no "@" and is not ASCII; if a name has a comma, put the name in quotes: "Müller, …" <address>$/,
    'the first part of a name with a comma',
  ],
  [['Cc: x@@y'], [], 'remove', /^in the Cc field/, 'a bad field with remove'],
  [['To: a@x'], ['"'], 'remove', /^in the argument """/, 'a bad argument with remove'],
];

test('no recipient at all, or one that is no address, fails the message', () => {
  for (const [fields, operands, t, expected, why] of refused) {
    const got = collect(fields, operands, t, why === 'a long address' ? '' : undefined);
    assert.match(String(got), expected, why);
  }
});

test('a bare address without a domain to qualify it names the key', () => {
  const wanted = 'the recipient "root" has no domain: set qualify_recipient, or write the address in full';
  assert.equal(collect([], ['a@x', 'root'], null, ''), wanted);
  assert.equal(collect(['To: root'], [], 'add', ''), wanted);
  assert.equal(collect(['To: a@x'], ['root'], 'remove', ''), wanted);
  assert.equal(collect(['To: root'], ['a@x'], 'remove', ''), wanted);
});

test('recipients of arguments are text, not octets', () => {
  const got = parseOperands(['jörg@müller.example']);
  assert.deepEqual(got, { ok: true, value: [{ localPart: 'jörg', domain: 'müller.example' }] });
});

test('Bcc leaves the message, except with keep_bcc and without -t', () => {
  const fields = fieldsOf('To: a', 'BCC: b', 'Resent-Bcc : c', 'X-Bcc: d', 'Bcc: e');
  const left = (fromFields: boolean, keep: boolean) => removeBcc(fields, { fromFields, keep }).map(({ raw }) => raw);
  const without = ['To: a', 'X-Bcc: d'];
  assert.deepEqual(left(true, false), without);
  assert.deepEqual(left(false, false), without);
  assert.deepEqual(left(true, true), without);
  assert.deepEqual(
    left(false, true),
    fields.map(({ raw }) => raw),
  );
});

test.run();
