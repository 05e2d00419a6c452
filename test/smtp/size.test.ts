/** The core is small: what a program carries that sends with the machine, the dialogue, the encoder and PLAIN. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { suite } from 'uvu';

const test = suite('size');
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Octets of a program that uses these names of the door, minified, and then compressed; and the files that it is made of. */
async function measure(names: string) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: `export { ${names} } from './src/smtp/index.ts';`, resolveDir: root },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    target: 'es2022',
  });
  const code = outputFiles[0]?.contents ?? new Uint8Array();
  const files = Object.entries(Object.values(metafile.outputs)[0]?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  return { octets: code.length, zipped: gzipSync(code, { level: 9 }).length, files: files.map(([file]) => file) };
}

test('machine, dialogue, encoder and PLAIN together', async () => {
  const { octets, zipped } = await measure('Dialogue, contentEncoder, plain');
  assert.ok(octets <= 24_100 && zipped <= 9_850, `${octets} octets, ${zipped} compressed`);
});

test('whoever sends carries no sentences for people, no classification and no other mechanism', async () => {
  const { files } = await measure('Dialogue, contentEncoder, plain');
  const carried = files.filter((file) => /detail|classify|timeout|line\.ts|limits|scram|cram|oauth|choose|saslprep|server/.test(file));
  assert.deepEqual(carried, []);
});

test('a name of the door brings only what it needs', async () => {
  const { octets, files } = await measure('latin1');
  assert.ok(octets < 300, `${octets} octets`);
  assert.deepEqual(files, ['src/smtp/text.ts']);
});

test.run();
