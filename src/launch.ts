/**
 * Starts the sendmail command: with V8's compiled code where `nospool install` or the build left it for this very
 * runtime, else from source. Knows nothing of mail.
 */
import { loader, readKept } from './loader.ts';

// Bun compiles with an engine of its own, and faster.
loader(__dirname, process.versions.bun === undefined ? readKept : () => null)('main.cjs');
