/**
 * Probes one address of a smart host: opens a session as for a message, with TLS and authentication, and ends it before
 * any transaction. Knows no configuration file and prints nothing.
 */
import { commandNames } from '../../process/names.ts';
import type { Smarthost } from '../../router/smarthost.ts';
import type { SessionFailure } from '../../smtp/client/outcome.ts';
import { printFailure } from '../../submit/outcome.ts';
import { openSession, type Security, type SessionOptions } from '../../submit/session.ts';
import type { Endpoint, Target } from '../../transport/lookup/target.ts';
import type { Trace } from '../../transport/observer.ts';
import type { CertificateFacts } from '../../transport/tls/chain.ts';
import { wantedNames } from '../../transport/tls/peername.ts';
import { prepareTls, type TlsFacts } from '../../transport/tls/tls.ts';

/** The facts of a TLS handshake. */
export interface TlsSeen {
  /** As in Exim's log. */
  readonly cipher: string;
  /** How the certificate was verified; 'nothing' when it was not. */
  readonly by: TlsFacts['by'];
  /** The name that was verified; '' = none. */
  readonly peerName: string;
  /** The server's own certificate first. */
  readonly chain: readonly CertificateFacts[];
}

export interface Probe {
  readonly endpoint: Endpoint;
  /** This address would take a message. */
  readonly usable: boolean;
  /** Why it would not; [] when usable. */
  readonly problems: readonly string[];
  /** Milliseconds until TCP was connected and until the session was open; null when that was not reached. */
  readonly connected: number | null;
  readonly opened: number | null;
  /** The server's first line; '' = none came. */
  readonly greeting: string;
  /** null without TLS. After a failed verification: the facts of a second connection that verifies nothing and says no secret. */
  readonly tls: TlsSeen | null;
  /** Keywords with their parameters, as announced last. */
  readonly extensions: readonly string[];
  readonly auth: { readonly mechanism: string; readonly user: string } | null;
  /** The state in which the session failed; null when it did not fail. */
  readonly failedAt: SessionFailure['at'] | null;
}

export interface ProbeOptions {
  readonly hello: string;
  readonly timeouts: SessionOptions['timeouts'];
  readonly security: Security;
  readonly environment: NodeJS.ProcessEnv;
  readonly trace?: Trace;
}

/** Opens a session to one address and ends it. Never rejects, sends neither MAIL nor a message. */
export async function probe(host: Smarthost, target: Target, endpoint: Endpoint, options: ProbeOptions): Promise<Probe> {
  const seen = await openAndLook(host, target, endpoint, options);
  if (seen.usable || seen.tls !== null || seen.failure?.kind !== 'connect' || seen.failure.during !== 'tls') return probeOf(endpoint, seen);
  // People want to see the certificate all the same, so a second connection fetches it. That one sends no secret.
  const bare: Smarthost = { ...host, auth: null, tls: { ...host.tls, verify: false, fingerprint: [], certificate: '' } };
  return probeOf(endpoint, { ...seen, tls: (await openAndLook(bare, target, endpoint, options)).tls });
}

interface Look {
  readonly usable: boolean;
  readonly failure: SessionFailure | null;
  readonly connected: number | null;
  readonly opened: number | null;
  readonly greeting: string;
  readonly tls: TlsSeen | null;
  readonly extensions: readonly string[];
  readonly auth: Probe['auth'];
}

function probeOf(endpoint: Endpoint, { failure, ...seen }: Look): Probe {
  return { endpoint, ...seen, problems: failure === null ? [] : printFailure(failure), failedAt: failure?.at ?? null };
}

async function openAndLook(host: Smarthost, target: Target, endpoint: Endpoint, options: ProbeOptions): Promise<Look> {
  const { security, environment } = options;
  const start = performance.now();
  const since = () => Math.round(performance.now() - start);
  let connected: number | null = null;
  let greeting = '';
  let tls: TlsSeen | null = null;
  const watching: Security = {
    ...security,
    async handshake() {
      const wanted = wantedNames(host.tls, target.name, target.fromDns ? host.host : '');
      const prepared = await prepareTls(host.tls, wanted, { implicit: host.scheme === 'submissions', environment });
      if (!prepared.ok) return prepared;
      const { facts, secure } = prepared.value;
      return {
        ok: true,
        value: {
          facts,
          async secure(socket) {
            const secured = await secure(socket);
            const known = facts();
            // The runtime knows the chain only as long as the connection lives.
            if (known) tls = { cipher: known.cipher, by: known.by, peerName: known.peerName, chain: known.chain() };
            return secured;
          },
        },
      };
    },
  };
  const { failed, session } = await openSession(host, target, [endpoint], {
    hello: options.hello,
    timeouts: options.timeouts,
    names: commandNames,
    partial: 'verdicts',
    framing: 'auto',
    transactions: 'one',
    security: watching,
    observer: {
      connected() {
        connected = since();
      },
      trace(side, line) {
        if (side === 'S' && greeting === '') greeting = line;
        options.trace?.(side, line);
      },
    },
  });
  if (session === null)
    return { usable: false, failure: failed[0]?.failure ?? null, connected, opened: null, greeting, tls, extensions: [], auth: null };
  const { connection } = session;
  const failure = await session.opened();
  const { channel } = connection;
  const usable = failure === null;
  if (usable) void connection.quit();
  return {
    usable,
    failure,
    connected,
    opened: usable ? since() : null,
    greeting,
    tls,
    extensions: [...(channel?.extensions.keywords ?? [])].map(([keyword, parameters]) => [keyword, ...parameters].join(' ')),
    auth: channel?.authenticated ? session.facts().auth : null,
  };
}
