/** Counts messages that are not shown, and reports them once a second. Knows neither messages nor output. */

interface Discarded {
  readonly messages: number;
  readonly octets: number;
  /** The time from the first MAIL, or from the report before, to the last message. */
  readonly seconds: number;
}

/** Milliseconds between two reports. */
const PACE = 1000;

/** A report for each message would take more time than the message. */
export function countDiscarded(report: (facts: Discarded) => void): { add(octets: number, begun: number): void; end(): void } {
  let messages = 0;
  let octets = 0;
  let since = 0;
  let last = 0;
  let clock: NodeJS.Timeout | undefined;
  function tick(): void {
    clock = undefined;
    if (messages === 0) return;
    report({ messages, octets, seconds: Number(((last - since) / 1000).toFixed(6)) });
    messages = 0;
    octets = 0;
    since = last;
    clock = setTimeout(tick, PACE).unref();
  }
  return {
    add(more, begun) {
      if (clock === undefined) {
        since = begun;
        clock = setTimeout(tick, PACE).unref();
      }
      messages++;
      octets += more;
      last = performance.now();
    },
    end() {
      clearTimeout(clock);
      tick();
      clearTimeout(clock);
    },
  };
}

export function printDiscarded({ messages, octets, seconds }: Discarded, total: number): string {
  const rates = seconds > 0 ? `: ${(messages / seconds).toFixed(0)} messages/s, ${(octets / seconds / 1e6).toFixed(1)} MB/s` : '';
  return `! ${messages} ${messages === 1 ? 'message' : 'messages'} in ${seconds.toFixed(3)} s${rates}; ${total} in all`;
}
