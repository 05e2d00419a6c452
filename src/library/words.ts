/** Says in the words of a program what the engine says in those of a configuration. Knows no failure. */

/** Sentences of the engine name keys of nospool.toml(5), which an author of a program has never seen. */
const REPHRASED: readonly (readonly [RegExp, string])[] = [
  [/set allow_plaintext = true in \[auth\]/g, 'set auth.allowPlaintext: true'],
  [/set lmtp_partial = true, which gives up all or none/g, 'set recipients: "any"'],
  [/eight_bit = "(\w+)"/g, 'withoutEightBit: "$1"'],
  [/\bdsn = "require"/g, 'dsn: "require"'],
  [/write token_file, token_command or token_env in place of the password/g, 'give auth.token in place of auth.password'],
  [/write password_file or password_command in place of the token/g, 'give auth.password in place of auth.token'],
  [/with one, write token_file or token_command/g, 'give one as auth.token'],
  [/write user@ in proxy, and proxy_password_file/g, 'write proxy: "socks5://user:password@host:port"'],
  [/\bsource_address = /g, 'localAddress: '],
  [/\bfamily = "(\w+)"/g, 'family: $1'],
  [/\bignore_extensions makes/g, 'ignoreExtensions makes'],
  [/write the address, or mode = "off" in \[tls\]/g, 'write the address, or set tls.mode: "off"'],
  [/set mode = "required" in \[tls\]/g, 'set tls.mode: "required"'],
  [/write \[auth\]/g, 'give auth: { user, password }'],
  [/write mechanisms = \["([\w-]+)"\] in \[auth\]/g, 'set auth.mechanisms: ["$1"]'],
];

export const rephrase = (sentence: string): string => REPHRASED.reduce((text, [key, name]) => text.replace(key, name), sentence);
