// The least client on this runtime: sends the commands one by one, writes a file as it is (it must have CRLF line ends and
// no leading dots) a mebibyte at a time, and waits for the verdict. PORT FILE, or PORT - for standard input. With a third
// argument, the certificate to trust, it speaks TLS, whose settings it makes while TCP connects.
const fs = require('node:fs');
const net = require('node:net');
const [port, file, authority] = process.argv.slice(2);
const steps = ['EHLO floor.example', 'MAIL FROM:<sender@example.org>', 'RCPT TO:<recipient@example.org>', 'DATA'];
let server = net.connect({ port: Number(port), host: '127.0.0.1', noDelay: true });
process.exitCode = 1;
if (authority) {
  const socket = server;
  const tls = require('node:tls');
  const secureContext = tls.createSecureContext({ ca: fs.readFileSync(authority) });
  server = tls.connect({ socket, secureContext, servername: 'localhost' });
}
let said = '';
let chunk;
server.on('data', (octets) => {
  said += octets.latin1Slice();
  if (!/^\d{3} .*\r\n$/m.test(said)) return;
  const code = /^(\d{3}) /m.exec(said)[1];
  said = '';
  const command = steps.shift();
  if (command) server.write(`${command}\r\n`);
  else if (code === '354') send(file === '-' ? 0 : fs.openSync(file));
  else {
    const status = code[0] === '2' ? 0 : 1;
    server.write('QUIT\r\n', () => process.exit(status));
  }
});

function send(fd) {
  if (file === '-' && !fs.fstatSync(0).isFile()) return pipe();
  const size = fs.fstatSync(fd).size;
  chunk = Buffer.allocUnsafeSlow(Math.min(1 << 20, size + 1));
  const next = () => {
    const length = fs.readSync(fd, chunk);
    if (length === 0) server.write('.\r\n');
    // A message that one read takes goes out together with its end.
    else if (length === size) server.write(Buffer.concat([chunk.subarray(0, length), Buffer.from('.\r\n')]));
    else server.write(chunk.subarray(0, length), next);
  };
  next();
}

function pipe() {
  chunk = Buffer.allocUnsafeSlow(1 << 20);
  // Bun's sockets read only descriptors that they opened.
  if (process.versions.bun) {
    const next = () =>
      fs.read(0, chunk, 0, chunk.length, null, (_, length) => {
        if (length > 0) server.write(chunk.subarray(0, length), next);
        else server.write('.\r\n');
      });
    return next();
  }
  const input = new net.Socket({
    fd: 0,
    writable: false,
    onread: {
      buffer: chunk,
      callback(length) {
        server.write(chunk.subarray(0, length), () => input.resume());
        return false;
      },
    },
  });
  input.on('end', () => server.write('.\r\n'));
  input.resume();
}
