/**
 * Starts the sendmail command under Bun: what is kept of `main`, if it belongs to this very program and is whole, else sendmail.cjs.
 * The command ends the process, and this module waits for that: where the first module has ended and something is still under way, Bun
 * collects garbage, which takes a tenth of a short message's time. Bun compiles this text for each message, so it is short.
 */
import { nameKeptPlace, printMainSums } from './kept-place.ts';
import { compileLate } from './late-code.ts';

declare global {
  interface ImportMeta {
    /** Bun's own: an import of node:fs would make an object of all its names. */
    require(id: string): unknown;
  }
}

compileLate();
const { dirname: root, require } = import.meta;
const { closeSync, readFileSync } = require('node:fs') as typeof import('node:fs');
// The wrapper has started Bun in another folder, and keeps the caller's open (src/nospool/install/wrapper.ts).
const { SENDMAIL_FOLDER: folder } = process.env;
if (folder === '7') {
  delete process.env.SENDMAIL_FOLDER;
  try {
    process.chdir('/proc/self/fd/7');
  } catch {
    // It has no name any more, and we are there all the same.
  }
  closeSync(7);
}
const place = nameKeptPlace(root);
let file = `${place}/main.cjs`;
try {
  const octets = readFileSync(`${root}/main.cjs`);
  if (readFileSync(`${place}/main.sums`, 'latin1') === printMainSums(octets, readFileSync(file)))
    globalThis.nospoolProgram = { root, octets };
} catch {
  // Something is missing, and sendmail.cjs says what.
}
if (globalThis.nospoolProgram === undefined) file = './sendmail.cjs';
require(file);
await new Promise(() => {});
