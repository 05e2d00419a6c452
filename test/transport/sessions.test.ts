/**
 * The transcripts once more, between two sockets: a scripted server over TCP and TLS, our driver, real clocks.
 * Loopback: the driver is handed its plan and knows no policy.
 */
import assert from 'node:assert/strict';
import { createSecureContext } from 'node:tls';
import { suite } from 'uvu';
import type { SessionOutcome } from '../../src/smtp/client/outcome.ts';
import { Connection } from '../../src/transport/driver.ts';
import { unreached } from '../../src/transport/wire.ts';
import { serverCertificate, serveTranscript, steered } from '../support/scripted.ts';
import { wireTo } from '../support/sockets.ts';
import { printOutcome, readTranscripts, type Transcript } from '../support/transcript.ts';
import { within } from '../support/within.ts';

const sessions = suite('sessions over sockets');

/**
 * Clear text within a handshake is a failure of TLS between sockets, not one that the machine sees; and the clock of content
 * runs only while a write waits, which takes a server that stops reading (test/faults).
 */
const isPure = ({ pure, file }: Transcript) => pure || /^handshake-(?!insecure|timeout)|^content-timeout/.test(file);

async function run(transcript: Transcript): Promise<SessionOutcome> {
  const content = steered();
  let connection: Connection | undefined;
  const { port, done, close } = await serveTranscript(transcript, { abort: () => connection?.abort('terminated') }, content);
  const limit = transcript.lines.some((line) => line.startsWith('! timeout')) ? 120 : 20_000;
  const timeouts = { handshake: limit, greeting: limit, command: limit, data: limit, block: limit, final: limit };
  const insecure = transcript.lines.find((line) => line.startsWith('! insecure'));
  connection = new Connection(await wireTo(port), {
    plan: transcript.plan,
    timeouts,
    secure: async (plain) => {
      if (insecure) return unreached('handshake', insecure);
      const options = { ca: serverCertificate().cert, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' } as const;
      const context = createSecureContext(options);
      const secured = await plain.startTls({ context, options, serverName: 'foo.com', explain: ({ message }) => message });
      if (!secured.ok) return secured;
      assert.equal(secured.value.peer.authorized, true);
      return { ok: true, value: secured.value.wire };
    },
  });
  const outcome = await connection.submit(transcript.transaction, { open: () => content.source });
  await done;
  close();
  return outcome;
}

for (const transcript of readTranscripts())
  if (!isPure(transcript))
    sessions(`${transcript.file}: ${transcript.title}`, async () => {
      const outcome = await within(10_000, () => run(transcript));
      assert.equal(
        printOutcome(outcome),
        transcript.lines.find((line) => line.startsWith('=')),
      );
    });

sessions.run();
