/** What the names of a platform and of a runtime say. */

/**
 * False where the files that set a POSIX host up, below /etc, are nobody's: on Windows that is a folder which any user may make, and no owner
 * tells who did.
 */
export const hasSystemFiles = (platform: string): boolean => platform !== 'win32';

/** True for a Bun whose TLS is not to be relied on: it passes over versions that a program allows, and shows no certificate that can be read. */
export const isOldBun = (version: string): boolean => /^(0|1\.[0-3])\./.test(version);
