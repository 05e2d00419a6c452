/**
 * Runs the sendmail command once and keeps the code that V8 compiled for it, lazily compiled functions included: for
 * `launch.ts`. Called by the build and by `nospool install` with arguments that send a message to a smart host of theirs.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Script } from 'node:vm';

const file = `${__dirname}/main.cjs`;
// The same text as in launch.ts: V8 compares it.
const wrapped = `(function (exports, require, module, __filename, __dirname) {${readFileSync(file, 'latin1')}\n})`;
const script = new Script(wrapped, { filename: file });
process.on('exit', (status) => {
  if (status !== 0) return;
  const target = `${__dirname}/compiled/${process.versions.v8}-${process.arch}`;
  mkdirSync(`${__dirname}/compiled`, { recursive: true });
  writeFileSync(`${target}.new`, script.createCachedData());
  renameSync(`${target}.new`, target);
});
script.runInThisContext()({}, require, { exports: {} }, file, __dirname);
