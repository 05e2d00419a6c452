/**
 * Gives one message with many recipients to `sendmail -bs`, which answers each before it knows the next, and has alias files to ask about
 * each. What the process has read in all says how often it read them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setUp, start } from '../support/command.ts';
import { startHost } from '../support/smarthost.ts';

export interface RecipientsRun {
  /** Replies to RCPT that were positive. */
  readonly accepted: number;
  /** The reply to the content. */
  readonly verdict: string;
  /** Recipients of what the server has. */
  readonly held: readonly number[];
  readonly status: number | null;
  /** Octets that the process has read, of whatever. */
  readonly read: number;
  /** Octets of the alias file. */
  readonly aliases: number;
  /** Octets of memory at most. */
  readonly peak: number;
  /** Seconds of a processor. */
  readonly busy: number;
}

/** Each tenth recipient is an alias for two more. */
export async function runRecipients(recipients: number, entries: number): Promise<RecipientsRun> {
  const host = await startHost({ offers: ['PIPELINING', '8BITMIME'] });
  const folder = setUp('').folder;
  const file = path.join(folder, 'aliases');
  const aliases = Array.from({ length: entries }, (_, i) => `a${i}: first${i}@example.net, second${i}@example.net\n`).join('');
  writeFileSync(file, aliases, { mode: 0o644 });
  const { config } = setUp(
    `smarthosts = ["smtp://127.0.0.1:${host.port}"]\nqualify_domain = "example.org"\naliases = [${JSON.stringify(file)}]`,
  );
  const { child, done, said } = start(config, ['-bs']);
  let count = 0;
  child.stdout?.on('data', (part: Buffer) => {
    for (const octet of part) if (octet === 0x0a) count += 1;
  });
  /** Resolves when so many lines were said. */
  const until = (wanted: number) =>
    new Promise<void>((resolve) => {
      const look = (): void => {
        if (count < wanted && child.exitCode === null) return;
        child.stdout?.off('data', look);
        resolve();
      };
      child.stdout?.on('data', look);
      child.once('close', look);
      look();
    });
  const name = (i: number): string => (i % 10 === 0 && i / 10 < entries ? `a${i / 10}@example.org` : `r${i}@example.net`);
  child.stdin?.write('HELO here.example\r\nMAIL FROM:<me@example.org>\r\n');
  child.stdin?.write(Array.from({ length: recipients }, (_, i) => `RCPT TO:<${name(i)}>\r\n`).join(''));
  child.stdin?.write('DATA\r\n');
  await until(recipients + 4);
  child.stdin?.write('Subject: many\r\n\r\nhello\r\n.\r\n');
  await until(recipients + 5);
  const read = Number(/rchar: (\d+)/.exec(readFileSync(`/proc/${child.pid}/io`, 'utf8'))?.[1]);
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024;
  // The 14th and 15th field, in hundredths; the second may hold blanks.
  const ticks = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
    .slice(11, 13);
  const heard = said.stdout.split('\r\n');
  child.stdin?.end('QUIT\r\n');
  const { status } = await done;
  await host.stop();
  return {
    accepted: heard.slice(3, 3 + recipients).filter((line) => line.startsWith('250')).length,
    verdict: heard[recipients + 4] ?? '',
    held: host.held.map((each) => each.recipients.length),
    status,
    read,
    aliases: aliases.length,
    peak,
    busy: ticks.reduce((sum, each) => sum + Number(each) / 100, 0),
  };
}
