/**
 * Puts one fault after another into the machine, and shows that the exploration finds each of them. Some of them were real once.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import { explore, type Machine } from './exploration/explore.ts';
import { settings } from './exploration/world.ts';

const test = suite('exploration of faulty machines');

const source = new URL('../../src/smtp/client/session.ts', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'nospool-mutants-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

let count = 0;

/** Loads the machine with other words in it, each of which stands there once. */
async function machineWith(changes: readonly (readonly [string, string])[]): Promise<Machine> {
  let text = readFileSync(source, 'utf8');
  for (const [from, to] of changes) {
    assert.equal(text.split(from).length, 2, `in session.ts there is not exactly one: ${from}`);
    text = text.replace(from, () => to);
  }
  const file = join(folder, `session-${count++}.mts`);
  writeFileSync(
    file,
    text.replace(/from '(\.[^']+)'/g, (_, name) => `from '${new URL(name, source)}'`),
  );
  return (await import(pathToFileURL(file).href)) as Machine;
}

const SETTINGS = settings({ recipients: [1, 2], mechanisms: ['none', 'X-PROOF'], framings: ['auto'], blocks: 2, anyUnder: ['off'] });

interface Fault {
  readonly what: string;
  /** The settings to explore, by their names. */
  readonly where: RegExp;
  readonly changes: readonly (readonly [string, string])[];
  readonly found: RegExp;
}

const FAULTS: readonly Fault[] = [
  {
    what: 'after TLS from the first octet credentials are withheld',
    where: /^smtp, TLS implicit, AUTH X-PROOF/,
    changes: [["[{ at: 'greeting', secured: true }]", "[{ at: 'greeting', secured: false }]"]],
    found: /^who chooses a mechanism is told/,
  },
  {
    what: 'STARTTLS is said within TLS',
    where: /^smtp, TLS implicit, AUTH none/,
    changes: [["[{ at: 'greeting', secured: true }]", "[{ at: 'greeting', secured: false }]"]],
    found: /^STARTTLS is said in clear/,
  },
  {
    what: 'the last block is the commit, all of it',
    where: /^smtp, TLS off, AUTH none/,
    changes: [
      ['last === 0 ? lastLine(0) : null', 'lastLine(last ?? 0)'],
      ['octets === 0 ? [{', 'octets >= 0 ? [{'],
    ],
    found: /^the end is a write apart/,
  },
  {
    what: 'the last block leaves whole before the commit',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['held: Math.min(octets, HELD)', 'held: 0']],
    found: /^the end is a write apart/,
  },
  {
    what: '421 to the content is uncertain',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["if (reply.code === 421 && state.at !== 'commit')", 'if (reply.code === 421)']],
    found: /^an outcome is what the server said/,
  },
  {
    what: '421 for one recipient of LMTP is a verdict for all',
    where: /^lmtp \(verdicts\), TLS off/,
    changes: [
      [
        'if (replies.count < countVerdicts(plan, state)) return',
        'if (reply.code !== 421 && replies.count < countVerdicts(plan, state)) return',
      ],
    ],
    found: /^an outcome is what the server said/,
  },
  {
    what: 'the content ends while blocks are unanswered',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['(last !== null && blocks === 0)', 'last !== null']],
    found: /^what was not asked for is obeyed/,
  },
  {
    what: 'a block is taken behind the last one',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["framing !== 'data' && last === null && ", "framing === 'bdat' && "]],
    found: /^what was not asked for is obeyed/,
  },
  {
    what: 'the last block does not wait for the others',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['return accepted.blocks === 0 ? [', 'return accepted.blocks >= 0 ? [']],
    found: /^(?!nothing)/,
  },
  {
    what: 'octets that wait at the end of the content are overlooked',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["  if (rest !== '') {\n    const detail", "  if (rest === 'never') {\n    const detail"]],
    found: /^the end of a message leaves only/,
  },
  {
    what: 'a refused recipient is overlooked',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['  if (isEnvelopeRefused(plan, state, refusals)) return failEnvelope(plan, endingOf(plan), state, refusals);\n', '']],
    found: /^no content begins/,
  },
  {
    what: 'DATA flies along with several recipients',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["(transaction.recipients.length === 1 || plan.partial === 'any')", 'transaction.recipients.length >= 1']],
    found: /^no content begins/,
  },
  {
    what: 'LMTP splits a message that must not be split',
    where: /^lmtp, TLS off, AUTH none/,
    changes: [["plan.protocol === 'lmtp' && transaction.recipients.length > 1 && plan.partial === 'never'", "plan.partial === 'any'"]],
    found: /^no content begins/,
  },
  {
    what: 'one verdict of LMTP is taken for all',
    where: /^lmtp \(verdicts\), TLS off, AUTH none/,
    changes: [["plan.protocol === 'lmtp' ? transaction.recipients.length - countOf(refusals) : 1", '1']],
    found: /^an outcome is what the server said/,
  },
  {
    what: 'content begins though all recipients are refused, of whom any would be enough',
    where: /^smtp \(any\)/,
    changes: [['refusals.count === transaction.recipients.length', 'refusals.count > transaction.recipients.length']],
    found: /^no content begins|^what was committed or refused goes to no other host/,
  },
  {
    what: '354 is obeyed though all recipients are refused',
    where: /^smtp \(any\)/,
    changes: [
      [
        '    if (isEnvelopeRefused(plan, state, refusals)) return breakOutOfStep(',
        "    if (plan.hello === '' && isEnvelopeRefused(plan, state, refusals)) return breakOutOfStep(",
      ],
    ],
    found: /^no content begins/,
  },
  {
    what: 'a refused recipient fails the message, though any other is enough',
    where: /^smtp \(any\)/,
    changes: [["(partial !== 'any' || ", "(partial !== 'never' || "]],
    found: /^every failure has its cause/,
  },
  {
    what: 'a part of the recipients is enough, though only verdicts may differ',
    where: /^lmtp \(verdicts\)/,
    changes: [["(partial !== 'any' || ", "(partial === 'never' || "]],
    found: /^no content begins|^what was committed or refused goes to no other host/,
  },
  {
    what: 'a recipient whom RCPT refused counts as one who has the message',
    where: /^smtp \(any\)/,
    changes: [['const refusals: Refusal[] = state.refusals ? [...toArray(state.refusals)] : [];', 'const refusals: Refusal[] = [];']],
    found: /^an outcome names those/,
  },
  {
    what: 'a verdict of LMTP goes to the recipient whom RCPT refused',
    where: /^lmtp \(any\)/,
    changes: [['(refused.has(recipient) ? [] : [{ recipient, path }])', '(refused.has(-1) ? [] : [{ recipient, path }])']],
    found: /^an outcome names those/,
  },
  {
    what: 'a verdict of LMTP is awaited for a recipient whom RCPT refused',
    where: /^lmtp \(any\)/,
    changes: [['transaction.recipients.length - countOf(refusals) : 1', 'transaction.recipients.length : 1']],
    found: /^(?!nothing)/,
  },
  {
    what: 'whom RCPT refused is not told when DATA is refused, too',
    where: /^smtp \(any\)/,
    changes: [["behind(refusals, { command: 'DATA'", "behind(null, { command: 'DATA'"]],
    found: /^an outcome names those/,
  },
  {
    what: 'a refused recipient fails the message when the connection is lost, though any other is enough',
    where: /^smtp \(any\)/,
    changes: [
      [
        'isEnvelopeRefused(plan, state, state.refusals) ? envelopeRejection(plan, state.refusals) : null',
        'state.refusals && envelopeRejection(plan, state.refusals)',
      ],
    ],
    found: /^every failure has its cause/,
  },
  {
    what: 'octets behind the refusal of a recipient fail the message, though any other is enough',
    where: /^smtp \(any\)/,
    changes: [
      [
        "isEnvelopeRefused(plan, state, refusals) && !isUnheard(state, refusals)\n    ? failEnvelope(plan, 'leave'",
        "refusals !== null\n    ? failEnvelope(plan, 'leave'",
      ],
    ],
    found: /^every failure has its cause/,
  },
  {
    what: 'a lost recipient is told as a lost MAIL',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["return state.answered === 0 ? 'MAIL' : 'RCPT'", "return state.answered <= 1 ? 'MAIL' : 'RCPT'"]],
    found: /^a failure names the command/,
  },
  {
    what: '421 is told as any other loss',
    where: /^smtp, TLS off, AUTH none/,
    changes: [
      [
        "  reply: showReply(state, reply),\n  ...heardBehind(state, rest),\n  detail: 'the server closes",
        "  ...heardBehind(state, rest),\n  detail: 'the server closes",
      ],
    ],
    found: /^a failure names the command/,
  },
  {
    what: 'a server that refuses NOOP counts as alive',
    where: /^smtp, TLS off, AUTH none/,
    changes: [
      ['if (!isWanted(state, reply))\n    return quit(ending, [checked', 'if (digit(reply) === 3)\n    return quit(ending, [checked'],
    ],
    found: /^NOOP is answered once|^a refusal or a loss/,
  },
  {
    what: 'a session that dies at NOOP does not say so',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["(state.at === 'noop' ? [checked(failure)] : [])", '[]']],
    found: /^NOOP is answered once/,
  },
  {
    what: 'a session that dies at NOOP fails a message that was never given',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['if (isIdle(state)) return', "if (isIdle(state) && state.at !== 'noop') return"]],
    found: /^every transaction is settled, once|^NOOP is answered once/,
  },
  {
    what: 'a refusal is forgotten when the connection is lost',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['(refusalBefore(plan, state, failure) ?? failure)', 'failure']],
    found: /^what was committed or refused goes to no other host/,
  },
  {
    what: 'what was committed goes to another host',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["    kind: 'uncertain',\n    condemns: 'message',", "    kind: 'uncertain',\n    condemns: 'address' as 'message',"]],
    found: /^what was committed or refused goes to no other host/,
  },
  {
    what: 'a loss before the commit fails the message',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["condemns: isIdle(state) ? 'nothing' : 'address',", 'condemns: STEPS[at].condemns,']],
    found: /^what was committed or refused goes to no other host, and what was neither may/,
  },
  {
    what: 'a verdict is doubted because of what stands behind it',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["state.at !== 'commit' && !(isRefusal(reply)", '!(isRefusal(reply)']],
    found: /^an outcome is what the server said/,
  },
  {
    what: 'a second outcome of what was settled',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['if (isIdle(state)) return', "if (isIdle(state) && state.at !== 'reset') return"]],
    found: /^every transaction is settled, once/,
  },
  {
    what: 'a transaction that is dropped without an outcome',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['if (isIdle(state)) return', "if (state.at === 'content' || isIdle(state)) return"]],
    found: /^every transaction is settled, once/,
  },
  {
    what: 'TLS that is required is done without',
    where: /^smtp, TLS required, AUTH none/,
    changes: [["if (!secured && plan.tls === 'required')", "if (plan.hello === '')"]],
    found: /^no secret and no MAIL in clear/,
  },
  {
    what: 'STARTTLS that is refused is done without',
    where: /^smtp, TLS opportunistic, AUTH none/,
    changes: [["failRefused(plan, ending, state, 'STARTTLS', reply)", 'awaitTransaction(state.channel)']],
    found: /^a refusal or a loss ends what it concerns/,
  },
  {
    what: 'what was announced in clear holds under TLS',
    where: /^smtp, TLS required, AUTH none/,
    changes: [
      [
        "| { readonly at: 'handshake'; readonly implicit: boolean }",
        "| { readonly at: 'handshake'; readonly implicit: boolean; readonly channel?: Channel }",
      ],
      [
        "[{ at: 'handshake', implicit: false }, { do: 'startTls' }]",
        "[{ at: 'handshake', implicit: false, channel: state.channel }, { do: 'startTls' }]",
      ],
      [': sayHello(plan, true);', ': awaitTransaction({ ...(state.channel as Channel), secured: true });'],
    ],
    found: /^(?!nothing)/,
  },
  {
    what: 'octets before the TLS handshake are kept for after it',
    where: /^smtp, TLS required, AUTH none/,
    changes: [
      ["&& !(isRefusal(reply) && state.at !== 'hello'))", "&& state.at !== 'starttls' && !(isRefusal(reply) && state.at !== 'hello'))"],
    ],
    found: /no octet waits when TLS begins/,
  },
  {
    what: '235 without a proof is believed',
    where: /^smtp, TLS required, AUTH X-PROOF/,
    changes: [['return exchange.mayEnd\n', 'return state.steps >= 0\n']],
    found: /^where credentials are configured/,
  },
  {
    what: '235 to what was cancelled is believed',
    where: /^smtp, TLS required, AUTH X-PROOF/,
    changes: [
      [
        'return isWanted(state, reply) ? breakOutOfStep(plan, state, reply) : fail(',
        'return isWanted(state, reply) ? awaitTransaction(channel) : fail(',
      ],
    ],
    found: /^where credentials are configured/,
  },
  {
    what: 'authentication is left out where it is not offered',
    where: /^smtp, TLS required, AUTH X-PROOF/,
    changes: [['return plan.authenticate === null ?', "return plan.authenticate === null || !offers(extensions, 'AUTH') ?"]],
    found: /^where credentials are configured/,
  },
  {
    what: 'a challenge is quoted',
    where: /^smtp, TLS required, AUTH X-PROOF/,
    changes: [["at === 'auth' ? maskReply(reply) : reply", 'reply']],
    found: /^no outcome holds a secret or a challenge/,
  },
  {
    what: 'commands go in a group without PIPELINING',
    where: /^smtp, TLS off, AUTH none/,
    changes: [
      ["const until = offers(channel.extensions, 'PIPELINING') ? commands.length : answered + 1;", 'const until = commands.length;'],
    ],
    found: /^a command waits until/,
  },
  {
    what: 'an envelope goes along without PIPELINING',
    where: /^smtp, TLS off, AUTH none/,
    changes: [
      [
        "if (endingOf(plan) === 'leave' || channel.refusesAlong || !offers(channel.extensions, 'PIPELINING')) return",
        "if (endingOf(plan) === 'leave') return",
      ],
    ],
    found: /^a command waits until/,
  },
  {
    what: 'BDAT without CHUNKING',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["framing === 'auto' && offers(extensions, 'CHUNKING')", "framing === 'auto'"]],
    found: /^nothing is used that was not announced/,
  },
  {
    what: 'QUIT within the content',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["? [CLOSED, ...settleFailed(rejection('content', refused)), DESTROY]", "? failRejected(ending, state, 'content', refused)"]],
    found: /^within a content nothing else is said/,
  },
  {
    what: 'RSET among the replies to blocks',
    where: /^smtp, TLS off, AUTH none, framing auto, messages 2/,
    changes: [
      ["failRejected(state.blocks > 1 ? 'leave' : ending, state, 'content', refused)", "failRejected(ending, state, 'content', refused)"],
    ],
    found: /^(?!nothing)/,
  },
  {
    what: 'a refused greeting is overlooked',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['isWanted(state, reply) ? sayHello(plan, state.secured)', 'digit(reply) !== 3 ? sayHello(plan, state.secured)']],
    found: /^a refusal or a loss ends what it concerns/,
  },
  {
    what: 'HELO where TLS is required',
    where: /^smtp, TLS required, AUTH none/,
    changes: [["plan.authenticate === null && plan.tls !== 'required'", 'plan.authenticate === null']],
    found: /^a session is greeted as its protocol wants/,
  },
  {
    what: 'TLS is asked for where it is off',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["if (!secured && plan.tls === 'required')", 'if (!secured)']],
    found: /^every failure has its cause/,
  },
  {
    what: 'a session ends after a message though it could go on',
    where: /^smtp, TLS off, AUTH none/,
    changes: [
      [
        '  if (!isWanted(state, reply)) return breakOutOfStep(plan, state, reply);\n  return again',
        '  return breakOutOfStep(plan, state, reply);\n  return again',
      ],
    ],
    found: /^a session goes on as long as it can/,
  },
  {
    what: 'a refusal of a recipient is not told',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["...rejection('envelope', toArray(refusals)),", "...rejection('envelope', [toArray(refusals)[0]]),"]],
    found: /^every recipient is asked, and every refusal is told/,
  },
  {
    what: 'a challenge that can be answered is not',
    where: /^smtp, TLS required, AUTH X-PROOF/,
    changes: [['lines.length === 1 ? fromBase64', 'lines.length === 2 ? fromBase64']],
    found: /^an exchange is given up when it cannot go on/,
  },
  {
    what: 'a driver is asked for nothing, and waits for ever',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['return isPulling(sent) ? [sent, write, pull(state)] : [sent, write];', 'return [sent, write];']],
    found: /^what was not asked for is obeyed|^after the end nothing is done/,
  },
  {
    what: 'nobody is asked for the content',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['return [state, pull(state)];', 'return [state];']],
    found: /^what was not asked for is obeyed|^after the end nothing is done/,
  },
  {
    what: 'DATA leads on with 2yz',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['data:      step(3', 'data:      step(2']],
    found: /^every failure has its cause/,
  },
  {
    what: 'a 4yz with octets behind it is no refusal of the envelope',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["state.at === 'envelope' && isRefusal(reply)", "state.at === 'envelope' && digit(reply) > 4"]],
    found: /^a server that speaks out of turn/,
  },
  {
    what: 'a 4yz with octets behind it is no refusal of the content',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["(isRefusal(reply) && state.at !== 'hello')", "(digit(reply) > 4 && state.at !== 'hello')"]],
    found: /^what was committed or refused goes to no other host/,
  },
  {
    what: 'credentials are no secret',
    where: /^smtp, TLS required, AUTH X-PROOF/,
    changes: [['lines: [line], secret: true', 'lines: [line], secret: false']],
    found: /^no outcome holds a secret/,
  },
  {
    what: 'an envelope that a server would not hear is refused',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['refusals.last.reply.code === 503', 'refusals.last.reply.code < 0']],
    found: /^an envelope is said once/,
  },
  {
    what: 'every refusal of an envelope behind a content is taken for 503',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['refusals.last.reply.code === 503', 'refusals.last.reply.code >= 500']],
    found: /^what was committed or refused goes to no other host/,
  },
  {
    what: 'an envelope that is refused with 503 in its turn goes again',
    where: /^smtp, TLS off, AUTH none/,
    changes: [["isAlong && refusals?.last.verb === 'MAIL'", "refusals?.last.verb === 'MAIL'"]],
    found: /^what was committed or refused goes to no other host/,
  },
  {
    what: 'another envelope goes behind a content where the server would not hear one',
    where: /^smtp, TLS off, AUTH none, .*messages 3/,
    changes: [['{ ...channel, refusesAlong: true }', 'channel']],
    found: /^an envelope is said once/,
  },
  {
    what: 'a message whose envelope was not heard is forgotten when the session ends at RSET',
    where: /^smtp, TLS off, AUTH none/,
    changes: [[" && !(state.at === 'reset' && state.again)", '']],
    found: /^every transaction is settled/,
  },
  {
    what: 'a message whose envelope was not heard is refused when the session is lost',
    where: /^smtp, TLS off, AUTH none/,
    changes: [[' || isUnheard(state, state.refusals)) return null', ') return null']],
    found: /^an envelope is said once|^what was committed/,
  },
  {
    what: 'the message behind one that was not heard begins though RSET is refused',
    where: /^smtp, TLS off, AUTH none/,
    changes: [['  if (!isWanted(state, reply)) return breakOutOfStep(plan, state, reply);\n', '']],
    found: /^a refusal or a loss ends/,
  },
  {
    what: 'the plan is rewritten on the way',
    where: /^smtp, TLS off, AUTH none/,
    changes: [
      [
        "takeReply(plan, isOutOfTurn ? 'leave' : endingOf(plan), state, reply)",
        "takeReply(isOutOfTurn ? { ...plan, transactions: 'one' } : plan, isOutOfTurn ? 'leave' : endingOf(plan), state, reply)",
      ],
    ],
    found: /^Error: the plan is copied/,
  },
  {
    what: 'the state that was given is changed',
    where: /^smtp, TLS off, AUTH none/,
    changes: [
      [
        'sendCommands(plan, { ...state, answered: state.answered + 1, refusals })',
        'sendCommands(plan, Object.assign(state, { answered: state.answered + 1, refusals }))',
      ],
    ],
    found: /^TypeError: .*read-? ?only/,
  },
];

for (const { what, where, changes, found } of FAULTS)
  test(what, async () => {
    const machine = await machineWith(changes);
    let breach: string | null = null;
    for (const setting of SETTINGS) if (where.test(setting.name)) breach ??= explore(setting, machine).breach;
    assert.match(breach ?? 'nothing was found', found);
  });

test.run();
