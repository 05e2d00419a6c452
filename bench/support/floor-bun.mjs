// The least conversation under Bun, by its own sockets: nothing is parsed but the first digits of a reply, nothing is checked, and no
// configuration is read. PORT [AUTHORITY]; the message on standard input is small and has CRLF line ends and no leading dots. It waits
// for the end of the process, as the command does, so that Bun collects no garbage.
import { readFileSync } from 'node:fs';

const [port, authority] = process.argv.slice(2);
const flights = ['EHLO floor.example\r\n', 'MAIL FROM:<sender@example.org>\r\nRCPT TO:<recipient@example.org>\r\nDATA\r\n'];
let said = '';
let isSent = false;
Bun.connect({
  hostname: authority ? 'localhost' : '127.0.0.1',
  port: Number(port),
  ...(authority ? { tls: { ca: readFileSync(authority), rejectUnauthorized: true, serverName: 'localhost' } } : {}),
  socket: {
    data(socket, octets) {
      said += octets.toString('latin1');
      const code = /^(\d{3}) .*\r\n$/m.exec(said)?.[1];
      // The envelope's replies come together or apart, and the last of them asks for the content.
      if (code === undefined || (flights.length === 0 && /^250 /.test(said) && !/^354 /m.test(said) && !isSent)) return;
      said = '';
      const flight = flights.shift();
      if (flight) socket.write(flight);
      else if (!isSent) {
        isSent = true;
        socket.write(Buffer.concat([readFileSync(0), Buffer.from('.\r\n')]));
      } else {
        socket.write('QUIT\r\n');
        process.exit(code[0] === '2' ? 0 : 1);
      }
    },
    close: () => process.exit(1),
    error: () => process.exit(1),
    connectError: () => process.exit(1),
  },
});

await new Promise(() => {});
