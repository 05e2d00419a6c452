import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import { within } from '../support/within.ts';
import { HOST } from '../world/support/addresses.ts';
import { CALLERS, type Letter } from './support/callers.ts';
import { type Command, calls, installCommand } from './support/command.ts';
import { startExim } from './support/exim.ts';
import { suiteWith } from './support/needs.ts';
import { at, type Peer } from './support/peer.ts';
import { makeWorld, readMessage, type World } from './support/world.ts';

const TEXT = 'Gr\u00fc\u00dfe aus M\u00fcnchen\n\u041f\u0440\u0438\u0432\u0435\u0442\n..\n.dot\nthe end\n';

for (const caller of CALLERS) {
  const test = suiteWith(`caller: ${caller.name}`, 'root', 'unshare', 'exim4-daemon-heavy', 'python3', ...caller.needs);
  let command: Command;
  let world: World;
  let exim: Peer;

  test.before(() =>
    within(30_000, async () => {
      exim = await startExim();
      command = installCommand();
      command.configure(
        `smarthosts = ["smtp://${HOST}:${exim.port}"]\nhostname = "client.peer.test"\nqualify_domain = "peer.test"\ntls = { mode = "off" }\naliases = ["${command.folder}/aliases"]\n`,
      );
      world = makeWorld(command);
    }),
  );
  test.after(async () => exim?.stop());

  const letter = (...to: readonly string[]): Letter => ({ to: to.map(at), subject: `from ${caller.name}`, text: TEXT });

  test('success: every recipient has the text, 8-bit letters and dots as they were', () =>
    within(60_000, async () => {
      const called = await caller.send(world, letter('ann', 'bob'));
      const said = `${JSON.stringify(called)}\n${JSON.stringify(calls(command))}\n${command.logged()}`;
      assert.equal(called.status, 0, said);
      for (const box of caller.toItself ? ['root'] : ['ann', 'bob']) {
        const arrived = await exim.received(box);
        assert.equal(arrived.length, caller.own?.times ?? 1, said);
        const read = await readMessage(arrived[0]?.octets ?? Buffer.alloc(0));
        const text = read.text.replaceAll('\r\n', '\n');
        const whole = `${text}\n${arrived[0]?.octets.toString('latin1')}`;
        if (caller.own !== undefined) assert.match(whole, caller.own.text);
        else assert.ok(text.includes((caller.changes ?? String)(TEXT).trimEnd()), whole);
        assert.deepEqual(read.defects, []);
        assert.match(read.from, /@peer\.test/);
        assert.equal(read.bcc, '');
      }
      const times = caller.own?.times ?? 1;
      assert.equal(await exim.total(), times * (caller.toItself ? 1 : 2));
      const argv = calls(command).map((call) => call.join(' '));
      assert.equal(argv.length, times, said);
      assert.match(argv[0] ?? '', caller.argv);
    }));

  test('a refused recipient: nobody has it, and the caller is told as far as it listens', () =>
    within(60_000, async () => {
      await exim.clear();
      const before = command.logged().length;
      // What goes to the caller's own user alone is led to a refused mailbox by an alias.
      if (caller.toItself) writeFileSync(`${command.folder}/aliases`, `root: ${at('refused')}\n`);
      const called = await caller.send(world, letter('ann', 'refused'));
      const said = `${JSON.stringify(called)}\n${command.logged()}`;
      assert.equal(await exim.total(), 0, said);
      assert.match(command.logged().slice(before), /refused@peer\.test.*550/s, said);
      if (caller.notices !== undefined) assert.ok(caller.notices(called), said);
      if (caller.ignores) assert.equal(called.status, 0, said);
    }));

  test.run();
}

const page = suite('callers: docs/callers.md');

/** The cells of a row of the first table. */
const [FIRST = '', SECOND = ''] = readFileSync(new URL('../../docs/callers.md', import.meta.url), 'utf8')
  .split('\n## ')
  .slice(1);
const rows = (table: string) => [...table.matchAll(/^\| (.*) \|$/gm)].slice(1).map((match) => (match[1] ?? '').split(' | '));

page('C7: every program of the page is tried, runs sendmail so, and shows a refusal or not', () => {
  assert.deepEqual(
    rows(FIRST)
      .map(([name]) => name)
      .sort(),
    CALLERS.map(({ name }) => name).sort(),
  );
  for (const [name, argv = '', refusal = ''] of rows(FIRST)) {
    const caller = CALLERS.find((each) => each.name === name);
    assert.match(argv.replaceAll('`', ''), caller?.argv ?? /^never$/, name);
    assert.equal(/^(not shown|printed, but)/.test(refusal), caller?.notices === undefined, name);
  }
});

page.run();

const localhost = suiteWith('callers: localhost', 'root', 'unshare', 'python3', 'libmail-sendmail-perl');

localhost('C7: Perl Mail::Sendmail does not run sendmail', () =>
  within(60_000, async () => {
    assert.match(SECOND, /^\| Perl Mail::Sendmail \|/m);
    const command = installCommand();
    const program = `use Mail::Sendmail; sendmail(To => 'ann@peer.test', From => 'bob@peer.test', Message => 'x') or die $Mail::Sendmail::error;`;
    const called = await makeWorld(command).call(['/usr/bin/perl', '-e', program]);
    assert.notEqual(called.status, 0);
    assert.match(called.stderr, /localhost/);
    assert.deepEqual(calls(command), []);
  }),
);

localhost('C7: what unattended-upgrades makes of addresses with a blank between them is refused, and the comma named', () =>
  within(60_000, async () => {
    assert.match(SECOND, /^\| unattended-upgrades \|/m);
    const command = installCommand();
    command.configure(`smarthosts = ["smtp://${HOST}:9"]\nqualify_domain = "peer.test"\n`);
    const called = await makeWorld(command).call(['/usr/sbin/sendmail', '-oi', '-t'], { input: 'To: ann@peer.test bob@peer.test\n\nx\n' });
    assert.equal(called.status, 1);
    assert.match(called.stderr, /separate addresses by commas/);
  }),
);

localhost.run();

const warning = suiteWith('callers: sudo', 'root', 'sudo');

warning('C7: sudo is built here so that it sends as its caller and not as root', async () => {
  const command = installCommand();
  const { stdout } = await makeWorld(command).call(['/usr/bin/sudo', '-V']);
  assert.match(stdout, /--disable-root-mailer/);
});

warning.run();
