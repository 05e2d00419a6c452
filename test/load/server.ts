/**
 * The server of the load tests: a process of its own that dies as it is told. It writes what it holds to a ledger before it answers, as a
 * server with a spool does, so that what a killed one had taken is known. Knows no client.
 */
import { once } from 'node:events';
import { openSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Deed, startHost, type TestHost } from '../support/smarthost.ts';

/** How it dies: SIGKILL at this point of a message, or 421 to everybody and then its end. */
export const DEATHS = ['MAIL', 'RCPT', 'content', 'before the ledger', 'before the reply', 'after the reply', '421'] as const;
export type Death = (typeof DEATHS)[number];

/** What its parent tells it first. */
export interface Life {
  /** The file with a line for each message that it holds. */
  readonly ledger: string;
  /** 0: any. */
  readonly port: number;
  readonly key: string;
  readonly cert: string;
  readonly death: Death;
  /** Messages after which it dies; Infinity is null on the channel: when the parent says so. */
  readonly after: number | null;
}

/** A message whose subject tells what it is: its id, recipients and octets. The line of the ledger is the id where all of it is here. */
export const messageOf = (id: number, recipients: number, filler: string): string => {
  const rest = `\r\n\r\n${filler}end ${id}\r\n`;
  const start = `Subject: ${id} ${recipients} `;
  // The length stands in what it counts.
  let octets = start.length + rest.length;
  while (start.length + rest.length + String(octets).length !== octets) octets += 1;
  return `${start}${octets}${rest}`;
};

function lineOf(octets: Buffer, recipients: number): string {
  const [, id = '?', wanted, length] = /^Subject: (\d+) (\d+) (\d+)\r\n/.exec(octets.toString('latin1', 0, 80)) ?? [];
  const isWhole = octets.length === Number(length) && octets.toString('latin1', octets.length - 40).endsWith(`\r\nend ${id}\r\n`);
  return `${id}${isWhole && recipients === Number(wanted) ? '' : ' broken'}\n`;
}

/** How long those who hear 421 may take to leave. */
const FAREWELL = 200;

async function live(life: Life): Promise<void> {
  const ledger = openSync(life.ledger, 'a');
  let count = 0;
  let isTold = false;
  process.on('message', () => {
    isTold = true;
  });
  const isDue = (death: Death): boolean => life.death === death && (isTold || (life.after !== null && count >= life.after));
  const die = (): Promise<never> => {
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => {});
  };
  let isLeaving = false;
  const leave = (): string => {
    if (!isLeaving) setTimeout(() => process.exit(0), FAREWELL);
    isLeaving = true;
    return '421 4.3.2 closing down';
  };
  const at =
    (death: Death, usual: string): Deed =>
    () => {
      if (isDue('421')) return leave();
      return isDue(death) ? die() : usual;
    };
  let host: TestHost;
  const end: Deed = (talk) => {
    if (isDue('421')) return leave();
    if (isDue('before the ledger')) return die();
    const message = host.held.at(-1);
    if (message !== undefined) writeSync(ledger, lineOf(message.octets, message.recipients.length));
    count += 1;
    if (isDue('before the reply')) return die();
    if (!isDue('after the reply')) return '250 2.0.0 taken';
    talk.say('250 2.0.0 taken\n');
    return die();
  };
  host = await startHost({
    port: life.port,
    offers: ['PIPELINING', '8BITMIME', 'CHUNKING', 'STARTTLS', 'AUTH PLAIN'],
    tls: { key: life.key, cert: life.cert },
    contentOctets: 1000,
    script: {
      MAIL: at('MAIL', '250 2.1.0 sender ok'),
      RCPT: at('RCPT', '250 2.1.5 recipient ok'),
      content: at('content', ''),
      end,
    },
  });
  // The messages that a test server keeps would fill its memory. The last may still be looked at.
  setInterval(() => {
    (host.held as unknown[]).splice(0, host.held.length - 100);
    (host.sessions as unknown[]).length = 0;
  }, 1000);
  process.send?.({ port: host.port });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // It ends with the program, however that ends.
  process.once('disconnect', () => process.exit());
  const [life] = (await once(process, 'message')) as [Life];
  await live(life);
}
