/** Says in the words of a program what the engine says in those of a configuration. Knows no failure. */

/** Sentences of the engine name keys of nospool.toml(5), which an author of a program has never seen. */
const REPHRASED: readonly (readonly [RegExp, string])[] = [
  [/set allow_plaintext = true in \[auth\]/g, 'set allowPlaintext: true in auth'],
  [/write mechanisms = \[("[^"]*")\] in \[auth\]/g, 'give mechanisms: [$1] in auth'],
  [/write token_file, token_command or token_env in place of the password/g, 'give auth.token in place of auth.password'],
  [/write password_file or password_command in place of the token/g, 'give auth.password in place of auth.token'],
  [/with one, write token_file or token_command/g, 'with one, give auth.token'],
  [/mode = "off" in \[tls\]/g, 'set tls.mode to "off"'],
  [/set lmtp_partial = true, which gives up all or none/g, 'set recipients to "any"'],
  [/lmtp_partial is not set/g, 'recipients is not "any"'],
  [/write user@ in proxy, and proxy_password_file/g, 'write user:password@ in proxy'],
  [/\bignore_extensions\b/g, 'ignoreExtensions'],
  [/source_address = /g, 'localAddress '],
  [/family = "(\d)"/g, 'family $1'],
  [/\beight_bit = /g, 'withoutEightBit: '],
  [/\b(credentials are|a user name is) configured/g, '$1 given'],
];

export const rephrase = (sentence: string): string => REPHRASED.reduce((text, [key, name]) => text.replace(key, name), sentence);
