/** Errors of sockets in words and as reasons, for people and for programs. Knows no socket. */
import type { ConnectReason } from '../smtp/client/outcome.ts';
import type { Unreached } from './wire.ts';

/** Why a connection was not made, by the error of the system or of a program's own socket. */
export function explainConnectError(error: NodeJS.ErrnoException, from?: string): Unreached {
  const { code } = error;
  const isOurs = code === 'EADDRNOTAVAIL' && from !== undefined;
  const detail = isOurs ? `${from} is not an address of this host` : printSocketError(error);
  return { detail, reason: isOurs ? 'other' : reasonOfCode(code), ...systemCodeOf(error) };
}

/** Programs put other things into `code`, too. */
export const systemCodeOf = ({ code }: NodeJS.ErrnoException): { readonly systemCode?: string } =>
  typeof code === 'string' ? { systemCode: code } : {};

const REASONS: Readonly<Record<string, ConnectReason>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'refused',
  ENOTFOUND: 'resolve',
  EAI_AGAIN: 'resolve',
  ENOENT: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETUNREACH: 'unreachable',
  ENETDOWN: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ETIMEDOUT: 'timeout',
};

const reasonOfCode = (code: unknown): ConnectReason => (typeof code === 'string' ? REASONS[code] : undefined) ?? 'other';

/** A Node error of a socket in words: ours, else the system's. Never Node's, which repeats addresses and may say "undefined". */
export function printSocketError(error: NodeJS.ErrnoException): string {
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'connection refused',
    ECONNRESET: 'connection reset by the server',
    EPIPE: 'the server closed the connection',
    ETIMEDOUT: 'connection timed out',
    EHOSTUNREACH: 'no route to the host',
    ENETUNREACH: 'network is unreachable',
    EACCES: 'permission denied',
    ENOENT: 'no such socket',
    EADDRNOTAVAIL: 'address not available',
    EADDRINUSE: 'every local port is in use',
    EPERM: 'forbidden by a rule of this host',
    EMFILE: 'this process may open no more files (ulimit -n)',
    ENFILE: 'this host can open no more files',
  };
  const { code = '', errno, message } = error;
  const known = words[code];
  if (known || !code || !errno) return known ?? message;
  // It is loaded only where we have no words of our own.
  const told = process.getBuiltinModule('node:util').getSystemErrorMap().get(errno);
  return told ? `${told[1]} (${code})` : message;
}
