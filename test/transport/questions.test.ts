/** What name servers are asked, in which order, and what is made of their answers. The resolver is made up, and time is virtual. */
import assert from 'node:assert/strict';
import dns from 'node:dns';
import { suite } from 'uvu';
import { namesOf } from '../../src/transport/lookup/names.ts';
import type { Names } from '../../src/transport/lookup/question.ts';
import { VirtualTime } from '../faults/support/worlds/time.ts';

const test = suite('questions');

/** Records, or a code; what comes late, after so many milliseconds; null is silence. */
type Answer = readonly string[] | string | { readonly after: number; readonly say: readonly string[] | string } | null;
type Done = (error: Error | null, found?: readonly string[]) => void;

interface Scene {
  readonly time: VirtualTime;
  readonly names: Names;
  readonly asked: string[];
}

const SERVERS = ['192.0.2.53', '192.0.2.54', '192.0.2.55'];

/** `answers` by question, such as `A mail.example`, behind the server where it is not the first: `192.0.2.54 A mail.example`. */
async function inScene(
  conf: string,
  answers: Readonly<Record<string, Answer>>,
  work: (scene: Scene) => Promise<void>,
  servers: readonly string[] = SERVERS.slice(0, 1),
): Promise<void> {
  const { Resolver } = dns;
  const asked: string[] = [];
  const time = new VirtualTime();
  class MadeUp {
    readonly #options: unknown;
    #servers = ['nobody'];
    readonly #open = new Set<() => void>();
    constructor(options: unknown) {
      this.#options = options;
    }
    setServers(all: readonly string[]): void {
      this.#servers = [...all];
    }
    getServers = (): string[] => this.#servers;
    cancel(): void {
      for (const end of this.#open) end();
    }
    #ask(type: string, name: string, done: Done): void {
      const [server = ''] = this.#servers;
      const question = `${server === SERVERS[0] ? '' : `${server} `}${type} ${name}`;
      asked.push(question);
      assert.deepEqual(this.#options, { timeout: 1000, tries: 2 });
      const end = (): void => say('ECANCELLED');
      const say = (answer: readonly string[] | string): void => {
        if (!this.#open.delete(end)) return;
        if (typeof answer !== 'string') done(null, answer);
        else done(Object.assign(new Error(answer), answer === '' ? {} : { code: answer }));
      };
      this.#open.add(end);
      const answer = question in answers ? (answers[question] as Answer) : 'ENOTFOUND';
      if (answer === null) return;
      const isLate = typeof answer === 'object' && 'after' in answer;
      setTimeout(() => say(isLate ? answer.say : answer), isLate ? answer.after : 1);
    }
    resolve4 = (name: string, done: Done): void => this.#ask('A', name, done);
    resolve6 = (name: string, done: Done): void => this.#ask('AAAA', name, done);
    resolveMx = (name: string, done: Done): void => this.#ask('MX', name, done);
    resolveSrv = (name: string, done: Done): void => this.#ask('SRV', name, done);
  }
  dns.Resolver = MadeUp as unknown as typeof Resolver;
  time.install();
  const names = namesOf({
    platform: 'linux',
    read: (path) => (path === '/etc/resolv.conf' ? `options timeout:1 attempts:2\n${conf}\n` : null),
    exists: () => false,
    hostname: () => 'client',
    addresses: () => ['192.0.2.10', '2001:db8::10'],
    environment: {},
    servers,
  });
  try {
    await work({ time, names, asked });
    assert.equal(time.timers, 0, 'a timer is left');
  } finally {
    time.uninstall();
    dns.Resolver = Resolver;
  }
}

/** Counts those who listen. */
function signalled(): { readonly controller: AbortController; readonly signal: AbortSignal; readonly listeners: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  const { addEventListener, removeEventListener } = signal;
  const listeners = new Set<unknown>();
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    if (args[0] === 'abort') listeners.add(args[1]);
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    if (args[0] === 'abort') listeners.delete(args[1]);
    removeEventListener.apply(signal, args);
  };
  return { controller, signal, listeners: () => listeners.size };
}

/** What was found, or the code; when; nobody listens any more. */
async function outcomeOf({ time }: Scene, look: (signal: AbortSignal) => Promise<readonly unknown[]>, after = Number.POSITIVE_INFINITY) {
  const { controller, signal, listeners } = signalled();
  const begun = time.now;
  let outcome: string | undefined;
  if (after === 0) controller.abort();
  look(signal).then(
    (found) => {
      outcome = `${found.map((each) => (typeof each === 'string' ? each : (each as { address: string }).address)).join(' ')}`;
    },
    (error: NodeJS.ErrnoException) => {
      outcome = `! ${error.code}`;
    },
  );
  if (after > 0 && after < Number.POSITIVE_INFINITY) setTimeout(() => controller.abort(), after);
  assert.ok(await time.pass(() => outcome !== undefined), 'no outcome');
  assert.equal(listeners(), 0, 'somebody listens still');
  return `${outcome} after ${time.now - begun}`;
}

const LONGER_FIRST = 'search one.example two.example\noptions ndots:5';
const LONGER_LATER = 'search one.example two.example';
const LONGER = 'A x.example.one.example, A x.example.two.example';

// biome-ignore format: a table is read as a table
const SEARCHES: readonly (readonly [string, string, Readonly<Record<string, Answer>>, string, string, string])[] = [
  ['x.example', LONGER_FIRST, {}, '! ENOTFOUND', `${LONGER}, A x.example`, 'longer names first'],
  ['x.example', LONGER_FIRST, { 'A x.example.one.example': 'ETIMEOUT' }, '! ETIMEOUT', `A x.example.one.example, A x.example`, 'after silence no other longer name'],
  ['x.example', LONGER_FIRST, { 'A x.example.one.example': 'ECONNREFUSED' }, '! ECONNREFUSED', `A x.example.one.example, A x.example`, 'nor where no server is'],
  ['x.example', LONGER_FIRST, { 'A x.example.one.example': 'ESERVFAIL' }, '! ESERVFAIL', `${LONGER}, A x.example`, 'a server that failed may know the next'],
  ['x.example', LONGER_FIRST, { 'A x.example.one.example': 'ETIMEOUT', 'A x.example': ['192.0.2.1'] }, '192.0.2.1', `A x.example.one.example, A x.example`, 'the name as it is written comes through'],
  ['x.example', LONGER_FIRST, { 'A x.example.one.example': 'ESERVFAIL', 'A x.example.two.example': 'ENODATA' }, '! ESERVFAIL', `${LONGER}, A x.example`, 'what may change counts more'],
  ['x.example', LONGER_FIRST, { 'A x.example.two.example': 'ESERVFAIL', 'A x.example': 'ENODATA' }, '! ESERVFAIL', `${LONGER}, A x.example`, 'also than what is known of the name as it is written'],
  ['x.example', LONGER_FIRST, { 'A x.example': 'ENODATA' }, '! ENODATA', `${LONGER}, A x.example`, 'which counts more than what is known of others'],
  ['x.example', LONGER_FIRST, { 'A x.example.one.example': 'ENODATA' }, '! ENOTFOUND', `${LONGER}, A x.example`, 'so it does'],
  ['x.example', LONGER_LATER, { 'A x.example': 'ENODATA' }, '! ENODATA', `A x.example, ${LONGER}`, 'whichever came first'],
  ['x.example', LONGER_LATER, { 'A x.example': 'ETIMEOUT' }, '! ETIMEOUT', 'A x.example', 'no other name takes its place'],
  ['x.example', LONGER_LATER, { 'A x.example': 'ECONNREFUSED' }, '! ECONNREFUSED', 'A x.example', 'nor here'],
  ['x.example', LONGER_LATER, { 'A x.example': 'EBADRESP' }, '! EBADRESP', 'A x.example', 'nor after nonsense'],
  ['x.example', LONGER_LATER, { 'A x.example': '' }, '! ENOTFOUND', `A x.example, ${LONGER}`, 'an error without a code'],
  ['x.example.', LONGER_FIRST, {}, '! ENOTFOUND', 'A x.example', 'a dot ends it'],
  ['x.example.', LONGER_FIRST, { 'A x.example': 'ETIMEOUT' }, '! ETIMEOUT', 'A x.example', 'also for a silent server'],
  ['m\u00fcller.example', '', {}, '! ENOTFOUND', 'A xn--mller-kva.example', 'as A-labels'],
  ['a b', '', {}, '! ENOTFOUND', 'A a b', 'what has none as it is'],
];
for (const [name, conf, answers, expected, asked, why] of SEARCHES)
  test(`${name}, ${why}`, () =>
    inScene(conf, answers, async (scene) => {
      const outcome = await outcomeOf(scene, (signal) => scene.names.addresses(name, { family: 4, signal }));
      assert.equal(outcome.replace(/ after .*/, ''), expected);
      assert.equal(scene.asked.join(', '), asked);
    }));

// biome-ignore format: a table is read as a table
const FAMILIES: readonly (readonly [Answer, Answer, string, string])[] = [
  [['192.0.2.1'], ['2001:db8::1'], '2001:db8::1 192.0.2.1 after 1', 'both'],
  [['192.0.2.1'], { after: 1000, say: ['2001:db8::1'] }, '2001:db8::1 192.0.2.1 after 1000', 'a second is waited for the other'],
  [['192.0.2.1'], null, '192.0.2.1 after 1012', 'and no longer'],
  [null, ['2001:db8::1', '2001:db8::2'], '2001:db8::1 2001:db8::2 after 1012', 'whichever comes'],
  ['ENODATA', { after: 5000, say: ['2001:db8::1'] }, '2001:db8::1 after 5000', 'where nothing is found yet, as long as it takes'],
  ['ENODATA', 'ENOTFOUND', '! ENODATA after 1', 'what is known of one is known of the name'],
  ['ENOTFOUND', 'ENODATA', '! ENODATA after 1', 'in any order'],
  ['ENODATA', 'ESERVFAIL', '! ESERVFAIL after 1', 'what may change counts more'],
  ['ESERVFAIL', ['2001:db8::1'], '2001:db8::1 after 1', 'one is enough'],
];
for (const [four, six, expected, why] of FAMILIES)
  test(`A ${JSON.stringify(four)}, AAAA ${JSON.stringify(six)}: ${why}`, () =>
    inScene('', { 'A x.example': four, 'AAAA x.example': six }, async (scene) => {
      const outcome = await outcomeOf(scene, (signal) => scene.names.addresses('x.example', { family: 'any', signal }));
      assert.equal(outcome, expected);
    }));

test('a server that cannot help is followed by the others, each alone, until one can', async () => {
  for (const code of ['EFORMERR', 'ESERVFAIL', 'ENOTIMP', 'EREFUSED', 'EBADRESP'])
    await inScene(
      '',
      { 'A x.example': code, '192.0.2.54 A x.example': 'ETIMEOUT', '192.0.2.55 A x.example': ['192.0.2.1'] },
      async (scene) => {
        const outcome = await outcomeOf(scene, (signal) => scene.names.addresses('x.example', { family: 4, signal }));
        assert.equal(outcome, '192.0.2.1 after 3', code);
        assert.deepEqual(scene.asked, ['A x.example', '192.0.2.54 A x.example', '192.0.2.55 A x.example']);
      },
      SERVERS,
    );
  for (const [code, second, expected, count] of [
    ['ETIMEOUT', ['192.0.2.1'], '! ETIMEOUT', 1],
    ['ENOTFOUND', ['192.0.2.1'], '! ENOTFOUND', 1],
    ['', ['192.0.2.1'], '! ENOTFOUND', 1],
    ['ESERVFAIL', 'ENOTFOUND', '! ENOTFOUND', 2],
    ['ESERVFAIL', 'EREFUSED', '! ESERVFAIL', 2],
    ['ESERVFAIL', 'ECONNREFUSED', '! ESERVFAIL', 2],
  ] as const)
    await inScene(
      '',
      { 'A x.example': code, '192.0.2.54 A x.example': second },
      async (scene) => {
        const outcome = await outcomeOf(scene, (signal) => scene.names.addresses('x.example', { family: 4, signal }));
        assert.equal(outcome.replace(/ after .*/, ''), expected, `${code}, ${second}`);
        assert.equal(scene.asked.length, count, `${code}, ${second}`);
      },
      SERVERS.slice(0, 2),
    );
});

test('whoever gives up cancels what is asked, and nothing more is asked', () =>
  inScene(
    LONGER_FIRST,
    { 'MX x.example': null, 'SRV x.example': null, 'A x.example.one.example': 'ESERVFAIL', 'A x.example.two.example': null },
    async (scene) => {
      const { names, asked } = scene;
      const looks: readonly (readonly [(signal: AbortSignal) => Promise<readonly unknown[]>, string])[] = [
        [(signal) => names.mx('x.example', { family: 'any', signal }), 'MX x.example'],
        [(signal) => names.srv('x.example', { family: 'any', signal }), 'SRV x.example'],
        [(signal) => names.addresses('x.example', { family: 4, signal }), LONGER],
      ];
      for (const [look, question] of looks) {
        assert.equal(await outcomeOf(scene, look, 50), '! ECANCELLED after 50', question);
        assert.equal(asked.splice(0).join(', '), question);
        assert.equal(await outcomeOf(scene, look, 0), '! ECANCELLED after 0', question);
        assert.deepEqual(asked.splice(0), []);
      }
    },
  ));

test.run();
