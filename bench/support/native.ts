/** Compiles the small C programs beside this file, once, into the cache; null where there is no C compiler. Knows no bench. */
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { inCache, inSupport } from './places.ts';

export interface Native {
  readonly file: string;
  /** False where the headers of OpenSSL are missing. */
  readonly tls: boolean;
}

export function native(name: 'sink' | 'floor' | 'measure'): Native | null {
  const source = inSupport(`${name}.c`);
  for (const tls of name === 'measure' ? [false] : [true, false]) {
    const file = inCache(tls ? `${name}-tls` : name);
    if (existsSync(file) && statSync(file).mtimeMs > statSync(source).mtimeMs) return { file, tls };
    const flags = tls ? ['-DTLS', '-o', file, source, '-lssl', '-lcrypto'] : ['-o', file, source];
    if (spawnSync('cc', ['-O2', ...flags], { stdio: 'ignore' }).status === 0) return { file, tls };
  }
  return null;
}
