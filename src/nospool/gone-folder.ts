/** A name for the folder that we are in where the system has none, because it is gone or above it is one that is closed to us. Knows no command. */

/** Must be called before yargs is loaded, which asks for the name before anything else can. */
export function nameGoneFolder(): void {
  try {
    process.cwd();
  } catch {
    // Whatever is named from there is not there, and the system says so.
    process.cwd = () => '/proc/self/cwd';
  }
}
