/**
 * nmh over -bs. It gives descriptors 1 and 2 the same pipe, and takes the first number of a line for the reply code: here
 * the smart host's name begins with one that would mean yes.
 */
import assert from 'node:assert/strict';
import { type Deed, startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { type Command, calls, installCommand } from './support/command.ts';
import { suiteWith } from './support/needs.ts';
import { makeWorld, type World } from './support/world.ts';

const test = suiteWith('caller: nmh', 'root', 'unshare', 'nmh');

let command: Command;
let world: World;

test.before(() => {
  command = installCommand();
  world = makeWorld(command);
  world.file('mts.conf', 'sendmail: /usr/sbin/sendmail\n');
  world.file('.mh_profile', 'Path: Mail\n');
});

async function send(way: string, flags: readonly string[], deed?: Deed) {
  const host: TestHost = await startHost({ offers: ['PIPELINING'], script: deed === undefined ? {} : { 'RCPT 1': deed } });
  try {
    command.configure(
      `smarthosts = ["smtp://mx250.example.org:${host.port}"]\ntls.mode = "off"\naliases = []\nhostname = "client.peer.test"\n`,
    );
    const draft = world.file('draft', 'From: me@peer.test\nTo: ann@peer.test\nSubject: hi\n\nbody\n');
    const hosts = world.file('hosts', '127.0.0.1 localhost mx250.example.org\n');
    const before = command.logged().length;
    const called = await world.call(['/usr/bin/mh/send', '-mts', way, ...flags, draft], {
      script: `mkdir -p ${world.home}/Mail\nmount --bind ${hosts} /etc/hosts\n`,
      env: { MHMTSUSERCONF: `${world.home}/mts.conf` },
    });
    const logged = command.logged().slice(before);
    return { ...called, held: host.held.length, logged, said: `${JSON.stringify(called)}\n${logged}` };
  } finally {
    await host.stop();
  }
}

for (const flags of [[], ['-verbose'], ['-watch'], ['-snoop']]) {
  const how = `send -mts sendmail/smtp ${flags.join(' ')}`.trim();
  test(`C2: ${how}: sent`, () =>
    within(60_000, async () => {
      const got = await send('sendmail/smtp', flags);
      assert.deepEqual([got.status, got.held], [0, 1], got.said);
      assert.match(got.logged, /Completed/);
    }));
  test(`C2: ${how}: refused, and nmh says so in the smart host's words`, () =>
    within(60_000, async () => {
      const got = await send('sendmail/smtp', flags, '550 5.1.1 no such user');
      assert.equal(got.held, 0, got.said);
      assert.notEqual(got.status, 0, got.said);
      assert.match(got.stdout + got.stderr, /550 5\.1\.1 .*no such user[\s\S]*message not delivered to anyone/, got.said);
      assert.match(got.logged, /550 5\.1\.1 no such user/);
    }));
}

test('C2: how nmh calls it', () => {
  assert.deepEqual(
    new Set(calls(command).map((call) => call.join(' '))),
    new Set(['-bs -odb -oem -om', '-bs -odb -oem -om -ov', '-bs -odi -oem -om -ov']),
  );
});

test('send -mts sendmail/pipe', () =>
  within(60_000, async () => {
    const got = await send('sendmail/pipe', []);
    assert.deepEqual([got.status, got.held], [0, 1], got.said);
  }));

test.run();
