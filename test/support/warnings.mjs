// A warning of the runtime (too many listeners, something deprecated) is printed once and forgotten: here it fails the run.
let count = 0;
process.on('warning', ({ name }) => {
  count += 1;
  console.log(`${name}: a warning of the runtime fails the run; see standard error`);
});
process.on('exit', () => {
  if (count > 0) process.exitCode = 1;
});
// The runner asks a process that does not end what it waits for.
process.on('SIGPWR', () => console.log(`open: ${process.getActiveResourcesInfo().join(', ') || 'nothing'}`));
