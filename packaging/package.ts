/**
 * Makes Debian packages and the one-file program of what the build made: `npm run package`, with the names of those that are
 * wanted, or all. They are put into packaging/out, or the folder that PACKAGE_OUT names. Needs dpkg-deb; what has Bun inside also needs a Bun, which BUN names. The
 * same commit gives the same octets, whoever makes them: owners, modes and times come from here. With PACKAGE_COMPRESSION=none it takes less time. Knows nothing of mail.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { BUN_ENVIRONMENT, BUN_FLAGS, printWrapper } from '../src/nospool/install/wrapper.ts';
import { completionScript } from '../src/nospool/shell-completion.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
process.chdir(ROOT);
process.umask(0o022);

const OUT = process.env.PACKAGE_OUT ?? 'packaging/out';
/** The program's folder on the system, for every package, so that the links of nospool-mta lead to whichever is installed. */
const HOME = 'usr/lib/nospool';
const NODE = '/usr/bin/node';
const { version, license, repository, description } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly version: string;
  readonly license: string;
  readonly description: string;
  readonly repository: { readonly url: string };
};
const HOMEPAGE = repository.url.replace(/^git\+|\.git$/g, '');
const MAINTAINER = process.env.PACKAGE_MAINTAINER ?? 'The nospool maintainers <nospool@users.noreply.github.com>';

/** Seconds since 1970 that every file bears: of the last commit, unless the environment says another. */
function readEpoch(): number {
  const given = Number(process.env.SOURCE_DATE_EPOCH);
  if (given > 0) return given;
  const { status, stdout } = spawnSync('git', ['log', '-1', '--format=%ct'], { encoding: 'utf8' });
  return status === 0 ? Number(stdout) : Math.floor(lstatSync('package.json').mtimeMs / 1000);
}
const epoch = readEpoch();

/** Bun's program for the machine that the packages are for. */
function findBun(): string | null {
  const places = [process.env.BUN ?? '', 'node_modules/@oven/bun-linux-x64/bin/bun'];
  return places.find((file) => file !== '' && existsSync(file)) ?? null;
}

/** Files of a package: their paths from the root of the system. */
class Tree {
  readonly folder: string;
  constructor(name: string) {
    this.folder = `${OUT}/stage/${name}`;
    rmSync(this.folder, { recursive: true, force: true });
  }
  #place(file: string): string {
    const place = path.join(this.folder, file);
    mkdirSync(path.dirname(place), { recursive: true });
    return place;
  }
  write(file: string, text: string | Uint8Array, mode = 0o644): void {
    const place = this.#place(file);
    writeFileSync(place, text);
    chmodSync(place, mode);
  }
  copy(file: string, from: string, mode = 0o644): void {
    const place = this.#place(file);
    copyFileSync(from, place);
    chmodSync(place, mode);
  }
  link(file: string, target: string): void {
    symlinkSync(target, this.#place(file));
  }
  /** Octets of all files, by the way dpkg counts them. */
  sizeInKib(): number {
    return this.list().reduce((sum, file) => sum + Math.ceil(lstatSync(file).size / 1024), 0);
  }
  list(): string[] {
    return readdirSync(this.folder, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => path.join(this.folder, name));
  }
}

const gzip = (text: string | Uint8Array): Buffer => gzipSync(text, { level: 9 });

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

/** A Debian changelog has one entry a version; what changed is told in the file that people read. */
const printChangelog = (): string => `nospool (${version}) unstable; urgency=medium

  * See /usr/share/doc/nospool/CHANGELOG.md.gz.

 -- ${MAINTAINER}  ${new Date(epoch * 1000).toUTCString().replace('GMT', '+0000')}
`;

/** Blank lines are not allowed in a field of several lines. */
const printField = (text: string): string =>
  text
    .trim()
    .split('\n')
    .map((line) => (line.trim() === '' ? ' .' : ` ${line}`))
    .join('\n');

const printCopyright = (others: string): string => `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: nospool
Source: ${HOMEPAGE}

Files: *
Copyright: ${/^Copyright \(c\) (.*)$/m.exec(readFileSync('LICENSE', 'utf8'))?.[1]}
License: ${license}
${printField(readFileSync('LICENSE', 'utf8').split('\n').slice(4).join('\n'))}
${others === '' ? '' : `Comment:\n${printField(others)}\n`}`;

/** What nobody of several packages may do without: copyright and changelog. */
function addDocumentation(tree: Tree, name: string, others = ''): void {
  tree.write(`usr/share/doc/${name}/copyright`, printCopyright(others));
  tree.write(`usr/share/doc/${name}/changelog.gz`, gzip(printChangelog()));
}

/** What both packages of the program share: all but the runtime and its launchers. */
async function addProgram(tree: Tree, name: string, others: string): Promise<void> {
  const started = readdirSync('dist').filter((file) => file.endsWith('.cjs') || file === 'sendmail-bun.mjs');
  for (const file of new Set([...started, ...(await listCommandFiles())])) tree.copy(`${HOME}/${file}`, `dist/${file}`);
  // Neither is started by its name, but for nospool.mjs where Node is in the system.
  for (const file of ['sendmail.cjs', 'nospool.mjs'])
    tree.write(`${HOME}/${file}`, readFileSync(`dist/${file}`, 'latin1').replace(/^#!.*\n/, ''));
  tree.link('usr/sbin/sendmail.nospool', '../lib/nospool/sendmail');
  for (const page of readdirSync('man')) tree.write(`usr/share/man/man${page.at(-1)}/${page}.gz`, gzip(readFileSync(`man/${page}`)));
  const [bash, zsh] = ['bash', 'zsh'].map((shell) => completionScript(shell).join('\n'));
  tree.write('usr/share/bash-completion/completions/nospool', `${bash}\n`);
  tree.write('usr/share/zsh/vendor-completions/_nospool', `#compdef nospool\n${zsh}\n_nospool "$@"\n`);
  tree.copy('etc/logrotate.d/nospool', 'packaging/logrotate');
  addDocumentation(tree, name, others);
  const doc = `usr/share/doc/${name}`;
  tree.write(`${doc}/CHANGELOG.md.gz`, gzip(readFileSync('CHANGELOG.md')));
  for (const file of ['README.md', ...readdirSync('docs').filter((each) => each.endsWith('.md') && !LIBRARY_PAGES.includes(each))]) {
    const text = readFileSync(file === 'README.md' ? file : `docs/${file}`);
    // Policy 12.3: large documents are compressed.
    if (text.length > 4096) tree.write(`${doc}/${file}.gz`, gzip(text));
    else tree.write(`${doc}/${file}`, text);
  }
  for (const file of ['nospool.example.toml']) tree.copy(`${doc}/examples/${file}`, `examples/${file}`);
}
/** The library is not in these packages. */
const LIBRARY_PAGES = ['driver.md', 'library.md', 'nodemailer.md'];

interface Control {
  readonly name: string;
  readonly architecture: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly summary: string;
  readonly text: string;
  /** Maintainer scripts and the like, by their names. */
  readonly scripts: Readonly<Record<string, string>>;
}

function buildPackage(tree: Tree, { name, architecture, fields, summary, text, scripts }: Control): void {
  const rows = {
    Package: name,
    Version: version,
    Architecture: architecture,
    Maintainer: MAINTAINER,
    'Installed-Size': String(tree.sizeInKib()),
    ...fields,
    Section: 'mail',
    Priority: 'optional',
    Homepage: HOMEPAGE,
    Description: `${summary}\n${printField(text)}`,
  };
  const sums = tree
    .list()
    .filter((file) => lstatSync(file).isFile())
    .map((file) => `${execFileSync('md5sum', [file], { encoding: 'utf8' }).slice(0, 32)}  ${path.relative(tree.folder, file)}\n`);
  const conffiles = tree.list().filter((file) => lstatSync(file).isFile() && path.relative(tree.folder, file).startsWith('etc/'));
  tree.write('DEBIAN/md5sums', sums.join(''));
  if (conffiles.length > 0) tree.write('DEBIAN/conffiles', conffiles.map((file) => `/${path.relative(tree.folder, file)}\n`).join(''));
  tree.write(
    'DEBIAN/control',
    Object.entries(rows)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(''),
  );
  for (const [script, file] of Object.entries(scripts)) tree.copy(`DEBIAN/${script}`, file, script === 'triggers' ? 0o644 : 0o755);
  for (const file of tree.list()) lutimesSync(file, epoch, epoch);
  const made = `${OUT}/${name}_${version}_${architecture}.deb`;
  const argv = ['--root-owner-group', `-Z${process.env.PACKAGE_COMPRESSION ?? 'xz'}`, '--build', tree.folder, made];
  execFileSync('dpkg-deb', argv, { env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) }, stdio: ['ignore', 'ignore', 'inherit'] });
  report(made);
}

function report(file: string): void {
  console.log(`${file}  ${(lstatSync(file).size / 1e6).toFixed(2)} MB`);
}

const ABOUT = `${description}
Programs that send mail run sendmail and look at its exit status. Here
that status is the truth: 0 means that a mail server has accepted the
message for every recipient, 1 that nobody has it. There is no queue, no
daemon and no local delivery: the message goes to a smart host while the
caller waits.`.replace(/^.*\n/, '');
const SUMMARY = 'sendmail without a queue: one message, one SMTP transaction';
const wrapping = { version, command: `/${HOME}/sendmail.cjs`, hasSplit: true, isPackaged: true };

async function makeNospool(): Promise<void> {
  const tree = new Tree('nospool');
  const runtime = { interpreter: NODE, isBun: false, memoryTest: `/${HOME}/compiled/memory-test` };
  await addProgram(tree, 'nospool', readFileSync('dist/THIRD-PARTY.txt', 'utf8'));
  tree.write(`${HOME}/sendmail`, printWrapper({ ...wrapping, ...runtime }), 0o755);
  tree.write(`${HOME}/nospool.mjs`, `#!${NODE}\n${readFileSync(`${tree.folder}/${HOME}/nospool.mjs`, 'latin1')}`, 0o755);
  tree.link('usr/bin/nospool', '../lib/nospool/nospool.mjs');
  buildPackage(tree, {
    name: 'nospool',
    architecture: 'all',
    fields: {
      Depends: 'nodejs (>= 20.19), passwd',
      Recommends: 'ca-certificates',
      Suggests: 'nospool-mta, logrotate',
    },
    summary: SUMMARY,
    text: `${ABOUT}\n\nIt is called sendmail.nospool here. The package nospool-mta makes it the\nsendmail of the system.`,
    scripts: {
      postinst: 'packaging/debian/postinst',
      prerm: 'packaging/debian/prerm',
      postrm: 'packaging/debian/postrm',
      triggers: 'packaging/debian/triggers',
    },
  });
}

function makeMta(): void {
  const tree = new Tree('nospool-mta');
  tree.link('usr/sbin/sendmail', '../lib/nospool/sendmail');
  // Policy 11.6; and the others are where people and programs look for them.
  for (const place of ['usr/lib/sendmail', 'usr/bin/mailq', 'usr/bin/newaliases']) tree.link(place, '../sbin/sendmail');
  tree.link('usr/share/man/man8/sendmail.8.gz', 'sendmail.nospool.8.gz');
  for (const page of ['mailq', 'newaliases']) tree.link(`usr/share/man/man1/${page}.1.gz`, '../man8/sendmail.nospool.8.gz');
  addDocumentation(tree, 'nospool-mta');
  buildPackage(tree, {
    name: 'nospool-mta',
    architecture: 'all',
    fields: {
      Depends: `nospool (= ${version}) | nospool-bun (= ${version})`,
      Provides: 'mail-transport-agent',
      Conflicts: 'mail-transport-agent',
      Replaces: 'mail-transport-agent',
    },
    summary: 'nospool as the sendmail of the system',
    text: `${ABOUT}\n\nThis package makes it /usr/sbin/sendmail, mailq and newaliases, in place\nof any other mail transport agent.`,
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

async function makeNospoolBun(bun: string): Promise<void> {
  const tree = new Tree('nospool-bun');
  const others = `${readFileSync('dist/THIRD-PARTY.txt', 'utf8')}\nThe file bun is Bun, https://bun.com, under the MIT licence, and links libraries under theirs:\nhttps://bun.com/docs/project/licensing`;
  await addProgram(tree, 'nospool-bun', others);
  tree.copy(`${HOME}/bun`, bun, 0o755);
  tree.write(
    `${HOME}/sendmail`,
    printWrapper({ ...wrapping, command: `/${HOME}/sendmail-bun.mjs`, interpreter: `/${HOME}/bun`, isBun: true, memoryTest: null }),
    0o755,
  );
  const environment = Object.entries(BUN_ENVIRONMENT).map(([key, value]) => `export ${key}=${value}\n`);
  const command = `exec /${HOME}/bun ${BUN_FLAGS.join(' ')} /${HOME}/nospool.mjs "$@"\n`;
  tree.write('usr/bin/nospool', `#!/bin/sh\nunset BUN_OPTIONS\n${environment.join('')}${command}`, 0o755);
  tree.copy('usr/share/lintian/overrides/nospool-bun', 'packaging/lintian-overrides.bun');
  // No other Bun will ever run this, so what it makes of the code is part of the package.
  runBun(bun, [...BUN_FLAGS, `${tree.folder}/${HOME}/compile.cjs`]);
  buildPackage(tree, {
    name: 'nospool-bun',
    architecture: 'amd64',
    fields: {
      Depends: 'libc6 (>= 2.17), passwd',
      Recommends: 'ca-certificates',
      Suggests: 'nospool-mta, logrotate',
      Provides: `nospool (= ${version})`,
      Conflicts: 'nospool',
      Replaces: 'nospool',
    },
    summary: `${SUMMARY} (with its runtime)`,
    text: `${ABOUT}\n\nThis package has the runtime inside, for releases whose Node is too old.`,
    scripts: { postinst: 'packaging/debian/postinst.bun', postrm: 'packaging/debian/postrm' },
  });
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
  runBun(bun, ['build', ...flags, joined, '--outfile', path.resolve(made)]);
  chmodSync(made, 0o755);
  report(made);
}

const WITH_BUN: Readonly<Record<string, (bun: string) => Promise<void> | void>> = {
  'nospool-bun': makeNospoolBun,
  'one-file': makeOneFile,
};
const MAKERS: Readonly<Record<string, () => Promise<void> | void>> = { nospool: makeNospool, 'nospool-mta': makeMta };

async function main(names: readonly string[]): Promise<number> {
  const known = [...Object.keys(MAKERS), ...Object.keys(WITH_BUN)];
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`package: nothing is called ${unknown.join(', ')}: there are ${known.join(', ')}`);
    return 1;
  }
  if (spawnSync('dpkg-deb', ['--version']).status !== 0) {
    console.error('package: needs dpkg-deb, of the package dpkg');
    return 1;
  }
  const isWanted = (name: string): boolean => names.length === 0 || names.includes(name);
  const bun = findBun();
  const lacking = Object.keys(WITH_BUN).filter((name) => bun === null && isWanted(name));
  for (const [name, make] of Object.entries(MAKERS)) if (isWanted(name)) await make();
  for (const [name, make] of Object.entries(WITH_BUN)) if (bun !== null && isWanted(name)) await make(bun);
  for (const name of lacking)
    console.error(`package: ${name} was not made, because there is no Bun: npm install --no-save @oven/bun-linux-x64@1, or set BUN`);
  rmSync(`${OUT}/stage`, { recursive: true, force: true });
  return lacking.length > 0 && names.length > 0 ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
