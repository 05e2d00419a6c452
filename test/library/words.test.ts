/** Failures speak of a program's options: no sentence that a program can get names a key of nospool.toml(5). */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { KEYS } from '../../src/config/keys.ts';
import { submit } from '../../src/library/index.ts';
import { rename } from '../../src/library/nodemailer/words.ts';
import { rephrase } from '../../src/library/words.ts';

const test = suite('words of the library');
const root = fileURLToPath(new URL('../..', import.meta.url));

/** What a program can hear from; the rest serves the commands alone. TLS is told whose words to use. */
const HEARD =
  /^(smtp|transport)\/(?!tls\/words)|^submit\/(advice|delivery|interrupts|outcome|security|session|seven-bits)\.ts|^message\/(body|source|mime\/)/;
/** Sentences that no program can get. */
const UNSAID = /replay_window|long_lines|no smart host is configured/;

const named = KEYS.map(({ name }) => name).filter((name) => name.includes('_'));
const TOML = new RegExp(`\\b(${named.join('|')})\\b|\\[(tls|auth|timeouts)\\]`);

/** All sentences that a program can get, without what is put into them, and where they stand. */
function* sentences(): Generator<readonly [file: string, sentence: string]> {
  for (const room of ['smtp', 'transport', 'submit', 'message'])
    for (const name of readdirSync(path.join(root, 'src', room), { recursive: true, encoding: 'utf8' })) {
      const file = path.join(room, name);
      if (!file.endsWith('.ts') || !HEARD.test(file)) continue;
      const code = readFileSync(path.join(root, 'src', file), 'utf8').replace(/\/\*[\s\S]*?\*\/|(?<![:'"])\/\/.*/g, '');
      for (const [literal] of code.matchAll(/'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g)) {
        const sentence = literal.replace(/\$\{[^}]*\}/g, 'X');
        // A sentence has spaces.
        if (/ /.test(sentence) && !UNSAID.test(sentence)) yield [file, sentence];
      }
    }
}

test('no key of a configuration is left in a sentence for programs', () => {
  let count = 0;
  for (const [file, sentence] of sentences()) {
    if (!TOML.test(sentence)) continue;
    count += 1;
    // The core is neither configured nor called by one kind of program alone.
    assert.ok(!file.startsWith('smtp/'), `${file}: ${sentence}`);
    assert.ok(!TOML.test(rephrase(sentence)), `${file}: ${rephrase(sentence)}`);
  }
  assert.ok(count >= 10, `${count} sentences`);
});

/** Names of options that nodemailer has under another name, or not at all. */
const OURS =
  /\bauth\.(mechanisms|password|token)\b|\btls\.(mode|verify|serverName|certificate)\b|\btimeouts\.|\brecipients: "|\bwithoutEightBit\b|\bsubmissions?:\/\//;

test('a program that uses nodemailer hears the names of its options', () => {
  let count = 0;
  for (const [file, sentence] of sentences()) {
    const said = rephrase(sentence);
    if (!OURS.test(said)) continue;
    count += 1;
    assert.ok(!OURS.test(rename(said)), `${file}: ${rename(said)}`);
  }
  assert.ok(count >= 15, `${count} sentences`);
  for (const [ours, theirs] of [
    ['if the password is right, set auth.mechanisms: ["LOGIN"]', 'if the password is right, set auth.method: "LOGIN"'],
    ['no greeting came within 500ms (timeouts.greeting)', 'no greeting came within 500ms (greetingTimeout)'],
    ['the content gave nothing for 240 s (timeouts.input)', 'the content gave nothing for 240 s'],
    ['if this is one, write submissions://mail.example.org:465', 'if this is one, set secure: true'],
    ['does not offer STARTTLS, and TLS is required', 'does not offer STARTTLS, and TLS is required'],
    ['auth.token failed: vault closed', 'auth.accessToken failed: vault closed'],
    ['no reply came within 5m (timeouts.final)', 'no reply came within 5m (socketTimeout)'],
    ['and not the first of auth.mechanisms', 'and not the first of auth.method'],
    ['send to one, or set recipients: "any"', 'send to one, or set allOrNothing: false'],
    ['sign it in 7-bit form (RFC 1847), or set withoutEightBit: "send"', 'sign it in 7-bit form (RFC 1847)'],
    ['does not offer 8BITMIME; withoutEightBit: "send" passes them as they are', 'does not offer 8BITMIME'],
  ] as const)
    assert.equal(rename(ours), theirs);
});

test('what is said instead can be written so', () => {
  assert.equal(
    rephrase('so TLS is required: write the address, or mode = "off" in [tls]'),
    'so TLS is required: write the address, or set tls.mode: "off"',
  );
  assert.equal(
    rephrase('if the password is right, write mechanisms = ["LOGIN"] in [auth]'),
    'if the password is right, set auth.mechanisms: ["LOGIN"]',
  );
  assert.equal(rephrase('x has no IPv6 address, and family = "6" requires one'), 'x has no IPv6 address, and family: 6 requires one');
  assert.equal(rephrase('sign it, or set eight_bit = "send"'), 'sign it, or set withoutEightBit: "send"');
});

test('an unknown option names the one that is meant, or all of them where none is near', async () => {
  const message = async (server: object): Promise<string> => {
    const options = { servers: [server] } as unknown as Parameters<typeof submit>[2];
    const outcome = await submit({ from: '', to: 'bob@example.net' }, 'Subject: hi\r\n\r\n', options);
    return outcome.kind === 'failed' ? outcome.failure.message : '';
  };
  const url = 'smtp://mail.example.org';
  assert.equal(await message({ url, auth: { user: 'ann', pass: 'secret' } }), 'auth.pass is unknown; did you mean auth.password?');
  assert.equal(await message({ url, tls: { minversion: '1.3' } }), 'tls.minversion is unknown; did you mean tls.minVersion?');
  assert.match(
    await message({ url, tls: { rejectUnauthorized: false } }),
    /^tls\.rejectUnauthorized is unknown; there are mode, verify, ca, /,
  );
});

test.run();
