/**
 * Asks the caller's function for a SASL mechanism, and keeps that one from doing harm: what it throws, and what is no step of an exchange, ends
 * the authentication and nothing else. Knows no session.
 */
import { type Parsed, parsed, unparsed } from '../smtp/parsed.ts';
import type { AuthChannel } from '../smtp/sasl/choose.ts';
import type { Cancelled, Exchange, Mechanism } from '../smtp/sasl/sasl.ts';
import { reasonOf } from '../transport/abort.ts';
import type { Tell } from './causes.ts';
import type { Auth } from './server.ts';

/** `tell` gets what the caller's code has thrown. */
export function askMechanism(
  { mechanism }: Extract<Auth, { mechanism: unknown }>,
  offered: ReadonlySet<string>,
  channel: AuthChannel,
  tell: Tell,
): Parsed<Mechanism> {
  try {
    const chosen = mechanism(offered, channel);
    if (typeof chosen === 'string') return unparsed(chosen);
    if (typeof chosen?.begin !== 'function') {
      hush(chosen);
      return unparsed('auth.mechanism gave no mechanism');
    }
    // It becomes a part of the AUTH command. RFC 4422 §3.1
    const name: unknown = chosen.name;
    if (typeof name !== 'string' || !/^[A-Z0-9_-]{1,20}$/.test(name)) return unparsed('auth.mechanism: name is a SASL name');
    // Before AUTH is said, because there is nothing to cancel then.
    const first = readStep(chosen.begin(), 'begin', tell);
    return 'cancel' in first ? unparsed(first.cancel) : parsed({ name, begin: () => first });
  } catch (error) {
    tell(error);
    return unparsed(`auth.mechanism failed: ${reasonOf(error)}`);
  }
}

const OCTETS = /^[\0-\xff]*$/;

/** A step as it was when it was given; the ones behind it are read in the same way. */
function readStep(given: unknown, from: 'begin' | 'hear', tell: Tell): Exchange | Cancelled {
  const step = (typeof given === 'object' ? given : null) as Partial<Exchange & Cancelled> | null;
  if (from === 'hear' && typeof step?.cancel === 'string') return { cancel: step.cancel };
  const { say, mayEnd, hear, refusal, ignoresChallenge = false } = step ?? {};
  const isStep =
    (say === null || (typeof say === 'string' && OCTETS.test(say))) &&
    typeof mayEnd === 'boolean' &&
    typeof hear === 'function' &&
    (refusal === undefined || typeof refusal === 'string');
  if (!isStep) {
    hush(given);
    return { cancel: `auth.mechanism: ${from} gave no step: { say, mayEnd, hear }` };
  }
  return {
    say,
    mayEnd,
    ignoresChallenge,
    ...(refusal === undefined ? {} : { refusal }),
    hear(challenge) {
      try {
        return readStep(hear.call(given, challenge), 'hear', tell);
      } catch (error) {
        tell(error);
        return { cancel: `auth.mechanism failed: ${reasonOf(error)}` };
      }
    },
  };
}

/** It may be a promise, and one that fails unheard would end the process. */
function hush(given: unknown): void {
  new Promise((settle) => settle(given)).catch(() => {});
}
