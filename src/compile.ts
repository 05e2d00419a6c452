/**
 * Runs the sendmail command once and keeps the code that V8 compiled for it, lazily compiled functions included: for
 * `launch.ts`. Called by the build and by `nospool install` with arguments that send a message to a smart host of theirs.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';
import { keptFile, keptFolder, loader, printKept, wrap } from './loader.ts';

/** Not worth it: large, and loaded for what takes longer than a start. */
const LEFT_OUT = ['charset.cjs', 'smtp.cjs', 'inspect.cjs', 'tree.cjs'];

const scripts = new Map<string, { readonly text: string; readonly script: Script }>();
function compile(root: string, name: string): Script {
  const text = wrap(readFileSync(`${root}/${name}`, 'latin1'));
  const script = new Script(text, { filename: `${root}/${name}` });
  scripts.set(name, { text, script });
  return script;
}

process.on('exit', (status) => {
  if (status !== 0) return;
  // What this message did not need is compiled whole: TLS, credentials.
  setFlagsFromString('--no-lazy');
  for (const file of readdirSync(`${__dirname}/chunks`))
    if (!scripts.has(`chunks/${file}`) && !LEFT_OUT.includes(file)) compile(__dirname, `chunks/${file}`);
  // V8 compares its flags with those it had when the code was made.
  setFlagsFromString('--lazy');
  const folder = keptFolder(__dirname);
  mkdirSync(folder, { recursive: true });
  // For every user, whatever the umask of who installs it.
  for (const each of [folder, path.dirname(folder)]) chmodSync(each, 0o755);
  for (const [name, { text, script }] of scripts) {
    const file = keptFile(__dirname, name);
    // On the disk before it has its name: V8 does not survive code that a power failure has cut.
    writeFileSync(`${file}.new`, printKept(text, script.createCachedData()), { flush: true });
    chmodSync(`${file}.new`, 0o644);
    renameSync(`${file}.new`, file);
  }
});
loader(__dirname, compile)('main.cjs');
