/** The names of the SASL mechanisms that a session can speak, without their code. Knows no server. */

/**
 * Mechanisms by strength. CRAM-MD5 stands above PLAIN because the server does not learn the password, and below every SCRAM
 * because it proves nothing of the server and a listener can quickly guess from it.
 */
export const FOR_PASSWORDS = [
  'SCRAM-SHA-256-PLUS',
  'SCRAM-SHA-1-PLUS',
  'SCRAM-SHA-256',
  'SCRAM-SHA-1',
  'CRAM-MD5',
  'PLAIN',
  'LOGIN',
] as const;
export const FOR_TOKENS = ['OAUTHBEARER', 'XOAUTH2'] as const;
export type MechanismName = (typeof FOR_PASSWORDS)[number] | (typeof FOR_TOKENS)[number] | 'EXTERNAL';

/** Every mechanism there is, upper case: for the check of `mechanisms` in a configuration. */
export const MECHANISMS: readonly MechanismName[] = [...FOR_PASSWORDS, ...FOR_TOKENS, 'EXTERNAL'];
