/**
 * Text in the charset of the caller's locale, without MIME fields, through the built command to a real Exim: what Python's email
 * package reads in the message that arrived is what was written.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { within } from '../support/within.ts';
import { HOST } from '../world/support/addresses.ts';
import { type Command, installCommand, type Run, run } from './support/command.ts';
import { startExim } from './support/exim.ts';
import { assertDelivered, configuration } from './support/matrix.ts';
import { suiteWith } from './support/needs.ts';
import { at, DOMAIN, normalised, type Peer } from './support/peer.ts';
import { readMessage } from './support/world.ts';

const test = suiteWith('charsets', 'root', 'exim4-daemon-heavy', 'python3');

let command: Command;
let peer: Peer;
test.before(async () => {
  command = installCommand();
  peer = await startExim();
  configure();
});
test.after(() => peer?.stop());
test.before.each(() => peer?.clear());

const configure = (more = ''): void =>
  command.configure(configuration(command, `smtp://${HOST}:${peer.port}`, undefined, { top: `qualify_domain = "${DOMAIN}"\n${more}` }));

/** Python's codecs, not those of the command under test. */
function encode(text: string, codec: string): Buffer {
  const made = spawnSync(
    '/usr/bin/python3',
    ['-c', `import sys; sys.stdout.buffer.write(sys.stdin.buffer.read().decode().encode("${codec}"))`],
    {
      input: text,
    },
  );
  assert.equal(made.status, 0, made.stderr.toString());
  return made.stdout;
}

/** Arguments of any octets: Node's own are UTF-8, a shell's are what its script holds. */
async function runWithName(name: Buffer, input: Buffer, locale: NodeJS.ProcessEnv): Promise<Run> {
  const script = `${command.folder}/raw.sh`;
  const before = command.logged().length;
  writeFileSync(
    script,
    Buffer.concat([
      Buffer.from(`exec ${[...command.runtime, command.file].join(' ')} -C ${command.config} -i -f ${at('sender')} -F '`),
      name,
      Buffer.from(`' ${at('ann')}\n`),
    ]),
  );
  const child = spawnSync('/bin/sh', [script], { input, env: { PATH: '/usr/bin:/bin', ...locale }, timeout: 20_000 });
  const [stdout, stderr] = [child.stdout.toString(), child.stderr.toString()];
  const logged = command.logged().slice(before);
  return { status: child.status, signal: child.signal, stdout, stderr, logged, said: `status ${child.status}\n${stderr}\n${logged}` };
}

interface Language {
  readonly locale: string;
  readonly codec: string;
  /** As it stands in Content-Type. */
  readonly charset: string;
  readonly name: string;
  readonly text: string;
}

// biome-ignore format: a table is read as a table
const LANGUAGES: readonly Language[] = [
  { locale: 'ru_RU.KOI8-R', codec: 'koi8-r', charset: 'koi8-r', name: 'Фёдор Достоевский', text: 'Все счастливые семьи похожи\nдруг на друга — нет.\n'.replace('—', '-') },
  { locale: 'uk_UA.KOI8-U', codec: 'koi8-u', charset: 'koi8-u', name: 'Їжак Ґудзик', text: 'Є й інші\n' },
  { locale: 'de_DE.ISO-8859-1', codec: 'iso-8859-1', charset: 'iso-8859-1', name: 'Jörg Groß', text: 'Grüße aus München\n.\nÜbermut\n' },
  { locale: 'de_DE@euro', codec: 'iso-8859-15', charset: 'iso-8859-15', name: 'Jörg Groß', text: '5 € für alles\n' },
  { locale: 'pl_PL.ISO8859-2', codec: 'iso-8859-2', charset: 'iso-8859-2', name: 'Łukasz Żółć', text: 'zażółć gęślą jaźń\n' },
  { locale: 'ja_JP.SJIS', codec: 'shift_jis', charset: 'shift_jis', name: '表示 太郎', text: '日本語の表とソ\nカタカナ能\n' },
  { locale: 'ja_JP.eucJP', codec: 'euc-jp', charset: 'euc-jp', name: '山田 太郎', text: '日本語の表とソ\n' },
  { locale: 'zh_CN.GB18030', codec: 'gb18030', charset: 'gb18030', name: '张三丰', text: '你好，世界\n四字节：㐀𠀀\n' },
  { locale: 'zh_TW.Big5', codec: 'big5', charset: 'big5', name: '許功蓋', text: '許功蓋的餐\n' },
  { locale: 'de_DE.UTF-8', codec: 'utf-8', charset: 'utf-8', name: 'Jörg 太郎 Їжак', text: 'Grüße, Привет, 日本語, 😀\n' },
];

for (const { locale, codec, charset, name, text } of LANGUAGES)
  test(`${locale}: the name of -F and the body are read as they were written`, () =>
    within(30_000, async () => {
      const [rawName, rawText] = [encode(name, codec), encode(text, codec)];
      const result = await runWithName(rawName, Buffer.concat([Buffer.from('Subject: plain\n\n'), rawText]), { LANG: locale });
      assertDelivered(result);
      const [arrived] = await peer.received('ann');
      assert.ok(arrived);
      const read = await readMessage(arrived.octets);
      assert.deepEqual(
        [read.from, read.text, read.charset, read.defects],
        [`${name} <${at('sender')}>`, text, charset, []],
        normalised(arrived.octets),
      );
      // The octets of the body are the caller's, and the head is ASCII.
      const [head = '', ...body] = normalised(arrived.octets).split('\n\n');
      assert.equal(body.join('\n\n'), rawText.toString('latin1'));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is octets that are looked at.
      assert.match(head, /^[\x00-\x7f]*$/);
      assert.match(head, /^Content-Transfer-Encoding: 8bit$/m);
    }));

test('LC_ALL wins over LC_CTYPE and LANG', () =>
  within(30_000, async () => {
    const locale = { LC_ALL: 'ru_RU.KOI8-R', LC_CTYPE: 'de_DE.ISO-8859-1', LANG: 'C.UTF-8' };
    assertDelivered(await runWithName(encode('Иван', 'koi8-r'), Buffer.from('Subject: x\n\n\xf0\xd2\xc9\n', 'latin1'), locale));
    const read = await readMessage((await peer.received('ann'))[0]?.octets ?? Buffer.alloc(0));
    assert.deepEqual([read.from, read.text, read.charset], [`Иван <${at('sender')}>`, 'При\n', 'koi8-r']);
  }));

const send = (input: Buffer, locale: string): Promise<Run> =>
  run(command, ['-i', '-f', at('sender'), '-F', 'Plain', at('ann')], input, { LANG: locale });

test('a body that is not of the locale: valid UTF-8 is called so, the rest is not given a name that it does not have', () =>
  within(40_000, async () => {
    assertDelivered(await send(Buffer.from('Subject: x\n\nПривет\n'), 'C'));
    const [first] = await peer.received('ann');
    assert.deepEqual(await readMessage(first?.octets ?? Buffer.alloc(0)).then(({ text, charset }) => [text, charset]), [
      'Привет\n',
      'utf-8',
    ]);
    await peer.clear();
    assertDelivered(await send(Buffer.from('Subject: x\n\n\xff\xfe\xe9\n', 'latin1'), 'de_DE.UTF-8'));
    const [second] = await peer.received('ann');
    assert.match(normalised(second?.octets ?? ''), /\n\n\xff\xfe\xe9\n$/);
    assert.match(normalised(second?.octets ?? ''), /^Content-Type: text\/plain; charset=unknown-8bit$/im);
  }));

test('a body that says what it is stays what it is', () =>
  within(30_000, async () => {
    const input = Buffer.concat([
      Buffer.from('Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=windows-1251\nContent-Transfer-Encoding: 8bit\n\n'),
      encode('Привет\n', 'cp1251'),
    ]);
    assertDelivered(await send(input, 'ru_RU.KOI8-R'));
    const read = await readMessage((await peer.received('ann'))[0]?.octets ?? Buffer.alloc(0));
    assert.deepEqual([read.text, read.charset], ['Привет\n', 'windows-1251']);
  }));

test('raw 8-bit octets of a Subject are read as UTF-8 where they are that, else as default_charset', () =>
  within(30_000, async () => {
    configure('default_charset = "KOI8-R"');
    for (const codec of ['utf-8', 'koi8-r']) {
      await peer.clear();
      const input = Buffer.concat([Buffer.from('Subject: '), encode('Отчёт за май', codec), Buffer.from('\n\nplain\n')]);
      assertDelivered(await send(input, 'C'));
      const [arrived] = await peer.received('ann');
      const read = await readMessage(arrived?.octets ?? Buffer.alloc(0));
      assert.deepEqual([read.subject, read.defects], ['Отчёт за май', []], normalised(arrived?.octets ?? ''));
    }
    configure();
  }));

test.run();
