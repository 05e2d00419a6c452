/** Says in nodemailer's names of options what the library says in its own. Knows no failure. */

/** Options of nodemailer by the library's time-outs. `input` has none. */
const TIMEOUTS: Readonly<Record<string, string>> = {
  resolve: 'dnsTimeout',
  connect: 'connectionTimeout',
  handshake: 'greetingTimeout',
  greeting: 'greetingTimeout',
  command: 'socketTimeout',
  data: 'socketTimeout',
  block: 'socketTimeout',
  final: 'socketTimeout',
};

const RENAMED: readonly (readonly [RegExp, string])[] = [
  [/\bauth\.mechanisms: \["([\w-]+)"\]/g, 'auth.method: "$1"'],
  [/\bthe first of auth\.mechanisms/g, 'auth.method'],
  [/\bauth\.mechanisms\b/g, 'auth.method'],
  [/\bauth\.token in place of auth\.password/g, 'auth.accessToken and auth.type: "OAuth2"'],
  [/\bauth\.password in place of auth\.token/g, 'auth.pass and no auth.type'],
  [/\bone as auth\.token/g, 'one as auth.accessToken, and auth.type: "OAuth2"'],
  [/\bauth\.token failed/g, 'no access token'],
  [/\bauth\.password\b/g, 'auth.pass'],
  [/\bset tls\.mode: "off"/g, 'set ignoreTLS: true'],
  [/\btls\.mode: "required"/g, 'requireTLS: true'],
  [/\btls\.mode is "required"/g, 'TLS is required'],
  [/\btls\.mode is not "opportunistic"/g, 'opportunisticTLS is not set'],
  [/\btls\.verify\b/g, 'tls.rejectUnauthorized'],
  [/\btls\.serverName\b/g, 'tls.servername'],
  [/\btls\.certificate\b/g, 'tls.cert'],
  [/\bwrite submission:\/\/ \(or smtp:\/\/\) for it/g, 'set secure: false'],
  [/\b(?:write|use) submissions:\/\/(?: for this port|[^\s;]*)/g, 'set secure: true'],
  [/\bthis is no port for submissions:\/\//g, 'set secure: false'],
  [/\bset recipients: "any"/g, 'set allOrNothing: false'],
  [/\bgive auth: \{ user, password \}/g, 'give auth: { user, pass }'],
  [/^envelope\.requireTls\b/g, 'requireTLSExtensionEnabled'],
];

export const rename = (sentence: string): string =>
  RENAMED.reduce((text, [ours, theirs]) => text.replace(ours, theirs), sentence).replace(/ \(timeouts\.(\w+)\)/g, (_, key: string) =>
    TIMEOUTS[key] === undefined ? '' : ` (${TIMEOUTS[key]})`,
  );
