/** Gives the current folder a name when the system has none for it: it was removed, or a folder above it is closed to us. Knows no command. */

/** Must be called before yargs is loaded, which asks for the name before anything else can. */
export function nameGoneFolder(): void {
  try {
    process.cwd();
  } catch {
    // Whatever is named from there is not there, and the system says so.
    process.cwd = () => '/proc/self/cwd';
  }
}
