/** One suite that every router driver passes, then what each does of its own. */

import assert from 'node:assert/strict';
import { suite } from 'uvu';
import { makeRoutingData, type RoutingData } from '../../src/router/data.ts';
import { makeManualrouteRouter } from '../../src/router/manualroute.ts';
import { makeRedirectRouter } from '../../src/router/redirect.ts';
import type { Preconditions, RouteResult, Router, RouterFacts } from '../../src/router/route.ts';
import { DEFAULT_TLS } from '../../src/router/smarthost.ts';
import type { Answer } from '../../src/router/want.ts';
import { type ForwardPath, parseReversePath, printMailbox } from '../../src/smtp/path.ts';
import { host, mailbox, manualroute, redirect } from './world.ts';

interface Driver {
  readonly name: string;
  /** A router that does something with every address it looks at. */
  make(preconditions: Partial<Preconditions>, surroundings: RouterFacts): Asked;
}

/** A router with the answers that it has. */
interface Asked {
  readonly name: string;
  route(path: ForwardPath): RouteResult;
}

function knowing(data: RoutingData, router: Router): Asked {
  return { name: router.name, route: (path) => router.route(path, data) };
}

const knowingNothing = (router: Router): Asked => knowing(makeRoutingData(), router);

const identity = (n: number) => Array.from({ length: n }, (_, i) => i);
const everyone: Answer = {
  kind: 'aliases',
  file: '/a',
  keys: ['*'],
  got: { kind: 'entries', entries: [{ key: '*', text: 'x@z', line: 1 }] },
};

const DRIVERS: readonly Driver[] = [
  { name: 'redirect with a table', make: (p, s) => knowingNothing(makeRedirectRouter(redirect({ data: { '*': 'x@z' }, ...p }), s)) },
  { name: 'redirect with a file', make: (p, s) => knowing(anyKey('aliases'), makeRedirectRouter(redirect({ file: '/a', ...p }), s)) },
  {
    name: 'redirect with forward files',
    make: (p, s) => knowing(anyKey('forward'), makeRedirectRouter(redirect({ forward: true, ...p }), s)),
  },
  { name: 'redirect that knows nothing yet', make: (p, s) => knowingNothing(makeRedirectRouter(redirect({ file: '/a', ...p }), s)) },
  { name: 'manualroute', make: (p, s) => knowingNothing(makeManualrouteRouter(manualroute(p), s, identity)) },
  {
    name: 'manualroute with names in its header fields',
    make: (p, s) =>
      knowingNothing(makeManualrouteRouter(manualroute({ changes: { add: ['X: {address}'], remove: [] }, ...p }), s, identity)),
  },
];

/** Knows everybody's alias or forward file: x@z. */
function anyKey(kind: 'aliases' | 'forward'): RoutingData {
  const data = makeRoutingData();
  const found = {
    kind: 'list' as const,
    list: { source: 'f', line: 1, items: [{ kind: 'mailbox' as const, mailbox: mailbox('x@z'), line: 1 }] },
  };
  return { ...data, alias: () => (kind === 'aliases' ? found : undefined), forward: () => found };
}

const surroundings = (sender: string): RouterFacts => {
  const reversePath = parseReversePath(sender);
  assert.ok(reversePath.ok);
  return { ours: ['here.example', 'localhost'], qualifyRecipient: 'here.example', reversePath: reversePath.value };
};

/** [preconditions, address, sender, reason to skip it or '', why] */
const CONDITIONS: readonly [Partial<Preconditions>, string, string, string, string][] = [
  [{}, 'a@b', 's@t', '', 'no condition'],
  [{ domains: ['b'] }, 'a@b', 's@t', '', 'the domain'],
  [{ domains: ['b'] }, 'a@c', 's@t', 'not for this domain', 'another'],
  [{ domains: ['B.Example'] }, 'a@b.eXample', 's@t', '', 'domains do not regard case'],
  [{ domains: ['c', 'b'] }, 'a@b', 's@t', '', 'one of several'],
  [{ domains: ['*.b'] }, 'a@x.b', 's@t', '', 'a subdomain'],
  [{ domains: ['*.B'] }, 'a@x.y.b', 's@t', '', 'further down'],
  [{ domains: ['*.b'] }, 'a@b', 's@t', 'not for this domain', 'not the domain itself'],
  [{ domains: ['*.b'] }, 'a@xb', 's@t', 'not for this domain', 'nor one that merely ends so'],
  [{ domains: ['*'] }, 'a@b', 's@t', '', 'any domain'],
  [{ domains: ['@'] }, 'a@Here.example', 's@t', '', 'our own'],
  [{ domains: ['@'] }, 'a@localhost', 's@t', '', 'all of them'],
  [{ domains: ['@'] }, 'a@there.example', 's@t', 'not for this domain', 'not others'],
  [{ domains: ['[192.0.2.1]'] }, 'a@[192.0.2.1]', 's@t', '', 'an address literal'],
  [{ localParts: ['a'] }, 'A@b', 's@t', '', 'the local part, without case'],
  [{ localParts: ['c', 'a'] }, 'b@b', 's@t', 'not for this local part', 'another'],
  [{ localParts: ['x y'] }, '"x y"@b', 's@t', '', 'without the quotes it needs'],
  [{ localParts: ['*'] }, 'a@b', 's@t', '', 'any local part'],
  [{ senders: ['s@t'] }, 'a@b', 'S@T', '', 'the sender'],
  [{ senders: ['s@t'] }, 'a@b', 's@u', 'not for this sender', 'another'],
  [{ senders: ['*@t'] }, 'a@b', 'x@T', '', 'the sender’s domain'],
  [{ senders: ['*@t'] }, 'a@b', 'x@x.t', 'not for this sender', 'not below it'],
  [{ senders: ['*@t'] }, 'a@b', '', 'not for this sender', 'the null reverse-path has none'],
  [{ senders: ['s@t'] }, 'a@b', '', 'not for this sender', 'nor an address'],
  [{ senders: ['*'] }, 'a@b', '', '', 'any sender, also none'],
  [{ senders: ['x@y', '*@t'] }, 'a@b', 's@t', '', 'one of several'],
  [{ domains: ['b'], localParts: ['a'], senders: ['s@t'] }, 'a@b', 's@t', '', 'all conditions hold'],
  [{ domains: ['c'], localParts: ['c'], senders: ['c'] }, 'a@b', 's@t', 'not for this domain', 'the first that does not is told'],
];

for (const { name, make } of DRIVERS) {
  const test = suite(name);

  for (const [preconditions, address, sender, reason, why] of CONDITIONS)
    test(`${address} from <${sender}> for ${JSON.stringify(preconditions)}: ${why}`, () => {
      const result = make(preconditions, surroundings(sender)).route(mailbox(address));
      if (reason === '') assert.notEqual(result.kind, 'skipped');
      else assert.deepEqual(result, { kind: 'skipped', detail: reason });
    });

  test('has the name of its definition', () => assert.equal(make({ name: 'abc' }, surroundings('s@t')).name, 'abc'));

  test('answers the same when asked again, and for another address in between', () => {
    const router = make({}, surroundings('s@t'));
    const first = router.route(mailbox('a@b'));
    router.route(mailbox('"x y"@z'));
    assert.deepEqual(router.route(mailbox('a@b')), first);
  });

  test('does not change the address', () => {
    const path: ForwardPath = mailbox('A@B');
    Object.freeze(path);
    make({}, surroundings('s@t')).route(path);
    assert.deepEqual(path, { localPart: 'A', domain: 'B' });
  });

  test('gives valid addresses only', () => {
    const result = make({}, surroundings('s@t')).route(mailbox('a@b'));
    if (result.kind === 'redirected') for (const to of result.to) assert.deepEqual(mailbox(printMailbox(to)), to);
    else assert.ok(result.kind === 'accepted' || result.kind === 'wanting');
  });

  test.run();
}

const own = suite('what each driver does');

const at = surroundings('s@t');
function routed(answers: readonly Answer[], address: string, more: Parameters<typeof redirect>[0] = { file: '/a' }): RouteResult {
  const data = makeRoutingData();
  data.learn(answers);
  return makeRedirectRouter(redirect(more), at).route(mailbox(address), data);
}

own('redirect asks for the key and the default key, and only for what it does not know', () => {
  assert.deepEqual(routed([], '"Ab c"@d'), { kind: 'wanting', wants: [{ kind: 'aliases', file: '/a', keys: ['ab c', '*'] }] });
  assert.deepEqual(routed([everyone], 'b@c'), { kind: 'wanting', wants: [{ kind: 'aliases', file: '/a', keys: ['b'] }] });
  assert.deepEqual(routed([], 'b@c', { forward: true }), { kind: 'wanting', wants: [{ kind: 'forward', user: 'b' }] });
});

own('redirect asks for all included lists at once', () => {
  const entry = { key: 'a', text: ':include:/x, :include:/y, :fail: no', line: 1 };
  assert.deepEqual(routed([everyone, { kind: 'aliases', file: '/a', keys: ['a'], got: { kind: 'entries', entries: [entry] } }], 'a@b'), {
    kind: 'wanting',
    wants: [
      { kind: 'include', file: '/x', by: '/a' },
      { kind: 'include', file: '/y', by: '/a' },
    ],
  });
});

own('a list that is not known yet may decide before what comes behind it', () => {
  assert.deepEqual(routed([], 'a@b', { data: { a: ':include:/x, :fail: no' } }), {
    kind: 'wanting',
    wants: [{ kind: 'include', file: '/x', by: 'data.a of r1' }],
  });
});

own('an inline table has keys without case, and its first', () => {
  assert.deepEqual(routed([], 'ROOT@b', { data: { Root: 'x@z', rOOt: 'y@z' } }), {
    kind: 'redirected',
    to: [mailbox('x@z')],
    locals: [],
    detail: 'data.root of r1',
  });
  assert.deepEqual(routed([], 'b@c', { data: { root: 'x' } }), { kind: 'declined', detail: 'no entry' });
});

own('manualroute gives every address the same route, unless header fields name it', () => {
  const plain = knowingNothing(makeManualrouteRouter(manualroute({ errorsTo: null }), at, identity));
  const a = plain.route(mailbox('a@b'));
  assert.equal(plain.route(mailbox('b@c')), a);
  assert.deepEqual(a, {
    kind: 'accepted',
    route: { hosts: [host('hub.example')], errorsTo: null, changes: { add: [], remove: [] } },
    detail: 'smtp://hub.example:25',
  });
  const named = knowingNothing(
    makeManualrouteRouter(manualroute({ changes: { add: ['X-For: {local_part} at {domain}'], remove: ['Y'] } }), at, identity),
  );
  const b = named.route(mailbox('a@b'));
  assert.ok(b.kind === 'accepted');
  assert.deepEqual(b.route.changes, { add: ['X-For: a at b'], remove: ['Y'] });
});

own('manualroute refuses a bare address and a field that is none', () => {
  const router = knowingNothing(makeManualrouteRouter(manualroute({ changes: { add: ['X: {nobody}'], remove: [] } }), at, identity));
  assert.deepEqual(router.route(mailbox('a')), {
    kind: 'failed',
    detail: 'a has no domain, and there is no default one: set qualify_recipient or qualify_domain',
  });
  assert.deepEqual(router.route(mailbox('a@b')), {
    kind: 'deferred',
    detail: 'headers_add of router r9: {nobody} is not known; there are {local_part}, {domain}, {address}, {sender}, and {{ for a brace',
  });
});

own('manualroute orders its hosts once', () => {
  const hosts = ['a', 'b', 'c'].map((name) => host(name, { tls: DEFAULT_TLS }));
  let asked = 0;
  const reverse = (n: number) => {
    asked += 1;
    return identity(n).reverse();
  };
  const router = knowingNothing(makeManualrouteRouter(manualroute({ hosts, randomize: true }), at, reverse));
  for (const address of ['a@b', 'c@d']) {
    const result = router.route(mailbox(address));
    assert.equal(result.kind === 'accepted' && result.detail, 'smtp://c:25, smtp://b:25, smtp://a:25');
  }
  assert.equal(asked, 1);
});

own.run();
