/** Milliseconds are those of an idle machine: so much longer may it take on a busy one. */
const PATIENCE = 3;

/** uvu has no per-test time-out: every test that waits for anything outside the process is wrapped in this. */
export async function within<T>(milliseconds: number, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not finished within ${PATIENCE * milliseconds} ms`)), PATIENCE * milliseconds);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
