/** The least number of round trips of a transaction. Knows no client. */
/** The flights of an all-or-nothing transaction. Without PIPELINING these are MAIL, each RCPT, DATA and the content. */
export function flights(
  { pipelining = false, chunking = false }: { readonly pipelining?: boolean; readonly chunking?: boolean },
  recipients: number,
): number {
  if (!pipelining) return recipients + 3;
  return chunking || recipients === 1 ? 2 : 3;
}
