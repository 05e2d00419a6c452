// The least client on this runtime (floor.cjs) in a process that has loaded our code, with what is kept of it, as every message has: the
// command runs as `--version` before, and the parts that TLS needs are loaded, too, where TLS is spoken. DIST, then the words of floor.cjs.
const { argv, exit } = process;
const [, , dist, ...words] = argv;
process.exit = () => {
  Object.assign(process, { argv: [...argv.slice(0, 2), ...words], exit });
  if (words[2]) for (const part of ['transport-tls-tls', 'transport-tls-peername']) globalThis.nospoolPart(part);
  require('./floor.cjs');
};
process.argv = [...argv.slice(0, 2), '--version'];
require(`${dist}/sendmail.cjs`);
