/**
 * What the tests of nodemailer's SMTP transports and connection try, tried over those and over ours against the same server. A row
 * says what both give; where ours gives something else, the row says what and why.
 * Loopback: nodemailer has no policy for it, and ours is tried in test/world; rows about TLS ask for it by option.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type Socket, connect as tcp } from 'node:net';
import { suite } from 'uvu';
import { tlsWorld } from '../support/delivery.ts';
import { printDifferences } from '../support/nodemailer-tables.ts';
import { startHttpProxy } from '../support/proxies.ts';
import { errorOf, type Failed, MAIL, MAKERS, outcomeOf, SIDES, type Side, type Transporter } from '../support/side-by-side.ts';
import { type Deed, type SmarthostOptions, startHost, type TestHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';

const scenarios = suite('nodemailer: scenarios');

/** What a run is tried with. */
interface Run {
  readonly transporter: Transporter;
  readonly host: TestHost;
}

interface Scenario {
  readonly title: string;
  readonly server?: SmarthostOptions;
  readonly options?: (port: number) => object | string;
  /** Options that only ours knows. */
  readonly ours?: object;
  readonly mail?: object;
  /** Default: one message is sent. */
  readonly act?: (run: Run) => Promise<unknown>;
  /** What both give, or a part of it. */
  readonly gives: unknown;
  /** What ours gives where that is something else, and why. */
  readonly differs?: { readonly gives: unknown; readonly why: string };
  /** Lines that the server hears of ours; undefined: whatever. */
  readonly hears?: readonly (string | RegExp)[];
  readonly only?: 'single' | 'pool';
}

const REFUSED = '550 5.1.1 no such user';
const OFFERS = ['PIPELINING', 'SIZE 100000', '8BITMIME', 'ENHANCEDSTATUSCODES'];
const login = { auth: { user: 'tim', pass: 'secret' } };
const AUTH = [...OFFERS, 'AUTH PLAIN LOGIN'];
/** A plain login of tim with the password "secret". */
const PLAIN = 'AUTH PLAIN AHRpbQBzZWNyZXQ=';
const two = { to: ['you@there.example', 'her@there.example'] };

const sent = (more: object = {}) => ({ info: { accepted: ['you@there.example'], rejected: [], response: '250 2.0.0 taken', ...more } });
const failed = (code: string, more: object = {}) => ({ error: { code, ...more } });
const refusal = (reply: string, command: string) => ({
  command,
  response: reply,
  responseCode: Number(reply.slice(0, 3)),
  permanent: reply.startsWith('5'),
});

const tls = () => ({ tls: { ca: tlsWorld().certificate.own, servername: 'smart.example' } });
const certificate = () => ({ tls: { key: tlsWorld().certificate.key, cert: tlsWorld().certificate.cert } });
const XOAUTH2 = { type: 'OAuth2', user: 'tim' };

const rows: readonly Scenario[] = [
  /* ---- of smtp-transport ---- */
  {
    title: 'a sender that is refused',
    server: { offers: OFFERS, script: { MAIL: '550 5.7.1 not you' } },
    gives: failed('EENVELOPE', refusal('550 5.7.1 not you', 'MAIL FROM')),
  },
  { title: 'the options as a URL', options: (port) => `smtp://127.0.0.1:${port}?logger=false`, gives: sent() },
  { title: 'the options as a URL without slashes', options: (port) => `smtp:127.0.0.1:${port}`, gives: sent() },
  {
    title: 'a user without a password at a server without AUTH',
    options: () => ({ auth: { user: 'tim' } }),
    gives: sent(),
    differs: { gives: failed('EAUTH'), why: 'credentials that are given are meant; without them the message might go out under no name' },
  },
  {
    title: 'credentials at a server without AUTH',
    options: () => login,
    gives: sent(),
    differs: { gives: failed('EAUTH'), why: 'a server between may have taken the word AUTH away' },
  },
  {
    title: 'a user and a password that are both empty',
    server: { offers: AUTH },
    options: () => ({ auth: { user: '', pass: '' } }),
    gives: failed('EAUTH'),
    differs: { gives: sent(), why: 'nobody is named, so no login is meant; a server that wants one says so' },
    // nodemailer's own pool sends, too.
    only: 'single',
  },
  {
    title: 'a user without a password with forceAuth',
    options: () => ({ auth: { user: 'tim' }, forceAuth: true }),
    gives: failed('EAUTH'),
  },
  {
    title: 'a server that closes the connection',
    server: { script: { connect: 'close' } },
    options: () => ({ maxRequeues: 0 }),
    gives: failed('ECONNECTION'),
  },
  {
    title: '421 to the greeting',
    server: { script: { connect: '421 4.3.2 busy' } },
    options: () => ({ maxRequeues: 0 }),
    gives: failed('EPROTOCOL', { command: 'CONN', responseCode: 421 }),
    differs: {
      gives: failed('ECONNECTION', { command: 'CONN', responseCode: 421 }),
      why: 'with 421 the server closes the connection, whenever it says it; `responseCode` is there',
    },
  },
  {
    title: '421 to the sender',
    server: { offers: OFFERS, script: { MAIL: '421 4.3.2 busy' } },
    options: () => ({ maxRequeues: 0 }),
    gives: failed('EENVELOPE', { command: 'MAIL FROM', responseCode: 421 }),
    differs: { gives: failed('ECONNECTION', { command: 'MAIL FROM', responseCode: 421 }), why: 'as above' },
  },
  {
    title: 'a connection that is lost at the recipient',
    server: { offers: OFFERS, script: { RCPT: 'close' } },
    options: () => ({ maxRequeues: 0 }),
    gives: failed('ECONNECTION', { command: 'CONN' }),
  },
  {
    title: 'verify at a server without AUTH',
    options: () => ({ forceAuth: true }),
    act: ({ transporter }) => transporter.verify(),
    gives: true,
  },
  {
    title: 'login',
    server: { offers: AUTH },
    options: () => login,
    gives: sent(),
    hears: [/^EHLO /, PLAIN, /^MAIL FROM:<me@here.example>/],
  },
  {
    title: 'login with credentials in a URL',
    server: { offers: AUTH },
    options: (port) => `smtp://tim:secret@127.0.0.1:${port}`,
    gives: sent(),
    hears: [/^EHLO /, PLAIN],
  },
  {
    title: 'verify with credentials',
    server: { offers: AUTH },
    options: () => login,
    act: ({ transporter }) => transporter.verify(),
    gives: true,
  },
  { title: 'verify without credentials', server: { offers: AUTH }, act: ({ transporter }) => transporter.verify(), gives: true },
  {
    title: 'verify with forceAuth and without credentials',
    server: { offers: AUTH },
    options: () => ({ forceAuth: true }),
    act: verify,
    gives: { code: 'ENOAUTH' },
  },
  { title: 'verify where nobody listens', options: () => ({ port: 1 }), act: verify, gives: { code: 'ESOCKET', command: 'CONN' } },
  {
    title: 'verify with a wrong password',
    server: { offers: AUTH, script: { AUTH: '535 5.7.8 no' } },
    options: () => login,
    act: verify,
    gives: { code: 'EAUTH', command: 'AUTH', responseCode: 535 },
  },
  {
    title: 'a socket of the program',
    server: { offers: AUTH },
    options: (port) => ({ ...login, host: 'www.example.com', port: 1234, getSocket: socketTo(port) }),
    ours: { auth: { ...login.auth, allowPlaintext: true }, ignoreTLS: true },
    gives: sent(),
  },
  {
    title: 'a socket of the program that cannot be had',
    options: () => ({ getSocket: (_: object, done: (error: Error) => void) => done(new Error('no way')) }),
    gives: { error: {} },
  },

  /* ---- of smtp-pool ---- */
  {
    title: 'a hundred messages',
    server: { offers: OFFERS },
    act: (run) => many(run, 100),
    gives: { taken: 100, errors: [] },
    only: 'pool',
  },
  {
    title: 'a hundred messages, half of them refused',
    server: { offers: OFFERS, script: { MAIL: everySecond() } },
    act: (run) => many(run, 100),
    gives: { taken: 50 },
    only: 'pool',
  },
  {
    title: 'five messages a session',
    server: { offers: OFFERS },
    options: () => ({ maxConnections: 1, maxMessages: 5 }),
    act: async (run) => ({ ...(await many(run, 20)), sessions: run.host.sessions.length }),
    gives: { taken: 20, errors: [], sessions: 4 },
    only: 'pool',
  },
  {
    title: 'messages that wait when the pool is closed',
    server: { offers: OFFERS },
    options: () => ({ maxConnections: 1 }),
    act: closeAtOnce,
    gives: { failed: 10 },
    only: 'pool',
  },
  {
    title: 'idle as long as the pool has room',
    server: { offers: OFFERS },
    options: () => ({ maxConnections: 2 }),
    act: idling,
    gives: { before: true, full: false, after: true },
    only: 'pool',
  },
  {
    title: 'sessions that the server closed while they were idle',
    server: { offers: OFFERS },
    act: closedWhileIdle,
    gives: { first: 3, later: 3 },
    only: 'pool',
  },
  {
    title: 'a rate',
    server: { offers: OFFERS },
    options: () => ({ rateLimit: 5, rateDelta: 100 }),
    act: (run) => many(run, 12),
    gives: { taken: 12, errors: [] },
    only: 'pool',
  },
  {
    title: 'a session that says nothing more',
    server: { offers: OFFERS, script: { end: 'silence' } },
    options: () => ({ socketTimeout: 150, maxRequeues: 0 }),
    gives: failed('ETIMEDOUT', { timeoutType: 'SOCKET_TIMEOUT' }),
    differs: {
      gives: failed('EUNCERTAIN', { command: 'DATA' }),
      why: 'the message was sent whole, so the server may have it, and who sends it again sends it twice',
    },
  },
  {
    title: 'a server that closes after the whole message',
    server: { offers: OFFERS, script: { end: 'close' } },
    options: () => ({ maxRequeues: 0 }),
    gives: failed('ECONNECTION'),
    differs: { gives: failed('EUNCERTAIN', { command: 'DATA' }), why: 'as above' },
  },

  /* ---- of smtp-connection ---- */
  {
    title: 'a greeting that refuses',
    server: { script: { greeting: '554 5.7.1 not today' } },
    gives: failed('EPROTOCOL', refusal('554 5.7.1 not today', 'CONN')),
  },
  {
    title: 'no greeting',
    server: { script: { greeting: 'silence' } },
    options: () => ({ greetingTimeout: 150 }),
    gives: failed('ETIMEDOUT', { timeoutType: 'GREETING_TIMEOUT' }),
  },
  {
    title: 'no reply to MAIL',
    server: { script: { MAIL: 'silence' } },
    options: () => ({ socketTimeout: 150, maxRequeues: 0 }),
    gives: failed('ETIMEDOUT', { timeoutType: 'SOCKET_TIMEOUT' }),
  },
  {
    title: 'an empty line before the greeting',
    server: {
      script: {
        connect: ({ say }) => {
          say('\r\n');
          return '';
        },
      },
    },
    gives: sent(),
    differs: { gives: failed('EPROTOCOL'), why: 'a server that breaks the protocol at the first line is not trusted with a message' },
  },
  {
    title: 'an empty line behind the reply to EHLO',
    server: { script: { EHLO: '250 smart.example\r\n\r\n' } },
    gives: sent(),
    differs: { gives: failed('EPROTOCOL'), why: 'octets that nobody asked for may belong to a reply that an attacker has put in' },
  },
  {
    title: 'a reply in UTF-8',
    server: { offers: OFFERS, script: { MAIL: utf8('550 Empfänger unbekannt') } },
    gives: failed('EENVELOPE', { response: '550 Empfänger unbekannt' }),
  },
  { title: 'a reply that is not UTF-8', server: { offers: OFFERS, script: { end: '250 caf\xe9' } }, gives: sent({ response: '250 café' }) },
  {
    title: 'a reply of several lines',
    server: { offers: OFFERS, script: { end: '250 one\ntwo' } },
    gives: sent({ response: '250-one\n250 two' }),
  },
  {
    title: 'what the server offers',
    server: { offers: [...OFFERS, 'X-Other a b'] },
    gives: { info: { ehlo: [...OFFERS, 'X-Other a b'] } },
    differs: { gives: { info: { ehlo: [...OFFERS, 'X-OTHER A B'] } }, why: 'keywords are compared in upper case' },
  },
  {
    title: 'STARTTLS',
    server: { offers: [...OFFERS, 'STARTTLS'], ...certificate() },
    options: () => ({ requireTLS: true, ...tls() }),
    gives: sent(),
    hears: [/^EHLO /, 'STARTTLS', /^EHLO /, /^MAIL /],
  },
  {
    title: 'STARTTLS with a certificate that nobody vouches for',
    server: { offers: [...OFFERS, 'STARTTLS'], ...certificate() },
    options: () => ({ requireTLS: true }),
    gives: failed('ESOCKET', { command: 'CONN' }),
    differs: { gives: failed('ETLS', { command: 'CONN' }), why: 'the failure is that of TLS' },
  },
  {
    title: 'TLS from the first octet, which the server does not speak',
    server: { offers: OFFERS },
    options: () => ({ secure: true }),
    gives: failed('ESOCKET', { command: 'CONN' }),
    differs: { gives: failed('ETLS', { command: 'CONN' }), why: 'the failure is that of TLS' },
  },
  {
    title: 'STARTTLS with any certificate',
    server: { offers: [...OFFERS, 'STARTTLS'], ...certificate() },
    options: () => ({ requireTLS: true, tls: { rejectUnauthorized: false } }),
    gives: sent(),
  },
  {
    title: 'STARTTLS that is required and not offered',
    server: { offers: OFFERS, script: { STARTTLS: '502 5.5.1 what' } },
    options: () => ({ requireTLS: true }),
    gives: failed('ETLS', { command: 'STARTTLS', responseCode: 502 }),
    differs: { gives: failed('ETLS', { command: 'STARTTLS' }), why: 'it is not asked for, so that there is no reply' },
  },
  {
    title: 'STARTTLS that is required and opportunistic, and not offered',
    server: { offers: OFFERS, script: { STARTTLS: '502 5.5.1 what' } },
    options: () => ({ requireTLS: true, opportunisticTLS: true }),
    gives: failed('ETLS', { command: 'STARTTLS' }),
  },
  {
    title: 'octets behind the reply to STARTTLS',
    server: { offers: [...OFFERS, 'STARTTLS'], script: { STARTTLS: '220 go ahead\r\n250-X-INJECTED' }, ...certificate() },
    options: () => ({ requireTLS: true, ...tls() }),
    gives: sent(),
    differs: { gives: failed('EPROTOCOL'), why: 'they were put in before the session was encrypted' },
  },
  {
    title: 'STARTTLS that is refused',
    server: { offers: [...OFFERS, 'STARTTLS'], script: { STARTTLS: '454 4.7.0 not now' } },
    options: () => ({ requireTLS: true, ...tls() }),
    gives: failed('ETLS', { command: 'STARTTLS', responseCode: 454 }),
  },
  {
    title: 'TLS from the first octet',
    server: { offers: OFFERS, secure: true, ...certificate() },
    options: () => ({ secure: true, ...tls() }),
    gives: sent(),
  },
  {
    title: 'a wrong password',
    server: { offers: AUTH, script: { AUTH: '535 5.7.8 no' } },
    options: () => login,
    gives: failed('EAUTH', refusal('535 5.7.8 no', 'AUTH')),
  },
  {
    title: 'a user and a password that are numbers, as YAML reads them',
    server: { offers: AUTH },
    options: () => ({ auth: { user: 4711, pass: 12345678 } }),
    gives: sent(),
    hears: [/^EHLO /, `AUTH PLAIN ${Buffer.from('\x004711\x0012345678').toString('base64')}`],
  },
  {
    title: 'a method of choice',
    server: { offers: AUTH, script: { AUTH: loginDialogue() } },
    options: () => ({ auth: { ...login.auth, method: 'LOGIN' } }),
    gives: sent(),
    hears: [/^EHLO /, 'AUTH LOGIN'],
  },
  {
    title: 'a token',
    server: { offers: [...OFFERS, 'AUTH XOAUTH2'] },
    options: () => ({ auth: { ...XOAUTH2, accessToken: 'abc' } }),
    gives: sent(),
    hears: [/^EHLO /, 'AUTH XOAUTH2 dXNlcj10aW0BYXV0aD1CZWFyZXIgYWJjAQE='],
  },
  {
    title: 'a token that is refused, and nowhere to get another',
    server: { offers: [...OFFERS, 'AUTH XOAUTH2'], script: { AUTH: '535 5.7.8 no' } },
    options: () => ({ auth: { ...XOAUTH2, accessToken: 'abc' } }),
    gives: failed('EAUTH', { command: 'AUTH', responseCode: 535 }),
  },
  {
    title: 'a function for tokens',
    server: { offers: [...OFFERS, 'AUTH XOAUTH2'] },
    options: () => ({
      auth: { ...XOAUTH2, provisionCallback: (user: string, renew: boolean, done: Provided) => done(null, `${user}-${renew}`) },
    }),
    gives: sent(),
    hears: [/^EHLO /, `AUTH XOAUTH2 ${Buffer.from('user=tim\x01auth=Bearer tim-false\x01\x01').toString('base64')}`],
  },
  {
    title: 'a function for tokens that is registered',
    server: { offers: [...OFFERS, 'AUTH XOAUTH2'] },
    options: () => ({ auth: XOAUTH2 }),
    act: registered,
    gives: sent(),
  },
  {
    title: 'a function for tokens that fails',
    server: { offers: [...OFFERS, 'AUTH XOAUTH2'] },
    options: () => ({
      auth: { ...XOAUTH2, provisionCallback: (_user: string, _renew: boolean, done: Provided) => done(new Error('no token today')) },
    }),
    gives: failed('EAUTH'),
  },
  {
    title: 'no way to a token',
    server: { offers: [...OFFERS, 'AUTH XOAUTH2'] },
    options: () => ({ auth: XOAUTH2 }),
    gives: failed('EAUTH'),
  },
  {
    title: 'a connection that is lost during AUTH',
    server: { offers: AUTH, script: { AUTH: 'reset' } },
    options: () => ({ ...login, maxRequeues: 0 }),
    gives: { error: {} },
  },
  {
    title: 'a recipient that is refused among others',
    server: { offers: OFFERS, script: { 'RCPT 2': REFUSED } },
    mail: two,
    gives: { info: partly() },
    ours: { allOrNothing: false },
  },
  {
    title: 'a recipient that is refused among others, without PIPELINING',
    server: { script: { 'RCPT 1': REFUSED } },
    mail: { to: ['no@there.example', 'you@there.example'] },
    gives: { info: { accepted: ['you@there.example'], rejected: ['no@there.example'] } },
    ours: { allOrNothing: false },
  },
  {
    title: 'a recipient that is refused among others, all or nothing',
    server: { offers: OFFERS, script: { 'RCPT 2': REFUSED } },
    mail: two,
    gives: { info: partly() },
    differs: {
      gives: failed('EENVELOPE', { ...refusal(REFUSED, 'RCPT TO'), rejected: ['her@there.example'] }),
      why: 'allOrNothing is the default',
    },
  },
  {
    title: 'all recipients refused',
    server: { offers: OFFERS, script: { 'RCPT 1': REFUSED, 'RCPT 2': REFUSED } },
    mail: two,
    gives: failed('EENVELOPE', {
      ...refusal(REFUSED, 'RCPT TO'),
      rejected: two.to,
      rejectedErrors: two.to.map((recipient) => ({ code: 'EENVELOPE', recipient, ...refusal(REFUSED, 'RCPT TO') })),
    }),
  },
  {
    title: 'DATA refused',
    server: { offers: OFFERS, script: { DATA: '451 4.3.0 later' } },
    gives: failed('EENVELOPE', refusal('451 4.3.0 later', 'DATA')),
  },
  {
    title: 'DATA refused at a server with CHUNKING',
    server: { offers: [...OFFERS, 'CHUNKING'], script: { DATA: '451 4.3.0 later', end: '451 4.3.0 later' } },
    gives: failed('EENVELOPE', refusal('451 4.3.0 later', 'DATA')),
    differs: {
      gives: failed('EMESSAGE', refusal('451 4.3.0 later', 'DATA')),
      why: 'the message goes by BDAT, so that the refusal comes behind it',
    },
  },
  {
    title: 'the message refused',
    server: { offers: OFFERS, script: { end: '552 5.3.4 too large' } },
    gives: failed('EMESSAGE', refusal('552 5.3.4 too large', 'DATA')),
  },
  {
    title: '503 to RCPT',
    server: { offers: OFFERS, script: { 'RCPT 1': '503 5.5.1 MAIL first' } },
    gives: { error: { responseCode: 503, permanent: false } },
  },
  {
    title: '421 to RCPT',
    server: { offers: OFFERS, script: { 'RCPT 1': '421 4.3.2 shutting down' } },
    options: () => ({ maxRequeues: 0 }),
    gives: { error: { responseCode: 421, permanent: false } },
  },
  {
    title: 'a size that the server does not take',
    server: { offers: ['SIZE 1000'] },
    mail: { envelope: { from: 'me@here.example', to: ['you@there.example'], size: 5000 } },
    gives: failed('EMESSAGE', { command: 'MAIL FROM' }),
    differs: { gives: sent(), why: 'what the caller tells is an estimate, and the server decides' },
  },
  {
    title: 'a size for MAIL',
    server: { offers: ['SIZE 100000', '8BITMIME'] },
    mail: { envelope: { from: 'me@here.example', to: ['you@there.example'], size: 5000 } },
    gives: sent(),
    hears: [/^EHLO /, /^MAIL FROM:<me@here.example> SIZE=257$/],
  },
  {
    title: 'LMTP, where the message is refused for one recipient',
    server: { offers: OFFERS, script: { end: '250 2.0.0 taken\r\n550 5.2.2 full\r\n' } },
    options: () => ({ lmtp: true }),
    mail: two,
    gives: {
      info: {
        accepted: ['you@there.example'],
        rejected: ['her@there.example'],
        rejectedErrors: [{ code: 'EMESSAGE', recipient: 'her@there.example', ...refusal('550 5.2.2 full', 'DATA') }],
      },
    },
  },
  {
    title: 'LMTP, where one recipient is refused behind the message and a later one before it',
    server: { offers: OFFERS, script: { 'RCPT 2': REFUSED, end: '550 5.2.2 full\r\n250 2.0.0 taken\r\n' } },
    options: () => ({ lmtp: true }),
    mail: { to: [...two.to, 'him@there.example'] },
    gives: { info: { accepted: ['him@there.example'], rejected: ['her@there.example', 'you@there.example'] } },
    differs: {
      gives: { info: { accepted: ['him@there.example'], rejected: ['you@there.example', 'her@there.example'] } },
      why: '`rejected` is in the order of the recipients',
    },
  },
  { title: 'LMTP', server: { offers: OFFERS }, options: () => ({ lmtp: true }), gives: sent(), hears: [/^LHLO /] },
  {
    title: 'an address with SMTPUTF8',
    server: { offers: [...OFFERS, 'SMTPUTF8'] },
    mail: { to: 'jõgeva@there.example' },
    gives: { info: { accepted: ['jõgeva@there.example'] } },
    hears: [/^EHLO /, /^MAIL FROM:<me@here.example>.* SMTPUTF8/],
  },
  {
    title: 'an address that needs SMTPUTF8 at a server without it',
    server: { offers: OFFERS },
    mail: { to: 'jõgeva@there.example' },
    gives: { info: { accepted: ['jõgeva@there.example'] } },
    differs: { gives: failed('EENVELOPE'), why: 'RFC 6531 §3.2 forbids it' },
  },
  { title: 'no recipients', mail: { to: undefined }, gives: failed('EENVELOPE', { command: 'API' }) },
  {
    title: 'the null reverse-path',
    mail: { envelope: { from: '', to: ['you@there.example'] } },
    gives: { info: { accepted: ['you@there.example'], envelope: { from: '', to: ['you@there.example'] } } },
    hears: [/^EHLO /, /^MAIL FROM:<>/],
  },
  {
    title: 'DSN',
    server: { offers: [...OFFERS, 'DSN'] },
    mail: { dsn: { id: 'some id', return: 'headers', notify: ['failure', 'delay'], recipient: 'boss@here.example' } },
    gives: sent(),
    hears: [
      /^EHLO /,
      /^MAIL FROM:<me@here.example>.* RET=HDRS ENVID=some\+20id/,
      'RCPT TO:<you@there.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;boss@here.example',
    ],
  },
  { title: 'a signal that is null', mail: { signal: null }, gives: sent() },
  {
    title: 'DSN that cannot be read',
    server: { offers: [...OFFERS, 'DSN'] },
    mail: { dsn: { id: Object.create(null) } },
    gives: failed('EENVELOPE', { command: 'API' }),
  },
  {
    title: 'DSN with an id that is a number',
    server: { offers: [...OFFERS, 'DSN'] },
    mail: { dsn: { id: 4711 } },
    gives: sent(),
    hears: [/^EHLO /, /^MAIL FROM:<me@here.example>.* ENVID=4711/],
  },
  {
    title: 'DSN that is no text',
    server: { offers: [...OFFERS, 'DSN'] },
    mail: { dsn: { return: true } },
    gives: failed('EENVELOPE', { command: 'API' }),
  },
  {
    title: 'DSN that is impossible',
    server: { offers: [...OFFERS, 'DSN'] },
    mail: { dsn: { notify: ['never', 'delay'] } },
    gives: failed('EENVELOPE', { command: 'API' }),
  },
  {
    title: 'REQUIRETLS in clear',
    server: { offers: [...OFFERS, 'REQUIRETLS'] },
    mail: { requireTLSExtensionEnabled: true },
    gives: failed('EREQUIRETLS', { command: 'MAIL FROM' }),
  },
  {
    title: 'REQUIRETLS',
    server: { offers: [...OFFERS, 'STARTTLS', 'REQUIRETLS'], ...certificate() },
    options: () => ({ requireTLS: true, ...tls() }),
    mail: { requireTLSExtensionEnabled: true },
    gives: sent(),
    hears: [/^EHLO /, 'STARTTLS', /^EHLO /, /^MAIL FROM:<me@here.example>.* REQUIRETLS/],
  },
  {
    title: 'REQUIRETLS with any certificate',
    server: { offers: [...OFFERS, 'STARTTLS', 'REQUIRETLS'], ...certificate() },
    options: () => ({ requireTLS: true, tls: { rejectUnauthorized: false } }),
    mail: { requireTLSExtensionEnabled: true },
    gives: sent(),
    differs: {
      gives: failed('EREQUIRETLS', { command: 'MAIL FROM' }),
      why: 'RFC 8689 §4.2.1: who asks for it must know who the server is',
    },
  },
  {
    title: 'a text in a stream that fails',
    mail: { text: undefined, raw: undefined, attachments: [{ path: '/no/such/file' }] },
    gives: failed('ESTREAM', { command: 'API' }),
  },
  {
    title: 'a name with a line end',
    options: () => ({ name: 'a.example\r\nMAIL FROM:<x@y.example>' }),
    gives: sent(),
    differs: { gives: { error: { code: 'ECONFIG' } }, why: 'an option that cannot be is said when the transport is made' },
  },
  {
    title: 'a port that is none',
    options: () => ({ port: 123456 }),
    gives: failed('ECONNECTION'),
    differs: { gives: { error: { code: 'ECONFIG' } }, why: 'as above' },
  },
  {
    title: "a service of nodemailer's table",
    options: (port) => ({ service: 'Maildev', port }),
    gives: {},
    differs: { gives: { error: { code: 'ECONFIG' } }, why: "the table is nodemailer's: spread its entry" },
  },
  { title: 'a name for EHLO', options: () => ({ name: 'client.example' }), gives: sent(), hears: ['EHLO client.example'] },
  { title: 'an HTTP proxy', act: throughProxy, gives: sent() },
];

type Provided = (error: Error | null, token?: string) => void;

function partly(): object {
  return {
    accepted: ['you@there.example'],
    rejected: ['her@there.example'],
    rejectedErrors: [{ code: 'EENVELOPE', recipient: 'her@there.example', ...refusal(REFUSED, 'RCPT TO') }],
    response: '250 2.0.0 taken',
  };
}

/** The reply in UTF-8, as octets of the wire. */
function utf8(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function socketTo(port: number) {
  return (_options: object, done: (error: Error | null, found?: { connection: Socket }) => void): void => {
    const socket = tcp({ port, host: '127.0.0.1' }, () => done(null, { connection: socket }));
    socket.once('error', done);
  };
}

/** Whoever is the second, the fourth … is refused. */
function everySecond(): Deed {
  let count = 0;
  return () => {
    count += 1;
    return count % 2 === 0 ? '550 5.7.1 not you' : '250 2.1.0 ok';
  };
}

function loginDialogue(): Deed {
  return async ({ say, line }) => {
    say('334 VXNlcm5hbWU6\n');
    assert.equal(await line(), 'dGlt');
    say('334 UGFzc3dvcmQ6\n');
    assert.equal(await line(), 'c2VjcmV0');
    return '235 2.7.0 welcome';
  };
}

async function verify({ transporter }: Run): Promise<unknown> {
  return transporter.verify().catch((error: Failed) => errorOf(error));
}

async function many({ transporter, host }: Run, count: number): Promise<{ taken: number; errors: readonly unknown[] }> {
  const results = await Promise.allSettled(Array.from({ length: count }, () => transporter.sendMail({ ...MAIL })));
  const errors = results.flatMap((each) => (each.status === 'rejected' ? [(each.reason as Failed).code] : []));
  assert.equal(host.held.length + errors.length, count);
  return { taken: host.held.length, errors };
}

async function closeAtOnce({ transporter }: Run): Promise<object> {
  const work = Array.from({ length: 10 }, () =>
    transporter.sendMail({ ...MAIL }).then(
      () => 0,
      () => 1,
    ),
  );
  transporter.close();
  const results: readonly number[] = await Promise.all(work);
  return { failed: results.reduce((sum, each) => sum + each, 0) };
}

async function idling({ transporter }: Run): Promise<object> {
  const idle = new Promise<void>((resolve) => transporter.on('idle', () => resolve()));
  const before = transporter.isIdle();
  await idle;
  const work = Array.from({ length: 8 }, () => transporter.sendMail({ ...MAIL }));
  await new Promise((resolve) => setImmediate(resolve));
  const full = transporter.isIdle();
  await new Promise<void>((resolve) => transporter.on('idle', () => resolve()));
  const after = transporter.isIdle();
  await Promise.all(work);
  return { before, full, after };
}

async function closedWhileIdle(run: Run): Promise<object> {
  const { taken: first } = await many(run, 3);
  await run.host.stop();
  const again = await startHost({ offers: OFFERS, port: run.host.port });
  try {
    const { length } = await Promise.all(Array.from({ length: 3 }, () => run.transporter.sendMail({ ...MAIL })));
    return { first, later: length };
  } finally {
    await run.transporter.close();
    await again.stop();
  }
}

async function registered({ transporter }: Run): Promise<unknown> {
  transporter.set('oauth2_provision_cb', (user: string, renew: boolean, done: Provided) => done(null, `${user}-${renew}`));
  return outcomeOf(transporter.sendMail({ ...MAIL }));
}

async function throughProxy({ host }: Run): Promise<unknown> {
  const proxy = await startHttpProxy({ places: { 'smart.example:2525': host.port } });
  const side = current;
  const transporter = MAKERS[side]({ host: 'smart.example', port: 2525, proxy: `http://127.0.0.1:${proxy.port}`, ignoreTLS: true });
  const outcome = await outcomeOf(transporter.sendMail({ ...MAIL }));
  transporter.close();
  assert.deepEqual(
    proxy.asked.map((line) => line.split('\r\n')[0]),
    ['CONNECT smart.example:2525 HTTP/1.1'],
  );
  await proxy.stop();
  return outcome;
}

/** The side that is tried. */
let current: Side = 'nospool';

/** What `found` has of what `wanted` names. */
function partOf(found: unknown, wanted: unknown): unknown {
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted) || typeof found !== 'object' || found === null) return found;
  return Object.fromEntries(Object.entries(wanted).map(([key, value]) => [key, partOf((found as Record<string, unknown>)[key], value)]));
}

async function run(
  { server = {}, options = () => ({}), ours = {}, mail = {}, act, hears }: Scenario,
  side: Side,
  pool: boolean,
): Promise<unknown> {
  current = side;
  const host = await startHost(server);
  try {
    const given = options(host.port);
    const more = side === 'nospool' ? ours : {};
    const all =
      typeof given === 'string'
        ? `${given}${pool ? `${given.includes('?') ? '&' : '?'}pool=true` : ''}`
        : { host: '127.0.0.1', port: host.port, pool, ...given, ...more };
    let transporter: Transporter;
    try {
      transporter = MAKERS[side](all as object);
    } catch (error) {
      return { error: errorOf(error as Failed) };
    }
    transporter.on('error', () => undefined);
    const found = await (act ? act({ transporter, host }) : outcomeOf(transporter.sendMail({ ...MAIL, ...mail })));
    await transporter.close();
    if (hears && side === 'nospool')
      for (const [i, line] of hears.entries()) {
        const heard = host.sessions[0]?.[i] ?? '';
        assert.ok(typeof line === 'string' ? heard === line : line.test(heard), `${heard} instead of ${line}`);
      }
    return found;
  } finally {
    await host.stop();
  }
}

for (const scenario of rows)
  for (const pool of [false, true]) {
    if (scenario.only !== undefined && (scenario.only === 'pool') !== pool) continue;
    scenarios(`${scenario.title}${pool ? ', pooled' : ''}`, () =>
      within(15_000, async () => {
        for (const side of SIDES) {
          const wanted = side === 'nospool' ? (scenario.differs?.gives ?? scenario.gives) : scenario.gives;
          const found = await run(scenario, side, pool);
          assert.deepEqual(partOf(found, wanted), wanted, `${side}: ${JSON.stringify(found)}`);
        }
      }),
    );
  }

scenarios('docs/nodemailer.md names what differs, and why', () => {
  const differences = rows.flatMap(({ title, gives: theirs, differs }) =>
    differs ? [{ title, theirs, ours: differs.gives, why: differs.why }] : [],
  );
  const text = readFileSync(new URL('../../docs/nodemailer.md', import.meta.url), 'utf8');
  const table = printDifferences(differences);
  assert.ok(text.includes(table), table);
});

scenarios.run();
