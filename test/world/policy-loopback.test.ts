/**
 * A name that leads to loopback is not loopback: the built command, with names in a hosts file of its own, at a server that
 * takes every password in clear. Beside it hosts that are written as loopback, and one that is neither.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suiteWith } from '../interop/support/needs.ts';
import { COMMAND, ENVIRONMENT, RUNTIME, setUp } from '../support/command.ts';
import { startHost } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { HOST } from './support/addresses.ts';

const test = suiteWith('loopback in the world', 'root', 'unshare');

const ROOT = 0;
const NOBODY = 65_534;

interface Ended {
  readonly status: number | null;
  readonly stderr: string;
}

/** Runs the command where /etc/hosts has other names, too. */
function runAmong(names: string, config: string, uid: number): Promise<Ended> {
  const hosts = path.join(path.dirname(config), 'hosts');
  writeFileSync(hosts, `${readFileSync('/etc/hosts', 'utf8')}\n${names}\n`);
  const script = `mount --bind "$0" /etc/hosts && exec setpriv --reuid=${uid} --regid=${uid} --clear-groups "$@"`;
  const words = [...RUNTIME, COMMAND, '-C', config, '-f', 'web1@example.org', 'ops@example.org'];
  const child = spawn('unshare', ['--mount', 'sh', '-c', script, hosts, ...words], { env: { ...ENVIRONMENT, MAIL_PASSWORD: 'tanstaaf' } });
  let stderr = '';
  child.stderr.on('data', (part: Buffer) => {
    stderr += part.toString('utf8');
  });
  child.stdin.end('Subject: x\n\nhello\n');
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, stderr })));
}

const NAMES = '127.0.0.1 relay.example.org\n192.0.2.10 far.example.org\n127.0.0.1 mail.localhost';
const NO_STARTTLS = /the server does not offer STARTTLS/;
const IN_CLEAR = /no credentials are sent/;
const REFUSED = /would get the password in the clear/;

/** [host, its tls.mode, what is said; null = it is sent, with the password in clear]. */
const ROWS: readonly (readonly [string, '' | 'opportunistic' | 'off', RegExp | null])[] = [
  ['relay.example.org', '', NO_STARTTLS],
  ['relay.example.org', 'opportunistic', IN_CLEAR],
  ['relay.example.org', 'off', REFUSED],
  ['far.example.org', '', NO_STARTTLS],
  ['far.example.org', 'opportunistic', IN_CLEAR],
  ['far.example.org', 'off', REFUSED],
  [HOST, '', NO_STARTTLS],
  [HOST, 'opportunistic', IN_CLEAR],
  [HOST, 'off', REFUSED],
  ['127.0.0.1', '', null],
  ['127.0.0.1', 'opportunistic', null],
  ['127.0.0.1', 'off', null],
  ['localhost', '', null],
  ['mail.localhost', '', null],
  ['localhost', 'off', null],
];
for (const [host, mode, failure] of ROWS)
  for (const uid of [ROOT, NOBODY])
    test(`W3: ${host} with tls.mode = "${mode}", uid ${uid}`, () =>
      within(30_000, async () => {
        const server = await startHost({ offers: ['AUTH PLAIN'], host: '0.0.0.0' });
        try {
          const { config, folder } = setUp(
            `smarthosts = ["submission://${host}:${server.port}"]\nlog = "none"`,
            `[auth]\nuser = "web1"\npassword_env = "MAIL_PASSWORD"\n[tls]\nmode = "${mode}"`,
          );
          chmodSync(folder, 0o755);
          chmodSync(config, 0o644);
          const { status, stderr } = await runAmong(NAMES, config, uid);
          assert.equal(status, failure === null ? 0 : 1, stderr);
          assert.match(stderr, failure ?? /^$/);
          const said = server.sessions.flat().filter((line) => line.startsWith('AUTH'));
          assert.equal(said.length, failure === null ? 1 : 0, said.join('\n'));
        } finally {
          await server.stop();
        }
      }));

test.run();
