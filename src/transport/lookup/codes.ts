/** The words for what a resolver says. */

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
