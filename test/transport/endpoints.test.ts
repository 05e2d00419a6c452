/** Names, MX and SRV: against a small name server on loopback, and against names that are made up. */

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import fc from 'fast-check';
import { suite } from 'uvu';
import { DIRECT, type Link, type Smarthost } from '../../src/router/smarthost.ts';
import { alternate, byName, endpointsOf, systemNames, targetsOf } from '../../src/transport/lookup/endpoints.ts';
import { namesOf } from '../../src/transport/lookup/names.ts';
import type { NameQuestion, Names } from '../../src/transport/lookup/question.ts';
import { orderSrv } from '../../src/transport/lookup/records.ts';
import type { Endpoint } from '../../src/transport/lookup/target.ts';
import { hostAt } from '../support/delivery.ts';
import { within } from '../support/within.ts';

const test = suite('resolve');

/* ---- a name server (RFC 1035 §4.1) that knows a few records ---- */

const TYPES: Readonly<Record<number, string>> = { 15: 'MX', 33: 'SRV' };

const label = (name: string): Buffer =>
  Buffer.concat([
    ...name
      .split('.')
      .filter((part) => part !== '')
      .map((part) => Buffer.from([part.length, ...Buffer.from(part)])),
    Buffer.from([0]),
  ]);

const mx = (preference: number, name: string) => Buffer.concat([Buffer.from([preference >> 8, preference & 255]), label(name)]);
const srv = (priority: number, weight: number, port: number, name: string) => {
  const head = Buffer.alloc(6);
  head.writeUInt16BE(priority, 0);
  head.writeUInt16BE(weight, 2);
  head.writeUInt16BE(port, 4);
  return Buffer.concat([head, label(name)]);
};

/** The answer of DNS for an alias: a CNAME record and no other. */
const alias = (name: string) => ({ alias: label(name) });

/** Records by type and name; a number is an error code (RFC 1035 §4.1.1), null silence. */
const ZONE: Readonly<Record<string, readonly Buffer[] | { readonly alias: Buffer } | number | null>> = {
  'MX one.example': [mx(10, 'mail.one.example')],
  'MX three.example': [mx(20, 'c.example'), mx(5, 'a.example'), mx(10, 'b.example')],
  'MX null.example': [mx(0, '')],
  'MX mixed.example': [mx(0, ''), mx(10, 'real.example')],
  'MX null-later.example': [mx(10, '')],
  'MX nulls.example': [mx(0, ''), mx(5, '')],
  'MX nodata.example': [],
  'MX alias.example': alias('nodata.example'),
  'MX broken.example': 2,
  'MX refused.example': 5,
  'MX silent.example': null,
  'MX many.example': Array.from({ length: 40 }, (_, i) => mx(i, `h${i}.example`)),
  'SRV _submission._tcp.one.example': [srv(0, 0, 2587, 'smtp.one.example')],
  'SRV _submissions._tcp.one.example': [srv(0, 0, 2465, 'smtps.one.example')],
  'SRV _submission._tcp.two.example': [srv(20, 0, 2, 'second.example'), srv(10, 0, 1, 'first.example')],
  'SRV _submission._tcp.none.example': [srv(0, 0, 0, '')],
  'SRV _submission._tcp.nodata.example': [],
  'SRV _submission._tcp.alias.example': alias('nodata.example'),
};

function answer(query: Buffer): Buffer | null {
  const parts: string[] = [];
  let at = 12;
  for (let length = query[at] as number; length > 0; length = query[at] as number) {
    parts.push(query.subarray(at + 1, at + 1 + length).toString());
    at += 1 + length;
  }
  const type = TYPES[query.readUInt16BE(at + 1)] ?? '?';
  const found = ZONE[`${type} ${parts.join('.').toLowerCase()}`];
  if (found === null) return null;
  const isAlias = typeof found === 'object' && 'alias' in found;
  const records = isAlias ? [found.alias] : typeof found === 'object' ? found : [];
  const head = Buffer.from(query.subarray(0, 12));
  head.writeUInt16BE(0x8180 | (found === undefined ? 3 : typeof found === 'number' ? found : 0), 2);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt32BE(0, 8);
  const answers = records.map((data) => {
    const record = Buffer.alloc(12);
    record.writeUInt16BE(0xc00c, 0);
    record.writeUInt16BE(isAlias ? 5 : query.readUInt16BE(at + 1), 2);
    record.writeUInt16BE(1, 4);
    record.writeUInt32BE(60, 6);
    record.writeUInt16BE(data.length, 10);
    return Buffer.concat([record, data]);
  });
  return Buffer.concat([head, query.subarray(12, at + 5), ...answers]);
}

const server = createSocket('udp4');
/** Asked by way of c-ares, as if it stood in resolv.conf. */
const known: Names = {
  addresses: (name, question) => asked().addresses(name, question),
  mx: (name, question) => asked().mx(name, question),
  srv: (name, question) => asked().srv(name, question),
};
const asked = (): Names =>
  namesOf({
    platform: 'linux',
    read: () => null,
    exists: () => false,
    hostname: () => 'client',
    addresses: () => [],
    environment: {},
    servers: [`127.0.0.1:${server.address().port}`],
  });
test.before(async () => {
  server.on('message', (query, { port, address }) => {
    const said = answer(query);
    if (said) server.send(said, port, address);
  });
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
});
test.after(() => void server.close());

const shown = async (host: Smarthost, limit = 10_000, names: Names = known): Promise<string> => {
  const targets = await targetsOf(host, limit, names);
  return targets.ok
    ? targets.value.map(({ name, port, unix, fromDns }) => `${name}:${port}${unix ? ' unix' : ''}${fromDns ? ' DNS' : ''}`).join(', ')
    : `! ${targets.detail}`;
};
const mxOf = (host: string) => hostAt(25, { host, expand: 'mx' });
const srvOf = (host: string, scheme: Smarthost['scheme'] = 'submission') => hostAt(0, { host, expand: 'srv', scheme });

/** Bun tells a name without such a record from an unknown one only when its address is looked up. */
const BUN = process.versions.bun !== undefined;
const NO_RECORD = BUN ? 'the name is unknown' : 'there is no such record';
const TARGETS: readonly (readonly [Smarthost, string, string])[] = [
  [hostAt(25, { host: 'mail.example' }), 'mail.example:25', 'a name is itself'],
  [hostAt(0, { host: '/run/lmtp', scheme: 'unix' }), '/run/lmtp:0 unix', 'a path is itself'],
  [mxOf('one.example'), 'mail.one.example:25 DNS', 'MX'],
  [mxOf('three.example'), 'a.example:25 DNS, b.example:25 DNS, c.example:25 DNS', 'by preference. RFC 5321 §5.1'],
  [mxOf('null.example'), '! null.example says it takes no mail (null MX)', 'RFC 7505 §3'],
  [mxOf('mixed.example'), 'real.example:25 DNS', 'the root among others is nobody'],
  [mxOf('null-later.example'), '! the MX records of null-later.example name no host', 'a null MX has the preference 0. RFC 7505 §3'],
  [mxOf('nulls.example'), '! the MX records of nulls.example name no host', 'and is the only record'],
  [mxOf('nodata.example'), 'nodata.example:25', 'no MX: the name itself'],
  [mxOf('alias.example'), 'alias.example:25', 'nor where a CNAME leads. RFC 5321 §5.1'],
  [mxOf('unknown.example'), BUN ? 'unknown.example:25' : '! no MX records of unknown.example: the name is unknown', 'NXDOMAIN'],
  [mxOf('broken.example'), '! no MX records of broken.example: the name servers failed', 'SERVFAIL'],
  [mxOf('refused.example'), '! no MX records of refused.example: the name servers refuse to answer', 'REFUSED'],
  [mxOf('many.example'), Array.from({ length: 16 }, (_, i) => `h${i}.example:25 DNS`).join(', '), 'sixteen are enough'],
  [srvOf('one.example'), 'smtp.one.example:2587 DNS', 'SRV. RFC 6186 §3.1'],
  [srvOf('one.example', 'submissions'), 'smtps.one.example:2465 DNS', 'RFC 8314 §5.1'],
  [srvOf('two.example'), 'first.example:1 DNS, second.example:2 DNS', 'by priority'],
  [srvOf('none.example'), '! none.example says it has no such service (_submission._tcp.none.example)', 'RFC 2782'],
  [srvOf('nodata.example'), `! no SRV records of _submission._tcp.nodata.example: ${NO_RECORD}`, 'no record'],
  [srvOf('alias.example'), `! no SRV records of _submission._tcp.alias.example: ${NO_RECORD}`, 'nor where a CNAME leads'],
  [srvOf('unknown.example'), '! no SRV records of _submission._tcp.unknown.example: the name is unknown', 'NXDOMAIN'],
];
for (const [host, expected, why] of TARGETS)
  test(`${host.scheme} ${host.host} ${host.expand}: ${why}`, () => within(20_000, async () => assert.equal(await shown(host), expected)));

test('V8: an alias of a host without MX records is that host, and takes mail', () =>
  within(20_000, async () => assert.equal(await shown(mxOf('alias.example')), 'alias.example:25')));

test('V10: a name server that is silent has a limited time, and the sentence names its key', () =>
  within(10_000, async () => {
    assert.equal(await shown(mxOf('silent.example'), 200), '! looking up silent.example took longer than 0.2 s (timeouts.resolve)');
  }));

const failing = (code: string): Names => {
  const fail = async () => {
    throw Object.assign(new Error(code), { code });
  };
  return { addresses: fail, mx: fail, srv: fail };
};
const CODES: readonly (readonly [string, string])[] = [
  ['ENOTFOUND', 'the name is unknown'],
  ['EAI_AGAIN', 'the name servers do not answer'],
  ['ETIMEOUT', 'the name servers do not answer'],
  ['ECONNREFUSED', 'no name server answers'],
  ['EBADNAME', 'EBADNAME'],
];
const target = (name: string, unix = false) => ({ name, port: 25, unix, fromDns: false });
for (const [code, words] of CODES)
  test(`${code} is put into words`, async () => {
    const mx = BUN && code === 'ENOTFOUND' ? 'x.example:25' : `! no MX records of x.example: ${words}`;
    assert.equal(await shown(mxOf('x.example'), 1000, failing(code)), mx);
    assert.deepEqual(await endpointsOf(target('x.example'), 1000, failing(code)), {
      ok: false,
      detail: `no address of x.example: ${words}`,
      systemCode: code,
    });
  });

test('an error without a code', async () => {
  const names = { ...systemNames, addresses: async () => Promise.reject(new Error('x')) };
  assert.deepEqual(await endpointsOf(target('x.example'), Number.POSITIVE_INFINITY, names), {
    ok: false,
    detail: 'no address of x.example: unknown error',
    systemCode: undefined,
  });
});

test('no record of the family that is asked for is a word of the link, where the link asks for one', async () => {
  const names = failing('ENODATA');
  const of = async (link: Partial<Link>): Promise<string> => {
    const endpoints = await endpointsOf({ ...target('x.example'), link: { ...DIRECT, ...link } }, 1000, names);
    return endpoints.ok ? 'found' : endpoints.detail;
  };
  assert.equal(await of({}), 'no address of x.example: there is no such record');
  assert.equal(await of({ family: 4 }), 'x.example has no IPv4 address, and family = "4" requires one');
  assert.equal(
    await of({ family: 6, sourceAddress: '2001:db8::7' }),
    'x.example has no IPv6 address, and source_address = "2001:db8::7" requires one',
  );
});

/** Names that never answer, and what they were asked. */
function silent(): Names & { readonly asked: { readonly name: string; readonly question: NameQuestion }[] } {
  const asked: { readonly name: string; readonly question: NameQuestion }[] = [];
  const wait = (name: string, question: NameQuestion): Promise<never> => {
    asked.push({ name, question });
    return new Promise(() => {});
  };
  return { asked, addresses: wait, mx: wait, srv: wait };
}

test('names are asked for both families unless the link says one, and MX and SRV for none', () =>
  within(10_000, async () => {
    const names = silent();
    await targetsOf(mxOf('m.example'), 200, names);
    await targetsOf(srvOf('s.example'), 200, names);
    await endpointsOf(target('any.example'), 200, names);
    await endpointsOf({ ...target('six.example'), link: { ...DIRECT, family: 6 } }, 200, names);
    await endpointsOf(target(''), 200, names);
    assert.deepEqual(
      names.asked.map(({ name, question: { family } }) => `${name} ${family}`),
      ['m.example any', '_submission._tcp.s.example any', 'any.example any', 'six.example 6'],
    );
  }));

test('whoever looks names up hears when nobody waits any more, and nothing is left of the waiting', () =>
  within(10_000, async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    const given = new AbortController();
    const listeners = { added: 0, removed: 0 };
    const { addEventListener, removeEventListener } = given.signal;
    given.signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners.added += 1;
      addEventListener.apply(given.signal, args);
    };
    given.signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners.removed += 1;
      removeEventListener.apply(given.signal, args);
    };
    assert.ok((await endpointsOf(target('x.example'), 60_000, found('192.0.2.1'), given.signal)).ok);
    assert.deepEqual([listeners, timers() - before], [{ added: 1, removed: 1 }, 0], 'an answer');
    const names = silent();
    assert.deepEqual(await endpointsOf(target('x.example'), 20, names, given.signal), {
      ok: false,
      detail: 'looking up x.example took longer than 0.02 s (timeouts.resolve)',
    });
    assert.deepEqual([listeners, timers() - before], [{ added: 2, removed: 2 }, 0], 'too late');
    const waiting = endpointsOf(target('y.example'), 60_000, names, given.signal);
    given.abort();
    assert.deepEqual(await waiting, { ok: false, detail: 'looking up y.example was given up' });
    assert.equal(timers() - before, 0, 'given up');
    const ended = await targetsOf(mxOf('z.example'), 60_000, names, given.signal);
    assert.deepEqual(ended, { ok: false, detail: 'looking up z.example was given up' });
    for (const { name, question } of names.asked) assert.deepEqual([name, question.signal.aborted], [name, true]);
  }));

test('each name that a smart host stands for keeps its link', async () => {
  const link: Link = { ...DIRECT, family: 4 };
  const linkOf = async (host: Smarthost) => {
    const targets = await targetsOf(host, 10_000, known);
    return targets.ok ? targets.value.map((each) => ('link' in each ? each.link : 'none')) : [targets.detail];
  };
  assert.deepEqual(await linkOf({ ...mxOf('three.example'), link }), [link, link, link]);
  assert.deepEqual(await linkOf(mxOf('one.example')), ['none']);
  assert.deepEqual(await linkOf({ ...mxOf('null.example'), link }), ['null.example says it takes no mail (null MX)']);
});

test('behind a proxy, or by a program’s own way, a name stays a name', () => {
  assert.deepEqual(byName(target('x.example')), [{ address: 'x.example', family: 'name', port: 25 }]);
  assert.deepEqual(byName(target('/run/smtp', true)), [{ address: '/run/smtp', family: 'unix', port: 25 }]);
});

/* ---- addresses ---- */

const found = (...addresses: string[]): Names => ({
  ...systemNames,
  addresses: async () => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
});
const addressesOf = async (name: string, names?: Names): Promise<string> => {
  const endpoints = await endpointsOf(target(name, name.startsWith('/')), 10_000, names);
  return endpoints.ok ? endpoints.value.map(({ address, family }) => `${address} ${family}`).join(', ') : `! ${endpoints.detail}`;
};

const ADDRESSES: readonly (readonly [string, Names | undefined, string, string])[] = [
  ['192.0.2.1', undefined, '192.0.2.1 4', 'a literal is not looked up'],
  ['2001:db8::1', undefined, '2001:db8::1 6', 'nor is this one'],
  ['fe80::1%eth0', undefined, 'fe80::1%eth0 6', 'with a zone'],
  ['/run/lmtp', undefined, '/run/lmtp unix', 'a path'],
  ['x', found('192.0.2.1', '192.0.2.2'), '192.0.2.1 4, 192.0.2.2 4', 'in the system’s order'],
  ['x', found('2001:db8::1', '2001:db8::2', '192.0.2.1'), '2001:db8::1 6, 192.0.2.1 4, 2001:db8::2 6', 'families in turn. RFC 8305 §4'],
  ['x', found('192.0.2.1', '2001:db8::1', '2001:db8::2'), '192.0.2.1 4, 2001:db8::1 6, 2001:db8::2 6', 'the system’s first family first'],
  ['x', found(), '! no address of x: there is no such record', 'none at all'],
];
for (const [name, names, expected, why] of ADDRESSES)
  test(`${name}: ${why}`, async () => assert.equal(await addressesOf(name, names), expected));

test('localhost is looked up as the system does', () =>
  within(10_000, async () => assert.match(await addressesOf('localhost'), /(^|, )(127\.0\.0\.1 4|::1 6)(,|$)/)));

test('an empty or impossible name has no address', () =>
  within(20_000, async () => {
    for (const name of ['', 'a..b', 'x'.repeat(300)]) assert.match(await addressesOf(name), /^! no address of /);
  }));

test('ten thousand addresses are sixteen', async () => {
  const names = found(...Array.from({ length: 10_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`));
  const endpoints = await endpointsOf(target('x'), 1000, names);
  assert.equal(endpoints.ok && endpoints.value.length, 16);
});

test('alternating loses nothing and keeps the order within a family', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 20 }), (families) => {
      const all = families.map((isSix, i): Endpoint => ({ address: String(i), family: isSix ? 6 : 4, port: 1 }));
      const mixed = alternate(all);
      assert.deepEqual(
        [...mixed].sort((a, b) => Number(a.address) - Number(b.address)),
        all,
      );
      for (const family of [4, 6])
        assert.deepEqual(
          mixed.filter((each) => each.family === family),
          all.filter((each) => each.family === family),
        );
      assert.equal(mixed[0]?.family, all[0]?.family);
    }),
  );
});

/* ---- SRV order ---- */

const record = (name: string, priority: number, weight: number) => ({ name, port: 1, priority, weight });

test('priorities in order, all records, whatever is drawn', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(3), fc.nat(100)), { maxLength: 10 }),
      fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
      (pairs, draws) => {
        const records = pairs.map(([priority, weight], i) => record(`h${i}`, priority, weight));
        const ordered = orderSrv(records, () => draws.next().value);
        assert.equal(new Set(ordered).size, records.length);
        for (let i = 1; i < ordered.length; i++) assert.ok((ordered[i - 1]?.priority ?? 0) <= (ordered[i]?.priority ?? 0));
      },
    ),
  );
});

test('a draw falls where the running sum of the weights reaches it, those of weight 0 first. RFC 2782', () => {
  const records = [record('ten', 0, 10), record('none', 0, 0), record('three', 0, 3)];
  const drawn = (draw: number): string | undefined => orderSrv(records, () => draw)[0]?.name;
  // Of the 14 numbers from 0 to 13.
  const firsts = Array.from({ length: 14 }, (_, i) => drawn((i + 0.5) / 14));
  assert.deepEqual(firsts, ['none', 'three', 'three', 'three', ...new Array(10).fill('ten')]);
  assert.equal(drawn(0.999_999), 'ten');
});

test('weights are chances, as RFC 2782 has them', () => {
  let seed = 1;
  // A small generator of our own, so that the counts are the same in every run. Numerical Recipes
  const random = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const counts: Record<string, number> = { none: 0, one: 0, three: 0 };
  for (let i = 0; i < 4000; i++) {
    const [first] = orderSrv([record('three', 0, 30), record('one', 0, 10), record('none', 0, 0)], random);
    counts[first?.name ?? ''] = (counts[first?.name ?? ''] ?? 0) + 1;
  }
  assert.ok((counts.three ?? 0) > 2700 && (counts.three ?? 0) < 3100, JSON.stringify(counts));
  // A weight of 0 has a very small chance of being first.
  assert.ok((counts.none ?? 0) > 0 && (counts.none ?? 0) < 300, JSON.stringify(counts));
});

test.run();
