/**
 * The command behind a proxy: what its configuration says of one, and that the password is told nowhere.
 * Loopback: the proxy leads there, and behind a proxy no address is exempt.
 */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import { run, setUp } from '../support/command.ts';
import { startSocks } from '../support/proxies.ts';
import { startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const test = suite('sendmail through a proxy');

test('proxy, user and password from the configuration; the password is told nowhere', () =>
  within(20_000, async () => {
    const host = await startHost({ offers: ['PIPELINING'] });
    const proxy = await startSocks({ places: { 'mail.test.invalid:587': host.port }, user: 'web1', password: 'tan staaf+7' });
    try {
      const toml = (folder: string) =>
        `smarthosts = ["submission://mail.test.invalid"]\nproxy = "socks5://web1@127.0.0.1:${proxy.port}"\nproxy_password_file = "${folder}/proxy"`;
      const setup = setUp('');
      const secret = path.join(setup.folder, 'proxy');
      const give = (password: string) => {
        writeFileSync(secret, `${password}\n`);
        chmodSync(secret, 0o600);
      };
      writeFileSync(
        setup.config,
        `log = "${setup.log}"\naliases = []\nhostname = "client.example.org"\n${toml(setup.folder)}\n[tls]\nmode = "off"\n`,
      );
      give('tan staaf+7');
      const fine = await run(setup.config, ['-d', '-f', 'a@example.org', 'b@example.org'], 'Subject: x\n\nhello\n');
      assert.equal(fine.status, 0, fine.stderr);
      assert.equal(host.held.length, 1);
      assert.match(fine.stderr, new RegExp(`connecting to mail\\.test\\.invalid port 587 through socks5://127\\.0\\.0\\.1:${proxy.port}`));
      assert.match(setup.logged(), /=> b@example\.org R=smarthosts T=smtp H=mail\.test\.invalid through socks5:/);
      give('wrong tan');
      const wrong = await run(setup.config, ['-d', '-f', 'a@example.org', 'b@example.org'], 'Subject: x\n\nhello\n');
      assert.equal(wrong.status, 1);
      assert.match(wrong.stderr, /the proxy refuses the user and password/);
      chmodSync(secret, 0o644);
      const open = await run(setup.config, ['-f', 'a@example.org', 'b@example.org'], 'Subject: x\n\nhello\n');
      assert.match(
        open.stderr,
        /proxy_password_file \/\S+ is refused, because every user can read this file \(mode 0\d+, owner uid \d+\): run chmod o-r /,
      );
      const told = [fine, wrong, open].map(({ stdout, stderr }) => stdout + stderr).join('') + setup.logged();
      for (const password of ['tan staaf+7', 'wrong tan'])
        for (const form of [
          password,
          Buffer.from(password).toString('base64'),
          Buffer.from(password).toString('hex'),
          encodeURIComponent(password),
        ])
          assert.ok(!told.includes(form), form);
      assert.equal(host.held.length, 1);
    } finally {
      await Promise.all([proxy.stop(), host.stop()]);
    }
  }));

test.run();
