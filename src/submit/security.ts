/**
 * Makes TLS and credentials for the attempts, from the policies of a smart host. Loads each module when the first connection needs
 * it, and scrubs every secret from every text. Knows neither how a handshake goes nor where a secret lies.
 */
import type { AuthPolicy, Secret, Smarthost } from '../router/smarthost.ts';
import { type Parsed, parsed } from '../smtp/parsed.ts';
import type { AuthChannel } from '../smtp/sasl/choose.ts';
import type { Mechanism } from '../smtp/sasl/sasl.ts';
import type { TlsFacts, TlsMaterial } from '../transport/tls/tls.ts';
import type { Credential } from './scrub.ts';
import type { SecretOptions } from './secret.ts';
import type { Authenticator, Handshake, Security } from './session.ts';

/** A handshake with the facts of TLS to which SCRAM binds. */
interface TlsHandshake extends Handshake {
  readonly facts: () => TlsFacts | null;
}

/** Gives the secrets of a smart host. Each connection asks. */
export interface SecretReader {
  /** The password or token; '' where there is none. */
  secret(host: Smarthost & { readonly auth: AuthPolicy }): Promise<Parsed<string>>;
  /** The password for the proxy; '' where there is none. */
  proxyPassword(host: Smarthost): Promise<Parsed<string>>;
  /** Makes a mechanism of the caller's own in place of ours. */
  mechanism?(offered: ReadonlySet<string>, channel: AuthChannel): Parsed<Mechanism>;
}

/** Security as this system's files, environment and commands have it; each secret is read once. */
export function systemSecurity(environment: NodeJS.ProcessEnv): Security {
  const known = new Map<Secret, Promise<Parsed<string>>>();
  async function read(secret: Secret, called: NonNullable<SecretOptions['called']>): Promise<Parsed<string>> {
    const { readSecret } = await import('./secret.ts');
    return readSecret(secret, environment, { called });
  }
  function readOnce(secret: Secret, called: NonNullable<SecretOptions['called']>): Promise<Parsed<string>> {
    const reading = known.get(secret) ?? read(secret, called);
    known.set(secret, reading);
    return reading;
  }
  return makeSecurity(environment, {
    secret: ({ auth }) => readOnce(auth.secret, auth.isToken ? 'token' : 'password'),
    proxyPassword: async ({ link }) => (link?.proxy ? readOnce(link.proxy.secret, 'proxy_password') : parsed('')),
  });
}

/** Security with secrets that `reader` gives. `material`: what a program gives of TLS. */
export function makeSecurity(environment: NodeJS.ProcessEnv, reader: SecretReader, material?: TlsMaterial): Security {
  const credentials: Credential[] = [];
  let scrub: Security['scrub'] = (text) => text;

  /** Reads a secret and scrubs it from then on. */
  async function keep(reading: Promise<Parsed<string>>, user: string): Promise<Parsed<string>> {
    const read = await reading;
    if (!read.ok || read.value === '') return read;
    const { scrub: scrubSecrets, scrubRuns } = await import('./scrub.ts');
    if (!credentials.some((known) => known.user === user && known.secret === read.value)) credentials.push({ user, secret: read.value });
    const secrets = [...new Set(credentials.map((known) => known.secret))];
    scrub = (text, isToAuth) => (isToAuth ? scrubRuns(text, credentials) : scrubSecrets(text, secrets));
    return read;
  }

  async function readAuthenticator(host: Smarthost): Promise<Parsed<Authenticator>> {
    const { auth } = host;
    const describe = (...[endpoint, loopback, handshake]: Parameters<Authenticator>) => {
      const facts = (handshake as TlsHandshake | null)?.facts() ?? null;
      return (secured: boolean) => ({ secured, loopback, host: host.host, port: endpoint.port, bindings: facts?.bindings() ?? [] });
    };
    const { mechanism } = reader;
    if (mechanism !== undefined)
      return parsed((...connection) => {
        const channel = describe(...connection);
        return (offered, secured) => mechanism(offered, channel(secured));
      });
    if (auth === null) return parsed(() => null);
    const [secret, { chooseMechanism }, { hashes }] = await Promise.all([
      keep(reader.secret({ ...host, auth }), auth.user),
      import('../smtp/sasl/choose.ts'),
      import('../transport/hashes.ts'),
    ]);
    if (!secret.ok) return secret;
    const login = {
      user: auth.user,
      secret: secret.value,
      kind: auth.secret.from === 'none' ? ('none' as const) : auth.isToken ? ('token' as const) : ('password' as const),
      clientCertificate: host.tls.certificate !== '',
    };
    return parsed((endpoint, loopback, handshake) => (offered, secured) => {
      const channel = describe(endpoint, loopback, handshake)(secured);
      return chooseMechanism(offered, login, auth, channel, hashes);
    });
  }

  return {
    async handshake(host, target, isContextOfWire) {
      const [{ prepareTls }, { wantedNames }] = await Promise.all([
        import('../transport/tls/tls.ts'),
        import('../transport/tls/peername.ts'),
      ]);
      const wanted = wantedNames(host.tls, target.name, target.fromDns ? host.host : '');
      return prepareTls(host.tls, wanted, { implicit: host.scheme === 'submissions', environment, material, isContextOfWire });
    },
    authenticator: readAuthenticator,
    proxyPassword: (host) => keep(reader.proxyPassword(host), host.link?.proxy?.user ?? ''),
    scrub: (text, isToAuth) => scrub(text, isToAuth),
  };
}
