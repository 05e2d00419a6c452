import assert from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { printPath } from '../../../src/smtp/path.ts';
import type { Reply } from '../../../src/smtp/reply.ts';
import { makeReply, replyLines } from '../../../src/smtp/server/answers.ts';
import { makeReception, type Performed } from '../../../src/smtp/server/input.ts';
import { type OwnerQuestion, RECEIVING, type Receiving, receive, type ServerState } from '../../../src/smtp/server/machine.ts';
import { latin1, octets, utf8 } from '../../../src/smtp/text.ts';

const test = suite('receiver');

/** The verdict of the owner in these tests, which the address, the password or the content names. */
function verdict(question: OwnerQuestion, content: string): Reply | null {
  const by = (word: string): Reply | null => {
    const code = /^(?:.* say )?([45]\d\d)\s*$/.exec(word)?.[1];
    return code ? makeReply(Number(code), `${code[0]}.7.1`, `said ${code}`) : null;
  };
  switch (question.about) {
    case 'connection':
      return null;
    case 'credentials':
      return question.user === 'me' && question.password === 'secret' ? null : makeReply(535, '5.7.8', 'wrong');
    case 'sender':
      return question.path === null || question.path.localPart.startsWith('data') ? null : by(question.path.localPart);
    case 'recipient':
      return by(question.path.localPart);
    case 'data':
      return null;
    case 'content':
      return by(content);
  }
}

function shownQuestion(question: OwnerQuestion): string | null {
  switch (question.about) {
    case 'connection':
      return null;
    case 'credentials':
      return `credentials ${question.mechanism} ${question.user} ${question.password}`;
    case 'sender':
    case 'recipient':
      return `${question.about} ${[printPath(question.path), ...question.parameters.map((p) => (p.value === null ? p.keyword : `${p.keyword}=${p.value}`))].join(' ')}`;
    case 'data':
      return 'data';
    case 'content':
      return `content of ${question.facts.octets}${question.facts.bare > 0 ? `, ${question.facts.bare} bare` : ''}`;
  }
}

/**
 * Plays a script, cut into pieces of `size` octets. `C:` is a line of the client (what the log shows of it stands behind
 * `=>`), `>` its content, `#` octets written with escapes (`@` is what the log shows of them). `!` is told to the
 * machine, all other lines are its log.
 */
function play(settings: Receiving, script: readonly string[], size: number, late: boolean, secured: boolean): string[] {
  const log: string[] = [];
  let content = '';
  const waiting: OwnerQuestion[] = [];
  let dataRefusal: Reply | null = null;
  let isPerforming = false;
  const answer = (question: OwnerQuestion): void => {
    const reply = question.about === 'data' ? dataRefusal : verdict(question, content);
    if (question.about === 'content') content = '';
    const each = settings.protocol === 'lmtp' && question.about === 'content';
    reception.answer(reply, each ? [makeReply(250, '2.1.5', 'first'), makeReply(452, '4.2.2', 'second')] : []);
  };
  const perform = (action: Performed): void => {
    assert.ok(!isPerforming, 'an action within another');
    isPerforming = true;
    show(action);
    isPerforming = false;
  };
  const show = (action: Performed): void => {
    switch (action.do) {
      case 'heard':
        log.push(`C: ${action.line}`);
        break;
      case 'reply':
        for (const line of action.lines) assert.equal(line.slice(0, 3), String(action.code));
        log.push(...action.lines.map((line) => `S: ${line}`.trimEnd()));
        break;
      case 'ask': {
        const shown = shownQuestion(action.question);
        if (action.question.about === 'sender') dataRefusal = refusalOfData(action.question);
        if (shown) log.push(`? ${shown}`);
        if (action.question.about === 'content') log.push(`= ${JSON.stringify(content)}`);
        if (late) waiting.push(action.question);
        else answer(action.question);
        break;
      }
      case 'content':
        content += latin1(action.octets);
        assert.ok(content.length <= settings.sizeLimit, 'more content than the limit');
        break;
      case 'abandon':
        content = '';
        log.push('- abandon');
        break;
      default:
        log.push(`- ${action.do}`);
    }
  };
  const reception = makeReception(settings, perform);
  let wire = '';
  const hear = (): void => {
    for (let at = 0; at < wire.length; at += size) reception.hear(octets(wire.slice(at, at + size)));
    wire = '';
  };
  const flush = (): void => {
    hear();
    for (let question = waiting.shift(); question; question = waiting.shift()) answer(question);
  };
  reception.begin(secured);
  flush();
  for (const line of script) {
    if (line.startsWith('C: ')) wire += `${line.slice(3).replace(/ => .*$/, '')}\r\n`;
    else if (line.startsWith('> ')) wire += `${line.slice(2)}\r\n`;
    else if (line.startsWith('# ')) wire += JSON.parse(`"${line.slice(2)}"`);
    else if (line === '! ended') {
      // The client may go before the owner's answers come.
      hear();
      reception.end();
    } else if (line.startsWith('! ')) {
      flush();
      reception.tell(line.slice(2) as 'lost');
    }
  }
  flush();
  return log;
}

/** The address `data451@…` lets the owner refuse DATA with 451. */
function refusalOfData(question: OwnerQuestion): Reply | null {
  const code = question.about === 'sender' ? /^data(\d{3})$/.exec(question.path?.localPart ?? '')?.[1] : undefined;
  return code ? makeReply(Number(code), `${code[0]}.3.0`, 'not now') : null;
}

function scenario(title: string, settings: Partial<Receiving>, script: string, secured = false): void {
  test(title, () => {
    const lines = script
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
    const expected = lines.filter((line) => !/^[>#!] /.test(line)).map((line) => line.replace(/^C: .* => /, 'C: ').replace(/^@ /, ''));
    for (const late of [false, true])
      for (const size of [1, 7, 100_000])
        assert.deepEqual(
          play({ ...RECEIVING, hostname: 'here', ...settings }, lines, size, late, secured),
          expected,
          `in pieces of ${size}, verdicts ${late ? 'late' : 'at once'}`,
        );
  });
}

const OPEN = { extensions: ['PIPELINING'] };
const FULL = { extensions: ['SIZE', '8BITMIME', 'SMTPUTF8', 'DSN', 'CHUNKING', 'BINARYMIME', 'ENHANCEDSTATUSCODES'], sizeLimit: 50 };
const HELLO = `
  S: 220 here ESMTP nospool
  C: HELO x
  S: 250 here
`;
const TRANSACTION = `
  C: MAIL FROM:<a@b.example>
  ? sender <a@b.example>
  S: 250 sender accepted
  C: RCPT TO:<c@d.example>
  ? recipient <c@d.example>
  S: 250 recipient accepted
`;
/** Over LMTP, with CHUNKING: a transaction whose first recipient is refused. */
const NOBODY_YET = `
  C: LHLO x
  S: 250-here greets x
  S: 250 CHUNKING
  C: MAIL FROM:<a@b.example>
  ? sender <a@b.example>
  S: 250 sender accepted
  C: RCPT TO:<550@d.example>
  ? recipient <550@d.example>
  S: 550 said 550
`;
const CONTENT = `
  C: DATA
  ? data
  S: 354 send the content, and "." on a line of its own at its end
`;
/** The same with enhanced codes. */
const enhanced = (script: string): string =>
  script.replace('250 sender', '250 2.1.0 sender').replace('250 recipient', '250 2.1.5 recipient');

scenario(
  'a message is taken (RFC 5321 appendix D.1)',
  {},
  String.raw`
  S: 220 here ESMTP nospool
  C: EHLO bar.com
  S: 250-here greets bar.com
  S: 250-PIPELINING
  S: 250-SIZE 52428800
  S: 250-8BITMIME
  S: 250-SMTPUTF8
  S: 250-DSN
  S: 250-CHUNKING
  S: 250 ENHANCEDSTATUSCODES
  C: MAIL FROM:<Smith@bar.com>
  ? sender <Smith@bar.com>
  S: 250 2.1.0 sender accepted
  C: RCPT TO:<Jones@foo.com>
  ? recipient <Jones@foo.com>
  S: 250 2.1.5 recipient accepted
  C: RCPT TO:<550@foo.com>
  ? recipient <550@foo.com>
  S: 550 5.7.1 said 550
  C: RCPT TO:<Brown@foo.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y
  ? recipient <Brown@foo.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y
  S: 250 2.1.5 recipient accepted
  C: DATA
  ? data
  S: 354 send the content, and "." on a line of its own at its end
  > Blah blah blah...
  > ..etc. etc. etc.
  C: .
  ? content of 36
  = "Blah blah blah...\r\n.etc. etc. etc.\r\n"
  S: 250 2.0.0 message accepted
  C: QUIT
  S: 221 2.0.0 here says goodbye
  - close
`,
);

scenario(
  'two messages, the first refused after its content',
  OPEN,
  String.raw`
  ${HELLO}${TRANSACTION}${CONTENT}
  > please say 554
  C: .
  ? content of 16
  = "please say 554\r\n"
  S: 554 said 554
  C: MAIL FROM:<>
  ? sender <>
  S: 250 sender accepted
  C: RCPT TO:<a@b.example>
  ? recipient <a@b.example>
  S: 250 recipient accepted
  ${CONTENT}
  C: .
  ? content of 0
  = ""
  S: 250 message accepted
  ! ended
  - close
`,
);

scenario(
  'commands that change nothing, and commands that are not for this server',
  OPEN,
  `
  S: 220 here ESMTP nospool
  C: FOO
  S: 500 not a command of this server
  C: NOOP whatever
  S: 250 nothing done
  C: HELP
  S: 214 RFC 5321 says how to talk to this server
  C: VRFY smith
  S: 252 send a message and see
  C: EXPN staff
  S: 502 EXPN is not offered
  C: RSET
  S: 250 reset
  C: RSET now
  S: 501 no argument is expected
  C: LHLO x
  S: 500 this is SMTP: say EHLO
  C: STARTTLS
  S: 502 STARTTLS is not offered
  C: AUTH PLAIN
  S: 502 AUTH is not offered
`,
);

scenario(
  'commands out of sequence',
  OPEN,
  `
  S: 220 here ESMTP nospool
  C: MAIL FROM:<a@b.example>
  S: 503 say EHLO or HELO first
  C: EHLO x
  S: 250-here greets x
  S: 250 PIPELINING
  C: RCPT TO:<a@b.example>
  S: 503 say MAIL first
  C: DATA
  S: 503 say MAIL first
  C: MAIL FROM:<a@b.example>
  ? sender <a@b.example>
  S: 250 sender accepted
  C: MAIL FROM:<a@b.example>
  S: 503 a transaction is open already
  C: DATA
  S: 503 no recipient is known: say RCPT first
  C: RCPT TO:<550@b.example>
  ? recipient <550@b.example>
  S: 550 said 550
  C: DATA
  S: 554 no recipient was accepted
  C: RCPT TO:<a@b
  S: 501 the address is not closed by ">"
  C: RSET
  - abandon
  S: 250 reset
  C: MAIL FROM:<550@b.example>
  ? sender <550@b.example>
  S: 550 said 550
  C: RCPT TO:<a@b.example>
  S: 503 say MAIL first
  C: MAIL FROM:<a@b.example>
  ? sender <a@b.example>
  S: 250 sender accepted
  C: EHLO y
  - abandon
  S: 250-here greets y
  S: 250 PIPELINING
  C: MAIL FROM:<a@b.example>
  ? sender <a@b.example>
  S: 250 sender accepted
  C: QUIT
  - abandon
  S: 221 here says goodbye
  - close
`,
);

scenario('MAIL without EHLO, where that is allowed', { ...OPEN, helloOptional: true }, `S: 220 here ESMTP nospool\n${TRANSACTION}`);

scenario(
  'DATA refused by the owner leaves the transaction open',
  OPEN,
  `
  ${HELLO}
  C: MAIL FROM:<data451@b.example>
  ? sender <data451@b.example>
  S: 250 sender accepted
  C: RCPT TO:<a@b.example>
  ? recipient <a@b.example>
  S: 250 recipient accepted
  C: DATA
  ? data
  S: 451 4.3.0 not now
  C: RSET
  - abandon
  S: 250 reset
`.replace('451 4.3.0 ', '451 '),
);

scenario(
  '421 from the owner is the last word',
  OPEN,
  String.raw`
  ${HELLO}${TRANSACTION}
  C: RCPT TO:<421@b.example>
  ? recipient <421@b.example>
  - abandon
  S: 421 said 421
  - close
  # NOOP\r\n
`,
);

scenario(
  '421 to a sender leaves nothing to abandon',
  OPEN,
  `
  ${HELLO}
  C: MAIL FROM:<421@b.example>
  ? sender <421@b.example>
  S: 421 said 421
  - close
`,
);

scenario(
  '421 to the content, too',
  OPEN,
  String.raw`
  ${HELLO}${TRANSACTION}${CONTENT}
  > please say 421
  C: .
  ? content of 16
  = "please say 421\r\n"
  S: 421 said 421
  - close
`,
);

scenario(
  'a client over TLS hears of no AUTH where there is no mechanism',
  { extensions: ['ENHANCEDSTATUSCODES'], tls: 'offered' },
  `
  S: 220 here ESMTP nospool
  C: EHLO x
  S: 250-here greets x
  S: 250 ENHANCEDSTATUSCODES
  C: STARTTLS
  S: 503 5.5.1 TLS is in use already
`,
  true,
);

scenario(
  'parameters are taken only as offered',
  FULL,
  `
  ${HELLO}
  C: MAIL FROM:<a@b.example> FOO=1
  S: 555 5.5.4 the parameter FOO is not offered
  C: MAIL FROM:<a@b.example> NOTIFY=NEVER
  S: 555 5.5.4 the parameter NOTIFY is not offered
  C: MAIL FROM:<a@b.example> AUTH=<>
  S: 555 5.5.4 the parameter AUTH is not offered
  C: MAIL FROM:<a@b.example> REQUIRETLS
  S: 555 5.5.4 the parameter REQUIRETLS is not offered
  C: MAIL FROM:<a@b.example> SIZE
  S: 501 5.5.4 the value of SIZE is wrong
  C: MAIL FROM:<a@b.example> SIZE=1M
  S: 501 5.5.4 the value of SIZE is wrong
  C: MAIL FROM:<a@b.example> SMTPUTF8=1
  S: 501 5.5.4 the value of SMTPUTF8 is wrong
  C: MAIL FROM:<a@b.example> SIZE=51
  S: 552 5.3.4 a message may have 50 octets
  C: MAIL FROM:<a@b.example> SIZE=50 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb
  ? sender <a@b.example> SIZE=50 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb
  S: 250 2.1.0 sender accepted
  C: RCPT TO:<a@b.example> SIZE=1
  S: 555 5.5.4 the parameter SIZE is not offered
  C: RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY
  S: 501 5.5.4 the value of NOTIFY is wrong
`,
);

scenario(
  'BODY=BINARYMIME needs BINARYMIME, not only 8BITMIME',
  { extensions: ['8BITMIME'] },
  `
  ${HELLO}
  C: MAIL FROM:<a@b.example> BODY=binarymime
  S: 501 BINARYMIME is not offered
  C: MAIL FROM:<a@b.example> BODY=7bit
  ? sender <a@b.example> BODY=7bit
  S: 250 sender accepted
`,
);

scenario(
  'an address that is not ASCII needs SMTPUTF8',
  { extensions: ['SMTPUTF8'] },
  `
  ${HELLO}
  C: MAIL FROM:<${utf8('ü@b.example')}>
  S: 550 an address that is not ASCII needs SMTPUTF8
  C: MAIL FROM:<a@b.example>
  ? sender <a@b.example>
  S: 250 sender accepted
  C: RCPT TO:<${utf8('ü@b.example')}>
  S: 553 an address that is not ASCII needs SMTPUTF8
  C: RSET
  - abandon
  S: 250 reset
  C: MAIL FROM:<${utf8('ü@b.example')}> SMTPUTF8
  ? sender <ü@b.example> SMTPUTF8
  S: 250 sender accepted
  C: RCPT TO:<${utf8('ü@b.example')}>
  ? recipient <ü@b.example>
  S: 250 recipient accepted
`,
);

scenario(
  'BDAT: chunks that look like commands, and an empty last one (RFC 3030 §4.2)',
  FULL,
  String.raw`
  ${HELLO}
  C: MAIL FROM:<a@b.example> BODY=BINARYMIME
  ? sender <a@b.example> BODY=BINARYMIME
  S: 250 2.1.0 sender accepted
  C: RCPT TO:<a@b.example>
  ? recipient <a@b.example>
  S: 250 2.1.5 recipient accepted
  C: DATA
  S: 503 5.5.1 BINARYMIME needs BDAT
  C: BDAT 11
  ? data
  # QUIT\r\n.\r\n..
  S: 250 2.0.0 11 octets taken
  C: RCPT TO:<b@b.example>
  S: 503 5.5.1 the content has begun
  C: DATA
  S: 503 5.5.1 DATA may not follow BDAT
  C: BDAT 1
  # \n
  S: 250 2.0.0 1 octets taken
  C: BDAT 0 LAST
  ? content of 12
  = "QUIT\r\n.\r\n..\n"
  S: 250 2.0.0 message accepted
  C: BDAT 4 LAST
  # NOOP
  S: 503 5.5.1 say MAIL first
  C: NOOP
  S: 250 2.0.0 nothing done
  ${enhanced(TRANSACTION)}
  C: BDAT 1
  ? data
  # a
  S: 250 2.0.0 1 octets taken
  C: BDAT 0 LAST
  ? content of 1
  = "a"
  S: 250 2.0.0 message accepted
`,
);

scenario(
  'a refused BDAT is read all the same, and only RSET leads on (RFC 3030 §2)',
  FULL,
  String.raw`
  ${HELLO}${enhanced(TRANSACTION)}
  C: BDAT 45
  ? data
  # NOOP NOOP NOOP NOOP NOOP NOOP NOOP NOOP NOOP\n
  S: 250 2.0.0 45 octets taken
  C: BDAT 6
  # NOOP\r\n
  S: 552 5.3.4 a message may have 50 octets
  C: BDAT 1 LAST
  # N
  S: 503 5.5.1 the transaction has failed: say RSET
  C: RSET
  - abandon
  S: 250 2.0.0 reset
  ${enhanced(TRANSACTION)}
  C: BDAT 1 LAST
  ? data
  # N
  ? content of 1
  = "N"
  S: 250 2.0.0 message accepted
`,
);

scenario(
  'the first BDAT refused by the owner',
  FULL,
  String.raw`
  ${HELLO}
  C: MAIL FROM:<data452@b.example>
  ? sender <data452@b.example>
  S: 250 2.1.0 sender accepted
  C: RCPT TO:<a@b.example>
  ? recipient <a@b.example>
  S: 250 2.1.5 recipient accepted
  C: BDAT 6
  ? data
  # NOOP\r\n
  S: 452 4.3.0 not now
  C: BDAT 6 LAST
  # NOOP\r\n
  S: 503 5.5.1 the transaction has failed: say RSET
`,
);

scenario(
  'octets behind a BDAT of unknown length are never read as commands',
  FULL,
  String.raw`
  ${HELLO}${enhanced(TRANSACTION)}
  C: BDAT many
  - abandon
  S: 501 5.5.4 a number of octets is expected, and LAST or nothing after it
  - close
  # NOOP\r\n
`,
);

scenario(
  'BDAT that is not offered ends the session',
  OPEN,
  String.raw`
  ${HELLO}${TRANSACTION}
  C: BDAT 6 LAST
  - abandon
  S: 502 CHUNKING is not offered
  - close
  # NOOP\r\n
`,
);

scenario(
  'lone line ends are no terminator and are refused at the end',
  OPEN,
  String.raw`
  ${HELLO}${TRANSACTION}${CONTENT}
  # a\n.\nMAIL FROM:<x@y>\r\n.\rRSET\r.\r\n
  > b
  C: .
  - abandon
  S: 550 bare LF or CR in the content: lines end with CR LF, nothing else
`.replace('§', utf8('§')),
);

scenario(
  'lone line ends are no terminator where they are accepted',
  { ...OPEN, bareLineEnds: 'accept' },
  String.raw`
  ${HELLO}${TRANSACTION}${CONTENT}
  # a\n.\nQUIT\n
  > b
  C: .
  ? content of 12, 3 bare
  = "a\n.\nQUIT\nb\r\n"
  S: 250 message accepted
`,
);

scenario(
  'a content that grows too large is read to its end and refused',
  { ...OPEN, sizeLimit: 10 },
  String.raw`
  ${HELLO}${TRANSACTION}${CONTENT}
  > 12345678
  > 9
  C: .
  - abandon
  S: 552 a message may have 10 octets
  ${TRANSACTION}${CONTENT}
  > 12345678
  C: .
  ? content of 10
  = "12345678\r\n"
  S: 250 message accepted
`,
);

scenario(
  'what follows the terminator in one flight is a command',
  OPEN,
  String.raw`
  ${HELLO}${TRANSACTION}${CONTENT}
  # a\r\n.\r\nNOOP\r\nQUIT\r\nNOOP\r\n
  C: . => .
  ? content of 3
  = "a\r\n"
  S: 250 message accepted
  S: 250 nothing done
`
    .replace('  C: . => .\n', '  @ C: .\n')
    .replace('  S: 250 nothing done\n', '  @ C: NOOP\n  S: 250 nothing done\n  @ C: QUIT\n  S: 221 here says goodbye\n  - close\n'),
);

scenario(
  'LF ends a command only where that is allowed',
  OPEN,
  String.raw`
  S: 220 here ESMTP nospool
  # NOOP\nNOOP\r\n
  @ C: NOOP
  S: 500 end a line with CR LF, not with LF
  @ C: NOOP
  S: 250 nothing done
`,
);

scenario(
  'LF ends a command, for sendmail -bs',
  { ...OPEN, lfEndsCommands: true, mechanisms: ['PLAIN'], authInClear: true, helloOptional: true },
  String.raw`
  S: 220 here ESMTP nospool
  # NOOP\nAUTH PLAIN\n*\n
  @ C: NOOP
  S: 250 nothing done
  @ C: AUTH PLAIN
  S: 334
  @ C: ****
  S: 501 authentication is cancelled
`,
);

scenario(
  'a line beyond 64 KiB is dropped, and the next is read',
  OPEN,
  String.raw`
  S: 220 here ESMTP nospool
  # ${'x'.repeat(66_000)}\r\nNOOP\r\n
  @ C: (a line too long to show)
  S: 500 the line is too long
  @ C: NOOP
  S: 250 nothing done
`,
);

scenario(
  'LIMITS that are offered are kept (RFC 9422 §4)',
  { extensions: ['DSN', 'LIMITS rcptmax=3 MAILMAX=2 RCPTDOMAINMAX=2'] },
  `
  S: 220 here ESMTP nospool
  C: EHLO x
  S: 250-here greets x
  S: 250-DSN
  S: 250 LIMITS rcptmax=3 MAILMAX=2 RCPTDOMAINMAX=2
  ${TRANSACTION}
  C: RCPT TO:<c@e.example>
  ? recipient <c@e.example>
  S: 250 recipient accepted
  C: RCPT TO:<c@f.example>
  S: 452 the recipients of a message may have 2 domains
  C: RCPT TO:<d@D.example>
  ? recipient <d@D.example>
  S: 250 recipient accepted
  C: RCPT TO:<e@d.example>
  S: 452 a message may have 3 recipients
  C: RSET
  - abandon
  S: 250 reset
  ${TRANSACTION}
  C: RSET
  - abandon
  S: 250 reset
  C: MAIL FROM:<a@b.example>
  S: 421 one session takes 2 messages
  - close
`,
);

scenario(
  'a limit that LIMITS does not name is none',
  { extensions: ['LIMITS RCPTMAX=1'] },
  `
  S: 220 here ESMTP nospool
  C: EHLO x
  S: 250-here greets x
  S: 250 LIMITS RCPTMAX=1
  ${TRANSACTION}
  C: RCPT TO:<d@e.example>
  S: 452 a message may have 1 recipients
`,
);

scenario(
  'LMTP: the last BDAT without a recipient gets no reply, and one before it gets one (RFC 2033 §4.3)',
  { protocol: 'lmtp', extensions: ['CHUNKING'] },
  `
  S: 220 here LMTP nospool
  ${NOBODY_YET}
  C: BDAT 1
  # a
  S: 503 no recipient is known: say RCPT first
  C: BDAT 1 LAST
  # b
  C: RSET
  - abandon
  S: 250 reset
`,
);

scenario(
  'LMTP: LHLO, and a reply for each recipient accepted (RFC 2033 §4.2)',
  { protocol: 'lmtp', extensions: ['CHUNKING'], sizeLimit: 10 },
  `
  S: 220 here LMTP nospool
  C: EHLO x
  S: 500 this is LMTP: say LHLO
  C: MAIL FROM:<a@b.example>
  S: 503 say LHLO first
  ${NOBODY_YET}
  C: DATA
  S: 503 no recipient is known: say RCPT first
  C: RCPT TO:<c@d.example>
  ? recipient <c@d.example>
  S: 250 recipient accepted
  C: RCPT TO:<d@d.example>
  ? recipient <d@d.example>
  S: 250 recipient accepted
  C: RCPT TO:<e@d.example>
  ? recipient <e@d.example>
  S: 250 recipient accepted
  C: BDAT 1 LAST
  ? data
  # a
  ? content of 1
  = "a"
  S: 250 first
  S: 452 second
  S: 250 message accepted
  ${TRANSACTION}
  C: RCPT TO:<d@d.example>
  ? recipient <d@d.example>
  S: 250 recipient accepted
  ${CONTENT}
  > 0123456789
  C: .
  - abandon
  S: 552 a message may have 10 octets
  S: 552 a message may have 10 octets
  ${TRANSACTION}
  C: RCPT TO:<d@d.example>
  ? recipient <d@d.example>
  S: 250 recipient accepted
  C: BDAT 11
  # 01234567890
  S: 552 a message may have 10 octets
  C: BDAT 1 LAST
  # a
  S: 503 the transaction has failed: say RSET
  S: 503 the transaction has failed: say RSET
  C: RSET
  - abandon
  S: 250 reset
  C: BDAT 1 LAST
  # a
  S: 503 say MAIL first
`,
);

const TLS: Partial<Receiving> = { extensions: ['REQUIRETLS'], tls: 'required', mechanisms: ['PLAIN', 'LOGIN'], authRequired: true };

scenario(
  'STARTTLS: nothing before it, and nothing of before it is kept (RFC 3207 §4)',
  { ...TLS, extensions: ['REQUIRETLS', 'CHUNKING'] },
  String.raw`
  S: 220 here ESMTP nospool
  C: NOOP
  S: 250 nothing done
  C: HELO x
  S: 530 say STARTTLS first
  C: MAIL FROM:<a@b.example>
  S: 530 say STARTTLS first
  C: BDAT 6 LAST
  # NOOP\r\n
  S: 530 say STARTTLS first
  C: MAIL
  S: 530 say STARTTLS first
  C: EHLO x
  S: 250-here greets x
  S: 250-CHUNKING
  S: 250 STARTTLS
  C: STARTTLS
  S: 220 begin TLS
  - startTls
  # MAIL FROM:<injected@x>\r\nRSE
  ! secured
  C: MAIL FROM:<a@b.example>
  S: 503 say EHLO or HELO first
  C: STARTTLS
  S: 503 TLS is in use already
  C: EHLO x
  S: 250-here greets x
  S: 250-REQUIRETLS
  S: 250-CHUNKING
  S: 250 AUTH PLAIN LOGIN
  C: MAIL FROM:<a@b.example>
  S: 530 authentication is required
  C: AUTH PLAIN AG1lAHNlY3JldA== => AUTH PLAIN ****
  ? credentials PLAIN me secret
  S: 235 authenticated
  C: MAIL FROM:<a@b.example> REQUIRETLS
  ? sender <a@b.example> REQUIRETLS
  S: 250 sender accepted
`,
);

scenario(
  'BDAT without a number before STARTTLS ends the session too',
  TLS,
  `
  S: 220 here ESMTP nospool
  C: BDAT x
  S: 530 say STARTTLS first
  - close
`,
);

scenario(
  'STARTTLS ends a transaction, and a time-out in the handshake ends in silence',
  { ...OPEN, tls: 'offered' },
  `
  ${HELLO}${TRANSACTION}
  C: STARTTLS
  - abandon
  S: 220 begin TLS
  - startTls
  ! timeout
  - close
`,
);

scenario(
  'AUTH is offered in the clear only if told so',
  { ...OPEN, mechanisms: ['PLAIN'], tls: 'offered' },
  `
  S: 220 here ESMTP nospool
  C: EHLO x
  S: 250-here greets x
  S: 250-PIPELINING
  S: 250 STARTTLS
  C: AUTH PLAIN AG1lAHNlY3JldA== => AUTH PLAIN ****
  S: 538 AUTH needs TLS: say STARTTLS first
`,
);

scenario(
  'AUTH in all its forms (RFC 4954 §4)',
  { ...OPEN, mechanisms: ['LOGIN', 'PLAIN'], authInClear: true, faultLimit: 100 },
  String.raw`
  S: 220 here ESMTP nospool
  C: AUTH PLAIN AG1lAHNlY3JldA== => AUTH PLAIN ****
  S: 503 say EHLO first
  C: HELO x
  S: 250 here
  C: AUTH CRAM-MD5
  S: 504 the mechanism is not offered
  C: AUTH PLAIN
  S: 334
  C: * => ****
  S: 501 authentication is cancelled
  C: AUTH PLAIN
  S: 334
  C: QUIT => ****
  S: 501 the response is not one of PLAIN
  C: AUTH PLAIN eW91AG1lAHNlY3JldA== => AUTH PLAIN ****
  S: 535 nobody may act as another user
  C: AUTH PLAIN
  S: 334
  C: no base64! => ****
  S: 501 the response is not base64 of UTF-8 text
  C: AUTH PLAIN /w== => AUTH PLAIN ****
  S: 501 the response is not base64 of UTF-8 text
  C: AUTH PLAIN = => AUTH PLAIN ****
  S: 501 the response is not one of PLAIN
  C: AUTH PLAIN AG1l => AUTH PLAIN ****
  S: 501 the response is not one of PLAIN
  C: AUTH PLAIN AAB4 => AUTH PLAIN ****
  S: 501 the response is not one of PLAIN
  C: AUTH PLAIN AG1lAHNlY3JldAA= => AUTH PLAIN ****
  S: 501 the response is not one of PLAIN
  C: AUTH PLAIN AABhAGIAYw== => AUTH PLAIN ****
  S: 501 the response is not one of PLAIN
  C: AUTH LOGIN
  S: 334 VXNlcm5hbWU6
  # bWU=\n
  @ C: ****
  S: 500 end a line with CR LF, not with LF
  C: AUTH LOGIN
  S: 334 VXNlcm5hbWU6
  # ${'A'.repeat(66_000)}\r\n
  @ C: (a line too long to show)
  S: 500 the response is too long
  C: auth login bWU= => auth login ****
  S: 334 UGFzc3dvcmQ6
  C: d3Jvbmc= => ****
  ? credentials LOGIN me wrong
  S: 535 5.7.8 wrong
  C: AUTH LOGIN
  S: 334 VXNlcm5hbWU6
  C: bWU= => ****
  S: 334 UGFzc3dvcmQ6
  C: c2VjcmV0 => ****
  ? credentials LOGIN me secret
  S: 235 authenticated
  C: AUTH PLAIN
  S: 503 the session is authenticated already
  C: MAIL FROM:<a@b.example> AUTH=a+3Db@c.example
  ? sender <a@b.example> AUTH=a+3Db@c.example
  S: 250 sender accepted
`.replace('535 5.7.8', '535'),
);

scenario(
  'AUTH inside a transaction is refused',
  { ...OPEN, mechanisms: ['LOGIN'], authInClear: true },
  `
  ${HELLO}${TRANSACTION}
  C: AUTH LOGIN
  S: 503 AUTH may not come inside a transaction
`,
);

scenario(
  'responses that came along with an AUTH that is refused are secrets, up to the next command',
  OPEN,
  `
  ${HELLO}
  C: AUTH LOGIN
  S: 502 AUTH is not offered
  C: bWU= => ****
  S: 500 not a command of this server
  C: U0VDUkVU => ****
  S: 500 not a command of this server
  C: NOOP
  S: 250 nothing done
  C: bWU=
  S: 500 not a command of this server
`,
);

scenario(
  'guessing passwords ends the session',
  { ...OPEN, mechanisms: ['PLAIN'], authInClear: true, faultLimit: 3 },
  String.raw`
  ${HELLO}
  C: AUTH PLAIN AG1lAGE= => AUTH PLAIN ****
  ? credentials PLAIN me a
  S: 535 wrong
  C: AUTH PLAIN AG1lAGI= => AUTH PLAIN ****
  ? credentials PLAIN me b
  S: 535 wrong
  C: AUTH PLAIN AG1lAGM= => AUTH PLAIN ****
  ? credentials PLAIN me c
  S: 535 wrong
  S: 421 here has had too many errors
  - close
  # AUTH PLAIN AG1lAHNlY3JldA==\r\n
`,
);

scenario(
  'a client that came over TLS hears AUTH and no STARTTLS',
  TLS,
  `
  S: 220 here ESMTP nospool
  C: EHLO x
  S: 250-here greets x
  S: 250-REQUIRETLS
  S: 250 AUTH PLAIN LOGIN
`,
  true,
);

scenario(
  'a silent client is told why the session ends',
  OPEN,
  `
  ${HELLO}${TRANSACTION}${CONTENT}
  > a
  ! timeout
  - abandon
  S: 421 here has waited too long
  - close
  ! lost
`,
);

scenario(
  'a server that closes down says so',
  {},
  `
  S: 220 here ESMTP nospool
  ! closing
  S: 421 4.3.2 here is closing down
  - close
`,
);

scenario(
  'a client that is lost in its content leaves nothing behind',
  OPEN,
  `
  ${HELLO}${TRANSACTION}${CONTENT}
  > a
  ! ended
  - abandon
  - close
`,
);

scenario(
  'SIZE without a limit, and extensions in their own words',
  { extensions: ['size', 'X-OWN words here'], sizeLimit: Number.POSITIVE_INFINITY },
  `
  S: 220 here ESMTP nospool
  C: EHLO x
  S: 250-here greets x
  S: 250-size
  S: 250 X-OWN words here
  C: MAIL FROM:<a@b.example> SIZE=99999999999999999999
  ? sender <a@b.example> SIZE=99999999999999999999
  S: 250 sender accepted
`,
);

test('a pipelined flight is answered in order, the client owed nothing when the owner is slow (RFC 2920 §3.2)', () => {
  const wire = 'EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<550@c.example>\r\nRCPT TO:<c@c.example>\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n';
  const replies: string[] = [];
  let open = 0;
  const reception = makeReception({ ...RECEIVING, ...OPEN, hostname: 'here' }, (action) => {
    if (action.do === 'reply') replies.push(action.lines.at(-1)?.slice(0, 3) as string);
    if (action.do === 'ask') {
      assert.equal(++open, 1, 'a second question while one is open');
      assert.equal(reception?.mayRead ?? false, false);
      queue.push(() => {
        open--;
        reception.answer(verdict(action.question, ''));
      });
    }
  });
  const queue: (() => void)[] = [];
  reception.begin(false);
  reception.hear(octets(wire));
  for (let next = queue.shift(); next; next = queue.shift()) next();
  assert.deepEqual(replies, ['220', '250', '250', '550', '250', '354', '250', '221']);
  assert.equal(reception.state.at, 'closed');
  assert.equal(reception.mayRead, false);
});

test('a verdict after the client was lost changes nothing', () => {
  const seen: string[] = [];
  const reception = makeReception(RECEIVING, (action) => seen.push(action.do));
  reception.begin(false);
  reception.tell('lost');
  reception.answer(null);
  reception.hear(octets('NOOP\r\n'));
  assert.deepEqual(seen, ['ask', 'close']);
});

test('octets of no length are nothing, and before it begins a reception hears none', () => {
  const seen: string[] = [];
  const reception = makeReception(RECEIVING, (action) => {
    seen.push(action.do);
    if (action.do === 'ask') reception.answer(null);
  });
  assert.equal(reception.state.at, 'closed');
  reception.begin(false);
  reception.hear(octets('EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 2\r\n'));
  const before = seen.length;
  reception.hear(octets(''));
  assert.equal(seen.length, before);
});

test('the connection itself may be refused', () => {
  const log: string[] = [];
  const reception = makeReception(RECEIVING, (action) => {
    if (action.do === 'ask') reception.answer(makeReply(554, '5.3.2', 'not today'));
    else log.push(action.do === 'reply' ? action.lines.join() : action.do);
  });
  reception.begin(false);
  assert.deepEqual(log, ['554 5.3.2 not today', 'close']);
});

test('a reception hands on no content that nobody wants, by DATA or by BDAT', () => {
  const log: string[] = [];
  const reception = makeReception(
    { ...RECEIVING, hostname: 'here' },
    (action) => {
      if (action.do === 'ask') reception.answer(null);
      if (action.do === 'ask' && action.question.about === 'content') log.push(`${action.question.facts.octets}`);
      assert.notEqual(action.do, 'content');
    },
    (chunk, from) => latin1(chunk).indexOf('\r\n.\r\n', from),
  );
  reception.begin(false);
  reception.hear(octets('EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nabc\r\n.\r\n'));
  reception.hear(octets('MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 3 LAST\r\nabc'));
  assert.deepEqual(log, ['5', '3']);
});

test('a hundred thousand pipelined commands are all answered, and a refused MAIL ends no session by the RCPT behind it', () => {
  let replies = 0;
  const reception = makeReception(RECEIVING, (action) => {
    if (action.do === 'ask') reception.answer(action.question.about === 'sender' ? makeReply(550, '5.7.1', 'no') : null);
    if (action.do === 'reply') replies++;
  });
  reception.begin(false);
  reception.hear(octets(`EHLO x\r\nMAIL FROM:<a@b>\r\n${'RCPT TO:<c@d>\r\n'.repeat(100_000)}DATA\r\n`));
  assert.equal(replies, 100_004);
  assert.equal(reception.state.at, 'command');
});

test('S12: a method of HTTP ends the session, and nobody hears the lines that follow', () => {
  for (const method of ['GET / HTTP/1.1', 'post /x', 'CONNECT\ta', 'PATCH']) {
    const log = play(RECEIVING, ['C: EHLO c', `C: ${method}`, 'C: MAIL FROM:<a@b.example>'], 7, false, false);
    assert.deepEqual(log.slice(-3), [`C: ${method}`, 'S: 421 4.7.0 localhost speaks SMTP, not HTTP', '- close'], method);
  }
  assert.ok(play(RECEIVING, ['C: GETAWAY', 'C: QUIT'], 7, false, false).some((line) => line.startsWith('S: 500 ')));
});

test('nonsense ends the session after twenty lines', () => {
  const codes: string[] = [];
  const reception = makeReception(RECEIVING, (action) => {
    if (action.do === 'ask') reception.answer(null);
    if (action.do === 'reply') codes.push(action.lines[0]?.slice(0, 3) as string);
  });
  reception.begin(false);
  reception.hear(octets('what is this\r\n'.repeat(1000)));
  assert.deepEqual(codes, ['220', ...Array(20).fill('500'), '421']);
});

const PIECES = [
  'EHLO x\r\n',
  'LHLO x\r\n',
  'MAIL FROM:<a@b.example>\r\n',
  'MAIL FROM:<550@b.example>\r\n',
  'MAIL FROM:<data451@b.example>\r\n',
  'RCPT TO:<c@d.example>\r\n',
  'RCPT TO:<450@d.example>\r\n',
  'RCPT TO:<421@d.example>\r\n',
  'DATA\r\n',
  'text\r\n',
  '..\r\n',
  '.\r\n',
  '.\n',
  '\n.\r\n',
  '\r',
  'please say 550\r\n',
  'BDAT 5\r\n',
  'BDAT 0 LAST\r\n',
  'BDAT x\r\n',
  'AUTH LOGIN\r\n',
  'AUTH PLAIN AG1lAHNlY3JldA==\r\n',
  'bWU=\r\n',
  '*\r\n',
  'RSET\r\n',
  'STARTTLS\r\n',
  'QUIT\r\n',
  'NOOP\n',
  '\xff\0',
];
/** Cheap pieces come twice, so that more of the sessions get somewhere. */
const sessions = fc.array(fc.oneof(fc.constantFrom(...PIECES), fc.constantFrom(...PIECES.slice(0, 10))), { maxLength: 30 });

test('any octets, cut anywhere, judged at once or late: no bug, one log', () => {
  fc.assert(
    fc.property(sessions, fc.integer({ min: 1, max: 20 }), fc.boolean(), fc.boolean(), (pieces, size, late, lmtp) => {
      const settings: Receiving = {
        ...RECEIVING,
        protocol: lmtp ? 'lmtp' : 'smtp',
        tls: 'offered',
        mechanisms: ['PLAIN', 'LOGIN'],
        authInClear: true,
        helloOptional: true,
        sizeLimit: 40,
      };
      const script = pieces.map((piece) => `# ${JSON.stringify(piece).slice(1, -1)}`);
      assert.deepEqual(play(settings, script, size, late, false), play(settings, script, 100_000, false, false));
    }),
    { numRuns: 2000 },
  );
});

const REPLIES: readonly (readonly [Reply, readonly string[], string])[] = [
  [makeReply(250, '2.0.0', 'yes'), ['250 2.0.0 yes'], 'one line'],
  [makeReply(550, '5.1.1', 'no', 'really'), ['550-5.1.1 no', '550 5.1.1 really'], 'each line has the enhanced code'],
  [makeReply(354, '', 'go'), ['354 go'], 'no enhanced code'],
  [{ code: 250, enhanced: null, lines: [] }, ['250'], 'no text'],
  [{ code: 250, enhanced: null, lines: [''] }, ['250'], 'an empty text'],
  [{ code: 550, enhanced: null, lines: ['a\r\n250 ok\0\x7f'] }, ['550 a\\x0d\\x0a250 ok\\x00\\x7f'], 'nothing breaks out of a line'],
  [
    { code: 550, enhanced: null, lines: [`${'x'.repeat(500)} ${'y'.repeat(20)}`] },
    [`550-${'x'.repeat(500)}`, `550 ${'y'.repeat(20)}`],
    'cut at a blank',
  ],
  [{ code: 550, enhanced: null, lines: [`x ${'y'.repeat(506)}`] }, ['550-x', `550 ${'y'.repeat(506)}`], 'also at the first one'],
  [{ code: 550, enhanced: null, lines: ['x'.repeat(506)] }, [`550 ${'x'.repeat(506)}`], 'a line that just fits'],
  [{ code: 550, enhanced: null, lines: ['x'.repeat(600)] }, [`550-${'x'.repeat(506)}`, `550 ${'x'.repeat(94)}`], 'cut where it must be'],
  [
    { code: 550, enhanced: null, lines: [utf8(`x${'é'.repeat(300)}`)] },
    [`550-${utf8(`x${'é'.repeat(252)}`)}`, `550 ${utf8('é'.repeat(48))}`],
    'never inside a UTF-8 sequence',
  ],
  [
    makeReply(550, '5.1.1', `${'x'.repeat(490)} ${'y'.repeat(20)}`),
    [`550-5.1.1 ${'x'.repeat(490)}`, `550 5.1.1 ${'y'.repeat(20)}`],
    'a line that is cut has the enhanced code before each piece. RFC 2034 §4',
  ],
  [
    makeReply(550, '5.1.1', 'x'.repeat(1100)),
    [`550-5.1.1 ${'x'.repeat(500)}`, `550-5.1.1 ${'x'.repeat(500)}`, `550 5.1.1 ${'x'.repeat(100)}`],
    'also where there is no blank but that behind it',
  ],
];
for (const [reply, lines, why] of REPLIES)
  test(`a reply on the wire: ${why}`, () => {
    assert.deepEqual(replyLines(reply), lines);
    for (const line of replyLines(reply)) assert.ok(line.length <= 510);
  });

test('a reply that is made has its enhanced code in numbers, too', () =>
  assert.deepEqual(makeReply(552, '5.3.4', 'no').enhanced, { class: 5, subject: 3, detail: 4 }));

test('a question carries the transaction that it is about', () => {
  const visit = { hello: 'c', secured: false, user: null, mails: 0, faults: 0 };
  let state: ServerState = { at: 'command', visit, transaction: null };
  const asked: OwnerQuestion[] = [];
  const hear = (line: string): void => {
    for (const event of [{ type: 'line', line, fault: 'none' } as const, { type: 'verdict', reply: null, each: [] } as const]) {
      const [next, ...actions] = receive(RECEIVING, state, event);
      state = next;
      for (const action of actions) if (action.do === 'ask') asked.push(action.question);
    }
  };
  for (const line of ['MAIL FROM:<a@b> BODY=8BITMIME', 'RCPT TO:<c@d>', 'RCPT TO:<e@f>', 'DATA']) hear(line);
  assert.deepEqual(
    asked.map((question) => 'transaction' in question && question.transaction.recipients),
    [0, 0, 1, 2],
  );
  assert.equal((state as ServerState).at, 'data');
  state = { at: 'command', visit, transaction: null };
  for (const line of ['MAIL FROM:<a@b>', 'RCPT TO:<c@d>', 'BDAT 3']) hear(line);
  const last = asked.at(-1);
  assert.equal(last?.about === 'data' && last.transaction.chunked, 0);
});

test('an event that cannot be is a bug of the driver', () => {
  const visit = { hello: null, secured: false, user: null, mails: 0, faults: 0 };
  const command: ServerState = { at: 'command', visit, transaction: null };
  const securing: ServerState = { at: 'securing', visit };
  const facts = { octets: 0, bare: 0 };
  const bugs = [
    () => receive(RECEIVING, securing, { type: 'line', line: 'NOOP', fault: 'none' }),
    () => receive(RECEIVING, command, { type: 'contentEnd', facts }),
    () => receive(RECEIVING, command, { type: 'chunkEnd' }),
    () => receive(RECEIVING, command, { type: 'verdict', reply: null, each: [] }),
    () => receive(RECEIVING, command, { type: 'secured' }),
  ];
  for (const bug of bugs) assert.throws(bug, /^Error: bug: /);
});

/** [what the client says, how the last answer begins, the settings] */
const CODES: readonly (readonly [string, string, Partial<Receiving>?])[] = [
  ['', '220 here ESMTP nospool'],
  ['', '220 here LMTP nospool', { protocol: 'lmtp' }],
  ['NOOP', '250 2.0.0 nothing done'],
  ['HELP', '214 2.0.0 RFC 5321 says'],
  ['VRFY x', '252 2.1.5 send a message'],
  ['EXPN x', '502 5.5.1 EXPN is not offered'],
  ['QUIT', '221 2.0.0 here says goodbye'],
  ['RSET', '250 2.0.0 reset'],
  ['FOO', '500 5.5.1 not a command'],
  ['NOOP\\n', '500 5.5.2 end a line with CR LF'],
  // 64 KiB with CR.
  [`NOOP ${'x'.repeat(65_530)}`, '250 2.0.0 nothing done'],
  [`NOOP ${'x'.repeat(65_531)}`, '500 5.5.6 the line is too long'],
  ['GET / HTTP/1.1', '421 4.7.0 here speaks SMTP, not HTTP'],
  ['STARTTLS', '502 5.5.1 STARTTLS is not offered'],
  ['STARTTLS', '220 2.0.0 begin TLS', { tls: 'offered' }],
  ['MAIL FROM:<a@b>', '530 5.7.0 say STARTTLS first', { tls: 'required' }],
  ['NOOP', '250 2.0.0 nothing done', { tls: 'required' }],
  ['QUIT', '221 2.0.0 here says goodbye', { tls: 'required' }],
  ['LHLO x', '250 STARTTLS', { protocol: 'lmtp', tls: 'required' }],
  ['LHLO x', '500 5.5.1 this is SMTP: say EHLO'],
  ['EHLO x', '500 5.5.1 this is LMTP: say LHLO', { protocol: 'lmtp' }],
  ['EHLO', '501 5.5.4 '],
  ['MAIL FROM:<a@b>', '503 5.5.1 say EHLO or HELO first'],
  ['MAIL FROM:<a@b>', '503 5.5.1 say LHLO first', { protocol: 'lmtp' }],
  ['HELO x|MAIL FROM:<a@b>', '250 2.1.0 sender accepted'],
  ['HELO x|MAIL FROM:<a@b>|MAIL FROM:<a@b>', '503 5.5.1 a transaction is open already'],
  ['HELO x|MAIL FROM:<a@b>', '530 5.7.0 authentication is required', { authRequired: true }],
  ['HELO x|MAIL FROM:<a@b', '501 5.1.7 '],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d', '501 5.1.3 '],
  ['HELO x|MAIL FROM:<a@b> FOO=1', '555 5.5.4 the parameter FOO is not offered'],
  ['HELO x|MAIL FROM:<a@b> SIZE=x', '501 5.5.4 the value of SIZE is wrong'],
  ['HELO x|MAIL FROM:<a@b>', '250 2.1.0 sender accepted', { sizeLimit: 0 }],
  ['HELO x|MAIL FROM:<a@b> SIZE=11', '552 5.3.4 a message may have 10 octets', { sizeLimit: 10 }],
  ['HELO x|MAIL FROM:<a@b> SIZE=10', '250 2.1.0 sender accepted', { sizeLimit: 10 }],
  ['HELO x|MAIL FROM:<a@b> BODY=BINARYMIME', '501 5.5.4 BINARYMIME is not offered'],
  ['HELO x|MAIL FROM:<a@b> BODY=BINARYMIME', '250 2.1.0', { extensions: [...RECEIVING.extensions, 'BINARYMIME'] }],
  ['HELO x|MAIL FROM:<a@b> AUTH=<>', '250 2.1.0', { mechanisms: ['PLAIN'] }],
  ['HELO x|MAIL FROM:<é@b>', '550 5.6.7 an address that is not ASCII'],
  [
    'HELO x|MAIL FROM:<a@b>|RSET|MAIL FROM:<a@b>',
    '421 4.7.0 one session takes 1 messages',
    { extensions: ['ENHANCEDSTATUSCODES', 'LIMITS MAILMAX=1'] },
  ],
  ['RCPT TO:<c@d>', '503 5.5.1 say MAIL first'],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>', '250 2.1.5 recipient accepted'],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<é@d>', '553 5.6.7 an address that is not ASCII'],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d> FOO', '555 5.5.4 the parameter FOO is not offered'],
  [
    'HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>|RCPT TO:<e@d>',
    '452 4.5.3 a message may have 1 recipients',
    { extensions: ['ENHANCEDSTATUSCODES', 'LIMITS RCPTMAX=1'] },
  ],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>|RCPT TO:<e@D>', '250 2.1.5', { extensions: ['ENHANCEDSTATUSCODES', 'LIMITS RCPTDOMAINMAX=1'] }],
  [
    'HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>|RCPT TO:<e@f>',
    '452 4.5.3 the recipients of a message may have 1 domains',
    { extensions: ['ENHANCEDSTATUSCODES', 'LIMITS RCPTDOMAINMAX=1'] },
  ],
  ['DATA', '503 5.5.1 say MAIL first'],
  ['HELO x|MAIL FROM:<a@b>|DATA', '503 5.5.1 no recipient is known: say RCPT first'],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<550@d>|DATA', '554 5.5.1 no recipient was accepted'],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<é@d>|DATA', '554 5.5.1 no recipient was accepted'],
  ['LHLO x|MAIL FROM:<a@b>|RCPT TO:<550@d>|DATA', '503 5.5.1 no recipient is known: say RCPT first', { protocol: 'lmtp' }],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA', '354 send the content'],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA|.', '250 2.0.0 message accepted'],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA|123456789|.', '552 5.3.4 a message may have 10 octets', { sizeLimit: 10 }],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA|12345678|.', '250 2.0.0 message accepted', { sizeLimit: 10 }],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>|DATA|a\\nb|.', '550 5.6.0 bare LF or CR'],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 2', '250 2.0.0 2 octets taken'],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 11', '552 5.3.4 a message may have 10 octets', { sizeLimit: 10 }],
  ['HELO x|MAIL FROM:<a@b>|RCPT TO:<c@d>|BDAT 2 LAST', '250 2.0.0 message accepted', { sizeLimit: 2 }],
  ['BDAT 2', '502 5.5.1 CHUNKING is not offered', { extensions: ['ENHANCEDSTATUSCODES'] }],
  ['BDAT x', '501 5.5.4 a number of octets'],
  ['EHLO x|AUTH PLAIN', '502 5.5.1 AUTH is not offered'],
  ['EHLO x|AUTH PLAIN', '538 5.7.11 AUTH needs TLS: say STARTTLS first', { mechanisms: ['PLAIN'] }],
  ['AUTH PLAIN', '503 5.5.1 say EHLO first', { mechanisms: ['PLAIN'], authInClear: true }],
  ['EHLO x|AUTH LOGIN', '504 5.5.4 the mechanism is not offered', { mechanisms: ['PLAIN'], authInClear: true }],
  ['EHLO x|MAIL FROM:<a@b>|AUTH PLAIN', '503 5.5.1 AUTH may not come inside a transaction', { mechanisms: ['PLAIN'], authInClear: true }],
  ['EHLO x|AUTH PLAIN|*', '501 5.7.0 authentication is cancelled', { mechanisms: ['PLAIN'], authInClear: true }],
  ['EHLO x|AUTH PLAIN|!', '501 5.5.2 the response is not base64', { mechanisms: ['PLAIN'], authInClear: true }],
  ['EHLO x|AUTH PLAIN eA==', '501 5.5.2 the response is not one of PLAIN', { mechanisms: ['PLAIN'], authInClear: true }],
  ['EHLO x|AUTH PLAIN =', '501 5.5.2 the response is not one of PLAIN', { mechanisms: ['PLAIN'], authInClear: true }],
  ['EHLO x|AUTH PLAIN|eA==\\n', '500 5.5.2 end a line with CR LF', { mechanisms: ['PLAIN'], authInClear: true }],
  [`EHLO x|AUTH PLAIN|${'x'.repeat(100_000)}`, '500 5.5.6 the response is too long', { mechanisms: ['PLAIN'], authInClear: true }],
  ['EHLO x|AUTH PLAIN AG1lAHNlY3JldA==', '235 2.7.0 authenticated', { mechanisms: ['PLAIN'], authInClear: true }],
  ['EHLO x|AUTH PLAIN bWUAbWUAc2VjcmV0', '235 2.7.0 authenticated', { mechanisms: ['PLAIN'], authInClear: true }],
  ['EHLO x|AUTH PLAIN eW91AG1lAHNlY3JldA==', '535 5.7.8 nobody may act as another user', { mechanisms: ['PLAIN'], authInClear: true }],
  [
    'EHLO x|AUTH PLAIN AG1lAHNlY3JldA==|AUTH PLAIN',
    '503 5.5.1 the session is authenticated already',
    { mechanisms: ['PLAIN'], authInClear: true },
  ],
  ['NOOP|FOO', '421 4.7.0 here has had too many errors', { faultLimit: 1 }],
];
for (const [said, expected, settings] of CODES)
  test(`${said.slice(0, 70)}: ${expected}`, () => {
    const octetsOf = (line: string): string => {
      const [, count = 0] = /^BDAT (\d+)/.exec(line) ?? [];
      return `# ${utf8(line)}${line.endsWith('\\n') ? '' : '\\r\\n'}${'x'.repeat(Number(count))}`;
    };
    const script = said === '' ? [] : said.split('|').map(octetsOf);
    const log = play({ ...RECEIVING, hostname: 'here', ...settings }, script, 100_000, false, false);
    const last = log.filter((line) => line.startsWith('S: ')).at(-1) ?? '';
    assert.ok(last.startsWith(`S: ${expected}`), log.join('\n').slice(-500));
  });

test('domains are kept only where their number is limited', () => {
  const domainsWith = (limits: string): readonly string[] => {
    let domains: readonly string[] = [];
    const settings: Receiving = { ...RECEIVING, extensions: ['PIPELINING', limits] };
    const reception = makeReception(settings, (action) => {
      if (action.do !== 'ask') return;
      if (action.question.about === 'recipient') domains = action.question.transaction.domains;
      reception.answer(null);
    });
    reception.begin(false);
    reception.hear(octets('EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@D>\r\nRCPT TO:<f@g>\r\nRCPT TO:<h@i>\r\n'));
    return domains;
  };
  assert.deepEqual(domainsWith('LIMITS RCPTDOMAINMAX=9'), ['d', 'g']);
  assert.deepEqual(domainsWith('LIMITS RCPTMAX=9'), []);
});

test('the words for a client that waits too long, and for a server that closes', () => {
  const said = (event: string): string | undefined =>
    play({ ...RECEIVING, hostname: 'here' }, [`! ${event}`], 7, false, false).find((line) => line.startsWith('S: 421'));
  assert.equal(said('timeout'), 'S: 421 4.4.2 here has waited too long');
  assert.equal(said('closing'), 'S: 421 4.3.2 here is closing down');
});

test.run();
