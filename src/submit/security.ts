/**
 * TLS and credentials for the attempts, from the policies of a smart host: each module is loaded when the first
 * connection needs it, a secret is read once, and whatever is shown is scrubbed of it.
 */
import type { Smarthost } from '../router/route.ts';
import { type Parsed, parsed } from '../smtp/parsed.ts';
import type { TlsFacts } from '../transport/tls.ts';
import type { Authenticator, Handshake, Security } from './opening.ts';

/** A handshake whose facts are those of TLS; SCRAM binds to them. */
interface TlsHandshake extends Handshake {
  readonly facts: () => TlsFacts | null;
}

export function systemSecurity(environment: NodeJS.ProcessEnv): Security {
  const secrets: string[] = [];
  const authenticators = new Map<Smarthost, Promise<Parsed<Authenticator>>>();
  let scrub = (text: string): string => text;

  async function readAuthenticator(host: Smarthost): Promise<Parsed<Authenticator>> {
    const { auth } = host;
    if (auth === null) return parsed(() => null);
    const [{ readSecret, scrub: scrubSecrets }, { chooseMechanism }, { hashes }] = await Promise.all([
      import('./secret.ts'),
      import('../smtp/choose.ts'),
      import('../transport/hashes.ts'),
    ]);
    const secret = await readSecret(auth.secret, environment);
    if (!secret.ok) return secret;
    if (secret.value !== '') secrets.push(secret.value);
    scrub = (text) => scrubSecrets(text, secrets);
    const credentials = {
      user: auth.user,
      secret: secret.value,
      kind: auth.secret.from === 'none' ? ('none' as const) : ('password' as const),
      clientCertificate: host.tls.certificate !== '',
    };
    return parsed((endpoint, loopback, handshake) => (offered, secured) => {
      const facts = (handshake as TlsHandshake | null)?.facts() ?? null;
      const channel = { secured, loopback, host: host.host, port: endpoint.port, bindings: facts?.bindings() ?? [] };
      return chooseMechanism(offered, credentials, auth, channel, hashes);
    });
  }

  return {
    async handshake(host, target) {
      const [{ tlsPreparation }, { wantedNames }] = await Promise.all([import('../transport/tls.ts'), import('../transport/peername.ts')]);
      const wanted = wantedNames(host.tls, target.name, target.fromDns ? host.host : '');
      return tlsPreparation(host.tls, wanted, { implicit: host.scheme === 'submissions', environment });
    },
    authenticator(host) {
      const known = authenticators.get(host) ?? readAuthenticator(host);
      authenticators.set(host, known);
      return known;
    },
    scrub: (text) => scrub(text),
  };
}
