// Leads the names of the examples to servers of a test, for the program that is started with `--import` of this file. EXAMPLE_WAYS is JSON:
// `host:port`, or the path of a unix socket, and where it leads. Everything above names and addresses is as in a real network: the host is not loopback, so TLS
// is required, and the certificate must be for the name.
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import os from 'node:os';

const ways = new Map(Object.entries(JSON.parse(process.env.EXAMPLE_WAYS ?? '{}')));
const hosts = [...new Set([...ways.keys()].filter((way) => !way.startsWith('/')).map((way) => way.replace(/:\d+$/, '')))];
const isAddress = (host) => /^[\d.]+$/.test(host);
/** Addresses of RFC 5737, so that nothing else is reached by mistake. */
const addressOf = (host) => (isAddress(host) ? host : `192.0.2.${hosts.indexOf(host) + 1}`);

const answer = (done, code, found) => setImmediate(() => done(code === null ? null : Object.assign(new Error(code), { code }), found));
dns.Resolver.prototype.resolve4 = (name, done) => {
  if (hosts.includes(name)) answer(done, null, [addressOf(name)]);
  else answer(done, 'ENOTFOUND');
};
dns.Resolver.prototype.resolve6 = (name, done) => answer(done, hosts.includes(name) ? 'ENODATA' : 'ENOTFOUND');
// The host has IPv4, whatever it has.
os.networkInterfaces = () => ({ eth0: [{ address: '192.0.2.254', family: 'IPv4', internal: false }] });

const { connect } = net.Socket.prototype;
net.Socket.prototype.connect = function (...given) {
  const options = Array.isArray(given[0]) ? given[0][0] : given[0];
  if (typeof options === 'object' && options.path !== undefined) options.path = ways.get(options.path) ?? options.path;
  else if (typeof options === 'object') {
    const way = [...ways].find(([place]) => {
      const [, host, port] = /^(.*):(\d+)$/.exec(place) ?? [];
      return (options.host === host || options.host === addressOf(host ?? '')) && Number(options.port) === Number(port);
    });
    if (way !== undefined) Object.assign(options, { host: '127.0.0.1', port: way[1], localAddress: undefined });
  }
  return connect.apply(this, given);
};
syncBuiltinESMExports();
