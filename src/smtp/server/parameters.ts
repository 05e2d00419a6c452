/**
 * The parameters of MAIL and RCPT that this server takes: where each may stand, the extension it comes with, and the form of
 * its value. Knows nothing of their meaning.
 */
import type { Reply } from '../reply.ts';
import { makeReply } from './answers.ts';
import type { Parameter } from './parse.ts';

interface ParameterRule {
  readonly on: 'MAIL' | 'RCPT';
  /** The extension it comes with. */
  readonly of: string;
  /** The form of its value; null when it has none. */
  readonly value: RegExp | null;
}

/** RFC 3461 §4 */
const XTEXT = '(?:[!-*,-<>-~]|\\+[0-9A-F]{2})';
// biome-ignore format: a table is read as a table
const PARAMETERS: ReadonlyMap<string, ParameterRule> = new Map<string, ParameterRule>([
  ['SIZE',        { on: 'MAIL', of: 'SIZE',          value: /^\d{1,20}$/ }],                              // RFC 1870 §3
  ['BODY',        { on: 'MAIL', of: '8BITMIME',      value: /^(7BIT|8BITMIME|BINARYMIME)$/i }],           // RFC 6152 §3
  ['SMTPUTF8',    { on: 'MAIL', of: 'SMTPUTF8',      value: null }],                                      // RFC 6531 §3.4
  ['RET',         { on: 'MAIL', of: 'DSN',           value: /^(FULL|HDRS)$/i }],                           // RFC 3461 §4.3
  ['ENVID',       { on: 'MAIL', of: 'DSN',           value: new RegExp(`^${XTEXT}{1,100}$`) }],           // RFC 3461 §4.4
  ['AUTH',        { on: 'MAIL', of: 'AUTH',          value: new RegExp(`^(<>|${XTEXT}+)$`, 'i') }],       // RFC 4954 §5 and §8
  ['REQUIRETLS',  { on: 'MAIL', of: 'REQUIRETLS',    value: null }],                                      // RFC 8689 §4.1
  ['MT-PRIORITY', { on: 'MAIL', of: 'MT-PRIORITY',   value: /^-?\d$/ }],                                  // RFC 6710 §4
  ['BY',          { on: 'MAIL', of: 'DELIVERBY',     value: /^([-+]?\d{1,9};N|\+?(?!0+;)\d{1,9};R)T?$/i }], // RFC 2852 §4
  ['HOLDFOR',     { on: 'MAIL', of: 'FUTURERELEASE', value: /^[1-9]\d{0,8}$/ }],                          // RFC 4865 §3
  ['HOLDUNTIL',   { on: 'MAIL', of: 'FUTURERELEASE', value: /^[0-9T:.+Z-]+$/i }],                         // RFC 4865 §3
  ['SOLICIT',     { on: 'MAIL', of: 'NO-SOLICITING', value: /^[A-Za-z0-9.:,_-]+$/ }],                     // RFC 3865 §4
  ['NOTIFY',      { on: 'RCPT', of: 'DSN',           value: /^(NEVER|(SUCCESS|FAILURE|DELAY)(,(SUCCESS|FAILURE|DELAY)){0,2})$/i }], // RFC 3461 §4.1
  ['ORCPT',       { on: 'RCPT', of: 'DSN',           value: /^[A-Za-z0-9-]+;[^=\s]+$/ }],                 // RFC 3461 §4.2
]);

/** The refusal of the first parameter that may not stand here; null when all are in order. RFC 5321 §4.1.1.11 */
export function parameterRefusal(
  on: 'MAIL' | 'RCPT',
  parameters: readonly Parameter[],
  isOffered: (extension: string) => boolean,
): Reply | null {
  for (const { keyword, value } of parameters) {
    const rule = PARAMETERS.get(keyword);
    if (rule?.on !== on || !isOffered(rule.of)) return makeReply(555, '5.5.4', `the parameter ${keyword} is not offered`);
    const isRight = rule.value === null ? value === null : value !== null && rule.value.test(value);
    if (!isRight) return makeReply(501, '5.5.4', `the value of ${keyword} is wrong`);
  }
  return null;
}
