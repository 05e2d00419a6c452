/** Finds Postfix's smtp-source and smtp-sink, without a running Postfix: in PATH, or in the Debian package unpacked into the cache. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { inCache } from './places.ts';

export interface Program {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export function postfixProgram(name: 'smtp-source' | 'smtp-sink'): Program | null {
  for (const folder of ['/usr/sbin', '/usr/bin'])
    if (existsSync(path.join(folder, name))) return { argv: [path.join(folder, name)], environment: {} };
  const unpacked = inCache('postfix');
  if (!existsSync(unpacked)) {
    mkdirSync(unpacked);
    spawnSync('apt-get', ['download', 'postfix'], { cwd: unpacked, stdio: 'ignore' });
    const file = readdirSync(unpacked).find((each) => each.endsWith('.deb'));
    if (file) spawnSync('dpkg', ['-x', file, '.'], { cwd: unpacked, stdio: 'ignore' });
  }
  const program = path.join(unpacked, 'usr/sbin', name);
  return existsSync(program) ? { argv: [program], environment: { LD_LIBRARY_PATH: path.join(unpacked, 'usr/lib/postfix') } } : null;
}
