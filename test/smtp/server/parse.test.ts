import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { parseMailbox, printPath } from '../../../src/smtp/path.ts';
import { type Command, parameterOf, parseCommand } from '../../../src/smtp/server/parse.ts';
import { utf8 } from '../../../src/smtp/text.ts';

const test = suite('command');

/** The command on one line, paths and parameters as they would be written. */
function shown(command: Command): string {
  switch (command.verb) {
    case 'MAIL':
    case 'RCPT':
      return [command.verb, printPath(command.path), ...command.parameters.map((p) => `${p.keyword}=${p.value}`)].join(' ');
    case 'EHLO':
    case 'HELO':
    case 'LHLO':
      return `${command.verb} ${command.domain}`;
    case 'BDAT':
      return `BDAT ${command.octets} ${command.last}`;
    case 'AUTH':
      return `AUTH ${command.mechanism} ${command.initial}`;
    case 'malformed':
      return `malformed ${command.of}: ${command.detail}`;
    default:
      return command.verb;
  }
}

const CASES: readonly (readonly [string, string, string])[] = [
  ['EHLO mail.example.org', 'EHLO mail.example.org', 'plain'],
  ['ehlo mail.example.org', 'EHLO mail.example.org', 'any case'],
  ['HELO [192.0.2.1]', 'HELO [192.0.2.1]', 'a literal'],
  ['LHLO x  ', 'LHLO x', 'blanks at the end'],
  ['EHLO under_score', 'EHLO under_score', 'one word is enough'],
  ['EHLO', 'malformed EHLO: the name of the client is missing', 'no name'],
  ['EHLO a b', 'malformed EHLO: one name is expected', 'two names'],
  ['NOOP1', 'unknown', 'so it is with a digit'],
  ['EHLOx', 'unknown', 'a longer word is another word'],
  ['MAIL FROM:<a@b.example>', 'MAIL <a@b.example>', 'plain'],
  ['mail from:<a@b.example>', 'MAIL <a@b.example>', 'any case'],
  ['MAIL FROM:<>', 'MAIL <>', 'the null reverse-path'],
  ['MAIL FROM: <a@b.example>', 'MAIL <a@b.example>', 'a blank before the path'],
  ['MAIL FROM:a@b.example SIZE=5', 'MAIL <a@b.example> SIZE=5', 'no brackets'],
  ['MAIL FROM:"a b"@c.example SIZE=5', 'MAIL <"a b"@c.example> SIZE=5', 'no brackets, quoted'],
  ['MAIL FROM:<a@b.example> SIZE=5 body=8bitmime SMTPUTF8', 'MAIL <a@b.example> SIZE=5 BODY=8bitmime SMTPUTF8=null', 'parameters'],
  ['MAIL FROM:<a@b.example>  X=1\tY=2 ', 'MAIL <a@b.example> X=1 Y=2', 'any blanks between parameters'],
  ['MAIL FROM:<"a>b"@c.example>', 'MAIL <"a>b"@c.example>', 'a bracket inside a quoted-string'],
  ['MAIL FROM:<"a\\"> b"@c.example>', 'MAIL <"a\\"> b"@c.example>', 'a quoted quote'],
  ['MAIL FROM:<@x.example,@y.example:a@b.example>', 'MAIL <a@b.example>', 'a source route is dropped'],
  ['MAIL FROM:<a@b.example> AUTH=<>', 'MAIL <a@b.example> AUTH=<>', 'RFC 4954'],
  ['MAIL FROM:<a@b.example> X=', 'malformed MAIL: "X=" is not a parameter', 'an empty value'],
  ['MAIL FROM:<a@b.example> X=1=2', 'malformed MAIL: "X=1=2" is not a parameter', 'two equals signs'],
  ['MAIL FROM:<a@b.example> -X', 'malformed MAIL: "-X" is not a parameter', 'a bad keyword'],
  ['MAIL FROM:<a@b.example> X=1 x=2', 'malformed MAIL: the parameter X is given twice', 'a parameter twice'],
  ['MAIL FROM:<a@b.example>SIZE=5', 'malformed MAIL: a blank is expected after the address', 'no blank'],
  ['MAIL FROM:<a@b.example', 'malformed MAIL: the address is not closed by ">"', 'no closing bracket'],
  ['MAIL FROM:<"a@b.example>', 'malformed MAIL: the address is not closed by ">"', 'no closing quote'],
  ['MAIL FROM:', 'malformed MAIL: the address is missing', 'nothing'],
  ['MAIL FROM', 'malformed MAIL: "FROM:<address>" is expected', 'no colon'],
  ['MAIL TO:<a@b.example>', 'malformed MAIL: "FROM:<address>" is expected', 'the wrong word'],
  ['MAIL', 'malformed MAIL: "FROM:<address>" is expected', 'alone'],
  ['MAIL FROM:<a b@c.example>', 'malformed MAIL: "a b" is not a local-part; quote it if it is meant', 'a bad local-part'],
  ['RCPT TO:<a@b.example> NOTIFY=NEVER', 'RCPT <a@b.example> NOTIFY=NEVER', 'plain'],
  ['RCPT TO:<postmaster>', 'RCPT <postmaster>', 'a local-part alone'],
  ['RCPT TO:<>', 'malformed RCPT: the local-part is missing', 'no null forward-path'],
  ['RCPT FROM:<a@b.example>', 'malformed RCPT: "TO:<address>" is expected', 'the wrong word'],
  ['RCPT TO:<a@b.example>\tNOTIFY=NEVER', 'RCPT <a@b.example> NOTIFY=NEVER', 'a tab'],
  [utf8('RCPT TO:<jürgen@bücher.example>'), 'RCPT <jürgen@bücher.example>', 'UTF-8'],
  ['RCPT TO:<j\xfcrgen@b.example>', 'malformed RCPT: the line is not valid UTF-8', 'latin1'],
  ['RCPT TO:<a@b.example>\0', 'malformed RCPT: a control character is not allowed in a command', 'NUL'],
  ['RCPT TO:<a@b.example>\rDATA', 'malformed RCPT: a control character is not allowed in a command', 'a lone CR'],
  ['BDAT 0 LAST', 'BDAT 0 true', 'an empty last chunk'],
  ['bdat 1000 last', 'BDAT 1000 true', 'any case'],
  ['BDAT 1000', 'BDAT 1000 false', 'not the last'],
  ['BDAT', 'malformed BDAT: a number of octets is expected, and LAST or nothing after it', 'no number'],
  ['BDAT -1', 'malformed BDAT: a number of octets is expected, and LAST or nothing after it', 'a negative number'],
  ['BDAT 1e3', 'malformed BDAT: a number of octets is expected, and LAST or nothing after it', 'another notation'],
  ['BDAT 1234567890123456', 'malformed BDAT: a number of octets is expected, and LAST or nothing after it', 'beyond exact numbers'],
  ['BDAT 5 FIRST', 'malformed BDAT: a number of octets is expected, and LAST or nothing after it', 'another word'],
  ['AUTH PLAIN', 'AUTH PLAIN null', 'no initial response'],
  ['auth plain AAAA', 'AUTH PLAIN AAAA', 'an initial response'],
  ['AUTH PLAIN =', 'AUTH PLAIN =', 'an empty one'],
  ['AUTH PLAIN A B', 'malformed AUTH: one initial response is expected', 'two'],
  ['AUTH', 'malformed AUTH: the name of a mechanism is expected', 'no mechanism'],
  ['AUTH @', 'malformed AUTH: the name of a mechanism is expected', 'not a name'],
  ['DATA', 'DATA', 'plain'],
  ['DATA ', 'DATA', 'a blank at the end'],
  ['DATA now', 'malformed DATA: no argument is expected', 'an argument'],
  ['RSET', 'RSET', 'plain'],
  ['QUIT', 'QUIT', 'plain'],
  ['STARTTLS', 'STARTTLS', 'plain'],
  ['NOOP', 'NOOP', 'plain'],
  ['NOOP anything at all', 'NOOP', 'an argument'],
  ['HELP MAIL', 'HELP', 'an argument'],
  ['VRFY jones', 'VRFY', 'a name'],
  ['VRFY', 'malformed VRFY: a name is expected', 'no name'],
  ['EXPN staff', 'EXPN', 'a name'],
  ['', 'unknown', 'an empty line'],
  [' NOOP', 'unknown', 'a blank before the verb'],
  ['TURN', 'unknown', 'a verb of old'],
  ['GET / HTTP/1.1', 'unknown', 'another protocol'],
  ['\xff\xfe', 'unknown', 'no text at all'],
  ['constructor', 'unknown', 'a word every object knows'],
];

for (const [line, expected, why] of CASES)
  test(`${why}: ${JSON.stringify(line)}`, () => {
    assert.equal(shown(parseCommand(line)), expected);
  });

test('never throws, whatever the octets', () => {
  const lines = fc
    .tuple(
      fc.constantFrom('', 'MAIL FROM:', 'RCPT TO:<', 'BDAT ', 'AUTH ', 'EHLO '),
      fc.array(fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(32, 34, 60, 61, 62, 92)), { maxLength: 40 }),
    )
    .map(([head, codes]) => head + String.fromCharCode(...codes));
  fc.assert(
    fc.property(lines, (line) => void parseCommand(line)),
    { numRuns: 5000 },
  );
});

test('reads back every path it can print', () => {
  const words = fc
    .array(fc.constantFrom('a', '.', '"', '\\', ' ', '>', '<', '@', 'é'), { minLength: 1, maxLength: 8 })
    .map((parts) => `"${parts.join('').replace(/["\\]/g, '\\$&')}"@example.org`);
  fc.assert(
    fc.property(words, (text) => {
      const mailbox = parseMailbox(text);
      if (!mailbox.ok) return;
      const read = parseCommand(utf8(`RCPT TO:${printPath(mailbox.value)} NOTIFY=NEVER`));
      assert.deepEqual(read, { verb: 'RCPT', path: mailbox.value, parameters: [{ keyword: 'NOTIFY', value: 'NEVER' }] });
    }),
  );
});

test('a hostile line takes no time that grows faster than the line', () => {
  // A backtracking expression would need minutes for these.
  for (const line of [
    `MAIL FROM:${' '.repeat(60_000)}x y`,
    `MAIL FROM:<${'"'.repeat(60_000)}`,
    `RCPT TO:<a@b.example>${' A'.repeat(30_000)}`,
    `AUTH PLAIN${' '.repeat(60_000)}`,
  ])
    assert.ok(['malformed', 'MAIL', 'RCPT', 'AUTH'].includes(parseCommand(line).verb));
});

test('a parameter is found by its keyword', () => {
  const parameters = [
    { keyword: 'SIZE', value: '5' },
    { keyword: 'SMTPUTF8', value: null },
  ];
  assert.equal(parameterOf(parameters, 'SIZE'), '5');
  assert.equal(parameterOf(parameters, 'SMTPUTF8'), null);
  assert.equal(parameterOf(parameters, 'BODY'), undefined);
});

test('blanks that end nothing are linear work', () => {
  const blanks = ' '.repeat(60_000);
  for (let i = 0; i < 60; i++) {
    assert.deepEqual(parseCommand(`NOOP${blanks}x`), { verb: 'NOOP' });
    assert.equal(parseCommand(`MAIL FROM:<a@b>${blanks}SIZE=1${blanks}`).verb, 'MAIL');
  }
});

test.run();
