/**
 * What a walk is made of, drawn from a seed as data, so that a part of it can be left out and the rest goes the same way: servers
 * and what goes wrong at them, programs that send, their messages, and when they give up. Runs nothing.
 */
import type { HostTerms, Kind } from '../worlds/host.ts';
import { Dice } from '../worlds/time.ts';
import { type ContentPlan, FLAWS, type Flaw, mayHave, SHAPES, type Shape } from './content.ts';

/** Milliseconds for whatever is waited for, but for a verdict after a signal. */
export const LIMIT = 1000;
export const GRACE = 400;
export const PASSWORD = 'tanstaaf:geheim';

export interface ServerPlan extends HostTerms {
  readonly seed: number;
  /** Asks for a password. */
  readonly hasAuth: boolean;
  /** The share of connections that do not come about. */
  readonly refuses: number;
  /** On sockets alone, because a handshake takes no virtual time. */
  readonly tls: TlsPlan | null;
}

/** What a server makes of TLS: it offers STARTTLS, begins with TLS, refuses STARTTLS, says nothing of it, breaks the handshake, or has another's certificate. */
const TLS_KINDS = ['offered', 'implicit', 'refused', 'stripped', 'broken', 'stranger'] as const;
export interface TlsPlan {
  readonly kind: (typeof TLS_KINDS)[number];
  /** What the programs ask for. */
  readonly mode: 'required' | 'opportunistic';
}

export interface MessagePlan {
  readonly id: number;
  readonly recipients: number;
  readonly content: ContentPlan;
  /** It is sent with the content of the message before it. */
  readonly sharesContent: boolean;
  readonly withoutEightBit: 'convert' | 'send' | 'refuse' | undefined;
  /** Milliseconds before it is given; 'settled': when the one before it has its outcome. */
  readonly wait: number | 'settled';
  /** Milliseconds until its signal comes; 'before': it has come; 'never': it has one. */
  readonly abort: number | 'before' | 'never' | null;
  /** Its callbacks throw. */
  readonly throws: boolean;
  /** The program asks behind it whether the server is there. */
  readonly asks: boolean;
  readonly wants: Wants;
}

/** What a message asks of its server besides. */
export interface Wants {
  readonly ret?: 'FULL' | 'HDRS';
  readonly envid?: string;
  readonly notify?: readonly ('SUCCESS' | 'FAILURE' | 'DELAY' | 'NEVER')[];
  /** Each recipient had another address before. */
  readonly originals?: true;
  /** Without DSN it fails. */
  readonly needsDsn?: true;
  /** Where it is not ASCII. A domain has an ASCII form, and needs nothing of the server. */
  readonly beyondAscii?: 'sender' | 'recipient' | 'domain' | 'header';
  readonly requireTls?: true;
}

/** The addresses of a message, as programs give them. */
export const senderOf = ({ id, wants }: MessagePlan): string => `m${wants.beyondAscii === 'sender' ? 'ü' : ''}${id}@here.example`;
export const recipientsOf = ({ recipients, wants: { beyondAscii } }: MessagePlan): string[] =>
  Array.from({ length: recipients }, (_, i) => {
    if (i > 0) return `r${i}@there.example`;
    return beyondAscii === 'recipient' ? 'rü0@there.example' : beyondAscii === 'domain' ? 'r0@dörf.example' : 'r0@there.example';
  });
export const originalOf = (index: number): string => `o${index}=@old.example`;
/** An address as it is said: an octet string, and the domain in ASCII. */
export const spoken = (address: string): string => Buffer.from(address.replace('dörf', 'xn--drf-sna')).toString('latin1');

export interface ProgramPlan {
  /** With nodemailer `pool.connections` of 1 is no pool. */
  readonly kind: 'submit' | 'client' | 'pool' | 'nodemailer';
  readonly seed: number;
  /** By place in the walk. */
  readonly servers: readonly number[];
  readonly begins: number;
  readonly options: {
    readonly recipients: 'all' | 'any';
    readonly commit: 'apart' | 'together';
    readonly framing: 'auto' | 'data';
    readonly window: number;
    readonly deadline: number | undefined;
  };
  readonly pool: {
    readonly connections: number;
    readonly messagesPerConnection: number;
    readonly pipelining: boolean;
    readonly idle: number;
    readonly ttl: number;
    readonly retries: number;
    readonly rate: { readonly messages: number; readonly per: number } | null;
  };
  readonly messages: readonly MessagePlan[];
  /** Milliseconds until the signal of the whole comes. */
  readonly abort: number | 'never' | null;
  readonly end: 'quit' | 'destroy' | 'destroy at once' | 'both' | 'dispose';
  /** Milliseconds between the last message that is given and the end. */
  readonly lingers: number;
}

export interface WalkPlan {
  readonly seed: number;
  readonly servers: readonly ServerPlan[];
  readonly programs: readonly ProgramPlan[];
}

function drawWants(dice: Dice): Wants {
  const asksDsn = dice.isIn(0.25);
  const beyondAscii = dice.isIn(0.15) ? dice.one(['sender', 'recipient', 'domain', 'header'] as const) : undefined;
  return {
    ...(asksDsn && dice.isIn(0.5) ? { ret: dice.one(['FULL', 'HDRS'] as const) } : {}),
    ...(asksDsn && dice.isIn(0.5) ? { envid: dice.one(['id', 'a+b=c d', '~"x']) } : {}),
    ...(asksDsn && dice.isIn(0.7) ? { notify: dice.one([['NEVER'], ['SUCCESS', 'DELAY'], ['FAILURE']] as const) } : {}),
    ...(dice.isIn(0.1) ? { originals: true } : {}),
    ...(asksDsn && dice.isIn(0.3) ? { needsDsn: true } : {}),
    ...(beyondAscii === undefined ? {} : { beyondAscii }),
    ...(dice.isIn(0.01) ? { requireTls: true } : {}),
  };
}

/** Draws what came to be drawn later than the rest, so that the rest stays as it is. */
const besides = (seed: number): Dice => new Dice(seed ^ 0x5bd1e995);

const some = <T>(dice: Dice, share: number, values: readonly T[]): T[] => values.filter(() => dice.isIn(share));
const seedOf = (dice: Dice): number => dice.below(2 ** 31);

function drawTls(dice: Dice, lmtp: boolean): TlsPlan | null {
  if (dice.isIn(0.5)) return null;
  const drawn = dice.isIn(0.6) ? 'offered' : dice.one(TLS_KINDS);
  // No URL of LMTP says it.
  const kind = drawn === 'implicit' && lmtp ? 'offered' : drawn;
  return { kind, mode: kind === 'implicit' || dice.isIn(0.6) ? 'required' : 'opportunistic' };
}

function drawServer(dice: Dice, index: number, lmtp: boolean, isFair: boolean): ServerPlan {
  const isBad = !isFair && dice.isIn(0.7);
  const faults = isBad ? dice.one([0.01, 0.03, 0.1]) : 0;
  const spared: Kind[] = dice.isIn(0.7) ? ['extra'] : [];
  // Most servers refuse and close more often than they break the protocol.
  if (dice.isIn(0.5)) spared.push('garbage', 'misplaced', 'early');
  const hasAuth = !isFair && dice.isIn(0.25);
  const most = dice.isIn(0.1) ? 1 + dice.below(4) : null;
  const seed = seedOf(dice);
  return {
    seed,
    name: `host${index + 1}.example`,
    lmtp,
    offers: [
      ...some(dice, 0.6, ['PIPELINING', 'CHUNKING', '8BITMIME', 'SIZE 0', 'ENHANCEDSTATUSCODES']),
      ...some(besides(seed), 0.6, ['DSN', 'SMTPUTF8', 'REQUIRETLS']),
      ...(hasAuth ? ['AUTH PLAIN LOGIN'] : []),
      ...(most === null ? [] : [`LIMITS MAILMAX=${most}`]),
    ],
    faults,
    limit: LIMIT,
    spared: new Set(spared),
    idle: dice.isIn(isFair ? 0.8 : 0.3)
      ? { after: isFair ? 900 : dice.one([20, 900]), ends: dice.one(['close', 'reset', 'farewell'] as const) }
      : null,
    most,
    echoes: dice.isIn(0.3),
    picky: !isFair && dice.isIn(0.4) ? 0.15 : 0,
    isRude: dice.isIn(0.1),
    refusesAlong: besides(seed + 2).isIn(0.25),
    hasAuth,
    refuses: isBad ? dice.one([0, 0.05, 0.3]) : 0,
    tls: drawTls(besides(seed + 1), lmtp),
  };
}

const LINES = ['hello', '.', '..', '.dotted', '', 'From here', 'RSET', 'x'.repeat(900), 'a\tb '] as const;
const MIME = ['MIME-Version: 1.0', 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit'];

function drawText(dice: Dice, id: number): string {
  const isEightBit = dice.isIn(0.2);
  const end = dice.one(['\r\n', '\r\n', '\r\n', '\n', '\r']);
  const lines: string[] = Array.from({ length: 1 + dice.below(10) }, () => dice.one(LINES));
  if (isEightBit) lines.push('Grüße an 世界 🎉');
  const size = dice.isIn(0.12) ? dice.one([20_000, 65_530, 65_540, 70_000, 300_000]) : 0;
  const more = size > 0 ? 'line of text '.repeat(5) : '';
  for (let octets = 0; octets < size; octets += more.length + 2) lines.push(more);
  const head = [`Subject: m${id}`, ...(isEightBit ? MIME : [])];
  return `${[...head, '', ...lines].join(end)}${dice.isIn(0.8) ? end : ''}`;
}

/** A message whose octets nobody may change. RFC 1847 §2.1 */
const signed = (text: string, id: number): string =>
  [
    `Subject: m${id}`,
    'MIME-Version: 1.0',
    'Content-Type: multipart/signed; boundary=b; protocol="application/pgp-signature"; micalg=pgp-sha256',
    '',
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    `Grüße ${text.length > 20_000 ? 'a line of text\r\n'.repeat(6000) : ''}`,
    '--b',
    'Content-Type: application/pgp-signature',
    '',
    'x',
    '--b--',
    '',
  ].join('\r\n');
export const isSigned = ({ text }: ContentPlan): boolean => text.includes('multipart/signed');

function drawContent(dice: Dice, id: number, isGentle: boolean): ContentPlan {
  const shape = dice.isIn(0.3) ? 'text' : dice.one(SHAPES);
  const flaws = FLAWS.filter((flaw) => mayHave(shape, flaw));
  const flaw = flaws.length > 0 && !isGentle && dice.isIn(0.25) ? dice.one(flaws) : null;
  // What is short is encoded at the call.
  const more = flaw === 'moved' && dice.isIn(0.7) ? 'a line that was moved\r\n'.repeat(5000) : '';
  const seed = seedOf(dice);
  const text = drawText(dice, id) + more;
  return {
    seed,
    shape,
    flaw,
    text: besides(seed).isIn(0.03) ? signed(text, id) : text,
    pause: dice.one([0, 0, 10, 150, 300]),
  };
}

function drawMessage(dice: Dice, id: number, isFirst: boolean, isGentle: boolean): MessagePlan {
  const recipients = dice.isIn(0.5) ? 1 : 1 + dice.below(4);
  const content = drawContent(dice, id, isGentle);
  return {
    id,
    recipients,
    content,
    wants: drawWants(besides(content.seed + 1)),
    sharesContent: !isFirst && dice.isIn(0.04),
    withoutEightBit: dice.one([undefined, undefined, 'convert', 'send', 'refuse'] as const),
    wait: dice.one([0, 0, 0, dice.below(50), 900 + dice.below(350), 900 + dice.below(350), 'settled'] as const),
    abort: dice.isIn(0.25) && !isGentle ? dice.one([dice.below(5), dice.below(100), dice.below(2000), 'never', 'before'] as const) : null,
    throws: dice.isIn(0.05),
    asks: dice.isIn(0.05),
  };
}

function drawProgram(dice: Dice, count: number, servers: number, firstId: number): ProgramPlan {
  const kind = dice.one(['submit', 'client', 'client', 'pool', 'pool', 'pool'] as const);
  // Its messages are good, and it gives none of them up.
  const isGentle = dice.isIn(0.4);
  const seed = seedOf(dice);
  const program: ProgramPlan = {
    kind,
    seed,
    servers: Array.from({ length: kind === 'client' ? 1 : 1 + dice.below(3) }, () => dice.below(servers)),
    begins: dice.isIn(0.5) ? 0 : dice.below(2000),
    options: {
      recipients: dice.isIn(0.3) ? 'any' : 'all',
      commit: dice.one(['apart', 'apart', 'together'] as const),
      framing: dice.isIn(0.2) ? 'data' : 'auto',
      window: dice.one([65_536, 65_536, 0, 1000, 1_000_000]),
      deadline: dice.isIn(0.1) ? 100 + dice.below(4000) : undefined,
    },
    pool: {
      connections: 1 + dice.below(4),
      messagesPerConnection: dice.one([1, 3, 100]),
      pipelining: dice.isIn(0.6),
      idle: dice.one([1, 50, 1000, 10_000, 10_000]),
      ttl: dice.one([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 500, 3000]),
      retries: dice.one([0, 0, 0, 1, 3]),
      rate: dice.isIn(0.25) ? { messages: 1 + dice.below(5), per: dice.one([50, 1000]) } : null,
    },
    messages: Array.from({ length: count }, (_, i) => drawMessage(dice, firstId + i, i === 0, isGentle)),
    abort: dice.isIn(0.15) ? dice.one([dice.below(3000), 'never', 'never'] as const) : null,
    end: dice.one(['quit', 'quit', 'quit', 'dispose', 'both', 'destroy', 'destroy at once'] as const),
    lingers: dice.isIn(0.5) ? 0 : dice.below(4000),
  };
  return besides(seed).isIn(0.15) ? withNodemailer(program) : program;
}

/** Shapes that nodemailer takes as a whole message, and what of theirs it hands over. */
const RAW: readonly Shape[] = ['text', 'octets', 'readable', 'passthrough', 'from'];
const RAW_FLAWS: readonly Flaw[] = ['throws', 'dies', 'silent'];

/** The same program through nodemailer, which knows one server, and no word for some of what a message may want. */
function withNodemailer(program: ProgramPlan): ProgramPlan {
  const withRaw = ({ shape, flaw, ...content }: ContentPlan): ContentPlan => {
    const raw = RAW.includes(shape) ? shape : 'from';
    return { ...content, shape: raw, flaw: flaw !== null && RAW_FLAWS.includes(flaw) && mayHave(raw, flaw) ? flaw : null };
  };
  return {
    ...program,
    kind: 'nodemailer',
    servers: program.servers.slice(0, 1),
    options: { ...program.options, commit: 'apart', framing: 'auto', window: 65_536, deadline: undefined },
    abort: null,
    messages: program.messages.map((message) => {
      const { needsDsn: _, beyondAscii, ...wants } = message.wants;
      return {
        ...message,
        content: withRaw(message.content),
        sharesContent: false,
        withoutEightBit: undefined,
        throws: false,
        wants: beyondAscii === undefined || beyondAscii === 'header' ? wants : { ...wants, beyondAscii },
      };
    }),
  };
}

export function drawWalk(seed: number): WalkPlan {
  const dice = new Dice(seed);
  // A server of LMTP is not mixed with others, because no list of servers does.
  const lmtp = dice.isIn(0.12);
  // In some walks nothing goes wrong but idle sessions, so that everything must arrive.
  const isFair = dice.isIn(0.3);
  const servers = Array.from({ length: 1 + dice.below(3) }, (_, i) => drawServer(dice, i, lmtp, isFair));
  const programs: ProgramPlan[] = [];
  let id = 0;
  for (let i = 1 + dice.below(3); i > 0; i--) {
    const count = 1 + dice.below(dice.one([2, 8, 20]));
    programs.push(drawProgram(dice, count, servers.length, id));
    id += count;
  }
  return { seed, servers, programs };
}

/** The walk with one part less, for each part that it has; the greatest parts come first. */
export function* lessOf(plan: WalkPlan): Generator<WalkPlan> {
  const without = <T>(all: readonly T[], i: number): T[] => all.filter((_, at) => at !== i);
  const { programs, servers } = plan;
  if (programs.length > 1) for (const i of programs.keys()) yield { ...plan, programs: without(programs, i) };
  const withProgram = (i: number, program: ProgramPlan): WalkPlan => ({
    ...plan,
    programs: programs.map((each, at) => (at === i ? program : each)),
  });
  for (const [i, program] of programs.entries()) {
    const { messages } = program;
    const half = messages.length >> 1;
    if (half > 0) {
      yield withProgram(i, { ...program, messages: messages.slice(half) });
      yield withProgram(i, { ...program, messages: messages.slice(0, half) });
    }
    if (messages.length > 1) for (const at of messages.keys()) yield withProgram(i, { ...program, messages: without(messages, at) });
    if (program.servers.length > 1)
      for (const at of program.servers.keys()) yield withProgram(i, { ...program, servers: without(program.servers, at) });
    if (program.abort !== null) yield withProgram(i, { ...program, abort: null });
    for (const [at, message] of messages.entries()) {
      const withMessage = (less: Partial<MessagePlan>) =>
        withProgram(i, { ...program, messages: messages.map((each, k) => (k === at ? { ...each, ...less } : each)) });
      if (message.abort !== null) yield withMessage({ abort: null });
      if (Object.keys(message.wants).length > 0) yield withMessage({ wants: {} });
      if (message.throws || message.asks) yield withMessage({ throws: false, asks: false });
      if (message.recipients > 1) yield withMessage({ recipients: 1 });
      if (message.content.pause > 0) yield withMessage({ content: { ...message.content, pause: 0 } });
      if (message.content.text.length > 2000)
        yield withMessage({ content: { ...message.content, text: `Subject: m${message.id}\r\n\r\nhello\r\n` } });
    }
  }
  for (const [i, server] of servers.entries()) {
    const withServer = (less: Partial<ServerPlan>) => ({
      ...plan,
      servers: servers.map((each, at) => (at === i ? { ...each, ...less } : each)),
    });
    if (server.faults > 0) yield withServer({ faults: 0 });
    if (server.refuses > 0) yield withServer({ refuses: 0 });
    if (server.idle) yield withServer({ idle: null });
    if (server.hasAuth) yield withServer({ hasAuth: false, offers: server.offers.filter((offer) => !offer.startsWith('AUTH')) });
  }
}

/** Several walks as one, so that they go on at the same time; `faster`: what takes time in them takes so many times less. */
export function drawTogether(seeds: readonly number[], faster: number): WalkPlan {
  const soon = (milliseconds: number): number => Math.ceil(milliseconds / faster);
  const servers: ServerPlan[] = [];
  const programs: ProgramPlan[] = [];
  for (const [i, seed] of seeds.entries()) {
    const walk = drawWalk(seed);
    const before = servers.length;
    for (const server of walk.servers)
      servers.push({
        ...server,
        name: `host${servers.length + 1}.example`,
        limit: soon(server.limit),
        idle: server.idle ? { ...server.idle, after: soon(server.idle.after) } : null,
      });
    for (const program of walk.programs)
      programs.push({
        ...program,
        servers: program.servers.map((at) => before + at),
        begins: soon(program.begins),
        lingers: soon(program.lingers),
        messages: program.messages.map((message) => ({
          ...message,
          // nodemailer has no limit for it but that of RFC 5321.
          content:
            program.kind === 'nodemailer' && message.content.flaw === 'silent' ? { ...message.content, flaw: null } : message.content,
          id: 100_000 * (i + 1) + message.id,
          wait: message.wait === 'settled' ? 'settled' : soon(message.wait),
          abort: typeof message.abort === 'number' ? soon(message.abort) : message.abort,
        })),
      });
  }
  return { seed: seeds[0] ?? 0, servers, programs };
}
