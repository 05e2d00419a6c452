// Hands connections on: `node relay.mjs '[[from, to], …]'`, each an object for net.listen and net.connect. It prints a line when
// it listens everywhere. For servers on the loopback of a client, which the tests' own process cannot reach.
import { chmodSync } from 'node:fs';
import { connect, createServer } from 'node:net';

const pairs = JSON.parse(process.argv[2]);
await Promise.all(
  pairs.map(([from, to]) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const onward = connect({ allowHalfOpen: true, noDelay: true, ...to });
      client.on('error', () => onward.destroy()).pipe(onward);
      onward.on('error', () => client.destroy()).pipe(client);
    });
    return new Promise((resolve) =>
      server.listen(from, () => {
        if (from.path) chmodSync(from.path, 0o666);
        resolve();
      }),
    );
  }),
);
console.log('listens');
