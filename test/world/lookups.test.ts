/**
 * What name servers say and do not say: BIND, one that is silent, broken or lies, dead ones, /etc/hosts and search lists. By
 * an ordinary user, through the system's resolver as it is configured on hosts, in containers and in Kubernetes.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { type Command, installCommand } from '../interop/support/command.ts';
import { suiteWith } from '../interop/support/needs.ts';
import { startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { BROKEN, type NameServer, type Oddity, type ScriptedNameServer, startNameServer, startOddServer } from './support/names.ts';
import { type Client, placeAt, type Ran, readIfThere, theNetwork } from './support/network.ts';

const test = suiteWith('lookups', 'root', 'unshare', 'bind9');

/** Smart hosts that take everything, by a word; `closed` is an address at which nobody listens. */
const PLACES = { first: 20, second: 21, third: 22, closed: 23 } as const;
type Name = 'first' | 'second' | 'third';
const v4 = (name: keyof typeof PLACES): string => placeAt(PLACES[name]).v4;
const v6 = (name: keyof typeof PLACES): string => placeAt(PLACES[name]).v6;

const BIND = placeAt(53);
/** An address that has an interface, but no name server. */
const REFUSING = v4('closed');
/** An address that nobody has. */
const NOBODY = '192.0.2.99';

const label = (letter: string): string => letter.repeat(60);
const RECORDS = `
four.example. A ${v4('first')}
six.example. AAAA ${v6('first')}
both.example. A ${v4('first')}
both.example. AAAA ${v6('second')}
two.example. A ${v4('closed')}
two.example. A ${v4('second')}
alias.example. CNAME four.example.
chain.example. CNAME alias.example.
loop.example. CNAME pool.example.
pool.example. CNAME loop.example.
nothing.example. TXT "no address"
mx.example. MX 20 second.mx.example.
mx.example. MX 10 first.mx.example.
mx.example. MX 30 third.mx.example.
first.mx.example. A ${v4('closed')}
second.mx.example. A ${v4('second')}
third.mx.example. A ${v4('third')}
mx-alias.example. CNAME mx.example.
null-mx.example. MX 0 .
null-mx.example. A ${v4('first')}
srv.example. A ${v4('third')}
_submission._tcp.srv.example. SRV 10 0 2525 second.mx.example.
_submission._tcp.srv.example. SRV 0 0 587 first.mx.example.
_submission._tcp.no-srv.example. SRV 0 0 0 .
${['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].map((letter) => `many-mx.example. MX 10 ${label(letter)}.example.\n${label(letter)}.example. A ${v4('second')}\n`).join('')}
long-chain.example. CNAME ${label('k')}.${label('k')}.${label('k')}.example.
${label('k')}.${label('k')}.${label('k')}.example. CNAME ${label('l')}.${label('l')}.${label('l')}.example.
${label('l')}.${label('l')}.${label('l')}.example. CNAME ${label('m')}.${label('m')}.${label('m')}.example.
${label('m')}.${label('m')}.${label('m')}.example. A ${v4('second')}
smart.default.svc.cluster.local. A ${v4('second')}
smart.mail.svc.cluster.local. A ${v4('third')}
mail.example.org. A ${v4('first')}
example.org. MX 10 mail.example.org.
`;

const ODD: readonly (readonly [last: number, Oddity])[] = [
  [54, 'silence'],
  [55, 'truncated'],
  [56, 'garbage'],
  [57, 'another id'],
  [58, 2],
  [59, 4],
  [60, 5],
  [61, 3],
];
const oddAt = (oddity: Oddity): string => placeAt(ODD.find(([, each]) => each === oddity)?.[0] ?? 0).v4;

const hosts = new Map<Name, TestHost[]>();
const servers: NameServer[] = [];
const odd = new Map<Oddity, ScriptedNameServer>();
let command: Command;

test.before(() =>
  within(300_000, async () => {
    const network = theNetwork();
    for (const last of [...Object.values(PLACES), 53, ...ODD.map(([each]) => each)]) network.add(last);
    for (const name of ['first', 'second', 'third'] as const) {
      const listening = [v4(name), v6(name)].flatMap((host) => [25, 587, 2525].map((port) => startHost({ host, port })));
      hosts.set(name, await Promise.all(listening));
    }
    servers.push(await startNameServer(BIND, RECORDS));
    for (const [last, oddity] of ODD) odd.set(oddity, await startOddServer(placeAt(last), oddity));
    command = installCommand();
    await runAll();
  }),
);
test.after(async () => {
  for (const server of [...servers, ...odd.values()]) await server.stop();
  for (const host of [...hosts.values()].flat()) await host.stop();
});

let number = 0;

interface Sent {
  readonly ran: Ran;
  readonly log: string;
  /** Who has it, '' = nobody. */
  readonly has: string;
}

/** One message to these smart hosts, in this order. */
async function send(client: Client, urls: readonly string[], more = ''): Promise<Sent> {
  number += 1;
  const [config, log, subject] = [`${client.folder}/${number}.toml`, `${client.folder}/var/${number}.log`, `names ${number};`];
  const list = urls.map((url) => `"${url}"`).join(', ');
  const toml = `smarthosts = [${list}]\nhostname = "client.example"\naliases = []\nlog = "${log}"\n${more}\n[tls]\nmode = "off"\n`;
  writeFileSync(config, toml, { mode: 0o644 });
  const argv = [...command.runtime, command.file, '-C', config, '-i', '-f', 'me@client.example', 'ann@peer.test'];
  const ran = await client.run(argv, { input: `Subject: ${subject}\n\ntext\n` });
  const holds = (host: TestHost): boolean => host.held.some(({ octets }) => octets.includes(subject));
  const has = [...hosts].flatMap(([name, each]) => each.filter(holds).map(() => name));
  return { ran, log: readIfThere(log), has: has.join(' ') };
}

const RESOLV = `nameserver ${BIND.v4}\n`;
/** A search list as Kubernetes writes it. */
const KUBERNETES = `search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver ${BIND.v4}\noptions ndots:5\n`;
/** The system's resolver asks a silent server twice, five seconds each, unless it is told otherwise. */
const BRIEFLY = 'options timeout:1 attempts:1\n';
const onlyOdd = (oddity: Oddity): string => `nameserver ${oddAt(oddity)}\n${BRIEFLY}`;

interface Case {
  readonly title: string;
  readonly urls: readonly string[];
  /** Who has the message. */
  readonly has: Name;
  /** Default: BIND alone. */
  readonly resolv?: string;
  readonly hosts?: string;
  readonly more?: string;
}

// biome-ignore format: a table is read as a table
const FOUND: readonly Case[] = [
  { title: 'A', urls: ['submission://four.example'], has: 'first' },
  { title: 'AAAA', urls: ['submission://six.example'], has: 'first' },
  { title: 'A where IPv4 is asked for', urls: ['submission://both.example'], more: 'family = "4"', has: 'first' },
  { title: 'AAAA where IPv6 is asked for', urls: ['submission://both.example'], more: 'family = "6"', has: 'second' },
  { title: 'two addresses, of which one is closed', urls: ['submission://two.example'], has: 'second' },
  { title: 'a dot at the end', urls: ['submission://four.example.'], has: 'first' },
  { title: 'capitals', urls: ['submission://FOUR.Example'], has: 'first' },
  { title: 'CNAME', urls: ['submission://alias.example'], has: 'first' },
  { title: 'CNAME of a CNAME', urls: ['submission://chain.example'], has: 'first' },
  { title: 'MX in their order, the first closed', urls: ['mx.example/MX'], has: 'second' },
  { title: 'MX behind a CNAME', urls: ['mx-alias.example/MX'], has: 'second' },
  { title: 'no MX: the domain itself', urls: ['four.example/MX'], has: 'first' },
  { title: 'CNAME whose target has no MX: the domain itself', urls: ['alias.example/MX'], has: 'first' },
  { title: 'CNAME of a CNAME without MX', urls: ['chain.example/MX'], has: 'first' },
  { title: 'SRV by priority, the first closed, the port of the second', urls: ['submission://srv.example/SRV'], has: 'second' },
  { title: 'an answer of more than 512 octets, over TCP: MX', urls: ['many-mx.example/MX'], has: 'second' },
  { title: 'an answer of more than 512 octets, over TCP: CNAME', urls: ['submission://long-chain.example'], has: 'second' },
  { title: '/etc/hosts before DNS', urls: ['submission://four.example'], hosts: `${v4('third')} four.example\n`, has: 'third' },
  { title: '/etc/hosts alone', urls: ['submission://box'], hosts: `${v4('third')} box.internal box\n`, resolv: '', has: 'third' },
  { title: 'a name server at an IPv6 address', urls: ['submission://four.example'], resolv: `nameserver ${BIND.v6}\n`, has: 'first' },
  { title: 'Kubernetes: a name of the world', urls: ['submission://mail.example.org'], resolv: KUBERNETES, has: 'first' },
  { title: 'Kubernetes: a service', urls: ['submission://smart'], resolv: KUBERNETES, has: 'second' },
  { title: 'Kubernetes: a service of another namespace', urls: ['submission://smart.mail'], resolv: KUBERNETES, has: 'third' },
  { title: 'Kubernetes: MX', urls: ['example.org/MX'], resolv: KUBERNETES, has: 'first' },
  { title: 'the first name server is no name server', urls: ['submission://four.example'], resolv: `nameserver ${REFUSING}\n${RESOLV}`, has: 'first' },
  { title: 'the first name server is silent', urls: ['submission://four.example'], resolv: `nameserver ${oddAt('silence')}\n${RESOLV}${BRIEFLY}`, has: 'first' },
  { title: 'the first name server is nobody', urls: ['submission://four.example'], resolv: `nameserver ${NOBODY}\n${RESOLV}${BRIEFLY}`, has: 'first' },
  { title: 'the first name server fails', urls: ['submission://four.example'], resolv: `nameserver ${oddAt(2)}\n${RESOLV}`, has: 'first' },
  { title: 'the first name server is silent: MX', urls: ['mx.example/MX'], resolv: `nameserver ${oddAt('silence')}\n${RESOLV}${BRIEFLY}`, has: 'second' },
  { title: 'the first name server fails: MX', urls: ['mx.example/MX'], resolv: `nameserver ${oddAt(2)}\n${RESOLV}`, has: 'second' },
];

interface Failing {
  readonly title: string;
  readonly url: string;
  readonly resolv?: string;
  readonly says: RegExp;
}

const ANSWER =
  /no name server answers|the name servers (do not answer|failed|refuse to answer|do not understand the question|answer with nonsense)|took longer than/;

// biome-ignore format: a table is read as a table
const FAILING: readonly Failing[] = [
  { title: 'a name that nobody knows', url: 'submission://unknown.example', says: /unknown\.example: the name is unknown/ },
  { title: 'a name without addresses', url: 'submission://nothing.example', says: /nothing\.example: (the name is unknown|there is no such record)/ },
  { title: 'a CNAME that leads to itself', url: 'submission://loop.example', says: /no address of loop\.example/ },
  { title: 'an unknown domain: MX', url: 'unknown.example/MX', says: /no (MX records|address) of unknown\.example: the name is unknown/ },
  { title: 'null MX', url: 'null-mx.example/MX', says: /null-mx\.example says it takes no mail \(null MX\)/ },
  { title: 'no SRV', url: 'submission://four.example/SRV', says: /no SRV records of _submission\._tcp\.four\.example/ },
  { title: 'SRV that says no', url: 'submission://no-srv.example/SRV', says: /no-srv\.example says it has no such service/ },
  { title: 'SERVFAIL', url: `submission://${BROKEN}`, says: ANSWER },
  { title: 'SERVFAIL: MX, which is not "no MX"', url: `${BROKEN}/MX`, says: ANSWER },
  { title: 'SERVFAIL: SRV', url: `submission://${BROKEN}/SRV`, says: ANSWER },
  { title: 'no name server in resolv.conf, and none here', url: 'submission://four.example', resolv: '', says: ANSWER },
  { title: 'no name server here: MX', url: 'mx.example/MX', resolv: `${BRIEFLY}`, says: ANSWER },
  ...(['silence', 'truncated', 'garbage', 'another id', 2, 4, 5] as const).flatMap((oddity): Failing[] => [
    { title: `the name server answers with ${oddity}`, url: 'submission://four.example', resolv: onlyOdd(oddity), says: ANSWER },
    { title: `the name server answers with ${oddity}: MX`, url: 'mx.example/MX', resolv: onlyOdd(oddity), says: ANSWER },
  ]),
  { title: 'the name server knows nothing', url: 'mx.example/MX', resolv: onlyOdd(3), says: /the name is unknown/ },
];

/** What came of each, alone and, for those that fail, before another smart host. */
const sent = new Map<Case | Failing, readonly Sent[]>();

/** Most of the time is spent waiting for name servers, so many go on beside each other. */
async function runAll(): Promise<void> {
  const left: (Case | Failing)[] = [...FOUND, ...FAILING];
  await Promise.all(
    Array.from({ length: 6 }, async () => {
      const client = await theNetwork().client();
      for (let each = left.shift(); each !== undefined; each = left.shift()) {
        client.resolve(each.resolv ?? RESOLV);
        client.know('hosts' in each ? (each.hosts ?? '') : '');
        if ('urls' in each) sent.set(each, [await send(client, each.urls, each.more)]);
        else sent.set(each, [await send(client, [each.url]), await send(client, [each.url, `submission://${v4('third')}`])]);
      }
      client.stop();
    }),
  );
}

for (const each of FOUND)
  test(each.title, () => {
    const [only] = sent.get(each) ?? [];
    assert.deepEqual([only?.ran.status, only?.ran.stderr, only?.has], [0, '', each.has], JSON.stringify(only));
  });

for (const each of FAILING)
  test(`${each.title}: alone a failure that says so, and the next smart host is tried`, () => {
    const [alone, followed] = sent.get(each) ?? [];
    const told = JSON.stringify([alone, followed]);
    assert.ok(alone && followed, told);
    assert.deepEqual([alone.ran.status, alone.has], [1, ''], told);
    assert.match(alone.ran.stderr, each.says, told);
    assert.match(alone.ran.stderr, /^(sendmail: .*\n)+$/, told);
    assert.deepEqual([followed.ran.status, followed.ran.stderr, followed.has], [0, '', 'third'], told);
    assert.match(followed.log, each.says, told);
  });

test('the scripted name servers were asked', () => {
  for (const [oddity, { asked }] of odd)
    assert.ok(
      asked.some((each) => /^(four|mx)\.example /.test(each)),
      String(oddity),
    );
});

test.run();
