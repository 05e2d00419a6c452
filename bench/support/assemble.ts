/**
 * Assembles src/transport/kernel/kernel.wat. Run as a program it writes kernel.wasm.ts beside it; that file is committed, so
 * that neither a build nor an installation needs an assembler.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../../src/transport/kernel/kernel.wat', import.meta.url));
export const GENERATED = SOURCE.replace(/wat$/, 'wasm.ts');

interface Wabt {
  parseWat(name: string, text: string, options: { readonly simd: boolean }): Parsed;
}
interface Parsed {
  validate(): void;
  toBinary(options: object): { readonly buffer: Uint8Array };
}

/** The assembler; null where the development dependency is not installed. */
export async function assembler(): Promise<Wabt | null> {
  try {
    return await (createRequire(import.meta.url)('wabt') as () => Promise<Wabt>)();
  } catch {
    return null;
  }
}

/** The text that kernel.wasm.ts must have. */
export function assembled(wabt: Wabt): string {
  const parsed = wabt.parseWat('kernel.wat', readFileSync(SOURCE, 'utf8'), { simd: true });
  parsed.validate();
  const code = Buffer.from(parsed.toBinary({}).buffer).toString('base64');
  return [
    '/** Generated from kernel.wat by bench/support/assemble.ts: the module in base64. Knows nothing. */',
    '// biome-ignore format: one line, as it is generated.',
    `export const KERNEL = '${code}';`,
    '',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wabt = await assembler();
  if (wabt === null) throw new Error('wabt is not installed');
  writeFileSync(GENERATED, assembled(wabt));
}
