/** The options of `nospool sink` as the receiver needs them, checked. Knows no socket. */
import { hostname } from 'node:os';
import { type Parsed, parsed, unparsed } from '../../smtp/parsed.ts';
import { type Mailbox, mailboxKey, parseMailbox } from '../../smtp/path.ts';
import { type OwnerQuestion, RECEIVING, type Receiving, USUAL_EXTENSIONS } from '../../smtp/server/machine.ts';
import { helloName } from '../../submit/domain.ts';
import type { SinkOptions } from './sink-options.ts';

/** Which question the sink answers with a refusal, and with which reply code. */
interface RefusalRule {
  readonly about: OwnerQuestion['about'];
  readonly code: number;
}

export interface SinkRules {
  readonly receiving: Receiving;
  /** The values of --refuse-at. */
  readonly refusals: readonly RefusalRule[];
}

export function parseSink(options: SinkOptions): Parsed<SinkRules> {
  if (options.tls && options.starttls) return unparsed('choose one of --tls (TLS at once) and --starttls');
  if (options.auth !== '' && !/^[^:]+:/.test(options.auth)) return unparsed('--auth expects user:password');
  if (options.port > 65_535) return unparsed(`--port expects a number up to 65535, not ${options.port}`);
  if (options.discard && options.store !== '')
    return unparsed('--discard keeps nothing that --store could write: leave out one of the two');
  const refusals: RefusalRule[] = [];
  for (const text of options.refuseAt) {
    const refusal = parseRefusalRule(text);
    if (!refusal.ok) return refusal;
    refusals.push(refusal.value);
  }
  for (const text of [...options.refuse, ...options.defer])
    if (!/^@./.test(text) && !parseMailbox(text).ok) return unparsed(`"${text}" is neither an address nor @domain`);
  return parsed({ receiving: makeReceiving(options), refusals });
}

function makeReceiving(options: SinkOptions): Receiving {
  const extensions =
    options.extensions.length === 0
      ? USUAL_EXTENSIONS
      : options.extensions.flatMap((text) => text.split(',')).filter((word) => word !== '' && word.toLowerCase() !== 'none');
  return {
    ...RECEIVING,
    protocol: options.lmtp ? 'lmtp' : 'smtp',
    hostname: helloName(hostname()) || 'localhost',
    extensions: extensions.map((extension) => (/^[a-z0-9-]+$/i.test(extension) ? extension.toUpperCase() : extension)),
    tls: options.starttls ? 'offered' : 'none',
    mechanisms: options.auth === '' ? [] : ['PLAIN', 'LOGIN'],
    authRequired: options.auth !== '',
    authInClear: !options.starttls,
    sizeLimit: options.size > 0 ? options.size : Number.POSITIVE_INFINITY,
  };
}

const ABOUT: Readonly<Record<string, OwnerQuestion['about']>> = { connect: 'connection', mail: 'sender', data: 'data', content: 'content' };

function parseRefusalRule(text: string): Parsed<RefusalRule> {
  const [phase = '', code = '550', ...more] = text.split('=');
  const about = Object.hasOwn(ABOUT, phase) ? ABOUT[phase] : undefined;
  return about !== undefined && more.length === 0 && /^[45]\d\d$/.test(code)
    ? parsed({ about, code: Number(code) })
    : unparsed(`--refuse-at expects connect, mail, data or content, with =CODE from 400 to 599 behind it, not "${text}"`);
}

/** True for an address on the list. Compares local-parts without case, too, because people expect that of a toy. */
export function isListed(list: readonly string[], mailbox: Mailbox): boolean {
  const key = mailboxKey(mailbox).toLowerCase();
  return list.some((text) => {
    if (text.startsWith('@')) return key.endsWith(text.toLowerCase());
    const read = parseMailbox(text);
    return read.ok && mailboxKey(read.value).toLowerCase() === key;
  });
}
