/** Addresses in the network namespace that test/run.mjs makes for this folder: RFC 5737 TEST-NET-1, so never loopback and never the world outside. */
export const HOST = '192.0.2.10';
