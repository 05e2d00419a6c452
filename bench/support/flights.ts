/** How many round trips a transaction needs at least. Knows no client. */
/** The flights of an all-or-nothing transaction: with one command a flight, MAIL, each RCPT, DATA, the content. */
export function flights(
  { pipelining = false, chunking = false }: { readonly pipelining?: boolean; readonly chunking?: boolean },
  recipients: number,
): number {
  if (!pipelining) return recipients + 3;
  return chunking || recipients === 1 ? 2 : 3;
}
