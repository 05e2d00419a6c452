/** Asks the C library's getaddrinfo(3), in a thread of this process that nobody can end. */

import type { IpAddress } from './host-files.ts';
import type { AskSystem } from './question.ts';

export const askSystem: AskSystem = (name, { family }) => {
  const { lookup } = process.getBuiltinModule('node:dns');
  return new Promise((resolve, reject) =>
    lookup(name, { all: true, family: family === 'any' ? 0 : family, verbatim: true }, (error, found) =>
      error ? reject(error) : resolve(found as IpAddress[]),
    ),
  );
};
