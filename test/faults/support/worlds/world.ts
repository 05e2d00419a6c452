/**
 * One delivery in a world that is drawn from a seed: its hosts, what goes wrong at them, the message, how it is read and when it is
 * given up. Behind it the hosts are asked what they took, and the promise is checked. Knows no octet of the network and no clock
 * but the virtual one.
 */

import { takeBody } from '../../../../src/message/body.ts';
import { CLEAN, type Source, sourceOf } from '../../../../src/message/source.ts';
import { DEFAULT_TLS, type Smarthost } from '../../../../src/router/smarthost.ts';
import { contentEncoder } from '../../../../src/smtp/client/content.ts';
import { parsed, unparsed } from '../../../../src/smtp/parsed.ts';
import { parseMailbox, printPath } from '../../../../src/smtp/path.ts';
import { plain } from '../../../../src/smtp/sasl/sasl.ts';
import { type Delivery, type DeliveryOptions, deliver } from '../../../../src/submit/delivery.ts';
import { type Outcome, printOutcome } from '../../../../src/submit/outcome.ts';
import type { Handshake, Security } from '../../../../src/submit/session.ts';
import { type Reached, unreached, type Wire } from '../../../../src/transport/wire.ts';
import { Conversation, type HostTerms, type Kind, type Taken } from './host.ts';
import { Dice, VirtualTime } from './time.ts';

/** Milliseconds of virtual time for whatever is waited for. */
const LIMIT = 1000;

/** TLS as far as a session sees it: a line each way, in clear. */
const pretended = (): Handshake => ({
  facts: () => null,
  secure: (wire) =>
    new Promise<Reached<Wire>>((resolve) => {
      let text = '';
      const fail = (): void => resolve(unreached('handshake', 'the handshake failed'));
      wire.listen({
        octets(octets) {
          text += octets.toString('latin1');
          const end = text.indexOf('\r\n');
          if (end < 0) return;
          wire.listen(null);
          if (!text.startsWith('SHAKEN')) return fail();
          if (text.length > end + 2) wire.unread(Buffer.from(text.slice(end + 2), 'latin1'));
          resolve({ ok: true, value: wire });
        },
        end: fail,
        closed: fail,
      });
      wire.write('HANDSHAKE\r\n');
    }),
});

const security: Security = {
  handshake: async () => parsed(pretended()),
  authenticator: async ({ auth }) =>
    parsed(() =>
      auth === null
        ? null
        : (offered, isSecured) =>
            offered.has('PLAIN') && (isSecured || auth.allowPlaintext)
              ? parsed(plain(auth.user, 'tanstaaf'))
              : unparsed('the server offers no mechanism that can be used'),
    ),
  proxyPassword: async () => parsed(''),
  scrub: (text) => text,
};

const mailbox = (text: string) => {
  const path = parseMailbox(text);
  if (!path.ok) throw new Error(path.detail);
  return path.value;
};
const SENDER = mailbox('tim@here.example');
const RECIPIENTS = [1, 2, 3, 4, 5].map((i) => mailbox(`r${i}@there.example`));

interface World {
  readonly delivery: Delivery;
  readonly options: DeliveryOptions;
  readonly message: string;
  readonly terms: readonly HostTerms[];
  readonly conversations: readonly Conversation[];
  readonly taken: readonly Taken[];
  /** The input fails, or a signal comes. */
  readonly mayEnd: boolean;
}

const LINES = ['hello', '.', '..', '.dotted', '', `${'long '.repeat(180)}`, 'From here', '\xe9\xff', 'BDAT 5 LAST', 'QUIT'] as const;

function writeMessage(dice: Dice): string {
  const lines = Array.from({ length: 1 + dice.below(12) }, () => dice.one(LINES));
  // Now and then more than two blocks of BDAT.
  const more = dice.isIn(0.004) ? `${'x'.repeat(997)}\r\n`.repeat(300 + dice.below(400)) : '';
  return `Subject: test\r\n\r\n${lines.map((line) => `${line}\r\n`).join('')}${more}`;
}

function slices(dice: Dice, octets: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  const longest = dice.one([10, 100, 65_536]);
  for (let at = 0; at < octets.length; ) {
    const size = 1 + dice.below(longest);
    parts.push(octets.subarray(at, at + size));
    at += size;
  }
  return parts;
}

/** A pipe: slow now and then, and it may fail. */
function pipeOf(dice: Dice, octets: Buffer, fails: boolean): Source {
  const parts = slices(dice, octets);
  const left = fails ? parts.slice(0, dice.below(parts.length + 1)) : parts;
  return {
    async read() {
      if (dice.isIn(0.1)) await new Promise((resolve) => setTimeout(resolve, dice.below(3 * LIMIT)));
      return left.shift() ?? (fails ? { end: 'failed', detail: 'the input failed' } : CLEAN);
    },
    close: () => {},
  };
}

/** Short content at hand, as the library gives it. */
function encodedOf(octets: Buffer): Uint8Array {
  const encoder = contentEncoder('data');
  return Buffer.concat([encoder.push(octets), encoder.end()]);
}

async function readContent(dice: Dice, message: string, fails: boolean): Promise<Delivery['content']> {
  const octets = Buffer.from(message, 'latin1');
  if (!fails && dice.isIn(0.2)) return { encoded: encodedOf(octets), replayable: true, open: () => sourceOf(octets) };
  if (!fails && dice.isIn(0.5)) return { replayable: true, open: () => sourceOf(...slices(dice, octets)) };
  const body = await takeBody(new Uint8Array(0), pipeOf(dice, octets, fails), {
    window: dice.isIn(0.6) ? dice.below(100) : 100_000,
    // A file can be read again, a pipe cannot.
    again: !fails && dice.isIn(0.3) ? () => pipeOf(dice, octets, false) : null,
    fileSize: null,
  });
  if (!body.ok) return { replayable: true, open: () => null };
  return {
    get replayable() {
      return body.value.replayable;
    },
    open: (_, last) => body.value.open(last),
  };
}

const some = <T>(dice: Dice, share: number, values: readonly T[]): T[] => values.filter(() => dice.isIn(share));

function drawTerms(dice: Dice, name: string, lmtp: boolean, isBad: boolean): HostTerms {
  // A host that says more than it was asked does so in one piece with what it was asked, because else nobody could know.
  const spared: Kind[] = dice.isIn(0.7) ? ['extra'] : [];
  return {
    name,
    lmtp,
    offers: some(dice, 0.6, ['PIPELINING', 'CHUNKING', '8BITMIME', 'SIZE 0', 'STARTTLS', 'AUTH PLAIN', 'ENHANCEDSTATUSCODES']),
    faults: isBad ? dice.one([0.03, 0.1, 0.3]) : 0,
    limit: LIMIT,
    spared: new Set(spared),
  };
}

async function drawWorld(dice: Dice): Promise<World> {
  const lmtp = dice.isIn(0.15);
  const recipients = RECIPIENTS.slice(0, 1 + dice.below(RECIPIENTS.length));
  const partial = dice.isIn(0.15) ? 'any' : lmtp ? 'verdicts' : 'never';
  const terms = Array.from({ length: 1 + dice.below(3) }, (_, i) => drawTerms(dice, `host${i + 1}.example`, lmtp, dice.isIn(0.8)));
  const conversations: Conversation[] = [];
  const taken: Taken[] = [];
  const message = writeMessage(dice);
  const fails = dice.isIn(0.05);
  const tls = dice.one(['off', 'off', 'opportunistic', 'required'] as const);
  const auth = dice.isIn(0.2)
    ? ({ user: 'tim', mechanisms: [], secret: { from: 'none' }, allowPlaintext: tls !== 'required' } as const)
    : null;
  const hosts: Smarthost[] = terms.map(({ name }) => ({
    scheme: lmtp ? 'lmtp' : 'smtp',
    host: name,
    port: 25,
    expand: 'none',
    tls: { ...DEFAULT_TLS, mode: tls },
    auth,
  }));
  const dial = async (host: Smarthost): Promise<Conversation['stream']> => {
    const of = terms.find(({ name }) => name === host.host) as HostTerms;
    if (dice.isIn(of.faults / 3)) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED', errno: -111 });
    if (dice.isIn(of.faults / 5)) await new Promise(() => {});
    if (dice.isIn(0.2)) await new Promise((resolve) => setTimeout(resolve, dice.below(LIMIT)));
    const conversation = new Conversation(of, dice, (each) => void taken.push(each));
    conversations.push(conversation);
    return conversation.stream;
  };
  const signal = new AbortController();
  const isSignalled = dice.isIn(0.05);
  if (isSignalled) setTimeout(() => signal.abort('a signal came'), dice.below(3 * LIMIT));
  const isLate = dice.isIn(0.05);
  return {
    delivery: {
      hosts,
      transaction: {
        reversePath: dice.isIn(0.2) ? null : SENDER,
        recipients: recipients.map((path) => ({ path })),
        size: dice.isIn(0.3) ? message.length : null,
        estimate: null,
        eightBit: 'none',
        withoutEightBit: 'send',
        smtputf8: false,
        dsn: 'drop',
      },
      content: await readContent(dice, message, fails),
    },
    options: {
      timeouts: {
        resolve: LIMIT,
        connect: LIMIT,
        handshake: LIMIT,
        greeting: LIMIT,
        command: LIMIT,
        data: LIMIT,
        block: LIMIT,
        final: LIMIT,
        ...(isLate ? { deadline: 1 + dice.below(4 * LIMIT) } : {}),
      },
      hello: 'here.example',
      partial,
      framing: dice.isIn(0.3) ? 'data' : 'auto',
      security,
      commitsAtOnce: dice.isIn(0.3),
      dialFor: () => dial,
      interrupts: { signal: signal.signal, grace: LIMIT },
    },
    message,
    terms,
    conversations,
    taken,
    mayEnd: fails || isSignalled || isLate,
  };
}

/* ---- the promise ---- */

/** What of the promise does not hold; null when all of it does. */
function findBreach(world: World, outcome: Outcome): string | null {
  const { taken, conversations, delivery, options, message } = world;
  const all = delivery.transaction.recipients.map(({ path }) => printPath(path));
  const [first] = taken;
  if (taken.length > 1) return `${taken.length} copies were taken`;
  if (first && first.octets !== message) return 'a host took other octets';
  if (first && options.partial === 'never' && first.recipients.length !== all.length) return 'a host took it for a part of the recipients';
  const committed = conversations.findIndex(({ isCommitted }) => isCommitted);
  if (committed >= 0 && committed < conversations.length - 1) return 'a host was asked after the message had been committed to another';
  if (delivery.hosts[0]?.tls.mode === 'required' && conversations.some(({ wasInClear }) => wasInClear))
    return 'less security than was asked for';
  const words = printOutcome(outcome, '<id@here.example>').join('\n');
  if (/undefined|\[object|Error:|\bbug\b|\n\s+at /.test(words)) return 'a sentence is not one';
  if (outcome.kind === 'accepted') {
    if (!first) return 'accepted, and no host took it';
    if (first.host !== outcome.by.host.host) return 'accepted by another host than it says';
    const claimed = outcome.by.taken.map((path) => printPath(path).slice(1, -1));
    if (first.recipients.join() !== claimed.join()) return `accepted for ${claimed.join()}, and taken for ${first.recipients.join()}`;
    if (options.partial === 'never' && claimed.length !== all.length) return 'accepted for a part of the recipients';
    return null;
  }
  if (outcome.kind === 'discarded' || words === '') return 'nothing is said of the failure';
  if (outcome.failure.kind === 'uncertain') return committed < 0 ? 'uncertain, and the end of the message was never written' : null;
  if (first) return 'failed, and a host took it';
  // A host where nothing goes wrong takes the message, unless what came before rules it out.
  const isFutile = world.mayEnd || ('condemns' in outcome.failure && outcome.failure.condemns === 'message') || outcome.unreplayable;
  return !isFutile && new Set(outcome.attempts.map(({ host }) => host.host)).size < delivery.hosts.length ? 'a host was not asked' : null;
}

/** Everything is closed and no timer is left, however long nobody does anything. */
function findLeft({ conversations }: World): string | null {
  const open = conversations.findIndex(({ stream }) => !stream.destroyed);
  return open < 0 ? null : `connection ${open} is left open`;
}

/* ---- runs ---- */

export interface Tally {
  accepted: number;
  failed: number;
  uncertain: number;
  connections: number;
}

/** Runs one world; what of the promise did not hold in it, with all that was said there, or null. */
export async function runWorld(seed: number, tally: Tally): Promise<string | null> {
  // To write down what is said takes longer than the rest.
  const breach = await runOnce(seed, tally, null);
  if (breach === null) return null;
  const trace: string[] = [];
  const again = await runOnce(seed, { ...tally }, trace);
  return [`world ${seed}: ${again ?? `${breach}, and the second time it held`}`, ...trace].join('\n');
}

async function runOnce(seed: number, tally: Tally, trace: string[] | null): Promise<string | null> {
  const dice = new Dice(seed);
  const time = new VirtualTime();
  const thrown: unknown[] = [];
  const hear = (error: unknown): void => void thrown.push(error);
  process.on('uncaughtException', hear).on('unhandledRejection', hear);
  time.install();
  try {
    let world: World | null = null;
    let outcome: Outcome | null = null;
    const observer = trace && { trace: (side: string, line: string) => void trace.push(`${time.now} ${side} ${line.slice(0, 100)}`) };
    void drawWorld(dice).then(async (drawn) => {
      world = drawn;
      outcome = await deliver(drawn.delivery, { ...drawn.options, ...(observer ? { observer } : {}) });
    }, hear);
    const isOver = await time.pass(() => outcome !== null || thrown.length > 0);
    await time.pass(() => false);
    const drawn = world as World | null;
    const came = outcome as Outcome | null;
    const breach =
      thrown.length > 0
        ? `thrown: ${(thrown[0] as Error).stack ?? thrown[0]}`
        : !isOver || drawn === null || came === null
          ? 'nothing moves any more, and there is no outcome'
          : (findBreach(drawn, came) ?? findLeft(drawn));
    if (came !== null) {
      tally[came.kind !== 'failed' ? 'accepted' : came.failure.kind === 'uncertain' ? 'uncertain' : 'failed'] += 1;
      tally.connections += drawn?.conversations.length ?? 0;
    }
    if (trace !== null && drawn !== null) {
      trace.push(came?.kind === 'failed' ? JSON.stringify(came.failure) : (came?.kind ?? 'no outcome'), JSON.stringify(drawn.taken));
      for (const { terms, told } of drawn.conversations) trace.push(JSON.stringify(terms), ...told.map((line) => `  ${line}`));
    }
    return breach;
  } finally {
    time.uninstall();
    process.off('uncaughtException', hear).off('unhandledRejection', hear);
  }
}
