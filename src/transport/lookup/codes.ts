/** The words for what a resolver says, and the failure that it makes. */
import type { Unfound } from './target.ts';

/** Puts a resolver's code into words. */
export function explainCode(code: string | undefined): string {
  const words: Readonly<Record<string, string>> = {
    ENOTFOUND: 'the name is unknown',
    ENODATA: 'there is no such record',
    ENOIPV4: 'it has no IPv4 address, and this host has no address from which another could be reached',
    ENOIPV6: 'it has no IPv6 address, and this host has no address from which another could be reached',
    EAI_AGAIN: 'the name servers do not answer',
    ETIMEOUT: 'the name servers do not answer',
    ESERVFAIL: 'the name servers failed',
    EREFUSED: 'the name servers refuse to answer',
    ECONNREFUSED: 'no name server answers',
    EFORMERR: 'the name servers do not understand the question',
    ENOTIMP: 'the name servers do not understand the question',
    EBADRESP: 'the name servers answer with nonsense',
  };
  return words[code ?? ''] ?? code ?? 'unknown error';
}

/** A look-up has failed, because a resolver says so: perhaps a program's own, with any code. The codes of a half answer are ours. */
export const unfound = (detail: string, code: string | undefined): Unfound => ({
  ok: false,
  detail,
  systemCode: typeof code === 'string' ? code.replace(/^ENOIPV.$/, 'ENODATA') : undefined,
});
