/** Names what is kept for a runtime, and tells one file from another under Bun. Loads nothing, because Bun starts a message with it. */

declare global {
  /** What we use of Bun's own object; `setJITPolicy` came with Bun 1.4. */
  var Bun: { hash(octets: Uint8Array): bigint; readonly unsafe: { setJITPolicy?(scale: number): void } } | undefined;
}

/**
 * Names the place below `root` for what is kept for this runtime: for Node a file, for Bun a folder. No other version takes it,
 * nor does Node with other flags of V8.
 */
export function nameKeptPlace(root: string): string {
  const { bun, v8 } = process.versions;
  const flags = process.execArgv.includes('--jitless') ? '-jitless' : '';
  return `${root}/compiled/${bun === undefined ? v8 : `bun-${bun}`}-${process.arch}${flags}`;
}

export const sumOf = (octets: Uint8Array): string => `${Bun?.hash(octets).toString(16)}`;

/** Prints the sums of the program and of the file that Bun made of `main`, for the file `main.sums` beside that. */
export const printMainSums = (program: Uint8Array, main: Uint8Array): string => `${sumOf(program)} ${sumOf(main)}`;
