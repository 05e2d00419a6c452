/**
 * Makes packages and the one-file program of what the build made: `npm run package`, with the names of those that are wanted, or all. They are put into
 * packaging/out, or the folder that PACKAGE_OUT names. Needs dpkg-deb for .deb and rpmbuild for .rpm; what has Bun inside also needs a Bun, which BUN names. The
 * same commit gives the same octets, whoever makes them: owners, modes and times come from here. With PACKAGE_COMPRESSION=none it takes less time. Knows nothing of mail.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { BUN_ENVIRONMENT, BUN_FLAGS, foldWords, printWrapper, UNSET } from '../src/nospool/install/wrapper.ts';
import { completionScript } from '../src/nospool/shell-completion.ts';
import { addDebianDocumentation, buildDeb, type Described } from './deb.ts';
import { ABOUT, gzip, HOME, NODE, OUT, report, SUMMARY, Tree, version } from './project.ts';
import { buildRpm, VERSION as RPM_VERSION } from './rpm.ts';

/** Bun's program for the machine that the packages are for. */
function findBun(): string | null {
  const places = [process.env.BUN ?? '', 'node_modules/@oven/bun-linux-x64/bin/bun'];
  return places.find((file) => file !== '' && existsSync(file)) ?? null;
}

/** The files of dist/ that the nospool command is made of: the library's doors are npm's to install. */
async function listCommandFiles(): Promise<string[]> {
  const linked = await build({
    entryPoints: ['dist/nospool.mjs'],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
    metafile: true,
    logLevel: 'error',
  });
  return Object.keys(linked.metafile.inputs).map((file) => path.relative('dist', file));
}

type Kind = 'deb' | 'rpm';

/** What both packages of the program share: all but the runtime and its launchers. */
async function addProgram(kind: Kind, tree: Tree, name: string, others: string): Promise<void> {
  const started = readdirSync('dist').filter((file) => file.endsWith('.cjs') || file === 'sendmail-bun.mjs');
  for (const file of new Set([...started, ...(await listCommandFiles())])) tree.copy(`${HOME}/${file}`, `dist/${file}`);
  // Neither is started by its name, but for nospool.mjs where Node is in the system.
  for (const file of ['sendmail.cjs', 'nospool.mjs'])
    tree.write(`${HOME}/${file}`, readFileSync(`dist/${file}`, 'latin1').replace(/^#!.*\n/, ''));
  tree.link('usr/sbin/sendmail.nospool', '../lib/nospool/sendmail');
  for (const page of readdirSync('man')) tree.write(`usr/share/man/man${page.at(-1)}/${page}.gz`, gzip(readFileSync(`man/${page}`)));
  const [bash, zsh] = ['bash', 'zsh'].map((shell) => (completionScript(shell) as readonly string[]).join('\n'));
  tree.write('usr/share/bash-completion/completions/nospool', `${bash}\n`);
  tree.write(`usr/share/zsh/${ZSH[kind]}/_nospool`, `#compdef nospool\n${zsh}\n_nospool "$@"\n`);
  tree.copy('etc/logrotate.d/nospool', 'packaging/logrotate');
  addLicence(kind, tree, name, others);
  if (kind === 'rpm')
    tree.write(
      'usr/lib/sysusers.d/nospool.conf',
      `# Who may read the password that "nospool init --group nospool" puts down.\n${GROUP_LINE}\n`,
    );
  const doc = `usr/share/doc/${name}`;
  tree.write(`${doc}/CHANGELOG.md.gz`, gzip(readFileSync('CHANGELOG.md')));
  for (const file of ['README.md', ...readdirSync('docs').filter((each) => each.endsWith('.md') && !LIBRARY_PAGES.includes(each))]) {
    const text = readFileSync(file === 'README.md' ? file : `docs/${file}`);
    // Debian's policy 12.3: large documents are compressed.
    if (text.length > 4096) tree.write(`${doc}/${file}.gz`, gzip(text));
    else tree.write(`${doc}/${file}`, text);
  }
  for (const file of ['nospool.example.toml']) tree.copy(`${doc}/examples/${file}`, `examples/${file}`);
}

/** Where packages put what zsh completes with. */
const ZSH: Readonly<Record<Kind, string>> = { deb: 'vendor-completions', rpm: 'site-functions' };

/** `others` are the licences of what is inside. */
function addLicence(kind: Kind, tree: Tree, name: string, others = ''): void {
  if (kind === 'deb') {
    addDebianDocumentation(tree, name, others);
    return;
  }
  tree.copy(`usr/share/licenses/${name}/LICENSE`, 'LICENSE');
  if (others !== '') tree.write(`usr/share/licenses/${name}/THIRD-PARTY.txt`, `${others.trim()}\n`);
}

/** The library is not in these packages. */
const LIBRARY_PAGES = ['driver.md', 'library.md', 'nodemailer.md'];

const wrapping = { version, command: `/${HOME}/sendmail.cjs`, hasSplit: true, isPackaged: true };

const OWN_FOLDERS = (name: string): string[] => [`/${HOME}`, `/usr/share/doc/${name}`, `/usr/share/licenses/${name}`];

/** From 4.19 on rpm makes the group of itself, by this line; before, systemd does, which sees the file in sysusers.d. The value is base64 without "=", by NULs at its end. */
const GROUP_LINE = 'g nospool -';
const PROVIDES_GROUP = `Provides: group(nospool) = ${Buffer.from(GROUP_LINE.padEnd(Math.ceil(GROUP_LINE.length / 3) * 3, '\0')).toString('base64')}`;

async function makeNospool(kind: Kind): Promise<void> {
  const tree = new Tree(`${kind}/nospool`);
  const runtime = { interpreter: NODE, isBun: false, memoryTest: `/${HOME}/compiled/memory-test` };
  await addProgram(kind, tree, 'nospool', readFileSync('dist/THIRD-PARTY.txt', 'utf8'));
  tree.write(`${HOME}/sendmail`, printWrapper({ ...wrapping, ...runtime }), 0o755);
  tree.write(`${HOME}/nospool.mjs`, `#!${NODE}\n${readFileSync(`${tree.folder}/${HOME}/nospool.mjs`, 'latin1')}`, 0o755);
  tree.link('usr/bin/nospool', '../lib/nospool/nospool.mjs');
  const described: Described = {
    name: 'nospool',
    architecture: 'all',
    summary: SUMMARY,
    text: `${ABOUT}\n\nIt is called sendmail.nospool here. The package nospool-mta makes it the\nsendmail of the system.`,
  };
  if (kind === 'rpm') {
    buildRpm(tree, described, {
      tags: [
        // The first is what Fedora's Node says of itself, without an epoch; NodeSource's says less, and has an epoch.
        'Requires: (nodejs(engine) >= 20.19 or nodejs >= 2:20.19)',
        `Requires: ${NODE}`,
        PROVIDES_GROUP,
        'Recommends: ca-certificates',
        'Suggests: nospool-mta',
        'Suggests: logrotate',
      ],
      scripts: 'packaging/rpm/nospool.scripts',
      folders: OWN_FOLDERS('nospool'),
      ghosts: [],
    });
    return;
  }
  buildDeb(tree, described, {
    fields: {
      Depends: 'nodejs (>= 20.19), passwd',
      Recommends: 'ca-certificates',
      Suggests: 'nospool-mta, logrotate',
    },
    scripts: {
      postinst: 'packaging/debian/postinst',
      prerm: 'packaging/debian/prerm',
      postrm: 'packaging/debian/postrm',
      triggers: 'packaging/debian/triggers',
    },
  });
}

/** Debian's policy 11.6; and the last two are where people look for them. */
const PLACES = ['usr/sbin/sendmail', 'usr/lib/sendmail', 'usr/bin/mailq', 'usr/bin/newaliases'];

function makeMta(kind: Kind): void {
  const tree = new Tree(`${kind}/nospool-mta`);
  addLicence(kind, tree, 'nospool-mta');
  const described: Described = {
    name: 'nospool-mta',
    architecture: 'all',
    summary: 'nospool as the sendmail of the system',
    text: `${ABOUT}\n\nThis package makes it /usr/sbin/sendmail, mailq and newaliases, in place\nof any other mail transport agent.`,
  };
  if (kind === 'rpm') {
    for (const [index, place] of PLACES.entries())
      tree.link(place, `/etc/alternatives/${['mta', 'mta-sendmail', 'mta-mailq', 'mta-newaliases'][index]}`);
    buildRpm(tree, described, {
      tags: [
        `Requires: nospool >= ${RPM_VERSION}`,
        'Requires(post): (alternatives or update-alternatives or chkconfig)',
        'Requires(postun): (alternatives or update-alternatives or chkconfig)',
        'Provides: MTA',
        'Provides: smtpdaemon',
      ],
      scripts: 'packaging/rpm/nospool-mta.scripts',
      folders: OWN_FOLDERS('nospool-mta').slice(1),
      ghosts: PLACES.map((place) => `/${place}`),
    });
    return;
  }
  tree.link('usr/sbin/sendmail', '../lib/nospool/sendmail');
  for (const place of PLACES.slice(1)) tree.link(place, '../sbin/sendmail');
  tree.link('usr/share/man/man8/sendmail.8.gz', 'sendmail.nospool.8.gz');
  for (const page of ['mailq', 'newaliases']) tree.link(`usr/share/man/man1/${page}.1.gz`, '../man8/sendmail.nospool.8.gz');
  buildDeb(tree, described, {
    fields: {
      // Links suit every later version, and a newer nospool that is installed alone must not take the sendmail of the system away.
      Depends: `nospool (>= ${version}) | nospool-bun (>= ${version})`,
      Provides: 'mail-transport-agent',
      Conflicts: 'mail-transport-agent',
      Replaces: 'mail-transport-agent',
    },
    scripts: {},
  });
}

/** Runs Bun as it will run there: it reads no file of this folder. */
function runBun(bun: string, argv: readonly string[]): void {
  execFileSync(bun, argv, {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', TMPDIR: process.env.TMPDIR, ...BUN_ENVIRONMENT },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

async function makeNospoolBun(kind: Kind, bun: string): Promise<void> {
  const tree = new Tree(`${kind}/nospool-bun`);
  const others = `${readFileSync('dist/THIRD-PARTY.txt', 'utf8')}\nThe file bun is Bun, https://bun.com, under the MIT licence, and links libraries under theirs:\nhttps://bun.com/docs/project/licensing`;
  await addProgram(kind, tree, 'nospool-bun', others);
  tree.copy(`${HOME}/bun`, bun, 0o755);
  tree.write(
    `${HOME}/sendmail`,
    printWrapper({ ...wrapping, command: `/${HOME}/sendmail-bun.mjs`, interpreter: `/${HOME}/bun`, isBun: true, memoryTest: null }),
    0o755,
  );
  const environment = Object.entries(BUN_ENVIRONMENT).map(([key, value]) => `export ${key}=${value}\n`);
  const command = `exec /${HOME}/bun ${BUN_FLAGS.join(' ')} /${HOME}/nospool.mjs "$@"\n`;
  tree.write('usr/bin/nospool', `#!/bin/sh\n${foldWords(['unset', ...UNSET])}\n${environment.join('')}${command}`, 0o755);
  if (kind === 'deb') tree.copy('usr/share/lintian/overrides/nospool-bun', 'packaging/lintian-overrides.bun');
  // No other Bun will ever run this, so what it makes of the code is part of the package.
  runBun(bun, [...BUN_FLAGS, `${tree.folder}/${HOME}/compile.cjs`]);
  const described: Described = {
    name: 'nospool-bun',
    architecture: 'amd64',
    summary: `${SUMMARY} (with its runtime)`,
    text: `${ABOUT}\n\nThis package has the runtime inside, for releases whose Node is too old.`,
  };
  if (kind === 'rpm') {
    buildRpm(tree, described, {
      tags: [
        'Requires: glibc >= 2.17',
        PROVIDES_GROUP,
        'Recommends: ca-certificates',
        'Suggests: nospool-mta',
        'Suggests: logrotate',
        `Provides: nospool = ${RPM_VERSION}`,
        'Conflicts: nospool',
      ],
      scripts: null,
      folders: OWN_FOLDERS('nospool-bun'),
      ghosts: [],
    });
    return;
  }
  buildDeb(tree, described, {
    fields: {
      Depends: 'libc6 (>= 2.17), passwd',
      Recommends: 'ca-certificates',
      Suggests: 'nospool-mta, logrotate',
      Provides: `nospool (= ${version})`,
      Conflicts: 'nospool',
      Replaces: 'nospool',
    },
    scripts: { postinst: 'packaging/debian/postinst.bun', postrm: 'packaging/debian/postrm' },
  });
}

/** Variables that must be out of reach in the one file: they turn it into a plain Bun, or let it load code or wait for somebody. */
const OUT_OF_REACH = ['BUN_OPTIONS', 'BUN_BE_BUN', 'BUN_INSPECT', 'BUN_INSPECT_CONNECT_TO', 'BUN_INSPECT_PRELOAD', 'NODE_EXTRA_CA_CERTS'];

/**
 * A copy of Bun's program that finds none of its own variables, nor those that a wrapper removes, because there is no shell before the one file, and no
 * flag for this: the name that it asks for begins with NUL, and no variable does. Throws where this Bun keeps a name otherwise.
 */
function shutEnvironment(bun: string): string {
  const octets = readFileSync(bun);
  const text = octets.toString('latin1');
  const found = [...text.matchAll(/(?<=\0)(?:BUN|NODE|OPENSSL|SSL|ICU|UV)_[A-Z0-9_]+(?=\0)/g)].filter(
    ([name]) => name.startsWith('BUN_') || UNSET.includes(name),
  );
  const missing = OUT_OF_REACH.filter((wanted) => !found.some(([name]) => name === wanted));
  if (missing.length > 0) throw new Error(`this Bun does not keep ${missing.join(', ')} as a name of its own: find out how it reads them`);
  for (const { index } of found) octets[index] = 0;
  const copy = `${OUT}/stage/one-file/bun`;
  mkdirSync(path.dirname(copy), { recursive: true });
  writeFileSync(copy, octets, { mode: 0o755 });
  return path.resolve(copy);
}

/**
 * The one file: Bun's program with ours in it, compiled. Our sources are joined first, because what the build packs and leaves out of packages is
 * taken as the build made it. Bun then reads no file of the folder it is called in.
 */
async function makeOneFile(bun: string): Promise<void> {
  const joined = `${OUT}/stage/one-file/nospool.mjs`;
  const charset = readdirSync('dist').find((name) => name.startsWith('charset-')) as string;
  const BUILT: Readonly<Record<string, string>> = { charset: `dist/${charset}`, yargs: 'dist/lib/yargs.mjs' };
  await build({
    entryPoints: ['packaging/one-file.ts'],
    outfile: joined,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'esnext',
    minify: true,
    legalComments: 'none',
    define: { __VERSION__: JSON.stringify(version) },
    logLevel: 'error',
    plugins: [
      {
        name: 'built',
        setup({ onResolve }) {
          onResolve({ filter: /(?:^yargs|\/charset\.ts)$/ }, ({ path: wanted, kind }) =>
            kind === 'entry-point' ? undefined : { path: path.resolve(BUILT[path.basename(wanted, '.ts')] as string), sideEffects: true },
          );
        },
      },
    ],
  });
  const made = `${OUT}/nospool-${version}-linux-x64`;
  const flags = ['--compile', '--bytecode', '--format=esm', '--target=bun', '--no-compile-autoload-dotenv', '--no-compile-autoload-bunfig'];
  const host = `--compile-executable-path=${shutEnvironment(bun)}`;
  runBun(bun, ['build', ...flags, host, joined, '--outfile', path.resolve(made)]);
  chmodSync(made, 0o755);
  report(made);
}

interface Maker {
  /** The program that makes this kind of package; null = none is needed. */
  readonly tool: string | null;
  readonly needsBun: boolean;
  make(bun: string): Promise<void> | void;
}

const BUILDERS: Readonly<Record<Kind, string>> = { deb: 'dpkg-deb', rpm: 'rpmbuild' };
const makersOf = (kind: Kind, ending: string): Readonly<Record<string, Maker>> => ({
  [`nospool${ending}`]: { tool: BUILDERS[kind], needsBun: false, make: () => makeNospool(kind) },
  [`nospool-mta${ending}`]: { tool: BUILDERS[kind], needsBun: false, make: () => makeMta(kind) },
  [`nospool-bun${ending}`]: { tool: BUILDERS[kind], needsBun: true, make: (bun) => makeNospoolBun(kind, bun) },
});
const MAKERS: Readonly<Record<string, Maker>> = {
  ...makersOf('deb', ''),
  ...makersOf('rpm', '.rpm'),
  'one-file': { tool: null, needsBun: true, make: makeOneFile },
};

/** Why this cannot be made here; null if it can. */
function explainLack({ tool, needsBun }: Maker, bun: string | null): string | null {
  if (tool !== null && spawnSync(tool, ['--version']).status !== 0)
    return `there is no ${tool}: install the package ${tool === 'rpmbuild' ? 'rpm (rpm-build on Fedora)' : 'dpkg'}`;
  if (needsBun && bun === null) return 'there is no Bun: npm install --no-save @oven/bun-linux-x64@1, or set BUN';
  return null;
}

async function main(names: readonly string[]): Promise<number> {
  const known = Object.keys(MAKERS);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`package: nothing is called ${unknown.join(', ')}: there are ${known.join(', ')}`);
    return 1;
  }
  const bun = findBun();
  let isComplete = true;
  for (const [name, maker] of Object.entries(MAKERS).filter(([each]) => names.length === 0 || names.includes(each))) {
    const lack = explainLack(maker, bun);
    if (lack === null) await maker.make(bun ?? '');
    else console.error(`package: ${name} was not made, because ${lack}`);
    if (lack !== null) isComplete = false;
  }
  rmSync(`${OUT}/stage`, { recursive: true, force: true });
  return isComplete || names.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
