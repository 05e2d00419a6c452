// A TCP proxy that simulates a distance: `distance.mjs PORT RTT` prints its own port. Each octet arrives half a round trip
// after it was sent. The connection itself takes as long as it would: the server sees it after one and a half round trips
// (SYN, SYN-ACK, ACK), and no octet of the client leaves before one has passed.
import net from 'node:net';

const [port, rtt] = process.argv.slice(2).map(Number);
const half = rtt / 2;

net
  .createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const begun = performance.now();
    let server = null;
    // One queue for each direction, so that octets and the end arrive in their order.
    const later = (perform, at) => setTimeout(perform, Math.max(0, at - performance.now()));
    const toServer = [];
    const deliver = (perform) => (server === null ? toServer.push(perform) : perform());
    client.on('data', (chunk) => later(() => deliver(() => server.write(chunk)), Math.max(performance.now(), begun + rtt) + half));
    client.on('end', () => later(() => deliver(() => server.end()), Math.max(performance.now(), begun + rtt) + half));
    client.on('error', () => server?.destroy());
    later(
      () => {
        server = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
        server.on('data', (chunk) => later(() => client.destroyed || client.write(chunk), performance.now() + half));
        server.on('end', () => later(() => client.end(), performance.now() + half));
        server.on('error', () => client.destroy());
        for (const perform of toServer.splice(0)) perform();
      },
      begun + 1.5 * rtt,
    );
  })
  .listen(0, '127.0.0.1', function () {
    process.stdout.write(`${this.address().port}\n`);
  });
