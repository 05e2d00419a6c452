// As floor-loaded.cjs, under Bun and with what is kept for it: the conversation of floor-bun.mjs. DIST, then the words of that.
const { argv, exit } = process;
const [, , dist, ...words] = argv;
process.exit = () => {
  Object.assign(process, { argv: [...argv.slice(0, 2), ...words], exit });
  if (words[1]) for (const part of ['transport-tls-tls', 'transport-tls-peername']) globalThis.nospoolPart(part);
  import('./floor-bun.mjs');
};
process.argv = [...argv.slice(0, 2), '--version'];
await import(`${dist}/sendmail-bun.mjs`);
