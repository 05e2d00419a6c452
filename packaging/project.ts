/** What all packages share: the project's facts, the time that files bear, and a package's files. Knows no format of packages. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
process.chdir(ROOT);
process.umask(0o022);

export const OUT = process.env.PACKAGE_OUT ?? 'packaging/out';
/** The program's folder on the system, for every package, so that the links of nospool-mta lead to whichever is installed. */
export const HOME = 'usr/lib/nospool';
export const NODE = '/usr/bin/node';
export const { version, license, repository, description } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly version: string;
  readonly license: string;
  readonly description: string;
  readonly repository: { readonly url: string };
};
export const HOMEPAGE = repository.url.replace(/^git\+|\.git$/g, '');
export const MAINTAINER = process.env.PACKAGE_MAINTAINER ?? 'The nospool maintainers <nospool@users.noreply.github.com>';

/** Seconds since 1970 that every file bears: of the last commit, unless the environment says another. */
function readEpoch(): number {
  const given = Number(process.env.SOURCE_DATE_EPOCH);
  if (given > 0) return given;
  const { status, stdout } = spawnSync('git', ['log', '-1', '--format=%ct'], { encoding: 'utf8' });
  return status === 0 ? Number(stdout) : Math.floor(lstatSync('package.json').mtimeMs / 1000);
}
export const epoch = readEpoch();

/** Files of a package: their paths from the root of the system. */
export class Tree {
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

export const gzip = (text: string | Uint8Array): Buffer => gzipSync(text, { level: 9 });

export function report(file: string): void {
  console.log(`${file}  ${(lstatSync(file).size / 1e6).toFixed(2)} MB`);
}

export const ABOUT = `${description}
Programs that send mail run sendmail and look at its exit status. Here
that status is the truth: 0 means that a mail server has accepted the
message for every recipient, 1 that nobody has it. There is no queue, no
daemon and no local delivery: the message goes to a smart host while the
caller waits.`.replace(/^.*\n/, '');
export const SUMMARY = 'sendmail without a queue: one message, one SMTP transaction';
