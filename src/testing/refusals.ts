/** What a test wants refused, and how often. Knows no connection. */
import type { Reply } from '../smtp/reply.ts';
import { makeReply } from '../smtp/server/answers.ts';

/** GREETING is what stands in place of 220; END answers the whole content. */
export type RefusalPoint = 'GREETING' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA' | 'END';

/** Which commands a refusal is for. */
export interface RefusalScope {
  /** How many; default: all. */
  readonly times?: number | undefined;
  /** Only those with this address: the sender at MAIL, the recipient at RCPT and, in LMTP, at END. Default: any. */
  readonly address?: (string | ((address: string) => boolean)) | undefined;
}

interface PlannedRefusal {
  readonly at: RefusalPoint;
  readonly reply: Reply;
  readonly isFor: (address: string) => boolean;
  left: number;
}

/** Reads a reply as a test writes it, e.g. `550 5.1.1 No such user`; each line break begins another line. Throws where a server could not refuse with it. */
export function parseRefusal(text: string): Reply {
  const [, code, enhanced = '', rest = ''] = /^([45]\d\d)(?:[ -]([45]\.\d{1,3}\.\d{1,3}))?(?:[ -](.*))?$/s.exec(text) ?? [];
  if (code === undefined)
    throw new TypeError(`a refusal is 4yz or 5yz with text behind it, such as "550 5.1.1 No such user", not "${text}"`);
  return makeReply(Number(code), enhanced, ...rest.split(/\r?\n/));
}

/** What a client hears in place of an answer where a function of the test throws. */
export const replyToThrown = (code: number, enhanced: string, error: unknown): Reply =>
  makeReply(code, enhanced, `the test's own function failed: ${error instanceof Error ? error.message : String(error)}`);

/** Keeps refusals; the newest that fits is the one that counts. */
export function makeRefusals(): {
  add(at: RefusalPoint, reply: string, scope: number | RefusalScope): void;
  /** The refusal of a command, which uses it up; null if it is welcome. */
  find(at: RefusalPoint, address: string): Reply | null;
  clear(): void;
} {
  let refusals: PlannedRefusal[] = [];
  return {
    add(at, reply, scope) {
      const { times = Number.POSITIVE_INFINITY, address } = typeof scope === 'number' ? { times: scope } : scope;
      const isFor = typeof address === 'function' ? address : (given: string) => address === undefined || address === given;
      refusals.unshift({ at, reply: parseRefusal(reply), isFor, left: times });
    },
    find(at, address) {
      try {
        const found = refusals.find((each) => each.at === at && each.left > 0 && each.isFor(address));
        if (found === undefined) return null;
        found.left -= 1;
        return found.reply;
      } catch (error) {
        return replyToThrown(451, '4.3.0', error);
      }
    },
    clear() {
      refusals = [];
    },
  };
}
