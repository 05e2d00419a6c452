/**
 * TLS and credentials for the attempts, from the policies of a smart host: each module is loaded when the first
 * connection needs it, a secret is read once, and whatever is shown is scrubbed of it.
 */
import type { Secret, Smarthost } from '../router/smarthost.ts';
import { type Parsed, parsed } from '../smtp/parsed.ts';
import type { TlsFacts } from '../transport/tls/tls.ts';
import type { Credential } from './scrub.ts';
import type { SecretOptions } from './secret.ts';
import type { Authenticator, Handshake, Security } from './session.ts';

/** A handshake whose facts are those of TLS; SCRAM binds to them. */
interface TlsHandshake extends Handshake {
  readonly facts: () => TlsFacts | null;
}

export function systemSecurity(environment: NodeJS.ProcessEnv): Security {
  const credentials: Credential[] = [];
  const authenticators = new Map<Smarthost, Promise<Parsed<Authenticator>>>();
  let scrub: Security['scrub'] = (text) => text;

  async function readKept(secret: Secret, user: string, called: NonNullable<SecretOptions['called']>): Promise<Parsed<string>> {
    const [{ readSecret }, { scrub: scrubSecrets, scrubRuns }] = await Promise.all([import('./secret.ts'), import('./scrub.ts')]);
    const read = await readSecret(secret, environment, { called });
    if (!read.ok || read.value === '') return read;
    if (!credentials.some((known) => known.user === user && known.secret === read.value)) credentials.push({ user, secret: read.value });
    const secrets = [...new Set(credentials.map((known) => known.secret))];
    scrub = (text, isToAuth) => (isToAuth ? scrubRuns(text, credentials) : scrubSecrets(text, secrets));
    return read;
  }

  async function readAuthenticator(host: Smarthost): Promise<Parsed<Authenticator>> {
    const { auth } = host;
    if (auth === null) return parsed(() => null);
    const [secret, { chooseMechanism }, { hashes }] = await Promise.all([
      readKept(auth.secret, auth.user, auth.isToken ? 'token' : 'password'),
      import('../smtp/sasl/choose.ts'),
      import('../transport/hashes.ts'),
    ]);
    if (!secret.ok) return secret;
    const credentials = {
      user: auth.user,
      secret: secret.value,
      kind: auth.secret.from === 'none' ? ('none' as const) : auth.isToken ? ('token' as const) : ('password' as const),
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
      const [{ prepareTls }, { wantedNames }] = await Promise.all([
        import('../transport/tls/tls.ts'),
        import('../transport/tls/peername.ts'),
      ]);
      const wanted = wantedNames(host.tls, target.name, target.fromDns ? host.host : '');
      return prepareTls(host.tls, wanted, { implicit: host.scheme === 'submissions', environment });
    },
    authenticator(host) {
      const known = authenticators.get(host) ?? readAuthenticator(host);
      authenticators.set(host, known);
      return known;
    },
    async proxyPassword({ link }) {
      if (!link?.proxy) return parsed('');
      return readKept(link.proxy.secret, link.proxy.user, 'proxy_password');
    },
    scrub: (text, isToAuth) => scrub(text, isToAuth),
  };
}
