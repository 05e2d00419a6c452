/** What the programs of other people say to nospool. Only these texts name the library's words. */

/** The message that each of them sends. */
export const CONTENT = 'Subject: hi\r\n\r\nhello\r\n';

const IMPORT = "import { submit } from 'nospool';";
const REQUIRE = "const { submit } = require('nospool');";
const BODY = `const outcome = await submit({ from: 'ann@example.org', to: ['bob@example.net'] }, ${JSON.stringify(CONTENT)}, {
  servers: [{ url: process.env.SINK_URL, tls: { mode: 'required', caFile: process.env.SINK_CA }, auth: { user: 'ann', password: 'secret' } }],
});`;
const JUDGE = "if (outcome.kind !== 'accepted') throw new Error(JSON.stringify(outcome));";

/** A program that sends one message, in both forms, and its parts. `body` makes the outcome. */
export const SENDING = {
  import: IMPORT,
  require: REQUIRE,
  body: BODY,
  esm: `${IMPORT}\n${BODY}\n${JUDGE}\n`,
  cjs: `${REQUIRE}\n(async () => {\n${BODY}\n${JUDGE}\n})();\n`,
};

/** A program that exports what it has got from every door, without saying what types these are. */
export const TYPES = `import * as nospool from 'nospool';
import { connect, orThrow, Pool, SmtpError, submit } from 'nospool';
import * as nodemailer from 'nospool/nodemailer';
import * as router from 'nospool/router';
import * as smtp from 'nospool/smtp';
import * as server from 'nospool/smtp/server';
import { sink } from 'nospool/testing';

export const envelope = { from: 'ann@example.org', to: ['bob@example.net'] };
export const outcome = submit(envelope, 'x', { servers: ['smtp://127.0.0.1'] });
export const thrown = orThrow(outcome);
export const connected = connect('smtp://127.0.0.1');
export const pool = new Pool('smtp://127.0.0.1', { connections: 2 });
export const sent = pool.send(envelope, new Uint8Array(1));
export const facts = outcome.then((known) => (known.kind === 'accepted' ? known.server : known.failure));
export const isError = (reason: unknown) => reason instanceof SmtpError && reason.failure;
export const host = sink({ tls: 'starttls' });
export const message = host.then((known) => known.next());
export const session = host.then((known) => known.messages.map((each) => each.session));
export const advance = smtp.advance;
export const dialogue = (...given: ConstructorParameters<typeof smtp.Dialogue>) => new smtp.Dialogue(...given);
export const encoder = smtp.contentEncoder('data');
export const reader = new smtp.ReplyReader();
export const mechanism = smtp.plain;
export const reception = (perform: (action: server.Performed) => void) => server.makeReception(server.RECEIVING, perform);
export const routing = router.startRouting;
export const routes = router.agree;
export const aliases = router.searchAliases(['root']);
export const address = router.parseSmarthost('smtp://127.0.0.1');
export const path = smtp.parseMailbox('ann@example.org');
export const mailbox = path.ok ? path.value : null;
export const received = server.parseMailbox('ann@example.org');
export const routed = router.parseReversePath('<>');
/** \`undefined\` is no choice, also where \`exactOptionalPropertyTypes\` makes a value of it. */
type Loose<T> = { [Key in keyof T]: {} extends Pick<T, Key> ? T[Key] | undefined : T[Key] };
export const options = (given: Loose<nospool.PoolOptions & nospool.Options>): nospool.PoolOptions & nospool.Options => given;
export const forOne = (given: Loose<nospool.SendOptions>): nospool.SendOptions => given;
export const letter = (given: Loose<nospool.Envelope>): nospool.Envelope => given;
export const recipient = (given: Loose<nospool.EnvelopeRecipient>): nospool.EnvelopeRecipient => given;
export const place = (given: Loose<nospool.Server>): nospool.Server => given;
export const tls = (given: Loose<nospool.TlsOptions>): nospool.TlsOptions => given;
export const names = (given: Loose<nospool.Resolver>): nospool.Resolver => given;
export const sinkOptions = (given: Loose<NonNullable<Parameters<typeof sink>[0]>>): Parameters<typeof sink>[0] => given;
export const doors = { nospool, nodemailer, router, smtp, server };
export class Own extends Pool {}
export class Odd extends SmtpError {}
`;
