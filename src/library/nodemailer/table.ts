/**
 * Every option that nodemailer's SMTP transports know, and what becomes of it here; and the codes of errors. The transport obeys
 * these tables and the documents show them. Reads no value.
 */

export type Fate =
  /** It does what it does in nodemailer, or what `why` says. */
  | 'mapped'
  /** nodemailer's own Mail object reads it; the transport hands it over. */
  | 'mail'
  /** The transport does not start with it. */
  | 'refused'
  /** nodemailer does not know it. */
  | 'added';

/** A fate, and in words what becomes of the option or what to do instead. */
export type Row = readonly [fate: Fate, why: string];
/** Options by their names. */
export type Table = Readonly<Record<string, Row>>;

const ONCE = 'a transport connects more than once: give `getSocket`';
const OTHER = 'it chooses another transport of nodemailer';
const FIXED = 'it has no equal here';
const FIELD = 'it is a field of messages: give it in the second argument of `createTransport`';

/** The type has the names, and not all the words. */
const wordsOf = <Name extends string>(codes: Readonly<Record<Name, string>>): Readonly<Record<Name, string>> => codes;

/** The options of the transport. */
// biome-ignore format: a table is read as a table
export const OPTIONS: Table = {
  url: ['mapped', 'as in nodemailer for `smtp:` and `smtps:`, with options as its query, which goes behind what stands before it; also nospool\'s `submission:`, `submissions:`, `lmtp:`, `lmtp+unix:` and `unix:`'],
  host: ['mapped', 'default `localhost`'],
  port: ['mapped', 'default 587, 465 with `secure`, 24 with `lmtp`'],
  secure: ['mapped', 'TLS from the first octet; also where the port is 465 and `secure` is left out'],
  requireTLS: ['mapped', 'the default, except that a server on loopback needs no TLS; `true` asks for it there, too'],
  ignoreTLS: ['mapped', 'never TLS; a password then needs `auth.allowPlaintext` unless the server is on loopback'],
  opportunisticTLS: ['mapped', 'TLS if the server offers it, with a certificate that is good; in clear if it does not; `requireTLS` goes before it'],
  secured: ['mapped', '`getSocket` gives sockets that are secured already'],
  servername: ['mapped', 'as `tls.servername`'],
  tls: ['mapped', 'see below'],
  auth: ['mapped', 'see below'],
  authMethod: ['mapped', 'as `auth.method`'],
  forceAuth: ['mapped', 'credentials that are given are always used; `verify` fails without credentials at a server that offers AUTH'],
  name: ['mapped', 'the name in EHLO; default: the address of the connection'],
  localAddress: ['mapped', ''],
  connectionTimeout: ['mapped', 'milliseconds for TCP; default 120,000'],
  greetingTimeout: ['mapped', 'milliseconds for the greeting and for the TLS handshake; default 30,000'],
  socketTimeout: ['mapped', 'milliseconds for each reply and each block of content; default: those of RFC 5321, 2 to 10 minutes'],
  dnsTimeout: ['mapped', 'milliseconds for look-ups; default 30,000'],
  logger: ['mapped', 'as in nodemailer'],
  debug: ['mapped', 'the conversation goes to the logger, without the content'],
  transactionLog: ['mapped', 'as `debug`'],
  component: ['mail', 'names the log lines'],
  lmtp: ['mapped', ''],
  proxy: ['mapped', '`http:`, `socks5:` and `socks:` without a module; user and password in the URL. For others (`https:`, `socks4:`, handlers of yours) leave it out, and call `transporter.setupProxy(url)`'],
  getSocket: ['mapped', 'as in nodemailer; a server behind it never counts as this host, so that TLS is required'],
  pool: ['mapped', 'several messages a session'],
  maxConnections: ['mapped', 'default 5'],
  maxMessages: ['mapped', 'default 100'],
  maxRequeues: ['mapped', 'how often a message that nobody has is sent again by itself; default 2'],
  idleTimeout: ['mapped', 'default 240,000; 0 is for ever'],
  rateLimit: ['mapped', 'messages that begin within `rateDelta`'],
  rateDelta: ['mapped', 'milliseconds; default 1,000'],
  dsn: ['added', 'the default for messages without `dsn`'],
  dkim: ['mail', 'signs the message'],
  disableFileAccess: ['mail', ''],
  disableUrlAccess: ['mail', ''],
  normalizeHeaderKey: ['mail', ''],
  maxRecipients: ['mail', ''],
  attachDataUrls: ['mail', ''],
  description: ['mail', 'a word of nodemailer\'s table of services, without effect'],
  allOrNothing: ['added', 'default true, but for LMTP: one refused recipient fails the message for all; false sends to those who were accepted, as nodemailer does'],
  grace: ['added', 'milliseconds in which a verdict is awaited after a signal came too late; default 30,000'],
  family: ['added', '4 or 6: the addresses to connect to'],
  ignoreExtensions: ['added', 'EHLO keywords that count as not offered'],
  resolver: ['added', 'look-ups by functions of yours'],
  service: ['refused', 'spread the entry of nodemailer\'s own table: `...wellKnown("Gmail")`, from "nodemailer/lib/well-known"'],
  from: ['refused', `${FIELD}; for a program that reads it, set \`transporter.options.from\``],
  to: ['refused', FIELD],
  replyTo: ['refused', FIELD],
  subject: ['refused', FIELD],
  headers: ['refused', FIELD],
  secureConnection: ['refused', 'it is called `secure` since nodemailer 1'],
  connection: ['refused', ONCE],
  socket: ['refused', ONCE],
  customAuth: ['refused', 'give `auth.mechanism`, a mechanism as a function of challenges'],
  socketCloseTimeout: ['refused', 'QUIT is waited for at most a second'],
  maxResponseSize: ['refused', 'replies have a limit already'],
  allowInternalNetworkInterfaces: ['refused', FIXED],
  direct: ['refused', 'nodemailer has it no longer: name a server'],
  sendmail: ['refused', OTHER],
  streamTransport: ['refused', OTHER],
  jsonTransport: ['refused', OTHER],
  SES: ['refused', OTHER],
};

const CONTEXT = 'no context is made by the caller';
const NARROW = 'the library decides it';

/** Its options in `tls`. */
// biome-ignore format: a table is read as a table
export const TLS_OPTIONS: Table = {
  rejectUnauthorized: ['mapped', 'false: any certificate will do; `NODE_TLS_REJECT_UNAUTHORIZED` of the environment changes nothing'],
  ca: ['mapped', 'certificates in PEM that are trusted in place of the system\'s'],
  cert: ['mapped', 'the client\'s own certificate, in PEM'],
  key: ['mapped', 'its key, in PEM'],
  servername: ['mapped', 'the name for SNI and verification'],
  minVersion: ['mapped', '`TLSv1.2` (default) or `TLSv1.3`'],
  maxVersion: ['mapped', '`TLSv1.2` or `TLSv1.3`'],
  ciphers: ['mapped', ''],
  caFile: ['added', 'a file of certificates'],
  fingerprint: ['added', '`sha256:` and 64 hexadecimal digits of the certificate or its key, in place of a CA'],
  pfx: ['refused', 'give `cert` and `key` in PEM'],
  passphrase: ['refused', 'give a `key` that is not encrypted'],
  secureContext: ['refused', CONTEXT],
  secureProtocol: ['refused', 'give `minVersion` and `maxVersion`'],
  secureOptions: ['refused', 'give `minVersion` and `maxVersion`'],
  checkServerIdentity: ['refused', 'give `servername` or `fingerprint`'],
  crl: ['refused', NARROW],
  dhparam: ['refused', NARROW],
  ecdhCurve: ['refused', NARROW],
  sigalgs: ['refused', NARROW],
  honorCipherOrder: ['refused', NARROW],
  minDHSize: ['refused', NARROW],
  session: ['refused', NARROW],
  ALPNProtocols: ['refused', NARROW],
  requestOCSP: ['refused', NARROW],
  pskCallback: ['refused', NARROW],
  enableTrace: ['refused', 'give `debug`'],
  lookup: ['refused', 'give `resolver`'],
  host: ['refused', 'give it beside `tls`'],
  port: ['refused', 'give it beside `tls`'],
  path: ['refused', 'give `url: "unix:/…"`'],
  socket: ['refused', ONCE],
  timeout: ['refused', 'give `connectionTimeout` and `greetingTimeout`'],
};

/** Its options in `auth`. */
// biome-ignore format: a table is read as a table
export const AUTH_OPTIONS: Table = {
  type: ['mapped', '`OAuth2`, or anything else for a password'],
  user: ['mapped', ''],
  pass: ['mapped', 'a text or a number, or a function that is asked for each connection'],
  method: ['mapped', 'a SASL name; default: the strongest that both sides have, SCRAM included'],
  accessToken: ['mapped', 'a token that is there already'],
  expires: ['mapped', 'milliseconds since 1970'],
  timeout: ['mapped', 'seconds that `accessToken` lasts'],
  provisionCallback: ['mapped', '`(user, renew, callback)`; `transporter.set("oauth2_provision_cb", …)` as well'],
  refreshToken: ['mapped', 'a new token is asked for at `accessUrl`'],
  clientId: ['mapped', ''],
  clientSecret: ['mapped', ''],
  accessUrl: ['mapped', 'default: Google\'s'],
  customHeaders: ['mapped', 'header fields of the request for a token'],
  customParams: ['mapped', 'form fields of the request for a token'],
  requestTimeout: ['mapped', 'milliseconds for that request; default 60,000'],
  serviceClient: ['mapped', 'a service account, which signs for itself'],
  privateKey: ['mapped', 'its key, in PEM or as `crypto.sign` takes it'],
  scope: ['mapped', 'default: Google\'s for mail'],
  serviceRequestTimeout: ['mapped', 'seconds, at most 3,600; default 300'],
  mechanism: ['added', 'makes the SASL mechanism itself, as in `nospool`'],
  allowPlaintext: ['added', 'true: credentials may go over a connection that others can read'],
  options: ['refused', 'only `customAuth` reads them'],
  service: ['refused', 'give `user`'],
  tls: ['refused', 'requests for a token trust what this system trusts; NODE_EXTRA_CA_CERTS adds to it'],
  component: ['refused', 'give it beside `auth`'],
};

/** The codes of errors: nodemailer's, and one more. */
// biome-ignore format: a table is read as a table
export const ERROR_CODES = /* @__PURE__ */ wordsOf({
  EDNS: 'the name of the server was not found',
  ESOCKET: 'nobody listens there, or no way leads there',
  ETIMEDOUT: 'a time was over: `timeoutType` says which',
  ECONNECTION: 'the connection was lost, or the pool is closed',
  ETLS: 'TLS is needed and did not come about: no STARTTLS, or a certificate that is not trusted',
  EAUTH: 'the server refused the credentials, offers no way for them, or they could not be had',
  ENOAUTH: '`verify` with `forceAuth` and without credentials',
  EPROTOCOL: 'the server refused the session, or broke the protocol',
  EENVELOPE: 'the server refused the sender or a recipient, or an address cannot be',
  EMESSAGE: 'the server refused the message',
  EREQUIRETLS: 'REQUIRETLS was asked for and cannot be had',
  ESTREAM: 'the message could not be read: `originalCode` and `cause` say why',
  EABORT: 'a signal ended it',
  ECONFIG: 'an option cannot be',
  EUNCERTAIN: 'the message was sent and no verdict came back: the server may have it, so do not send it again blindly',
});

/** The options that do something. */
export const supported = (table: Table): readonly string[] => Object.keys(table).filter((key) => table[key]?.[0] !== 'refused');

/** A sentence about the first option that cannot be; null when there is none. `place` stands before its name. */
export function refusedOption(given: object, table: Table, place: string): string | null {
  for (const [key, value] of Object.entries(given)) {
    const row = Object.hasOwn(table, key) ? table[key] : undefined;
    if (row?.[0] === 'refused' && value !== undefined && value !== null && value !== false)
      return `the option ${place}${key} is not supported: ${row[1]}`;
  }
  return null;
}
