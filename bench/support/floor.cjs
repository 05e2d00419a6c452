// What a client on this runtime costs when it does nothing but send: says the commands one by one, writes a file as it is
// (it must have CRLF line ends and no leading dots) a mebibyte at a time, waits for the verdict. PORT FILE, or PORT - for
// standard input; with a third argument, the certificate to trust, over TLS.
const fs = require('node:fs');
const [port, file, authority] = process.argv.slice(2);
const chunk = Buffer.allocUnsafeSlow(1 << 20);
const target = { port: Number(port), host: authority ? 'localhost' : '127.0.0.1', noDelay: true };
const steps = ['EHLO floor.example', 'MAIL FROM:<sender@example.org>', 'RCPT TO:<recipient@example.org>', 'DATA'];
const server = authority
  ? require('node:tls').connect({ ...target, servername: 'localhost', ca: fs.readFileSync(authority) })
  : require('node:net').connect(target);
// tls.connect does not pass noDelay on.
server.setNoDelay(true);
let said = '';
process.exitCode = 1;
server.on('data', (octets) => {
  said += octets.latin1Slice();
  if (!/^\d{3} .*\r\n$/m.test(said)) return;
  const code = /^(\d{3}) /m.exec(said)[1];
  said = '';
  const command = steps.shift();
  if (command) server.write(`${command}\r\n`);
  else if (code === '354') send(file === '-' ? 0 : fs.openSync(file));
  else if (code !== '221') {
    process.exitCode = code[0] === '2' ? 0 : 1;
    server.end('QUIT\r\n');
    server.unref();
  }
});

function send(fd) {
  if (file === '-' && !fs.fstatSync(0).isFile()) return pipe();
  const length = fs.readSync(fd, chunk);
  if (length === 0) server.write('.\r\n');
  else server.write(chunk.subarray(0, length), () => send(fd));
}

function pipe() {
  const input = new (require('node:net').Socket)({
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
