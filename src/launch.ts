/**
 * Starts the sendmail command: with V8's compiled code where `nospool install` or the build left it for this very
 * runtime, else from source. Compiling is a third of a small message's time. Knows nothing of mail.
 */
import { readFileSync } from 'node:fs';
import { Script } from 'node:vm';

const file = `${__dirname}/main.cjs`;

/** The compiled code of this runtime; undefined when there is none. V8 itself refuses code of another version or other flags. */
function compiled(): Buffer | undefined {
  // Bun compiles with an engine of its own, and faster.
  if (process.versions.bun !== undefined) return undefined;
  try {
    return readFileSync(`${__dirname}/compiled/${process.versions.v8}-${process.arch}`);
  } catch {
    return undefined;
  }
}

const cachedData = compiled();
if (cachedData === undefined) require(file);
else {
  const wrapped = `(function (exports, require, module, __filename, __dirname) {${readFileSync(file, 'latin1')}\n})`;
  new Script(wrapped, { filename: file, cachedData }).runInThisContext()({}, require, { exports: {} }, file, __dirname);
}
