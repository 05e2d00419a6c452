/** What a platform's name says of its files. */

/**
 * False where the files that set a POSIX host up, below /etc, are nobody's: on Windows that is a folder which any user may make, and no owner
 * tells who did.
 */
export const hasSystemFiles = (platform: string): boolean => platform !== 'win32';
