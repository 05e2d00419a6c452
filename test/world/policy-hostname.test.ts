/**
 * Hosts whose names are no domains, as containers have them: the built command under a host name of its own, at a server
 * that takes in EHLO what RFC 5321 §4.1.1.1 allows and nothing else.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { suiteWith } from '../interop/support/needs.ts';
import { COMMAND, ENVIRONMENT, RUNTIME, setUp } from '../support/command.ts';
import { startHost, type Talk } from '../support/smarthost.ts';
import { within } from '../support/within.ts';
import { HOST } from './support/addresses.ts';

const test = suiteWith('host names in the world', 'root', 'unshare');

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function runNamed(hostname: string, config: string, args: readonly string[], input: string): Promise<Ended> {
  // hostname(1) refuses such names, and the kernel does not.
  const script = 'printf %s "$0" > /proc/sys/kernel/hostname && exec "$@"';
  const words = [...RUNTIME, COMMAND, '-C', config, ...args];
  const child = spawn('unshare', ['--uts', 'sh', '-c', script, hostname, ...words], { env: ENVIRONMENT });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (part: Buffer) => {
    said.stdout += part.toString('latin1');
  });
  child.stderr.on('data', (part: Buffer) => {
    said.stderr += part.toString('utf8');
  });
  child.stdin.end(input);
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, ...said })));
}

/** Domain or address literal, and nothing else. RFC 5321 §4.1.2, §4.1.3 */
const STRICT = /^EHLO (\[(\d+\.){3}\d+\]|([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)$/;

async function strictHost() {
  const heard: string[] = [];
  const server = await startHost({
    host: HOST,
    script: {
      greeting: async (talk: Talk) => {
        talk.say('220 strict.example ESMTP\n');
        const line = (await talk.line()) ?? '';
        heard.push(line);
        if (!STRICT.test(line)) return '501 5.5.2 invalid argument of EHLO';
        return '250 strict.example';
      },
    },
  });
  return { server, heard };
}

/** [host name, hostname of the configuration, EHLO, right side of Message-ID, why]. */
const ROWS: readonly (readonly [string, string, string, string, string])[] = [
  ['web1.example.org', '', 'web1.example.org', 'web1.example.org', 'a domain'],
  ['my_app.local', '', `[${HOST}]`, 'my_app.local', 'Docker'],
  ['web-.example.org', '', `[${HOST}]`, 'web-.example.org', 'a hyphen at the end of a label'],
  ['a..b', '', `[${HOST}]`, 'sender.example', 'an empty label'],
  ['10.0.0.5', '', `[${HOST}]`, '10.0.0.5', 'an address'],
  ['web1.example.org.', '', 'web1.example.org', 'web1.example.org', 'the dot of the root'],
  ['3f2a1b', '', `[${HOST}]`, 'sender.example', 'one label'],
  ['müller.example', '', 'xn--mller-kva.example', 'xn--mller-kva.example', 'U-labels'],
  ['box', 'müller.example', 'xn--mller-kva.example', 'xn--mller-kva.example', 'U-labels that are configured'],
  ['box', 'my_app.local', `[${HOST}]`, 'my_app.local', 'what is configured and no domain'],
  ['box', 'WEB1.example.org.', 'WEB1.example.org', 'WEB1.example.org', 'the dot of the root, configured'],
];
for (const [hostname, configured, hello, right, why] of ROWS)
  test(`W5: ${configured === 'müller.example' ? 'W5' : 'W4'}: ${hostname} ${configured}: EHLO ${hello}: ${why}`, () =>
    within(30_000, async () => {
      const { server, heard } = await strictHost();
      try {
        const { config, logged } = setUp(
          `smarthosts = ["smtp://${HOST}:${server.port}"]\nhostname = "${configured}"\nreceived = true`,
          '[tls]\nmode = "off"',
        );
        const { status, stderr } = await runNamed(hostname, config, ['-f', 'a@sender.example', 'ops@example.org'], 'Subject: x\n\nhi\n');
        assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
        assert.deepEqual(heard, [`EHLO ${hello}`]);
        assert.match(logged(), new RegExp(` id=\\S+@${right.replaceAll('.', '\\.')}\n`));
        const [message] = server.held;
        // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant.
        assert.match(message?.octets.toString('latin1') ?? '', /^[\u0000-\u007f]*$/);
      } finally {
        await server.stop();
      }
    }));

test('W4: bare addresses have no domain of such a host, and the key is named', () =>
  within(30_000, async () => {
    for (const hostname of ['my_app.local', 'a..b', '10.0.0.5']) {
      const { config } = setUp(`smarthosts = ["smtp://${HOST}:1"]\nhostname = ""`);
      const { status, stderr } = await runNamed(hostname, config, ['ops@example.org'], 'Subject: x\n\nhi\n');
      assert.equal(status, 1);
      assert.match(stderr, /^sendmail: the sender ".*" has no domain, and neither has this host's name: set qualify_domain\n$/);
    }
  }));

test('W4: -bs greets with a name that SMTP allows', () =>
  within(30_000, async () => {
    for (const [hostname, name] of [
      ['my_app.local', 'localhost'],
      ['müller.example', 'xn--mller-kva.example'],
      ['web1', 'web1'],
    ] as const) {
      const { config } = setUp(`smarthosts = ["smtp://${HOST}:1"]\nhostname = ""`);
      const { stdout } = await runNamed(hostname, config, ['-bs'], 'EHLO x\r\nQUIT\r\n');
      assert.match(stdout, new RegExp(`^220 ${name} ESMTP`));
    }
  }));

test.run();
