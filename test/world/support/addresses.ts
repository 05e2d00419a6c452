/**
 * Where the smart hosts of test/interop and test/world listen. test/run.mjs sets TEST_HOST when it has made a network
 * namespace with an address of TEST-NET-1 (RFC 5737): never loopback, and never the world outside. Elsewhere (benches, users
 * without root) it is loopback.
 */
export const HOST = process.env.TEST_HOST ?? '127.0.0.1';

/** A name that leads to it by /etc/hosts. */
export const NAME = HOST === '127.0.0.1' ? 'localhost' : 'smart.peer.test';
