/** Puts other functions in the place of calls of the system, for a time. Node alone lets modules see them. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

type Calls = Readonly<Record<string, unknown>>;

/** Runs `work` while these functions of node:fs are others. */
export async function withCalls(calls: Calls, work: () => void | Promise<void>): Promise<void> {
  const before = Object.fromEntries(Object.keys(calls).map((name) => [name, fs[name as keyof typeof fs]]));
  const put = (functions: Calls): void => {
    Object.assign(fs, functions);
    syncBuiltinESMExports();
  };
  try {
    put(calls);
    await work();
  } finally {
    put(before);
  }
}

/** A call that fails with this code of the system. */
export const failing = (code: string) => (): never => {
  throw Object.assign(new Error(code), { code });
};
