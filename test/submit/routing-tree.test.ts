/**
 * Routings, printed for people and as data.
 * Loopback: nothing connects; hosts are printed.
 */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { isDeliverable, printRouting, routingJson } from '../../src/submit/routing-tree.ts';
import { host, mailbox, manualroute, redirect, routeIn, type World } from '../router/world.ts';

const test = suite('printed routings');

const world: World = {
  aliases: { '/a': 'postmaster: root, void\nroot: joe@p.q,\n "|/bin/x"\nvoid: :blackhole:\nfail: :fail:' },
  routers: [
    redirect({ name: 'aliases', file: '/a', domains: ['@'] }),
    redirect({ name: 'table', data: { joe: 'joe@p.q, jim@p.q' }, domains: ['p.q'] }),
    manualroute({
      name: 'hub',
      hosts: [
        host('hub.example'),
        host('2001:db8::1', {
          scheme: 'submissions',
          port: 465,
          auth: { user: 'me', mechanisms: [], secret: { from: 'literal', value: 'hush' }, allowPlaintext: false },
        }),
      ],
      errorsTo: mailbox('bounces@p.q'),
      changes: { add: ['X-Site: main'], remove: ['X-Debug', 'X-Trace'] },
    }),
  ],
};

const printed = (routing: Parameters<typeof printRouting>[0]): string =>
  printRouting(routing)
    .map((line) => `${line}\n`)
    .join('');

test('a routing that would be sent is printed with its envelope', () => {
  const routing = routeIn(world, ['joe@p.q', 'void', 'JIM@P.Q', 'jim@p.q']);
  assert.equal(
    printed(routing),
    `joe@p.q
  aliases: skipped, not for this domain
  table: redirected by data.joe of table
    joe@p.q
      aliases: skipped, not for this domain
      table: skipped, has redirected this address before
      hub: accepted for smtp://hub.example:25, submissions://[2001:db8::1]:465
    jim@p.q
      duplicate, met before
void@x.y
  aliases: discarded by :blackhole: at /a:4
JIM@P.Q
  aliases: skipped, not for this domain
  table: declined, no entry
  hub: accepted for smtp://hub.example:25, submissions://[2001:db8::1]:465
jim@p.q
  aliases: skipped, not for this domain
  table: declined, no entry
  hub: accepted for smtp://hub.example:25, submissions://[2001:db8::1]:465

reverse-path  <bounces@p.q>
recipients    joe@p.q
              JIM@P.Q
              jim@p.q
smart hosts   smtp://hub.example:25
              submissions://[2001:db8::1]:465
adds          X-Site: main
removes       X-Debug
              X-Trace
discarded     void@x.y
one transaction for 3 recipients
`,
  );
  assert.equal(isDeliverable(routing), true);
});

test('a routing that would not be sent is printed with its problems', () => {
  const routing = routeIn(world, ['postmaster', 'fail']);
  assert.equal(
    printed(routing),
    `postmaster@x.y
  aliases: redirected by /a:1
    root@x.y
      aliases: redirected by /a:2
      aliases: local delivery to |/bin/x, by /a:3
        joe@p.q
          aliases: skipped, not for this domain
          table: redirected by data.joe of table
            joe@p.q
              aliases: skipped, not for this domain
              table: skipped, has redirected this address before
              hub: accepted for smtp://hub.example:25, submissions://[2001:db8::1]:465
            jim@p.q
              aliases: skipped, not for this domain
              table: declined, no entry
              hub: accepted for smtp://hub.example:25, submissions://[2001:db8::1]:465
    void@x.y
      aliases: discarded by :blackhole: at /a:4
fail@x.y
  aliases: failed

discarded     void@x.y
nothing would be sent:
  routing postmaster@x.y yielded a local delivery: to |/bin/x, by /a:3 (postmaster@x.y → root@x.y)
  routing fail@x.y yielded a failed delivery
`,
  );
  assert.equal(isDeliverable(routing), false);
});

test('one problem is enough, and a recipient without one does not change the verdict', () => {
  const routing = routeIn(world, ['joe@p.q', 'fail']);
  assert.match(printed(routing), /\nnothing would be sent:\n {2}routing fail@x\.y yielded a failed delivery\n$/);
  assert.equal(isDeliverable(routing), false);
});

test('a routing that discards everything is a success', () => {
  const routing = routeIn(world, ['void']);
  assert.match(printed(routing), /\nnothing would be sent: every recipient is discarded on purpose\n$/);
  assert.equal(isDeliverable(routing), true);
});

test('the verdict counts one recipient, shows the message’s own reverse-path, and knows nobody', () => {
  assert.match(printed(routeIn({}, ['a'])), /\nreverse-path {2}<me@x\.y>\nrecipients {4}a@x\.y\n(.*\n)*one transaction for 1 recipient\n$/);
  assert.equal(printed(routeIn({}, [])), '\nno recipient\n');
});

test('a routing as data holds no secret', () => {
  const json = JSON.stringify(routingJson(routeIn(world, ['joe@p.q', 'void'])));
  assert.ok(!json.includes('hush'));
  const { tree, ...rest } = JSON.parse(json);
  assert.deepEqual(rest, {
    deliverable: true,
    reverse_path: 'bounces@p.q',
    recipients: [
      { address: 'joe@p.q', original: 'joe@p.q' },
      { address: 'jim@p.q', original: 'joe@p.q' },
    ],
    discarded: [{ address: 'void@x.y', original: 'void@x.y' }],
    smarthosts: [
      { url: 'smtp://hub.example:25', tls: 'default', user: null },
      { url: 'submissions://[2001:db8::1]:465', tls: 'default', user: 'me' },
    ],
    headers_add: ['X-Site: main'],
    headers_remove: ['X-Debug', 'X-Trace'],
    problems: [],
  });
  assert.equal(tree[0].address, 'joe@p.q');
  assert.deepEqual(tree[0].children[1].steps[0], { router: 'aliases', kind: 'skipped', detail: 'not for this domain' });
});

test('problems as data have their kind and their chain', () => {
  const routers = [manualroute({ name: 'other', localParts: ['b'], hosts: [host('other.example')] }), manualroute()];
  const disagree = routingJson(routeIn({ routers, sender: '' }, ['a', 'b']));
  assert.equal(disagree.deliverable, false);
  assert.equal(disagree.reverse_path, '');
  assert.deepEqual(disagree.smarthosts, []);
  assert.deepEqual(disagree.problems, [
    {
      kind: 'disagree',
      address: 'a@x.y',
      other: 'b@x.y',
      field: 'hosts',
      detail: '"smtp://hub.example:25" and "smtp://other.example:25"',
      text: 'a@x.y and b@x.y cannot go in one transaction, because their routes differ in hosts: "smtp://hub.example:25" and "smtp://other.example:25"',
    },
  ]);
  assert.deepEqual(routingJson(routeIn(world, ['fail'])).problems, [
    {
      kind: 'failed',
      address: 'fail@x.y',
      chain: ['fail@x.y'],
      router: 'aliases',
      detail: '',
      text: 'routing fail@x.y yielded a failed delivery',
    },
  ]);
});

test.run();
