/**
 * The hostile cases, numbered: what a server, a message, a caller or a name does to this client, and what it may not achieve.
 * Loopback: most cases are of the dialogue, which clear text shows best; what may be said in clear, test/world walks.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac, pbkdf2Sync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { interpret } from '../../src/config/interpret.ts';
import { parseToml } from '../../src/config/toml.ts';
import { DEFAULT_TLS } from '../../src/router/smarthost.ts';
import { parseMailbox, printPath } from '../../src/smtp/path.ts';
import { type DeliveryOptions, deliver } from '../../src/submit/delivery.ts';
import { type Outcome, printOutcome } from '../../src/submit/outcome.ts';
import { systemSecurity } from '../../src/submit/security.ts';
import { makeCertificate } from '../../src/transport/tls/certificate.ts';
import { ENVIRONMENT, run, scratch, setUp, start, toHosts } from '../support/command.ts';
import { type Envelope, messageOf, TIMEOUTS, transactionOf } from '../support/engine.ts';
import { uncheckedMailbox } from '../support/mailbox.ts';
import { startSocks } from '../support/proxies.ts';
import { serverCertificate } from '../support/scripted.ts';
import type { Phase } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import {
  assertFailed,
  assertNothingHeld,
  assertTaken,
  conversing,
  heard,
  hostAt,
  MESSAGE,
  play,
  raw,
  reasons,
  send,
  served,
  until,
  usual,
  verbs,
} from './support.ts';

const hostile = suite('hostile cases');
const theCase = (number: number, what: string, work: () => void | Promise<void>) => hostile(`hostile case ${number}: ${what}`, work);

const REQUIRED = { ...DEFAULT_TLS, mode: 'required' } as const;
const PASSWORD = 'tan staaf/ü7';
const AUTH = { user: 'tim', mechanisms: [] as string[], allowPlaintext: false, secret: { from: 'literal', value: PASSWORD } } as const;
const outcomeOf = (lines: readonly string[]) => lines.find((line) => line.startsWith('= ')) ?? '';
const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** In clear, in base64 alone and within a response, in hexadecimal and as URLs have it. */
function formsOf(secret: string): string[] {
  const octets = Buffer.from(secret);
  const cores = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), octets])
      .toString('base64')
      .slice(Math.ceil((8 * before) / 6), Math.floor((8 * (before + octets.length)) / 6)),
  );
  return [secret, octets.toString('latin1'), octets.toString('hex'), encodeURIComponent(secret), ...cores];
}

function assertUntold(text: string, secret = PASSWORD): void {
  for (const form of formsOf(secret)) assert.ok(!text.toLowerCase().includes(form.toLowerCase()), `${form} is told in:\n${text}`);
}

/* ---- TLS ---- */

theCase(1, 'a line in clear behind the 220 of STARTTLS: the end, and nothing more is said', async () => {
  play('starttls-injected.smtp');
  const lines: string[] = [];
  await raw(
    conversing((line) => {
      lines.push(line);
      return line === 'STARTTLS' ? '220 go\r\n250 injected\r\n' : usual(line, ['STARTTLS']);
    }),
    async (port) => assertFailed(await send([hostAt(port, { tls: REQUIRED })]), /protocol error at starttls/),
  );
  assert.deepEqual(lines, ['EHLO client.example.org', 'STARTTLS']);
});

theCase(2, 'a part of a line in clear behind it: the same', async () => {
  play('starttls-injected-part.smtp');
  await raw(
    conversing((line) => (line === 'STARTTLS' ? '220 go\r\n25' : usual(line, ['STARTTLS']))),
    async (port) => assertFailed(await send([hostAt(port, { tls: REQUIRED })]), /protocol error/),
  );
});

theCase(3, 'STARTTLS is required and not offered: no AUTH and no MAIL', () =>
  served({ offers: ['AUTH PLAIN'] }, async (host) => {
    const outcome = await send([hostAt(host.port, { tls: REQUIRED, auth: AUTH })]);
    assertFailed(outcome, /the server does not offer STARTTLS, and TLS is required$/);
    assert.deepEqual(
      verbs(host)
        .slice(0, 2)
        .filter((verb) => verb !== 'QUIT'),
      ['EHLO'],
    );
  }),
);

theCase(4, 'STARTTLS offered and answered otherwise: never a loop, never clear text', async () => {
  for (const answer of ['454 4.7.0 not now', '500 5.5.1 what', '220 go\n220 on'])
    await served({ offers: ['STARTTLS'], tls: serverCertificate(), script: { STARTTLS: answer } }, async (host) => {
      assert.equal((await send([hostAt(host.port, { tls: REQUIRED })])).kind, 'failed');
      assert.equal(verbs(host).filter((verb) => verb === 'STARTTLS').length, 1);
      assert.ok(!verbs(host).includes('MAIL'));
    });
});

theCase(5, 'a reply to EHLO cut anywhere says the same', () => {
  play('starttls-forgets.smtp');
  play('auth-plain-accepted.smtp');
});

theCase(6, 'certificates that are not the right one: the exact reason, and nothing is sent', async () => {
  const ca = makeCertificate({ commonName: 'test CA', ca: true });
  const folder = scratch();
  const caFile = path.join(folder, 'ca.pem');
  writeFileSync(caFile, ca.own);
  const since = Date.UTC(2026, 0, 2, 3, 4);
  for (const [certificate, reason] of [
    [makeCertificate({ names: ['localhost'] }), /the certificate is self-signed/],
    [
      makeCertificate({ names: ['localhost'], issuer: ca, notBefore: since - 86_400_000, notAfter: since }),
      /expired on 2026-01-02 03:04 UTC$/,
    ],
    [makeCertificate({ names: ['other.example'], issuer: ca }), /the certificate is for other\.example, not for localhost/],
    [makeCertificate({ ips: ['127.0.0.1'], issuer: ca }), /the certificate is for 127\.0\.0\.1, not for localhost/],
    [makeCertificate({ commonName: 'localhost', cnOnly: true, issuer: ca }), /common name "localhost" does not count/],
  ] as const)
    await served({ offers: ['STARTTLS'], tls: certificate }, async (host) => {
      assertFailed(await send([hostAt(host.port, { host: 'localhost', tls: { ...REQUIRED, caFile } })]), reason);
      assert.deepEqual(verbs(host), ['EHLO', 'STARTTLS']);
    });
});

theCase(7, 'TLS 1.1 and older is no TLS', async () => {
  const { key, cert, fingerprints } = serverCertificate();
  const old = { key, cert, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const tls = { ...REQUIRED, fingerprint: [fingerprints.certificate] };
  await raw(
    conversing((line) => usual(line)),
    async (port) => assertFailed(await send([hostAt(port, { scheme: 'submissions', tls })]), /the server has no TLS version from 1\.2 on/),
    old,
  );
});

theCase(8, 'STARTTLS offered again behind TLS is not asked for again', () => {
  assert.equal(play('starttls-twice.smtp').filter((line) => line === 'C: STARTTLS').length, 1);
});

/* ---- authentication ---- */

theCase(9, 'AUTH offered before TLS only is not used', () => {
  assert.ok(!play('starttls-auth-before-only.smtp').some((line) => line.startsWith('C: AUTH')));
});

theCase(10, 'no credentials in clear to a server that is not on this host', () =>
  served({ offers: ['AUTH PLAIN LOGIN CRAM-MD5'] }, async (host) => {
    // Behind a proxy no address is this host's own.
    const proxy = await startSocks({ places: { 'mail.test.invalid:587': host.port } });
    const link = {
      proxy: { scheme: 'socks5', host: '127.0.0.1', port: proxy.port, user: '', secret: { from: 'none' } },
      sourceAddress: '',
      family: 'any',
    } as const;
    const to = { scheme: 'submission', host: 'mail.test.invalid', tls: { ...DEFAULT_TLS, mode: 'off' }, link } as const;
    assertFailed(await send([hostAt(587, { ...to, auth: AUTH })]), /the connection is not encrypted, so no credentials are sent/);
    assert.ok(!verbs(host).includes('AUTH'));
    assertTaken(await send([hostAt(587, { ...to, auth: { ...AUTH, allowPlaintext: true, mechanisms: ['PLAIN'] } })]));
    await proxy.stop();
  }),
);

theCase(11, 'a server that offers less than what is configured gets nothing', () =>
  served({ offers: ['AUTH PLAIN LOGIN'] }, async (host) => {
    const auth = { ...AUTH, mechanisms: ['SCRAM-SHA-256'] };
    assertFailed(
      await send([hostAt(host.port, { auth })]),
      /the server offers PLAIN LOGIN, and only SCRAM-SHA-256 is allowed$/,
      /: auth\.mechanisms says what is allowed$/,
    );
    assert.ok(!verbs(host).includes('AUTH'));
  }),
);

/** A server that speaks SCRAM-SHA-256 and lies where it is told to. */
function scramServer(lie: { nonce?: string; iterations?: number; signature?: string }, said: string[]) {
  let clientFirst = '';
  let serverFirst = '';
  const salt = Buffer.from('salt');
  const b64 = (text: string | Buffer) => Buffer.from(text).toString('base64');
  return conversing((line) => {
    said.push(line);
    if (line.startsWith('AUTH SCRAM-SHA-256 ')) {
      clientFirst = Buffer.from(line.split(' ')[2] ?? '', 'base64').toString();
      const nonce = lie.nonce ?? `${/r=([^,]*)/.exec(clientFirst)?.[1]}more`;
      serverFirst = `r=${nonce},s=${b64(salt)},i=${lie.iterations ?? 4096}`;
      return `334 ${b64(serverFirst)}\r\n`;
    }
    if (line === '*') return '501 cancelled\r\n';
    if (clientFirst !== '' && /^[A-Za-z0-9+/]+=*$/.test(line) && line.length > 60) {
      const final = Buffer.from(line, 'base64').toString();
      const salted = pbkdf2Sync(PASSWORD, salt, 4096, 32, 'sha256');
      const key = createHmac('sha256', salted).update('Server Key').digest();
      const signed = `${clientFirst.split(',').slice(2).join(',')},${serverFirst},${final.split(',p=')[0]}`;
      return `334 ${b64(`v=${lie.signature ?? createHmac('sha256', key).update(signed).digest('base64')}`)}\r\n`;
    }
    if (line === '') return '235 2.7.0 welcome\r\n';
    return usual(line, ['AUTH SCRAM-SHA-256']);
  });
}

theCase(12, 'SCRAM: a server that cannot prove itself, a nonce not ours, too few or too many rounds', async () => {
  const scram = async (lie: Parameters<typeof scramServer>[0]): Promise<[Outcome, string[]]> => {
    const said: string[] = [];
    let outcome: Outcome | undefined;
    await raw(scramServer(lie, said), async (port) => {
      outcome = await send([hostAt(port, { auth: AUTH })]);
    });
    return [outcome as Outcome, said];
  };
  assertTaken((await scram({}))[0]);
  for (const [lie, reason] of [
    [{ signature: Buffer.alloc(32).toString('base64') }, /AUTH SCRAM-SHA-256: .*(proof|signature|password)/],
    [{ nonce: 'anothernonce' }, /AUTH SCRAM-SHA-256: .*nonce/],
    [{ iterations: 1 }, /AUTH SCRAM-SHA-256: .*\b1\b/],
    [{ iterations: 1_000_000_000 }, /AUTH SCRAM-SHA-256: .*1000000000/],
  ] as const) {
    const [outcome, said] = await scram(lie);
    assertFailed(outcome, reason);
    assert.ok(said.includes('*'));
    assert.ok(!said.some((line) => line.startsWith('MAIL')));
  }
});

theCase(13, 'SCRAM over TLS to a server without -PLUS says that we could have bound', async () => {
  const said: string[] = [];
  const { key, cert, fingerprints } = serverCertificate();
  const tls = { ...REQUIRED, fingerprint: [fingerprints.certificate] };
  await raw(scramServer({}, said), async (port) => assertTaken(await send([hostAt(port, { scheme: 'submissions', tls, auth: AUTH })])), {
    key,
    cert,
  });
  const [first = ''] = said.filter((line) => line.startsWith('AUTH'));
  assert.match(Buffer.from(first.split(' ')[2] ?? '', 'base64').toString(), /^y,,n=tim,r=/);
});

theCase(14, 'XOAUTH2: the explanation of any size is bounded, answered, shown escaped', async () => {
  const auth = { ...AUTH, mechanisms: ['XOAUTH2'], secret: { from: 'literal', value: 'token' } } as const;
  const explained = async (challenge: string): Promise<[string, string[]]> => {
    const said: string[] = [];
    let text = '';
    await raw(
      conversing((line) => {
        said.push(line);
        if (line.startsWith('AUTH')) return `334 ${challenge}\r\n`;
        if (line === '' || line === '*') return '535 5.7.8 no\r\n';
        return usual(line, ['AUTH XOAUTH2']);
      }),
      async (port) => {
        text = reasons(await send([hostAt(port, { auth })]));
      },
    );
    return [text, said];
  };
  const [text, said] = await explained(Buffer.from('{"status":"401","scope":"\\u001b[31m"}').toString('base64'));
  assert.match(text, /AUTH XOAUTH2 \(status 401, scope \\x1b\[31m\): 535 5\.7\.8 no$/m);
  assert.equal(said[2], '');
  assert.match((await explained('!!!'))[0], /the challenge is not base64/);
  assert.ok((await explained(Buffer.alloc(40_000, 'x').toString('base64')))[0].length < 500);
  assert.match((await explained(Buffer.alloc(1_000_000, 'x').toString('base64')))[0], /a reply line is longer than 65536 octets$/);
});

theCase(15, 'a server that quotes the credentials: they are in no outcome, trace or log', async () => {
  for (const mechanism of ['PLAIN', 'LOGIN', 'CRAM-MD5']) {
    let given: string[] = [];
    await raw(
      conversing((line) => {
        if (line.startsWith('AUTH ')) given = line.startsWith('AUTH PLAIN') ? [line] : [];
        else if (given.length < 9 && /^[A-Za-z0-9+/=]+$/.test(line) && line !== 'DATA') given.push(line);
        else return usual(line, [`AUTH ${mechanism}`]);
        const decoded = given.map((text) => Buffer.from(text.split(' ').at(-1) ?? '', 'base64').toString('latin1')).join(' ');
        const wanted = { PLAIN: 1, LOGIN: 2, 'CRAM-MD5': 1 }[mechanism] as number;
        return given.length < wanted ? '334 UGFzc3dvcmQ6\r\n' : `535 5.7.8 refused: ${given.join(' ')} = ${decoded} = ${PASSWORD}\r\n`;
      }),
      async (port) => {
        const setup = setUp('');
        const secret = path.join(setup.folder, 'password');
        writeFileSync(secret, PASSWORD, { mode: 0o600 });
        const auth = `[auth]\nuser = "tim"\npassword_file = "${secret}"\nmechanisms = ["${mechanism}"]\n`;
        writeFileSync(setup.config, `log = "${setup.log}"\naliases = []\nhostname = "c.example.org"\n${toHosts(port)}\n${auth}`);
        const ended = await run(setup.config, ['-d', '-f', 'a@example.org', 'b@example.org'], 'Subject: x\n\nhello\n');
        assert.equal(ended.status, 1);
        assert.match(ended.stderr, /535 5\.7\.8 refused: /);
        assertUntold(ended.stderr + ended.stdout + setup.logged());
      },
    );
  }
});

/* ---- replies ---- */

theCase(16, 'lines without an end, octets without a line, one octet now and then: a bound and a deadline each', async () => {
  const timeouts = { greeting: 400, command: 400 };
  for (const phase of ['greeting', 'EHLO'] as const)
    await raw(
      (socket) => {
        let timer: NodeJS.Timeout | undefined;
        const drip = () => {
          timer = setInterval(() => socket.write('2'), 10);
        };
        if (phase === 'greeting') drip();
        else socket.write('220 x\r\n');
        socket.once('data', drip).once('close', () => clearInterval(timer));
      },
      async (port) =>
        assertFailed(
          await send([hostAt(port)], { timeouts }),
          /(no greeting came|no reply to EHLO) within 400ms \(timeouts\.(greeting|command)\), only ".*"$/,
        ),
    );
  for (const text of ['220-x\r\n', 'x'])
    await raw(
      (socket) => {
        const piece = text.repeat(10_000);
        const more = () => {
          while (!socket.destroyed && socket.write(piece));
        };
        socket.on('drain', more).resume();
        more();
      },
      async (port) => assertFailed(await send([hostAt(port)]), /a reply (line )?is longer than/),
    );
});

theCase(17, 'escape sequences, CR, NUL, bidirectional controls and ten thousand characters in a reply: one printable line', async () => {
  const nasty = `\x1b[2J\x1b]0;x\x07 a\rb \0 ${Buffer.from('\u202egnp.exe').toString('latin1')} ${'long '.repeat(2000)}`;
  await raw(
    conversing((line) => (line.startsWith('RCPT') ? `550 5.1.1 ${nasty}\r\n` : usual(line))),
    async (port) => {
      const setup = setUp(toHosts(port));
      const ended = await run(setup.config, ['-v', '-f', 'a@example.org', 'b@example.org'], 'Subject: x\n\nhello\n');
      assert.equal(ended.status, 1);
      const shown = ended.stderr + setup.logged();
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this line looks for.
      assert.doesNotMatch(shown, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
      assert.match(ended.stderr, /\\x1b\[2J/);
      const sentence = ended.stderr.split('\n').filter((line) => line.startsWith('sendmail: '));
      assert.equal(sentence.length, 1);
      assert.ok((sentence[0] as string).length < 5000);
      assert.ok(
        setup
          .logged()
          .split('\n')
          .every((line) => line.length < 10_000),
      );
    },
  );
});

theCase(18, 'what is no reply code ends the session', async () => {
  for (const code of ['000 ok', '199 ok', '666 ok', '2500 ok', '25O ok', '-50 ok', ' 250 ok', '250_ok', 'ok', ''])
    await raw(
      conversing((line) => (line.startsWith('MAIL') ? `${code}\r\n` : usual(line))),
      async (port) => assertFailed(await send([hostAt(port)]), /protocol error at envelope: not an SMTP reply: /),
    );
});

theCase(19, 'different codes in one reply end the session', () => {
  assert.match(outcomeOf(play('mixed-codes.smtp')), /^= malformed/);
});

theCase(20, 'replies too many cannot make a refusal look accepted', async () => {
  // One more 250 before the 550: the client would take the 550 for the reply to DATA.
  for (const offers of [[], ['PIPELINING'], ['PIPELINING', 'CHUNKING']])
    await raw(
      conversing((line) => {
        if (line.startsWith('MAIL')) return '250 ok\r\n250 ok\r\n';
        return line.startsWith('RCPT') ? '550 5.1.1 no\r\n' : usual(line, offers);
      }),
      async (port) => assert.equal((await send([hostAt(port)])).kind, 'failed'),
    );
  // And one that would be taken for the verdict.
  await raw(
    conversing((line) => {
      if (line === 'DATA') return '354 go\r\n250 taken\r\n';
      return line === '.' ? '550 5.6.0 no\r\n' : usual(line);
    }),
    async (port) => assertFailed(await send([hostAt(port)]), /unexpected reply: 354 go \/ 250 taken$/),
  );
});

theCase(21, '354 with all recipients refused, or one', () => {
  for (const file of ['rcpt-refused-data-354.smtp', 'mail-refused-data-354.smtp']) {
    const lines = play(file);
    assert.ok(!lines.includes('C: .') && lines.at(-1) === '! destroy', file);
  }
  assert.ok(!play('rcpt-pipelined-5yz.smtp').includes('C: DATA'));
});

theCase(22, 'a 250 before the terminator is no verdict', async () => {
  play('content-early-2yz.smtp');
  await raw(
    conversing((line, socket) => {
      if (line !== 'DATA') return usual(line);
      setTimeout(() => socket.write('250 2.0.0 taken\r\n'), 20);
      return '354 go\r\n';
    }),
    async (port) => {
      async function* slow() {
        yield 'Subject: x\r\n\r\n';
        await pause(300);
        yield 'y\r\n';
      }
      assertFailed(await send([hostAt(port)], { message: slow() }), /unexpected reply: 250 2\.0\.0 taken$/);
    },
  );
});

/* ---- what callers hand in ---- */

const EVERYTHING = [
  ...['PIPELINING', 'SIZE', '8BITMIME', 'SMTPUTF8', 'DSN', 'CHUNKING', 'BINARYMIME', 'REQUIRETLS', 'MT-PRIORITY', 'DELIVERBY'],
  ...['FUTURERELEASE', 'NO-SOLICITING', 'AUTH PLAIN'],
];

/** Each way in for a text that goes into a command. */
const WAYS: readonly (readonly [string, (text: string) => Parameters<typeof send>[1]])[] = [
  ['the sender', (text) => ({ from: `a${text}@example.org` })],
  ['the domain of the sender', (text) => ({ from: `a@example${text}.org` })],
  ['a recipient', (text) => ({ to: [`b${text}@example.org`] })],
  ['a quoted recipient', (text) => ({ to: [`"b${text}"@example.org`] })],
  ['the domain of a recipient', (text) => ({ to: [`b@example${text}.org`] })],
  ['the argument of EHLO', (text) => ({ hello: `client${text}.example.org` })],
  ['ENVID', (text) => ({ envelope: { envid: `x${text}` } })],
  ['ORCPT', (text) => ({ to: [{ address: 'b@example.org', original: `c${text}@example.org` }] })],
  ['NOTIFY', (text) => ({ to: [{ address: 'b@example.org', notify: [`NEVER${text}`] as never }] })],
  ['RET', (text) => ({ envelope: { ret: `FULL${text}` as never } })],
  ['AUTH=', (text) => ({ envelope: { submitter: uncheckedMailbox(`s${text}`, 'example.org') } })],
  ['HOLDUNTIL', (text) => ({ envelope: { hold: { until: `2030${text}` } } })],
  ['BY', (text) => ({ envelope: { deliverBy: { seconds: 1, mode: `R${text}` as never } } })],
  ['SOLICIT', (text) => ({ envelope: { solicit: [`org.example:${text}`] } })],
];

theCase(23, 'line ends, NUL and other controls in anything that goes into a command', async () => {
  for (const control of ['\r\nEVIL', '\nEVIL', '\rEVIL', '\0EVIL', '\x1bEVIL', '\x7fEVIL'])
    for (const [what, sending] of WAYS)
      await served({ offers: EVERYTHING }, async (host) => {
        const outcome = await send([hostAt(host.port)], sending(control));
        // Values that are written as xtext (RFC 3461 §4) may hold anything.
        const encoded = (what === 'ENVID' || what === 'AUTH=') && outcome.kind === 'accepted';
        if (!encoded) assert.equal(outcome.kind, 'failed', `${what}: ${JSON.stringify(control)}`);
        for (const line of heard(host)) assert.doesNotMatch(line, encoded ? /^EVIL|[^ -~]/ : /EVIL/, what);
        if (!encoded) assertNothingHeld(host);
      });
  for (const auth of [
    { ...AUTH, user: 'u\r\nEVIL' },
    { ...AUTH, secret: { from: 'literal', value: 'p\r\nEVIL' } },
  ] as const)
    await served({ offers: ['AUTH PLAIN'] }, async (host) => {
      assertFailed(await send([hostAt(host.port, { auth })]), /control character/);
      assert.ok(!verbs(host).includes('AUTH'));
    });
});

theCase(24, 'characters whose low octet is CR or LF are never cut to it', async () => {
  const low = '\u010d\u010a\u760d\u760a\uff0d\u200d\u200a';
  for (const offers of [[], EVERYTHING])
    for (const [what, sending] of WAYS)
      await served({ offers }, async (host) => {
        const outcome = await send([hostAt(host.port)], sending(`${low}EVIL`));
        assert.ok(
          heard(host).every((line) => !line.startsWith('EVIL') && !/[\0\r\n]/.test(line)),
          what,
        );
        if (offers.length === 0 && /sender|recipient/.test(what)) assert.equal(outcome.kind, 'failed', what);
      });
});

theCase(25, 'half a character in an address is no address', async () => {
  for (const half of ['\ud800', '\udc00']) {
    assert.ok(!parseMailbox(`a${half}@example.org`).ok);
    assert.ok(!parseMailbox(`a@ex${half}ample.org`).ok);
    await served({ offers: ['SMTPUTF8', '8BITMIME'] }, async (host) => {
      assert.equal((await send([hostAt(host.port)], { to: [`a${half}@example.org`] })).kind, 'failed');
      assert.deepEqual(host.sessions, []);
    });
  }
});

theCase(26, 'addresses are atoms: what is more or less than one is refused', () => {
  for (const [text, expected] of [
    ['<a@b.example> SIZE=1', null],
    ['a@b.example>', null],
    ['a@b.example>\r\nRCPT TO:<evil@x.example', null],
    ['a b@c.example', null],
    ['"a@b.example', null],
    ['a@b@c.example', null],
    ['a(comment)@b.example', null],
    ['group: a@b.example;', null],
    ['a@b.example, c@d.example', null],
    ['Name <a@b.example>', null],
    ['"a@evil x"@int.example', '<"a@evil x"@int.example>'],
    ['<@x.example,@y.example:a@b.example>', '<a@b.example>'],
  ] as const) {
    const mailbox = parseMailbox(text);
    assert.equal(mailbox.ok ? printPath(mailbox.value) : null, expected, text);
  }
});

theCase(27, 'an address that begins with a hyphen is data, from the header and from aliases', () =>
  served({}, async (host) => {
    const folder = scratch();
    const aliases = path.join(folder, 'aliases');
    writeFileSync(aliases, 'ops: -oQ/tmp@example.org\n');
    const setup = setUp(`${toHosts(host.port)}\naliases = ["${aliases}"]\nqualify_domain = "here.example"`);
    const args = ['-t', '-f', 'a@example.org', 'ops@here.example'];
    const ended = await run(setup.config, args, 'To: -bd@example.org\nSubject: x\n\nhello\n');
    assert.equal(ended.status, 0, ended.stderr);
    assert.deepEqual([...(host.held[0]?.recipients ?? [])].sort(), ['-bd@example.org', '-oQ/tmp@example.org']);
  }),
);

theCase(28, 'domains of any script go as A-labels, and what has none is refused', () =>
  served({}, async (host) => {
    for (const [domain, expected] of [
      ['bücher.example', 'xn--bcher-kva.example'],
      ['pаypal.example', 'xn--pypal-4ve.example'], // the second letter is Cyrillic
      ['日本.example', 'xn--wgv71a.example'],
    ] as const) {
      assertTaken(await send([hostAt(host.port)], { to: [`a@${domain}`] }));
      assert.deepEqual(host.held.at(-1)?.recipients, [`a@${expected}`]);
    }
    const before = host.held.length;
    for (const domain of ['xn--ü.example', 'a\u2060\ufffd.example'])
      assert.equal((await send([hostAt(host.port)], { to: [`a@${domain}`] })).kind, 'failed', domain);
    assert.equal(host.held.length, before);
  }),
);

/* ---- content ---- */

const SMUGGLING = ['\n.\n', '\r.\r', '\r\n.\r', '\n.\r\n', '\r\r\n.\r\n', '\r\n.\n', '\n.\r', '\r\n\x00.\r\n', '.', '\r\n.'];

theCase(29, 'no line ends of any kind around a dot end the message', async () => {
  for (const offers of [['PIPELINING'], ['PIPELINING', 'CHUNKING']])
    for (const smuggled of SMUGGLING)
      await served({ offers }, async (host) => {
        const message = `Subject: x\r\n\r\nbefore${smuggled}MAIL FROM:<evil@example.org>\r\nRCPT TO:<evil@example.org>\r\nDATA\r\nx${smuggled}`;
        assertTaken(await send([hostAt(host.port)], { message: Buffer.from(message, 'latin1') }));
        assert.equal(host.held.length, 1, JSON.stringify(smuggled));
        assert.equal(verbs(host).filter((verb) => verb === 'MAIL').length, 1);
        const text = host.held[0]?.octets.toString('latin1') ?? '';
        assert.match(text, /MAIL FROM:<evil@example\.org>\r\n/);
        assert.doesNotMatch(text.replaceAll('\r\n', ''), /[\r\n]/);
      });
});

theCase(30, 'commands behind a line with a dot are text', () =>
  served({ offers: ['PIPELINING'] }, async (host) => {
    const setup = setUp(toHosts(host.port));
    const text = 'Subject: x\n\nx\n.\nMAIL FROM:<evil@example.org>\n.\nQUIT\n';
    const ended = await run(setup.config, ['-i', '-f', 'a@example.org', 'b@example.org'], text);
    assert.equal(ended.status, 0, ended.stderr);
    assert.equal(host.held.length, 1);
    assert.match(host.held[0]?.octets.toString('latin1') ?? '', /\r\n\r\nx\r\n\.\r\nMAIL FROM:<evil@example\.org>\r\n\.\r\nQUIT\r\n$/);
  }),
);

theCase(31, 'content in very small pieces, or in one very long line', () =>
  served({ offers: ['PIPELINING', 'CHUNKING'] }, async (host) => {
    async function* drops() {
      for (const octet of `Subject: x\r\n\r\n${'.\r\n'.repeat(10_000)}`) yield octet;
    }
    assertTaken(await send([hostAt(host.port)], { message: drops() }));
    assert.equal(host.held[0]?.octets.length, 14 + 30_000);
    const line = Buffer.alloc(8 * 1024 * 1024, 'x');
    assertTaken(await send([hostAt(host.port)], { message: Buffer.concat([Buffer.from('A: b\r\n\r\n'), line]) }));
    assert.equal(host.held[1]?.octets.length, 8 + line.length + 2);
  }),
);

theCase(32, 'nothing starts another header field: not a route, not a name, not an address', async () => {
  const toml = parseToml(
    '[[router]]\nname = "a"\ndriver = "manualroute"\nhosts = ["a"]\nheaders_add = ["X: a\\r\\nBcc: evil@example.org"]',
  );
  assert.ok(toml.ok);
  assert.ok(!interpret({ path: '/f', toml: toml.value, refuses: () => null, isSystem: true }, {}, { home: null }).ok);
  await served({}, async (host) => {
    const setup = setUp(toHosts(host.port));
    for (const name of ['x\r\nX-Evil: y', 'x\nX-Evil: y', 'x\rX-Evil: y']) {
      await run(setup.config, ['-F', name, '-f', 'a@example.org', 'b@example.org'], 'Subject: x\n\nhello\n');
      for (const { octets } of host.held) assert.doesNotMatch(octets.toString('latin1'), /^X-Evil/im);
    }
  });
});

theCase(33, 'Bcc is in nobody’s message', () =>
  served({}, async (host) => {
    const setup = setUp(toHosts(host.port));
    const text = 'To: b@example.org\nBcc: hidden@example.org,\n also@example.org\nbcc : third@example.org\nSubject: x\n\nhello\n';
    for (const args of [['-t'], ['b@example.org']]) {
      const ended = await run(setup.config, ['-f', 'a@example.org', ...args], text);
      assert.equal(ended.status, 0, ended.stderr);
    }
    assert.equal(host.held.length, 2);
    assert.deepEqual([...(host.held[0]?.recipients ?? [])].sort(), [
      'also@example.org',
      'b@example.org',
      'hidden@example.org',
      'third@example.org',
    ]);
    for (const { octets } of host.held) assert.doesNotMatch(octets.toString('latin1'), /bcc|hidden|also|third/i);
  }),
);

theCase(34, 'a server that takes an octet now and then does not hold a message for ever', () =>
  raw(
    conversing((line, socket) => {
      if (line === 'DATA') {
        setImmediate(() => socket.pause());
        const timer = setInterval(() => socket.read(1), 20);
        socket.once('close', () => clearInterval(timer));
      }
      return usual(line);
    }),
    async (port) => {
      const message = `A: b\r\n\r\n${`${'x'.repeat(76)}\r\n`.repeat(250_000)}`;
      assertFailed(
        await send([hostAt(port)], { message, timeouts: { block: 400 } }),
        /no reply to the content within 400ms \(timeouts\.block\)$/,
      );
    },
  ),
);

/* ---- the world around ---- */

theCase(35, 'the connection ends or is reset at each phase, or one side of it is closed: an outcome each time', async () => {
  const phases: readonly Phase[] = ['connect', 'greeting', 'EHLO', 'MAIL', 'RCPT 1', 'DATA', 'content', 'end'];
  for (const how of ['close', 'reset'] as const)
    for (const phase of phases)
      await served({ script: { [phase]: how } }, async (host) => {
        const outcome = await send([hostAt(host.port)]);
        assert.equal(outcome.kind, 'failed', `${how} at ${phase}`);
        const uncertain = outcome.kind === 'failed' && outcome.failure.kind === 'uncertain';
        assert.equal(uncertain, phase === 'end', `${how} at ${phase}: ${printOutcome(outcome, '').join('; ')}`);
      });
  // Half-closed: the server says no more, and would still listen.
  await raw(
    (socket) => {
      socket.end('220 half\r\n');
      socket.resume();
    },
    async (port) => assertFailed(await send([hostAt(port)]), /the server closed the connection$/),
  );
  await raw(
    conversing((line, socket) => {
      if (line === '.') socket.end('250 taken\r\n');
      return line === '.' ? '' : usual(line);
    }),
    async (port) => assertTaken(await send([hostAt(port)])),
  );
});

theCase(36, 'nobody reads standard error; SIGTERM within the content: exit 1, no terminator', async () => {
  await served({ script: { MAIL: '550 5.7.1 no' } }, async (host) => {
    const setup = setUp(toHosts(host.port));
    const running = start(setup.config, ['-v', '-f', 'a@example.org', 'b@example.org']);
    running.child.stderr?.destroy();
    running.child.stdout?.destroy();
    running.child.stdin?.end('Subject: x\n\nhello\n');
    const { status, signal } = await running.done;
    assert.deepEqual([status, signal], [1, null]);
  });
  await served({ offers: ['PIPELINING'] }, async (host) => {
    const setup = setUp(toHosts(host.port));
    const running = start(setup.config, ['-f', 'a@example.org', 'b@example.org'], { env: ENVIRONMENT });
    running.child.stdin?.write(`Subject: x\n\n${`${'x'.repeat(76)}\n`.repeat(20_000)}`);
    await until(() => verbs(host).includes('DATA'));
    running.child.kill('SIGTERM');
    const { status, signal, stderr } = await running.done;
    assert.deepEqual([status, signal], [1, null]);
    assert.doesNotMatch(stderr, /\n\s+at /);
    await until(() => host.partial.length > 0);
    assertNothingHeld(host);
  });
});

/** A delivery by names that are made up. */
function byNames(addresses: () => Promise<readonly { address: string; family: number }[]>, resolve = 5000): Promise<Outcome> {
  const transaction = transactionOf({ from: 'a@example.org', to: ['b@example.org'] } satisfies Envelope, null);
  assert.ok(transaction.ok);
  const names: NonNullable<DeliveryOptions['names']> = { addresses, mx: async () => [], srv: async () => [] };
  return deliver(
    { hosts: [hostAt(1, { host: 'mail.test.invalid' })], transaction: transaction.value, content: messageOf(MESSAGE).content },
    { hello: 'c.example', partial: 'never', framing: 'auto', timeouts: { ...TIMEOUTS, resolve }, security: systemSecurity({}), names },
  );
}

theCase(37, 'a name with ten thousand addresses, none, or no answer', () =>
  within(20_000, async () => {
    const crowd = Array.from({ length: 10_000 }, (_, i) => ({ address: `127.1.${i >> 8}.${i & 255}`, family: 4 }));
    const outcome = await byNames(async () => crowd);
    assert.ok(outcome.kind === 'failed');
    assert.equal(outcome.attempts.length, 16);
    assertFailed(await byNames(async () => []), /no address of mail\.test\.invalid/);
    assertFailed(await byNames(() => Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' }))), /the name is unknown$/);
    assertFailed(
      await byNames(() => new Promise(() => {}), 200),
      /looking up mail\.test\.invalid took longer than 0\.2 s \(timeouts\.resolve\)$/,
    );
  }),
);

theCase(39, 'the caller’s environment does not weaken TLS', () =>
  served({ offers: ['STARTTLS'], tls: serverCertificate() }, async (host) => {
    const keys = path.join(scratch(), 'keys');
    const setup = setUp(`${toHosts(host.port)}`, '[tls]\nmode = "required"');
    const env = { ...ENVIRONMENT, NODE_TLS_REJECT_UNAUTHORIZED: '0', SSLKEYLOGFILE: keys, NODE_NO_WARNINGS: '1' };
    const ended = await run(setup.config, ['-f', 'a@example.org', 'b@example.org'], 'Subject: x\n\nhello\n', { env });
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /the certificate is self-signed/);
    assert.ok(!verbs(host).includes('MAIL'));
    assert.throws(() => readFileSync(keys), /ENOENT/);
  }),
);

theCase(40, 'names of JavaScript’s own are no keys', () => {
  for (const text of [
    '__proto__ = { polluted = true }',
    '[__proto__]\npolluted = true',
    '[rewrite]\n"__proto__" = "x@y.example"',
    'constructor = "x"',
  ]) {
    const toml = parseToml(text);
    if (toml.ok) interpret({ path: '/f', toml: toml.value, refuses: () => null, isSystem: true }, {}, { home: null });
  }
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  assert.equal(Object.getPrototypeOf({}), Object.prototype);
  const toml = parseToml(
    '[[router]]\nname = "a"\ndriver = "redirect"\ndomains = ["*"]\ndata = { root = "x@y.example" }\n[rewrite]\nroot = "x@y.example"',
  );
  assert.ok(toml.ok);
  const got = interpret({ path: '/f', toml: toml.value, refuses: () => null, isSystem: true }, {}, { home: null });
  assert.ok(got.ok);
  assert.equal(got.config.rewrite.constructor, undefined);
  const [router] = got.config.routers;
  assert.ok(router?.driver === 'redirect');
  assert.equal(router.data?.constructor, undefined);
});

theCase(41, 'no input of a server or a caller keeps a parser busy', async () => {
  // A parser that backtracks would not come back within minutes: the process is ended then.
  const script = `
    import { ReplyReader } from ${JSON.stringify(new URL('../../src/smtp/reply.ts', import.meta.url).href)};
    import { readExtensions, sizeLimit, limitOf } from ${JSON.stringify(new URL('../../src/smtp/client/extensions.ts', import.meta.url).href)};
    import { parseMailbox, isDomain, isIPv6 } from ${JSON.stringify(new URL('../../src/smtp/path.ts', import.meta.url).href)};
    import { printable, fromBase64 } from ${JSON.stringify(new URL('../../src/smtp/text.ts', import.meta.url).href)};
    import { scrub } from ${JSON.stringify(new URL('../../src/submit/scrub.ts', import.meta.url).href)};
    import { xtext } from ${JSON.stringify(new URL('../../src/smtp/client/print.ts', import.meta.url).href)};
    const N = 60000;
    const texts = [' ', '\\t', 'a', '.', '-', '"', '\\\\', '@', '[', ':', '=', '1.', 'a.', '"\\\\', 'a@', '\\u00fc', 'A=', '5.1.1 ', '250-', '::'].map((unit) => unit.repeat(N));
    for (const text of texts) for (const shown of [text, 'x' + text + 'y', 'AUTH' + text + '!', '"' + text + '@b']) {
      readExtensions({ code: 250, enhanced: null, lines: ['x', shown, 'SIZE ' + shown, 'LIMITS ' + shown] });
      sizeLimit(readExtensions({ code: 250, enhanced: null, lines: ['x', 'SIZE ' + shown] }));
      limitOf(readExtensions({ code: 250, enhanced: null, lines: ['x', 'LIMITS ' + shown] }), 'RCPTMAX');
      parseMailbox(shown); isDomain(shown); isIPv6(shown); printable(shown); fromBase64(shown); scrub(shown, ['secret']); xtext(shown);
      const reader = new ReplyReader();
      for (let i = 0; i < shown.length; i += 100) { reader.push('250 ' + shown.slice(i, i + 100)); reader.next(); }
    }
    console.log('done');`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (text: Buffer) => {
    said += text;
  });
  try {
    await within(60_000, () => new Promise((resolve) => child.once('close', resolve)));
  } finally {
    child.kill('SIGKILL');
  }
  assert.equal(said, 'done\n');
});

theCase(42, 'the trace has neither the secret nor the message', async () => {
  for (const mechanism of ['PLAIN', 'LOGIN'])
    await raw(
      conversing((line) => {
        if (line === 'AUTH LOGIN') return '334 VXNlcm5hbWU6\r\n';
        if (line === Buffer.from('tim').toString('base64')) return '334 UGFzc3dvcmQ6\r\n';
        if (line.startsWith('AUTH PLAIN ') || line === Buffer.from(PASSWORD).toString('base64')) return '235 2.7.0 welcome\r\n';
        return usual(line, [`AUTH ${mechanism}`]);
      }),
      async (port) => {
        const setup = setUp('');
        const secret = path.join(setup.folder, 'password');
        writeFileSync(secret, PASSWORD, { mode: 0o600 });
        const auth = `[auth]\nuser = "tim"\npassword_file = "${secret}"\nmechanisms = ["${mechanism}"]\n`;
        writeFileSync(setup.config, `log = "${setup.log}"\naliases = []\nhostname = "c.example.org"\n${toHosts(port)}\n${auth}`);
        const ended = await run(setup.config, ['-d', '-f', 'a@example.org', 'b@example.org'], 'Subject: hidden subject\n\nhidden body\n');
        assert.equal(ended.status, 0, ended.stderr);
        assert.match(ended.stderr, new RegExp(`C: AUTH ${mechanism}`));
        assert.match(ended.stderr, /\*\*\*\*/);
        assertUntold(ended.stderr + setup.logged());
        assert.doesNotMatch(ended.stderr + setup.logged(), /hidden (subject|body)/);
      },
    );
});

hostile.run();
