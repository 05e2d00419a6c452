/** Says in nodemailer's names of options what the library says in its own. Knows no failure. */

const RENAMED: readonly (readonly [RegExp | string, string])[] = [
  [/auth\.mechanisms(?:(: )\[("[\w-]+")\])?/g, 'auth.method$1$2'],
  ['auth.token', 'auth.accessToken'],
  ['auth.password', 'auth.pass'],
  ['{ user, password }', '{ user, pass }'],
  ['tls.mode: "off"', 'ignoreTLS: true'],
  ['tls.mode: "required"', 'requireTLS: true'],
  ['tls.mode is "required"', 'TLS is required'],
  ['tls.mode is not "opportunistic"', 'opportunisticTLS is not set'],
  ['tls.verify', 'tls.rejectUnauthorized'],
  ['tls.serverName', 'tls.servername'],
  ['tls.certificate', 'tls.cert'],
  ['write submission:// (or smtp://) for it', 'set secure: false'],
  [/(write|use) submissions:\/\/( for this port|[^\s;]*)/g, 'set secure: true'],
  ['this is no port for submissions://', 'set secure: false'],
  ['envelope.requireTls', 'requireTLSExtensionEnabled'],
  ['proxy and socket', 'proxy and getSocket'],
  ['recipients: "any"', 'allOrNothing: false'],
  // It has no equal there.
  [/(?:, or set |; | and )withoutEightBit: "\w+"(?: passes them as they are| has it encoded)?/g, ''],
];

/** Options of nodemailer by the library's time-outs; the others are `socketTimeout`. */
const TIMEOUTS: Readonly<Record<string, string>> = { resolve: 'dns', connect: 'connection', handshake: 'greeting', greeting: 'greeting' };

export const rename = (sentence: string): string =>
  RENAMED.reduce((text, [ours, theirs]) => text.replaceAll(ours, theirs), sentence).replace(/ \(timeouts\.(\w+)\)/g, (_, key: string) =>
    key === 'input' ? '' : ` (${TIMEOUTS[key] ?? 'socket'}Timeout)`,
  );
