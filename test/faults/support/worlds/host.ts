/**
 * A smart host in memory that mostly works. At each step it may refuse, be lost, stall, drip, say garbage, speak early or say more
 * than it was asked; what it is told is cut and delayed. It keeps what it took, and so can say whether an outcome is true. Written
 * against RFC 5321 alone: it shares nothing with src.
 */
import { Duplex } from 'node:stream';
import type { Dice } from './time.ts';

/** A message that a host took: it answers for it, whoever heard of that. */
export interface Taken {
  readonly host: string;
  /** The reverse-path; '' = none. */
  readonly from: string;
  readonly recipients: readonly string[];
  readonly octets: string;
  /** The commands of its envelope, of RCPT those that were accepted. */
  readonly said: readonly string[];
  /** What the host had announced in this session. */
  readonly announced: readonly string[];
  readonly isSecured: boolean;
}

export interface HostTerms {
  readonly name: string;
  readonly lmtp: boolean;
  readonly offers: readonly string[];
  /** The share of steps that go wrong. */
  readonly faults: number;
  /** Milliseconds that the client waits for anything. */
  readonly limit: number;
  /** Kinds of faults that do not occur. */
  readonly spared: ReadonlySet<Kind>;
  /** A session that asks nothing is ended after so many milliseconds. */
  readonly idle?: { readonly after: number; readonly ends: 'close' | 'reset' | 'farewell' } | null;
  /** Messages of one session; further ones are refused. */
  readonly most?: number | null;
  /** A refusal, and a welcome, repeats what was said. */
  readonly echoes?: boolean;
  /** The share of recipients and of logins that are refused. */
  readonly picky?: number;
  /** Commands that come together with the end of a content are refused, against smuggling. */
  readonly refusesAlong?: boolean;
  /** QUIT has no answer. */
  readonly isRude?: boolean;
  /** STARTTLS has no other answer than this. */
  readonly refusesTls?: string;
  /** Whoever has the stream makes the handshake, and calls `secured`. */
  readonly isSecuredApart?: boolean;
}

export type Kind = 'refuse' | 'farewell' | 'close' | 'reset' | 'stall' | 'late' | 'drip' | 'garbage' | 'misplaced' | 'extra' | 'early';
const KINDS: readonly Kind[] = ['refuse', 'farewell', 'close', 'reset', 'stall', 'late', 'drip', 'garbage', 'misplaced', 'extra', 'early'];
const GARBAGE = ['what is this', '999 no such code', '25', '', '\xff\xfe\x00', 'y'.repeat(70_000)] as const;
const REFUSALS = [
  '421 4.3.2 closing',
  '450 4.2.1 later',
  '451 4.3.0 later',
  '550 5.1.1 no',
  '552 5.3.4 no',
  '554-5.7.1 no\r\n554 5.7.1 never',
];

/** Parameters that may be said only where the host has announced the keyword. */
const PARAMETERS: readonly (readonly [RegExp, keyword: string])[] = [
  [/ SIZE=/, 'SIZE'],
  [/ BODY=/, '8BITMIME'],
  [/ SMTPUTF8\b/, 'SMTPUTF8'],
  [/ (?:RET|ENVID|NOTIFY|ORCPT)=/, 'DSN'],
  [/ REQUIRETLS\b/, 'REQUIRETLS'],
];

/** What goes to the client: octets, or the end of the connection. */
type Piece = { readonly after: number; readonly octets: string } | { readonly after: number; readonly ends: 'close' | 'reset' };

/** One connection to a host. */
export class Conversation {
  readonly terms: HostTerms;
  readonly stream: Duplex;
  /** The last octets of a message were written by the client, whether or not they arrived. */
  isCommitted = false;
  /** Credentials or a message began without TLS. */
  wasInClear = false;
  /** The host announced STARTTLS, and so nothing of a message may go in clear. */
  hasOfferedTls = false;
  #isSecured = false;
  /** Commands that came, in order, and what was said to them. */
  readonly told: string[] = [];
  /** Reverse-paths of the messages that began, and of those whose last octets were written for somebody. */
  readonly mails: string[] = [];
  readonly commits: string[] = [];
  /** What a client may not do, as it did it. */
  readonly wrongs: string[] = [];
  hasQuit = false;
  /** The host said more than it was asked. */
  #saidExtra = false;
  readonly #dice: Dice;
  readonly #take: (taken: Taken) => void;
  #text = '';
  #mode: 'command' | 'content' | 'handshake' | 'response' = 'command';
  /** Octets of the client that still arrive. */
  #reach: number;
  /** Octets of a block of BDAT that are still to come, and whether it is the last. */
  #block: { left: number; readonly last: boolean } | null = null;
  #content = '';
  #blocks = 0;
  #isRefused = false;
  #hasMail = false;
  /** What is heard came together with the end of a content. */
  #isAlong = false;
  #from = '';
  #heard = '';
  #announced: readonly string[] = [];
  #said: string[] = [];
  #idle: ReturnType<typeof setTimeout> | undefined;
  #recipients: string[] = [];
  /** Content at which the host speaks early, and what it says then. */
  #early: { readonly at: number; readonly reply: string; readonly takes: boolean } | null = null;
  /** Content at which the connection is lost. */
  #lostAt = Number.POSITIVE_INFINITY;
  #earlySaid: { readonly takes: boolean } | null = null;
  /** Nothing more is said or taken. */
  #isDead = false;
  #flight: Piece[] = [];
  readonly #pieces: Piece[] = [];
  #isSaying = false;
  #hasClosed = false;

  constructor(terms: HostTerms, dice: Dice, take: (taken: Taken) => void) {
    this.terms = terms;
    this.#dice = dice;
    this.#take = take;
    this.#reach = dice.isIn(terms.faults) ? dice.below(dice.one([150, 500, 1500])) : Number.POSITIVE_INFINITY;
    const endOfWay = dice.one(['close', 'reset', 'stall', 'full'] as const);
    const isCut = !terms.spared.has('extra') ? false : dice.isIn(0.3);
    this.stream = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _, done) => {
        const octets = chunk.toString('latin1');
        const arriving = octets.slice(0, this.#reach);
        this.#reach -= arriving.length;
        const isWhole = arriving.length === octets.length;
        const hear = (): void => {
          if (isCut && arriving.length > 1) {
            const at = 1 + dice.below(arriving.length - 1);
            this.#hear(arriving.slice(0, at));
            this.#hear(arriving.slice(at));
          } else this.#hear(arriving);
          if (isWhole) {
            done();
            return;
          }
          if (!this.#isDead && endOfWay !== 'stall' && endOfWay !== 'full') this.#end(endOfWay);
          this.#isDead = true;
          this.#hear(octets.slice(arriving.length));
          if (endOfWay !== 'full') done();
        };
        if (dice.isIn(0.2)) setTimeout(hear, dice.below(terms.limit / 3));
        else hear();
      },
      final: (done) => {
        this.#isDead = true;
        done();
        setImmediate(() => this.#close());
      },
    });
    this.stream.on('error', () => {}).on('close', () => clearTimeout(this.#idle));
    this.#act('greeting', '220 there.example ESMTP');
    this.#flush();
  }

  /** The stream goes on within TLS: what was known is forgotten. RFC 3207 §4.2 */
  secured(): void {
    this.#isSecured = true;
    this.#announced = [];
  }

  get isSecured(): boolean {
    return this.#isSecured;
  }

  /** Nobody can tell to what the replies belong: there was one too many, or the host took a content whose end it never heard. */
  get isOutOfStep(): boolean {
    return this.#saidExtra || this.#earlySaid?.takes === true;
  }

  /* ---- hearing ---- */

  #hear(octets: string): void {
    this.#text += octets;
    while (this.#work());
    this.#isAlong = false;
    this.#flush();
    this.#awaitMore();
  }

  /** Ends a session that was idle for too long. */
  #awaitMore(): void {
    clearTimeout(this.#idle);
    const { idle } = this.terms;
    if (!idle || this.stream.destroyed) return;
    this.#idle = setTimeout(() => {
      if (this.#isDead || this.#hasMail || this.#mode !== 'command' || this.#text !== '' || this.#block !== null) return;
      // What the client says until it hears of that is lost.
      const after = this.#dice.below(this.terms.limit / 3);
      if (idle.ends === 'farewell') this.#say('421 4.4.2 idle for too long', after);
      this.#end(idle.ends === 'reset' ? 'reset' : 'close', idle.ends === 'farewell' ? 0 : after);
      this.#flush();
    }, idle.after);
  }

  /** Takes one command or a piece of content; false when none is there. */
  #work(): boolean {
    if (this.#block !== null) return this.#workBlock(this.#block);
    const end = this.#text.indexOf('\r\n');
    if (this.#mode === 'content') {
      // Lines are taken together, because a content has many.
      const stop = this.#text.startsWith('.\r\n') ? 0 : this.#text.indexOf('\r\n.\r\n') + 2;
      const isEnd = this.#text.startsWith('.\r\n') || stop >= 2;
      const upTo = isEnd ? stop : this.#text.lastIndexOf('\r\n') + 2;
      if (!isEnd && upTo < 2) return false;
      this.#content += this.#text.slice(0, upTo);
      this.#text = this.#text.slice(upTo);
      this.#speakEarly();
      if (!isEnd) return false;
      this.#text = this.#text.slice(3);
      this.#mode = 'command';
      this.#endContent(`\r\n${this.#content}`.replaceAll('\r\n.', '\r\n').slice(2));
      return true;
    }
    if (end < 0) return false;
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 2);
    this.told.push(`C ${line}`);
    if (this.#mode === 'handshake') this.#shake();
    else if (this.#mode === 'response') {
      this.#mode = 'command';
      this.#heard = line;
      this.#welcome();
    } else this.#obey(line, line.split(' ')[0] ?? '');
    return true;
  }

  #workBlock(block: { left: number; readonly last: boolean }): boolean {
    const octets = this.#text.slice(0, block.left);
    this.#text = this.#text.slice(octets.length);
    this.#content += octets;
    block.left -= octets.length;
    this.#speakEarly();
    if (block.left > 0) return false;
    this.#block = null;
    if (block.last) this.#endContent(this.#content);
    else if (this.#earlySaid !== null) {
      // It was the reply to this block.
      this.#blocks += 1;
      this.#isRefused ||= !this.#earlySaid.takes;
      this.#earlySaid = null;
    } else {
      this.#blocks += 1;
      this.#isRefused = !this.#act('BDAT', '250 2.0.0 more') || this.#isRefused;
    }
    return true;
  }

  #obey(line: string, verb: string): void {
    this.#heard = line;
    const isOwing = !this.#isDead && (this.#isSaying || this.#pieces.length > 0 || this.#flight.length > 0);
    if (isOwing && verb !== 'QUIT' && !this.#mayPipeline) this.wrongs.push(`asked before it was answered: ${line}`);
    if (!this.#isSecured && (verb === 'AUTH' || verb === 'MAIL')) this.wasInClear = true;
    if (this.terms.refusesAlong && this.#isAlong && verb !== 'QUIT') {
      // RCPT behind it is judged by it.
      if (verb === 'MAIL') this.#said = [line];
      this.#say('503 5.5.1 it came behind a content');
      return;
    }
    switch (verb) {
      case 'EHLO':
      case 'LHLO': {
        // RFC 8689 §2: REQUIRETLS is offered only within TLS.
        const offers = this.terms.offers.filter((word) => word !== (this.#isSecured ? 'STARTTLS' : 'REQUIRETLS'));
        this.#announced = this.#act('EHLO', ['there.example', ...offers]) ? offers : [];
        this.hasOfferedTls ||= this.#announced.includes('STARTTLS');
        break;
      }
      case 'HELO':
        this.#act('HELO', '250 there.example');
        break;
      case 'STARTTLS':
        if (this.terms.refusesTls !== undefined) this.#say(this.terms.refusesTls);
        else if (this.#act('STARTTLS', '220 go ahead') && !this.terms.isSecuredApart) this.#mode = 'handshake';
        break;
      case 'AUTH':
        if (this.#dice.isIn(0.1)) {
          this.#mode = 'response';
          this.#act('challenge', '334 ');
        } else this.#welcome();
        break;
      case 'MAIL':
        if (this.#hasMail && !this.isOutOfStep) this.wrongs.push(`a transaction within another: ${line}`);
        this.#recipients = [];
        this.#from = /<(.*?)>/.exec(line)?.[1] ?? '';
        this.mails.push(this.#from);
        if (this.mails.length > (this.terms.most ?? Number.POSITIVE_INFINITY)) this.wrongs.push('more messages than LIMITS allows');
        this.#checkParameters(line, line);
        this.#said = [line];
        this.#hasMail = this.#act('MAIL', '250 2.1.0 ok');
        break;
      case 'RSET':
        this.#reset();
        this.#act('RSET', '250 2.0.0 reset');
        break;
      case 'NOOP':
        this.#act('NOOP', '250 2.0.0 here');
        break;
      case 'RCPT':
        this.#checkParameters(line, this.#said[0] ?? '');
        if (!this.#hasMail) this.#say('503 5.5.1 no MAIL');
        else if (this.#isPicky)
          this.#say(`${this.#dice.one(['550 5.1.1 nobody', '450 4.2.1 later'])}${this.terms.echoes ? ` ${line}` : ''}`);
        else if (this.#act('RCPT', '250 2.1.5 ok')) {
          this.#recipients.push(/<(.*?)>/.exec(line)?.[1] ?? '');
          this.#said.push(line);
        }
        break;
      case 'DATA':
        // RFC 2920 §3.1: a server may say 354 though nobody was accepted.
        if (this.#recipients.length === 0 && this.#dice.isIn(0.5)) this.#say('503 5.5.1 nobody');
        else if (this.#act('DATA', '354 go ahead')) this.#mode = 'content';
        this.#beginContent();
        break;
      case 'BDAT': {
        const [, octets, last] = line.split(' ');
        if (this.#blocks === 0) this.#beginContent();
        this.#block = { left: Number(octets), last: last === 'LAST' };
        break;
      }
      case 'QUIT':
        this.hasQuit = true;
        if (this.terms.isRude) this.#isDead = true;
        else if (this.#act('QUIT', '221 2.0.0 bye')) this.#flight.push({ after: 0, ends: 'close' });
        break;
      default:
        this.#say('500 5.5.2 what');
    }
  }

  /** `mail`: the command that began the transaction. */
  #checkParameters(line: string, mail: string): void {
    const parameters = line.slice(line.lastIndexOf('>'));
    for (const [parameter, keyword] of PARAMETERS)
      if (parameter.test(parameters) && !this.#announced.some((offer) => offer.split(' ')[0] === keyword))
        this.wrongs.push(`${keyword} was not offered: ${line}`);
    // RFC 6531 §3.4
    if (/[\x80-\xff]/.test(line) && !/ SMTPUTF8\b/.test(mail)) this.wrongs.push(`octets above 127 without SMTPUTF8: ${line}`);
  }

  /** Nothing is drawn where everybody is welcome. */
  get #isPicky(): boolean {
    return (this.terms.picky ?? 0) > 0 && this.#dice.isIn(this.terms.picky as number);
  }

  #welcome(): void {
    const echo = this.terms.echoes ? ` ${this.#heard}` : '';
    if (this.#isPicky) this.#say(`535 5.7.8 no${echo}`);
    else this.#act('AUTH', `235 2.7.0 welcome${echo}`);
  }

  #shake(): void {
    this.#mode = 'command';
    this.#isSecured = this.#act('handshake', 'SHAKEN');
  }

  #beginContent(): void {
    this.#content = '';
    this.#isRefused = this.#recipients.length === 0;
    this.#early = null;
    this.#earlySaid = null;
    this.#lostAt = this.#dice.isIn(this.terms.faults) ? this.#dice.below(400) : Number.POSITIVE_INFINITY;
    if (!this.#isIn('early')) return;
    const takes = this.#dice.isIn(0.3);
    this.#early = { at: this.#dice.below(200), takes, reply: takes ? '250 2.0.0 taken' : this.#dice.one(REFUSALS) };
  }

  /** A loss or a reply before the end of the content; the reply counts as the host's verdict, when the content comes to its end all the same. */
  #speakEarly(): void {
    if (this.#content.length > this.#lostAt) this.#do(this.#dice.one(['close', 'reset', 'stall'] as const), '');
    if (this.#early === null || this.#content.length < this.#early.at || this.#isDead) return;
    this.#earlySaid = { takes: this.#early.takes };
    this.#say(this.#early.reply);
    this.#early = null;
  }

  #endContent(octets: string): void {
    this.isCommitted = true;
    this.#isAlong = true;
    const recipients = this.#recipients;
    const from = this.#from;
    const envelope = { from, said: this.#said, announced: this.#announced, isSecured: this.#isSecured };
    this.#reset();
    if (recipients.length > 0) this.commits.push(from);
    const takeFor = (whom: readonly string[]): void => {
      if (whom.length > 0 && !this.#isRefused) this.#take({ host: this.terms.name, ...envelope, recipients: whom, octets });
    };
    if (this.#isDead) return;
    const early = this.#earlySaid;
    this.#earlySaid = null;
    if (early !== null) {
      // With LMTP it was the verdict for the first.
      const judged = this.terms.lmtp ? 1 : recipients.length;
      takeFor(recipients.filter((_, i) => (i < judged ? early.takes : this.#verdict())));
      return;
    }
    if (this.#isRefused) this.#say('554 5.5.1 there was an error before');
    // RFC 2033 §4.2: a verdict for each.
    else if (this.terms.lmtp) takeFor(recipients.filter(() => this.#verdict()));
    else if (this.#verdict()) takeFor(recipients);
  }

  #reset(): void {
    this.#hasMail = false;
    this.#recipients = [];
    this.#blocks = 0;
  }

  /** RFC 2920 §3.1 */
  get #mayPipeline(): boolean {
    return this.terms.offers.some((offer) => offer === 'PIPELINING');
  }

  /** Says what becomes of the message; true when the host answers for it. Where it says nothing it may have it or not. */
  #verdict(): boolean {
    const coin = this.#dice.isIn(0.5);
    const kind = this.#fault('end');
    if (this.#isDead) return coin;
    if (kind === null || kind === 'late' || kind === 'drip' || kind === 'extra') {
      this.#do(kind, '250 2.0.0 taken');
      return true;
    }
    this.#do(kind, '250 2.0.0 taken');
    return kind !== 'refuse' && kind !== 'farewell' && coin;
  }

  /* ---- speaking ---- */

  #isIn = (kind: Kind): boolean => !this.terms.spared.has(kind) && this.#dice.isIn(this.terms.faults);

  #fault(step: string): Kind | null {
    if (this.#isDead || !this.#dice.isIn(this.terms.faults)) return null;
    const kind = this.#dice.one(KINDS);
    if (kind === 'early' || this.terms.spared.has(kind)) return null;
    // Nobody could tell the reply to one block from that to another, nor one verdict of LMTP from the next.
    return kind === 'extra' && (step === 'BDAT' || (step === 'end' && this.terms.lmtp)) ? null : kind;
  }

  /** Says what is usual at a step, or something goes wrong; true when the step was taken. */
  #act(step: string, usual: string | readonly string[]): boolean {
    if (this.#isDead) return false;
    const reply = typeof usual === 'string' ? usual : usual.map((word, i) => `250${i < usual.length - 1 ? '-' : ' '}${word}`).join('\r\n');
    const kind = this.#fault(step);
    this.#do(kind, reply);
    return kind === null || kind === 'late' || kind === 'drip' || kind === 'extra';
  }

  #do(kind: Kind | null, usual: string): void {
    const dice = this.#dice;
    switch (kind) {
      case 'refuse':
        this.#say(this.#refusal());
        break;
      case 'farewell':
        this.#say(this.#refusal());
        this.#end('close');
        break;
      case 'close':
      case 'reset':
        this.#end(kind);
        break;
      case 'stall':
        this.#isDead = true;
        break;
      case 'late':
        this.#say(usual, dice.below(2 * this.terms.limit));
        break;
      case 'drip': {
        const each = dice.below((4 * this.terms.limit) / usual.length);
        for (const octet of `${usual}\r\n`) this.#flight.push({ after: each, octets: octet });
        break;
      }
      case 'garbage':
        this.#say(dice.one(GARBAGE));
        break;
      case 'misplaced':
        this.#say(usual.startsWith('3') ? '250 what' : '354 what');
        break;
      case 'extra':
        this.#saidExtra = true;
        this.#say(`${usual}\r\n${dice.one(['250 what', '550 what', '421 bye', 'what'])}`);
        break;
      default:
        this.#say(usual);
    }
  }

  #refusal(): string {
    const refusal = this.#dice.one(REFUSALS);
    return this.terms.echoes ? `${refusal}: ${this.#heard}` : refusal;
  }

  #say(line: string, after = 0): void {
    if (!this.#isDead) this.#flight.push({ after, octets: `${line}\r\n` });
  }

  #end(how: 'close' | 'reset', after = 0): void {
    if (!this.#isDead) this.#flight.push({ after, ends: how });
    this.#isDead = true;
  }

  #close(): void {
    if (!this.#hasClosed) this.stream.push(null);
    this.#hasClosed = true;
  }

  /** What was said to one flight goes out together where nothing is late, or piece by piece. */
  #flush(): void {
    const flight = this.#flight;
    this.#flight = [];
    const isTogether = !this.terms.spared.has('extra') || this.#dice.isIn(0.6);
    for (const piece of flight) {
      const last = this.#pieces.at(-1);
      if (isTogether && piece !== flight[0] && last && 'octets' in last && 'octets' in piece && piece.after === 0)
        this.#pieces[this.#pieces.length - 1] = { after: last.after, octets: last.octets + piece.octets };
      else this.#pieces.push(piece);
    }
    this.#sayNext();
  }

  #sayNext(): void {
    if (this.#isSaying) return;
    const piece = this.#pieces.shift();
    if (piece === undefined) return;
    this.#isSaying = true;
    const say = (): void => {
      this.#isSaying = false;
      if (this.stream.destroyed) return;
      if ('octets' in piece) {
        this.told.push(`S ${piece.octets.trimEnd()}`);
        if (!this.#hasClosed) this.stream.push(Buffer.from(piece.octets, 'latin1'));
      } else {
        this.told.push(`! ${piece.ends}`);
        if (piece.ends === 'close') this.#close();
        else this.stream.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
      }
      this.#sayNext();
    };
    if (piece.after > 0) setTimeout(say, piece.after);
    else setImmediate(say);
  }
}
