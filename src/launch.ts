/**
 * Starts the sendmail command: from compiled code where `nospool install` or the build left it for this very runtime,
 * else from source. Knows nothing of mail.
 */
import { existsSync } from 'node:fs';
import { keptFolder, loader, readKept } from './loader.ts';

if (process.versions.bun === undefined) loader(__dirname, readKept)('main.cjs');
else {
  // Bun has files of its own, beside which it finds its code, and needs no loader for that.
  const kept = `${keptFolder(__dirname)}/main.cjs`;
  require(existsSync(kept) ? kept : `${__dirname}/main.cjs`);
}
