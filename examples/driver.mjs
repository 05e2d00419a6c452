/**
 * A whole driver for the SMTP core, over any stream: octets and events in, actions out. It needs nothing but ECMAScript. Below it
 * stand a stream in memory and a server of some lines, so that it can be run: `npm run build`, then `node examples/driver.mjs`.
 */
import { contentEncoder, Dialogue, latin1, octets, parseMailbox, parseReversePath, STEPS } from 'nospool/smtp';

/** Octets that a block of BDAT has, except for the last one. */
const BLOCK = 65_536;

/**
 * Drives one session. `stream` has `write(octets)`, a promise that is kept when the octets are handed over; `idle()`, one that is kept
 * when all of them are and the event loop has turned once; `secure()`, TLS in place, whose promise holds null or why it failed;
 * `end()` and `destroy()`. `clock.set(milliseconds, ring)` forgets the time before; Infinity is none. `timeouts` has milliseconds by
 * the words of `STEPS[…].within`.
 */
export class Driver {
  #dialogue;
  #stream;
  #clock;
  #timeouts;
  /** Events wait here while actions are performed, because each may be answered by others. */
  #inbox = [];
  #isPerforming = false;
  /** The message that is under way, and those that wait. */
  #message = null;
  #waiting = [];
  #checks = [];
  #isLeaving = false;

  constructor(plan, stream, clock, timeouts) {
    this.#dialogue = new Dialogue(plan);
    this.#stream = stream;
    this.#clock = clock;
    this.#timeouts = timeouts;
    stream.onOctets = (heard) => this.#on(() => this.#dialogue.receive(latin1(heard)));
    stream.onLost = (detail) => this.#report({ type: 'lost', detail });
    this.#on(() => this.#dialogue.begin());
  }

  /** Sends one message; `content` is an iterable of Uint8Array, its line ends as they come. Resolves with a SessionOutcome. */
  submit(transaction, content) {
    return new Promise((resolve) => {
      this.#waiting.push({ transaction, content, resolve, blocks: null, block: null });
      this.#on(() => []);
    });
  }

  /** Asks the server whether it is there; null, or why the session is over. */
  noop() {
    return new Promise((resolve) => {
      this.#checks.push({ resolve, isSaid: false });
      this.#on(() => []);
    });
  }

  quit() {
    this.#isLeaving = true;
    this.#on(() => []);
  }

  /** A signal or a deadline of the caller's. */
  abort(detail) {
    this.#report({ type: 'abort', detail });
  }

  #report(event) {
    this.#on(() => this.#dialogue.on(event));
  }

  /** Everything that happens goes through here, one thing after another. */
  #on(happens) {
    this.#inbox.push(happens);
    if (this.#isPerforming) return;
    this.#isPerforming = true;
    for (let next = this.#inbox.shift() ?? this.#own(); next; next = this.#inbox.shift() ?? this.#own()) {
      const before = this.#dialogue.state;
      for (const action of next()) this.#perform(action);
      // A part of a reply changes no state, and the time is for the whole of it.
      if (this.#dialogue.state !== before) this.#setClock();
    }
    this.#isPerforming = false;
    if (this.#dialogue.state.at === 'closed') this.#settleRest();
  }

  /** What the driver itself wants, when the session is ready for it. */
  #own() {
    if (this.#dialogue.state.at !== 'ready') return undefined;
    const check = this.#checks[0];
    if (check) return () => this.#dialogue.on({ type: 'noop' });
    this.#message ??= this.#waiting.shift() ?? null;
    const message = this.#message;
    if (message) return () => this.#dialogue.on({ type: 'transaction', transaction: message.transaction });
    return this.#isLeaving ? () => this.#dialogue.on({ type: 'quit' }) : undefined;
  }

  #setClock() {
    const { within } = STEPS[this.#dialogue.state.at];
    const milliseconds = within === 'none' ? Number.POSITIVE_INFINITY : this.#timeouts[within];
    this.#clock.set(milliseconds, () => this.#report({ type: 'timeout', limit: { key: within, milliseconds } }));
  }

  #perform(action) {
    switch (action.do) {
      case 'send':
        this.#say(action.lines);
        break;
      case 'startTls':
        this.#stream
          .secure()
          .then((detail) => this.#report(detail === null ? { type: 'secured' } : { type: 'insecure', detail, reason: 'other' }));
        break;
      case 'pull':
        this.#pull(this.#message, action);
        break;
      case 'sendBlock': {
        // What is held is the commit: the server has nothing before it.
        const { block } = this.#message;
        this.#say([action.line]);
        this.#write(block.subarray(0, block.length - action.held));
        this.#message.block = block.subarray(block.length - action.held);
        break;
      }
      case 'flush':
        this.#endContent(this.#message);
        break;
      case 'commit':
        // One write: the last octets of this message, and the envelope of the next one behind them.
        this.#write(join([action.line === null ? this.#message.block : octets(`${action.line}\r\n`), octets(print(action.along))]));
        break;
      case 'next':
        this.#message = this.#waiting.shift();
        break;
      case 'settle':
        this.#settle(action.outcome);
        break;
      case 'checked':
        this.#checks.shift()?.resolve(action.failure);
        break;
      case 'close':
        this.#stream.end();
        break;
      case 'destroy':
        this.#stream.destroy();
        break;
      // 'ready': #own looks at the state. 'note': a sentence for people, about what is not as it was asked for.
    }
  }

  /** Lines are octet strings: each character is an octet. */
  #say(lines) {
    this.#write(octets(print(lines)));
  }

  #write(written) {
    this.#stream.write(written).catch(() => {});
  }

  /** Writes all of the content (DATA), or has the next block of it at hand (BDAT). A message that is settled meanwhile is let go. */
  async #pull(message, { framing, eightBit }) {
    message.blocks ??= encode(message.content, framing, eightBit);
    try {
      for (;;) {
        const { value: block, done } = await message.blocks.next();
        if (this.#message !== message) return;
        if (done) return this.#endContent(message);
        if (framing !== 'data') {
          message.block = block.octets;
          return this.#report({ type: 'block', octets: block.octets.length, last: block.isLast });
        }
        await this.#stream.write(block.octets);
        if (this.#message !== message) return;
        this.#setClock();
      }
    } catch (error) {
      if (this.#message === message) this.#report({ type: 'contentFailed', detail: String(error) });
    }
  }

  /** The commit waits for all writes and for one turn of the event loop, so that a loss, a reply or a signal comes first. */
  async #endContent(message) {
    await this.#stream.idle();
    if (this.#message === message) this.#report({ type: 'contentSent', next: this.#waiting[0]?.transaction });
  }

  #settle(outcome) {
    const message = this.#message;
    this.#message = null;
    message?.blocks?.return().catch(() => {});
    // A session that ends before it was ready fails the first message.
    (message ?? this.#waiting.shift())?.resolve(outcome);
  }

  /** The machine settles what is under way when a session ends; the rest never had its turn. */
  #settleRest() {
    this.#clock.set(Number.POSITIVE_INFINITY, () => {});
    const failure = { kind: 'lost', at: 'closed', condemns: 'address', command: 'MAIL', detail: 'the session has ended' };
    for (const { resolve } of this.#waiting.splice(0)) resolve({ kind: 'failed', failure });
    for (const { resolve } of this.#checks.splice(0)) resolve(failure);
  }
}

const print = (lines) => lines.map((line) => `${line}\r\n`).join('');

function join(parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Content as the wire has it, in blocks; the encoder's octets are copied, because they are valid until its next call only. */
async function* encode(content, framing, eightBit) {
  const encoder = contentEncoder(framing);
  let block = new Uint8Array(0);
  for await (const chunk of content) {
    const encoded = encoder.push(chunk);
    // A driver that can convert content to seven bits does so here where `eightBit` is 'convert'.
    if (eightBit !== 'pass' && encoder.facts.eightBit) throw new Error('the content has 8-bit octets, and the server takes none');
    block = join([block, encoded]);
    if (block.length < BLOCK) continue;
    yield { octets: block, isLast: false };
    block = new Uint8Array(0);
  }
  yield { octets: join([block, encoder.end()]), isLast: true };
}

/** Milliseconds. RFC 5321 §4.5.3.2 */
export const TIMEOUTS = { greeting: 300_000, handshake: 30_000, command: 300_000, data: 120_000, block: 180_000, final: 600_000 };

/** Clear text, no login, and whoever is accepted gets the message. `chooseMechanism` is for `authenticate`. */
export const PLAN = {
  protocol: 'smtp',
  hello: 'client.example.org',
  tls: 'off',
  authenticate: null,
  transactions: 'many',
  framing: 'auto',
  partial: 'any',
};

/** The transaction of an envelope, whose addresses are checked; '' as `from` is the null reverse-path. */
export function transactionOf(from, ...to) {
  const taken = (read) => {
    if (!read.ok) throw new Error(read.detail);
    return read.value;
  };
  const recipients = to.map((address) => ({ path: taken(parseMailbox(address)) }));
  const facts = { size: null, estimate: null, eightBit: 'unknown', withoutEightBit: 'refuse', smtputf8: false, dsn: 'drop' };
  return { reversePath: taken(parseReversePath(from)), recipients, ...facts };
}

/* ---- a stream in memory, and a server that takes everything ---- */

/** The client's end of a stream whose other end is a server with these extensions; `tell` hears both. */
export function streamInMemory(extensions, tell) {
  const stream = {
    onOctets: () => {},
    onLost: () => {},
    // Like a network, it answers later.
    write: (written) => Promise.resolve().then(() => hear(latin1(written))),
    idle: async () => {
      for (let turn = 0; turn < 9; turn++) await null;
    },
    secure: async () => null,
    end: () => tell('!  the stream ends'),
    destroy: () => tell('!  the stream is destroyed'),
  };
  let text = '';
  /** The octets of a block that are still to come; Infinity up to the line of the dot. */
  let content = 0;
  const say = (...lines) => {
    for (const line of lines) tell(`S: ${line}`);
    stream.onOctets(octets(print(lines)));
  };
  const hear = (heard) => {
    text += heard;
    for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
      if (content > 0 && content < Number.POSITIVE_INFINITY && text.length < content) return;
      const size = content > 0 && content < Number.POSITIVE_INFINITY ? content : end + 2;
      const line = text.slice(0, size).replace(/\r\n$/, '');
      text = text.slice(size);
      for (const each of line.split('\r\n')) tell(`C: ${each}`);
      answer(line, size === content);
    }
  };
  const answer = (line, isBlock) => {
    if (content > 0) {
      if (!isBlock && line !== '.') return;
      content = 0;
      return say('250 2.0.0 taken');
    }
    const [verb, size] = line.split(' ');
    if (verb === 'EHLO')
      return say(...['mail.example.org', ...extensions].map((word, i) => `250${i < extensions.length ? '-' : ' '}${word}`));
    if (verb === 'BDAT') content = Number(size);
    else if (verb === 'DATA') {
      content = Number.POSITIVE_INFINITY;
      say('354 go on');
    } else say(line.includes('<nobody@') ? '550 5.1.1 no such user' : verb === 'QUIT' ? '221 bye' : '250 fine');
  };
  Promise.resolve().then(() => say('220 mail.example.org ready'));
  return stream;
}

export const NO_CLOCK = { set: () => {} };

/* ---- the example ---- */

const tell = (line) => globalThis.console?.log(line);

/** Two messages over one session: the envelope of the second goes out behind the end of the first. */
export async function example() {
  const driver = new Driver(PLAN, streamInMemory(['PIPELINING'], tell), NO_CLOCK, TIMEOUTS);
  const report = driver.submit(transactionOf('web1@example.org', 'alice@example.org', 'nobody@example.org'), [
    octets('Subject: backup\n\nAll done.\n.\nA line of one dot is doubled.\n'),
  ]);
  const alarm = driver.submit(transactionOf('web1@example.org', 'bob@example.org'), [octets('Subject: alarm\n\nThe disk is full.\n')]);
  const outcomes = await Promise.all([report, alarm]);
  driver.quit();
  return outcomes;
}

example().then((outcomes) => {
  for (const { kind, failure, refusals = [] } of outcomes)
    tell(`${kind} ${failure?.detail ?? refusals.map(({ command }) => command)}`.trim());
});
