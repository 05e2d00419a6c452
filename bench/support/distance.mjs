// A TCP proxy that puts a distance between the peers: `distance.mjs PORT RTT` prints its own port. Each octet arrives
// half a round trip after it was sent, and the connection itself takes what it would take: the server sees it after one
// and a half round trips (SYN, SYN-ACK, ACK), and nothing the client says leaves before one has passed.
import net from 'node:net';

const [port, rtt] = process.argv.slice(2).map(Number);
const half = rtt / 2;

net
  .createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const begun = performance.now();
    let server = null;
    // One queue a direction: octets and the end arrive in the order they were sent.
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
