/**
 * The promises of the library, each as a check of what is known behind the end of a walk. A check returns a sentence for the first
 * thing that is not as it was promised, or null. Knows no time but the walk's, and asks the servers what they have.
 */
import { inspect } from 'node:util';
import type { Accepted, Failure, Outcome } from '../../../../src/library/index.ts';
import { answers } from './mailer.ts';
import { GRACE, isSigned, LIMIT, originalOf, PASSWORD, recipientsOf, type ServerPlan, senderOf, spoken } from './plan.ts';
import type { Ran, Sent, Walked } from './walk.ts';

export interface Breach {
  readonly check: string;
  readonly detail: string;
}

/** One for each check that fails, in the order of the checks. */
export function findBreaches(walk: Walked): Breach[] {
  return CHECKS.flatMap(([check, find]) => {
    const detail = find(walk);
    return detail === null ? [] : [{ check, detail }];
  });
}

type Check = (walk: Walked) => string | null;

function nameOf({ plan: { id }, program, made: { plan } }: Sent): string {
  return `m${id} (${program.plan.kind}, ${plan.shape}${plan.flaw ? ` ${plan.flaw}` : ''})`;
}

/** A check of each message by itself. */
const ofEach =
  (find: (sent: Sent, walk: Walked) => string | null): Check =>
  (walk) => {
    for (const sent of walk.sent) {
      const detail = find(sent, walk);
      if (detail !== null) return `${nameOf(sent)}: ${detail}`;
    }
    return null;
  };

const ofEachAccepted = (find: (outcome: Accepted, sent: Sent, walk: Walked) => string | null): Check =>
  ofEach((sent, walk) => (sent.outcome?.kind === 'accepted' ? find(sent.outcome, sent, walk) : null));

const ofEachFailed = (find: (failure: Failure, sent: Sent, walk: Walked) => string | null): Check =>
  ofEach((sent, walk) => (sent.outcome?.kind === 'failed' ? find(sent.outcome.failure, sent, walk) : null));

const fromOf = ({ plan }: Sent): string => spoken(senderOf(plan));
const takenOf = (sent: Sent, { taken }: Walked) => taken.filter(({ from }) => from === fromOf(sent));
const reachedBy = (sent: Sent, walk: Walked): string[] => takenOf(sent, walk).flatMap(({ recipients }) => recipients);
const serversOf = ({ plan }: Ran, walk: Walked): ServerPlan[] => plan.servers.map((at) => walk.plan.servers[at] as ServerPlan);
const tlsOf = (host: string, { plan }: Walked) => plan.servers.find(({ name }) => name === host)?.tls;
/** Where the server does not come to TLS, or is not who it should be. */
const TLS_CODES: Partial<Record<string, Failure['code']>> = {
  stripped: 'starttls-missing',
  broken: 'tls-handshake',
  stranger: 'tls-certificate',
};
const isEightBit = (octets: string): boolean => /[\x80-\xff]/.test(octets);
/** The servers say which reply belongs to what; where one said too much, nobody can. */
const isInStep = (sent: Sent, { conversations }: Walked): boolean =>
  !conversations.some(({ mails, isOutOfStep }) => isOutOfStep && mails.includes(fromOf(sent)));

/* ---- what arrives ---- */

/** The body as it was before it was made 7-bit; the head is not compared. */
function decoded(octets: string): string {
  const [head = '', ...rest] = octets.split('\r\n\r\n');
  const body = rest.join('\r\n\r\n');
  const encoding = /^content-transfer-encoding: *(\S+)/im.exec(head)?.[1]?.toLowerCase();
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('latin1');
  if (encoding !== 'quoted-printable') return body;
  return body
    .replace(/[ \t]+$/gm, '')
    .replaceAll('=\r\n', '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

const headOf = (octets: string): string[] => (octets.split('\r\n\r\n')[0] as string).split('\r\n');
const bodyOf = (octets: string): string => octets.slice(octets.indexOf('\r\n\r\n') + 4);
const sameLines = (text: string): string => text.replace(/(\r\n)+$/, '');

/** True where a server may get it in seven bits: one that refuses EHLO offers nothing, and what is longer than is looked ahead is converted in any case. */
const mayBeConverted = ({ plan, program }: Sent, walk: Walked): boolean =>
  plan.withoutEightBit !== 'send' &&
  plan.withoutEightBit !== 'refuse' &&
  serversOf(program, walk).some(({ offers, faults }) => !offers.includes('8BITMIME') || faults > 0);

function isWhole(octets: string, sent: Sent, walk: Walked): boolean {
  const { octets: given } = sent.made;
  if (octets === given) return true;
  const isHeadKept = headOf(given).every((line) => /^content-transfer-encoding:/i.test(line) || headOf(octets).includes(line));
  return mayBeConverted(sent, walk) && isHeadKept && !isEightBit(octets) && sameLines(decoded(octets)) === sameLines(bodyOf(given));
}

/* ---- when something may fail ---- */

/** Keywords that a server must offer to get the message. */
function needsOf({ plan: { wants, withoutEightBit }, made }: Sent): string[] {
  const { beyondAscii, needsDsn, ret, envid, notify, requireTls } = wants;
  const needs: string[] = [];
  if (needsDsn && (ret || envid || notify)) needs.push('DSN');
  if (beyondAscii !== undefined && beyondAscii !== 'domain') needs.push('SMTPUTF8');
  const mayNotBeConverted = withoutEightBit === 'refuse' || (withoutEightBit !== 'send' && isSigned(made.plan));
  if (isEightBit(made.octets) && mayNotBeConverted) needs.push('8BITMIME');
  if (requireTls) needs.push('REQUIRETLS', 'encryption');
  return needs;
}

const xtext = (text: string): string =>
  Buffer.from(text)
    .toString('latin1')
    .replace(/[^!-~]|[+=]/g, (octet) => `+${octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);

/** The parameters of DSN in the commands of a message that went to a server with DSN. RFC 3461 §4 */
function dsnOf({ plan, program }: Sent, index: number | null): string[] {
  const { ret, envid, notify, originals } = plan.wants;
  if (index === null) return [...(ret ? [`RET=${ret}`] : []), ...(envid ? [`ENVID=${xtext(envid)}`] : [])];
  return [
    ...(notify ? [`NOTIFY=${notify.join()}`] : []),
    ...(originals ? [`ORCPT=rfc822;${xtext(originalOf(program.plan.kind === 'nodemailer' ? 0 : index))}`] : []),
  ];
}

const parametersOf = (line: string): string[] => line.slice(line.lastIndexOf('>') + 1).split(' ');

/** True where nothing of the program's or its servers' stands in the way of the message. */
function mustArrive(sent: Sent, walk: Walked): boolean {
  const { plan, program, made, isSecond, isLate, aborted } = sent;
  const { kind, options, end } = program.plan;
  const servers = serversOf(program, walk);
  if (!walk.isVirtual || isSecond || isLate || aborted !== null || made.fate !== 'arrives' || options.deadline !== undefined) return false;
  if (
    (plan.abort !== null && plan.abort !== 'never') ||
    (program.aborted !== null && program.aborted <= (sent.settled ?? Number.POSITIVE_INFINITY))
  )
    return false;
  if (end !== 'quit' && end !== 'dispose' && kind !== 'submit') return false;
  // What ends a message that is under way ends its session.
  const others = walk.sent.filter((each) => each.program === program);
  if (
    kind === 'client' &&
    !others.every(
      (each) =>
        (each.plan.abort === null || each.plan.abort === 'never') &&
        each.made.fate === 'arrives' &&
        each.plan.withoutEightBit !== 'refuse' &&
        !isSigned(each.made.plan),
    )
  )
    return false;
  return servers.every(
    ({ faults, refuses, picky, idle, most, lmtp, offers, hasAuth }) =>
      faults === 0 &&
      picky === 0 &&
      refuses === 0 &&
      // A password function may fail.
      !hasAuth &&
      (idle === null || idle === undefined || (kind !== 'client' && idle.after >= 900)) &&
      (kind !== 'client' || most === null) &&
      !(lmtp && plan.recipients > 1 && options.recipients === 'all') &&
      needsOf(sent).every((keyword) => keyword !== 'encryption' && offers.includes(keyword)),
  );
}

/** True where the call is a mistake of the program. */
const isMistake = ({ made, plan, isSecond, isLate }: Sent): boolean =>
  isLate ||
  // It needs a certificate that is verified.
  plan.wants.requireTls === true ||
  (isSecond && !made.isRepeatable) ||
  ['spent', 'empty', 'half', 'null', 'number', 'moved'].includes(made.plan.flaw ?? '');

const RETRIES: Readonly<Record<Failure['code'], readonly Failure['retry'][]>> = {
  resolve: ['safe'],
  refused: ['safe'],
  unreachable: ['safe'],
  'connect-timeout': ['safe'],
  'tls-certificate': ['never'],
  'tls-handshake': ['safe'],
  'starttls-missing': ['never'],
  'auth-missing': ['never'],
  'auth-mechanism': ['never', 'safe'],
  'auth-refused': ['never', 'later'],
  unsupported: ['never'],
  rejected: ['never', 'later'],
  timeout: ['safe'],
  lost: ['safe', 'later'],
  malformed: ['safe'],
  input: ['safe', 'never'],
  aborted: ['safe'],
  uncertain: ['unknown'],
  usage: ['never'],
};

/** All that a program could print. */
function allWords(walk: Walked): string[] {
  return [
    ...walk.sent.flatMap(({ outcome, heard }) => [JSON.stringify(outcome), inspect(outcome, { depth: 9 }), ...heard]),
    ...walk.programs.flatMap(({ trace, failures }) => [...trace.map(({ line }) => line), inspect(failures, { depth: 9 })]),
  ];
}

const SECRETS = [PASSWORD, ...[`\0tim\0${PASSWORD}`, PASSWORD].map((text) => Buffer.from(text).toString('base64').replace(/=+$/, ''))];

/** Milliseconds that a server of the walk takes until it has heard what was written, and some more. */
const SLACK = LIMIT / 2;

const isAttempted = (outcome: Outcome, sent: Sent, walk: Walked): string | null => {
  // nodemailer has no word for it.
  if (sent.program.plan.kind === 'nodemailer') return null;
  const urls = sent.program.servers.map(({ url }) => String(url));
  const wrong = outcome.attempts.find(
    ({ server }) => !urls.some((url) => url.replace(':25', '').startsWith(server.url.replace(':25', ''))),
  );
  if (wrong) return `an attempt at ${wrong.server.url}, which nobody gave`;
  const last = outcome.attempts.at(-1);
  if (outcome.kind === 'failed' && last && last.failure.message !== outcome.failure.message && outcome.failure.code !== 'aborted')
    return 'the last attempt has another failure';
  const begun = walk.conversations.filter(({ mails }) => mails.includes(fromOf(sent))).length;
  const told = outcome.attempts.length + (outcome.kind === 'accepted' ? 1 : 0);
  return begun > told ? `it began ${begun} times, and ${told} attempts are told` : null;
};

/* ---- the promises ---- */

export const CHECKS: readonly (readonly [name: string, find: Check])[] = [
  ['nothing goes uncaught', ({ uncaught }) => (uncaught.length > 0 ? `${(uncaught[0] as Error)?.stack ?? uncaught[0]}` : null)],
  ['the runtime warns of nothing', ({ warnings }) => warnings[0] ?? null],
  ['a call never throws and never rejects', ofEach(({ thrown }) => (thrown === undefined ? null : inspect(thrown)))],
  ['each message has an outcome', ofEach(({ outcome, thrown }) => (outcome === null && thrown === undefined ? 'nothing came' : null))],
  [
    'nobody gets a message twice',
    ofEach((sent, walk) => {
      const got = reachedBy(sent, walk);
      return new Set(got).size < got.length ? `${got.join()} got it` : null;
    }),
  ],
  [
    'a message is committed once',
    ofEach((sent, { conversations }) => {
      const commits = conversations.flatMap((each) => each.commits).filter((from) => from === fromOf(sent)).length;
      return commits > 1 ? `${commits} times` : null;
    }),
  ],
  [
    'content that failed is sent to nobody',
    ofEach((sent, walk) =>
      sent.made.fate === 'never' && (takenOf(sent, walk).length > 0 || sent.outcome?.kind === 'accepted') ? 'somebody has it' : null,
    ),
  ],
  [
    'content is sent twice only where it can be read twice',
    ofEach((sent, walk) => {
      if (!sent.isSecond || sent.made.isRepeatable) return null;
      if (takenOf(sent, walk).length > 0) return 'somebody has it';
      return sent.outcome?.kind === 'failed' && sent.outcome.failure.code === 'usage' ? null : 'it is no usage';
    }),
  ],
  [
    'who has a message has it whole',
    ofEach((sent, walk) => {
      const wrong = takenOf(sent, walk).find(({ octets }) => !isWhole(octets, sent, walk));
      return wrong ? `${wrong.octets.length} octets of ${sent.made.octets.length}: ${JSON.stringify(wrong.octets.slice(0, 200))}` : null;
    }),
  ],
  [
    'whom an outcome calls taken has the message',
    ofEach((sent, walk) => {
      const { outcome } = sent;
      if (outcome === null || !isInStep(sent, walk)) return null;
      const got = new Set(reachedBy(sent, walk));
      const claimed = (outcome.kind === 'accepted' ? outcome.taken : (outcome.failure.taken ?? [])).map(({ address }) => spoken(address));
      const without = claimed.filter((address) => !got.has(address));
      if (without.length > 0) return `${without.join()} do not have it`;
      if (outcome.kind === 'accepted' && got.size > claimed.length)
        return `${[...got].join()} have it, and only ${claimed.join()} are told`;
      return null;
    }),
  ],
  [
    'the server that is named has the message',
    ofEachAccepted(({ server }, sent, walk) => {
      if (!walk.isVirtual || !isInStep(sent, walk)) return null;
      return takenOf(sent, walk).every(({ host }) => host === server.name) ? null : `${server.name} does not`;
    }),
  ],
  [
    'of a message that failed nobody has anything',
    ofEachFailed(({ code }, sent, walk) =>
      code !== 'uncertain' && takenOf(sent, walk).length > 0 ? `${code}, and ${reachedBy(sent, walk).join()} have it` : null,
    ),
  ],
  [
    'all or nobody',
    ofEach((sent, walk) => {
      const { options } = sent.program.plan;
      if (options.recipients === 'any' || takenOf(sent, walk).length === 0 || !isInStep(sent, walk)) return null;
      const got = reachedBy(sent, walk);
      return got.length === sent.plan.recipients ? null : `${got.join()} have it, of ${sent.plan.recipients}`;
    }),
  ],
  [
    'each recipient is told of once',
    ofEachAccepted(({ taken, refusals }, { plan, program }) => {
      const told = [...taken, ...refusals].map(({ index }) => index).sort();
      const all = Array.from({ length: plan.recipients }, (_, i) => i);
      if (told.join() !== all.join()) return `told of ${told.join()}, of ${plan.recipients}`;
      if (program.plan.options.recipients === 'all' && refusals.length > 0) return 'somebody was refused';
      const addresses = recipientsOf(plan);
      return [...taken, ...refusals].some(({ index, address }) => address !== addresses[index]) ? 'an address belongs to another' : null;
    }),
  ],
  [
    'uncertain is only what was committed',
    ofEachFailed(({ code }, sent, { conversations, isVirtual }) =>
      code === 'uncertain' &&
      isVirtual &&
      !conversations.some(({ commits }) => commits.includes(fromOf(sent))) &&
      sent.program.plan.options.commit === 'apart'
        ? 'its last octets were never written'
        : null,
    ),
  ],
  [
    'retry fits the code',
    ofEachFailed(({ code, retry, reply, message }) => {
      if (!RETRIES[code].includes(retry)) return `${code} is ${retry}: ${message}`;
      if (retry === 'later' && reply && !String(reply.code).startsWith('4')) return `later, and the reply is ${reply.code}`;
      return code === 'rejected' && !/^[45]/.test(String(reply?.code)) ? `rejected by ${reply?.code}` : null;
    }),
  ],
  [
    'only mistakes are usage',
    ofEachFailed(({ code, message }, sent) =>
      (code === 'usage' && !isMistake(sent)) || /\bbug\b/.test(message) ? `${code}: ${message}` : null,
    ),
  ],
  [
    'only what is at fault fails as input',
    ofEachFailed(({ code, message }, { made }, { isVirtual }) =>
      // In real time a process that had to wait has been silent.
      code === 'input' && made.fate === 'arrives' && (isVirtual || !message.includes('timeouts.input')) ? message : null,
    ),
  ],
  [
    'mistakes are usage',
    ofEachFailed(({ code }, { isLate, program }) => (isLate && code !== 'usage' && program.aborted === null ? code : null)),
  ],
  [
    'aborted is only what somebody aborted',
    ofEachFailed(({ code, message }, { aborted, program }) =>
      code === 'aborted' && aborted === null && program.aborted === null && program.plan.options.deadline === undefined ? message : null,
    ),
  ],
  [
    'a signal is obeyed in time',
    ofEachFailed(({ code }, sent, { isVirtual }) => {
      const { aborted, settled } = sent;
      if (aborted === null || settled === null || !isVirtual) return null;
      const most = aborted + (code === 'uncertain' ? GRACE + SLACK : code === 'aborted' ? SLACK / 5 : GRACE + SLACK);
      return settled > Math.max(most, sent.called) ? `${code} ${settled - aborted} ms behind the signal` : null;
    }),
  ],
  [
    'a deadline is kept',
    ofEach(({ called, settled, program }, { isVirtual }) => {
      const { deadline } = program.plan.options;
      if (deadline === undefined || settled === null || !isVirtual) return null;
      return settled > called + deadline + SLACK / 5 ? `${settled - called} ms, and the deadline is ${deadline}` : null;
    }),
  ],
  [
    'an outcome is data',
    ofEach(({ outcome }) => {
      if (outcome === null) return null;
      const text = JSON.stringify(outcome);
      return JSON.stringify(structuredClone(outcome)) === text && JSON.stringify(JSON.parse(text)) === text ? null : 'a copy of it differs';
    }),
  ],
  ['no word has a secret', (walk) => allWords(walk).find((word) => SECRETS.some((secret) => word.includes(secret))) ?? null],
  [
    'a sentence is one',
    ofEachFailed(({ message, hint }) => (/undefined|\[object|NaN|\n\s+at /.test(`${message} ${hint ?? ''}`) ? message : null)),
  ],
  [
    'a message hears its own lines',
    ofEach((sent) => {
      const other = sent.heard.find((line) => /^client MAIL FROM/.test(line) && !line.includes(fromOf(sent)));
      return sent.program.plan.kind === 'submit' || other === undefined ? null : other;
    }),
  ],
  [
    'progress goes on, to the end',
    ofEach((sent, walk) => {
      const { progress, outcome, program, made } = sent;
      // Octets of dots that are stuffed count, and the size is that of SIZE.
      const dots = made.octets.match(/^\./gm)?.length ?? 0;
      const most = mayBeConverted(sent, walk) ? Number.POSITIVE_INFINITY : made.octets.length + dots;
      for (const [i, { octets, size }] of progress.entries()) {
        if (size !== null && size !== made.octets.length && made.fate === 'arrives')
          return `a size of ${size}, and it has ${made.octets.length} octets`;
        if (octets > most) return `${octets} of ${most} octets`;
        const before = progress[i - 1];
        if (before && octets < before.octets && program.plan.kind === 'client') return `${octets} behind ${before.octets}`;
      }
      const last = progress.at(-1);
      const isHeard = program.plan.kind !== 'submit' && program.plan.kind !== 'nodemailer';
      if (outcome?.kind !== 'accepted' || most === Number.POSITIVE_INFINITY || made.fate !== 'arrives' || !isHeard) return null;
      return last && [most, most - dots].includes(last.octets) ? null : `${last?.octets} of ${most} octets in the end`;
    }),
  ],
  ['attempts are told', ofEach((sent, walk) => (sent.outcome === null ? null : isAttempted(sent.outcome, sent, walk)))],
  ['what has no fault arrives', ofEachFailed(({ code, message }, sent, walk) => (mustArrive(sent, walk) ? `${code}: ${message}` : null))],
  // One that was used before is somebody else's, and ends in its own time.
  [
    'content is closed',
    ofEach(({ made }, { isVirtual }) => (made.isClosed() || (!isVirtual && made.plan.flaw === 'spent') ? null : 'it is open')),
  ],
  [
    'eight bits go only where they may',
    ofEach((sent, walk) => {
      const taken = takenOf(sent, walk).find(({ octets }) => isEightBit(octets));
      if (!taken || sent.plan.withoutEightBit === 'send') return null;
      const may = walk.plan.servers.some(({ name, offers }) => name === taken.host && offers.includes('8BITMIME'));
      return may ? null : `${taken.host} has it in eight bits`;
    }),
  ],
  [
    'eight bits are announced',
    ofEach((sent, walk) => {
      const taken = takenOf(sent, walk).find(({ octets, announced }) => isEightBit(octets) && announced.includes('8BITMIME'));
      return taken && !parametersOf(taken.said[0] as string).includes('BODY=8BITMIME') ? (taken.said[0] as string) : null;
    }),
  ],
  [
    'nobody gets what it cannot take',
    ofEach((sent, walk) => {
      for (const { host, announced, isSecured } of takenOf(sent, walk)) {
        const lacking = needsOf(sent).find((keyword) => (keyword === 'encryption' ? !isSecured : !announced.includes(keyword)));
        if (lacking !== undefined) return `${host} has it without ${lacking}`;
      }
      return null;
    }),
  ],
  [
    'what is asked for is said where it is understood',
    ofEach((sent, walk) => {
      const { wants } = sent.plan;
      const addresses = recipientsOf(sent.plan).map(spoken);
      for (const { said, announced } of takenOf(sent, walk)) {
        const [mail = '', ...rcpts] = said;
        const missing = (line: string, wanted: readonly string[]) => wanted.find((each) => !parametersOf(line).includes(each));
        const isForeign = wants.beyondAscii !== undefined && wants.beyondAscii !== 'domain';
        if (parametersOf(mail).includes('SMTPUTF8') !== isForeign) return mail;
        if (wants.requireTls && missing(mail, ['REQUIRETLS'])) return mail;
        if (!announced.includes('DSN')) continue;
        if (missing(mail, dsnOf(sent, null))) return mail;
        for (const rcpt of rcpts) {
          const index = addresses.findIndex((address) => rcpt.startsWith(`RCPT TO:<${address}>`));
          if (missing(rcpt, dsnOf(sent, index))) return rcpt;
        }
      }
      return null;
    }),
  ],
  [
    'unsupported is what a server lacks',
    ofEachFailed(({ code, lacks = '', message }, sent, walk) => {
      if (code !== 'unsupported' || lacks === 'partial') return null;
      const keyword = lacks === 'encryption' ? lacks : lacks.toUpperCase();
      if (!needsOf(sent).includes(keyword)) return `${lacks}: ${message}`;
      // One that refuses EHLO offers nothing.
      return serversOf(sent.program, walk).every(({ offers, faults }) => faults === 0 && offers.includes(keyword))
        ? `${lacks}: ${message}`
        : null;
    }),
  ],
  [
    'nothing goes in clear where TLS must be',
    (walk) => {
      const wrong = walk.conversations.find(
        ({ terms, wasInClear, hasOfferedTls }) =>
          wasInClear && !walk.isVirtual && (tlsOf(terms.name, walk)?.mode === 'required' || hasOfferedTls),
      );
      return wrong ? `${wrong.terms.name}, ${JSON.stringify(tlsOf(wrong.terms.name, walk))}: ${wrong.told.join(', ')}` : null;
    },
  ],
  [
    'a stranger is told nothing',
    ofEach((sent, walk) => {
      const { kind } = sent.program.plan;
      const stranger = walk.conversations.find(({ terms, mails }) => {
        const tls = tlsOf(terms.name, walk);
        // opportunisticTLS of nodemailer looks at no certificate.
        return tls?.kind === 'stranger' && mails.includes(fromOf(sent)) && !(kind === 'nodemailer' && tls.mode === 'opportunistic');
      });
      // One that refused EHLO offered no TLS.
      return stranger && !walk.isVirtual && stranger.isSecured ? `${stranger.terms.name} heard of it` : null;
    }),
  ],
  [
    'TLS fails by its own code',
    ofEachFailed(({ code, message }, sent, walk) => {
      const servers = serversOf(sent.program, walk);
      const [first] = servers;
      const wanted = first?.tls && (first.tls.mode === 'required' || first.tls.kind !== 'stripped') ? TLS_CODES[first.tls.kind] : undefined;
      const isSame = servers.every(({ tls, faults }) => faults === 0 && tls?.kind === first?.tls?.kind && tls?.mode === first?.tls?.mode);
      if (walk.isVirtual || !isSame || sent.program.plan.kind === 'nodemailer') return null;
      // A session that is idle for too long may end within the handshake, too.
      const isIdle = code === 'tls-handshake' && servers.some(({ idle }) => idle);
      const isOfTls = (code.startsWith('tls-') || code === 'starttls-missing') && !isIdle;
      if (wanted === undefined) return isOfTls ? `${code}: ${message}` : null;
      return isOfTls && code !== wanted ? `${code}, not ${wanted}: ${message}` : null;
    }),
  ],
  [
    'an outcome tells of TLS',
    ofEachAccepted(({ server }, sent, walk) =>
      sent.program.plan.kind !== 'nodemailer' && takenOf(sent, walk).some(({ isSecured }) => isSecured !== (server.tls !== null))
        ? `${JSON.stringify(server.tls)}`
        : null,
    ),
  ],
  ['the client keeps to the protocol', ({ conversations }) => conversations.flatMap(({ wrongs }) => wrongs)[0] ?? null],
  [
    'messages of a session keep their order',
    ({ programs, conversations, sent }) => {
      for (const program of programs.filter(({ plan }) => plan.kind === 'client')) {
        const own = sent.filter((each) => each.program === program).map(fromOf);
        for (const { mails } of conversations) {
          const places = mails.filter((from) => own.includes(from)).map((from) => own.indexOf(from));
          if (places.some((place, i) => i > 0 && place <= (places[i - 1] as number))) return mails.join(' ');
        }
      }
      return null;
    },
  ],
  [
    'a pool keeps to its limits',
    (walk) => {
      const isPool = ({ kind, pool }: Ran['plan']): boolean => kind === 'pool' || (kind === 'nodemailer' && pool.connections > 1);
      for (const program of walk.programs.filter(({ plan }) => isPool(plan))) {
        const own = new Set(walk.sent.filter((each) => each.program === program).map(fromOf));
        const { messagesPerConnection, rate, pipelining } = program.plan.pool;
        for (const { mails } of walk.conversations)
          if (mails.filter((from) => own.has(from)).length > messagesPerConnection) return `${mails.length} messages in a session`;
        // One that was given behind NOOP, which verify asks, has begun before it is said.
        const said = program.trace.filter(({ side }) => side === 'client');
        const isBehindNoop = ({ session }: Ran['trace'][number], i: number): boolean =>
          said.slice(0, i).findLast((before) => before.session === session)?.line === 'NOOP';
        const begun = said.filter((each, i) => each.line.startsWith('MAIL ') && !isBehindNoop(each, i)).map(({ at }) => at);
        // In nodemailer's pool they always follow closely.
        if (rate === null || pipelining || program.plan.kind === 'nodemailer') continue;
        const isFast = begun.some((at, i) => i >= rate.messages && at - (begun[i - rate.messages] as number) < rate.per - 1);
        if (isFast && walk.isVirtual) return `more than ${rate.messages} messages in ${rate.per} ms`;
      }
      return null;
    },
  ],
  [
    'nodemailer hears what became of a message',
    ofEach(({ outcome, made, plan }) => {
      const answer = outcome && answers.get(outcome);
      if (!answer) return null;
      if ('info' in answer) {
        const { info } = answer;
        const dots = made.octets.match(/^\./gm)?.length ?? 0;
        const size = made.octets.length + dots + 3;
        if (info.messageSize !== size) return `a size of ${info.messageSize}, not ${size}`;
        return info.accepted.length + info.rejected.length === plan.recipients ? null : `${info.accepted} and ${info.rejected}`;
      }
      const { error } = answer;
      const { failure, code, retry, rejected = [], responseCode } = error;
      if (failure === undefined) return null;
      if ((failure.code === 'uncertain') !== (code === 'EUNCERTAIN')) return `${code} for ${failure.code}`;
      if (failure.retry !== retry) return `${retry} for ${failure.retry}`;
      if (rejected.join() !== failure.refusals.map(({ address }) => address).join()) return `${rejected} are told`;
      return responseCode === (failure.reply ?? failure.refusals[0]?.reply)?.code ? null : `${responseCode} is told`;
    }),
  ],
  ['the end comes behind what was given', ({ seen }) => seen[0] ?? null],
  [
    'QUIT waits a second',
    ({ programs, sent, isVirtual }) => {
      for (const program of programs) {
        const { closed, ended, plan } = program;
        // Whoever was asked whether the server is there waits for the answer.
        const isAsking = !plan.end.startsWith('destroy') && plan.messages.some(({ asks }) => asks);
        if (closed === null || ended === null || !isVirtual || isAsking) continue;
        const last = sent.reduce(
          (latest, each) => (each.program === program && !each.isLate ? Math.max(latest, each.settled ?? 0) : latest),
          closed,
        );
        const most = plan.end.startsWith('destroy') ? GRACE + SLACK : 1000 + SLACK;
        if (ended > last + most) return `a ${plan.kind} ended ${ended - last} ms behind its last message`;
      }
      return null;
    },
  ],
  [
    'no connection is left open',
    ({ conversations }) => {
      const open = conversations.find(({ stream }) => !stream.destroyed);
      return open ? `one to ${open.terms.name}` : null;
    },
  ],
  [
    'no clock and no listener is left',
    ({ left: { clocks, listeners } }) => (clocks + listeners > 0 ? `${clocks} clocks, ${listeners} listeners` : null),
  ],
];
