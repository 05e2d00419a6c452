import assert from 'node:assert';
import { suite } from 'uvu';
import { printResolved } from '../../src/nospool/show-route.ts';
import { configured, nospool, sinkWith } from '../support/admin.ts';
import { within } from '../support/within.ts';

const test = suite('route');

test('--resolve shows addresses, and the reason where there are none; it connects to nobody', () =>
  within(20_000, async () => {
    const sink = await sinkWith();
    const { config } = configured(
      `smarthosts = ["submission://127.0.0.1:${sink.port}", "submission://nowhere.invalid", "unix:/run/x"]`,
      '[timeouts]\nresolve = "2s"',
    );
    const run = await nospool('route', '--config', config, '--resolve', 'root');
    const json = await nospool('route', '--config', config, '--resolve', '--json', 'root');
    const without = await nospool('route', '--config', config, '--json', 'root');
    await sink.close();
    assert.equal(run.status, 0, run.stderr);
    const [, resolved = ''] = run.stdout.split('one transaction for 1 recipient\n');
    assert.ok(resolved.includes(`submission://127.0.0.1:${sink.port}\n  127.0.0.1 port ${sink.port}: 127.0.0.1\n`), resolved);
    assert.match(resolved, /submission:\/\/nowhere\.invalid:587\n {2}(no address of|looking up) nowhere\.invalid/);
    assert.ok(resolved.includes('unix:/run/x\n  /run/x: /run/x\n'), resolved);
    assert.deepEqual(JSON.parse(json.stdout).resolved[0], {
      url: `submission://127.0.0.1:${sink.port}`,
      problem: null,
      names: [{ name: '127.0.0.1', port: sink.port, problem: null, addresses: ['127.0.0.1'] }],
    });
    assert.equal(JSON.parse(without.stdout).resolved, undefined);
    assert.equal(sink.told.length, 1, 'it listened and nothing else');
  }));

test('an error about MX or SRV records stands in place of the names', () => {
  const resolved = { url: 'smtp://example.org:25/MX', problem: 'no MX records of example.org: the name is unknown', names: [] };
  assert.deepEqual(printResolved(resolved), ['smtp://example.org:25/MX', '  no MX records of example.org: the name is unknown']);
});

test('a route that does not exist resolves nothing', async () => {
  const { config } = configured('', '[[router]]\nname = "no"\ndriver = "redirect"\ndata = { root = ":fail: no" }');
  const run = await nospool('route', '--config', config, '--resolve', '--json', 'root');
  assert.equal(run.status, 1);
  assert.deepEqual(JSON.parse(run.stdout).resolved, []);
});

test.run();
