/**
 * Starts the sendmail command: from compiled code where `nospool install` or the build left it for this very runtime,
 * else from source. Knows nothing of mail.
 */
import { existsSync } from 'node:fs';
import { keptFolder, loader, readKept } from './loader.ts';

// Bun has files of its own, beside which it finds its code, and needs no loader for that.
if (process.versions.bun === undefined) loader(__dirname, readKept)('main.cjs');
else require(`${existsSync(keptFolder(__dirname)) ? keptFolder(__dirname) : __dirname}/main.cjs`);
