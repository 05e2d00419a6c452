/**
 * A server of its own process that says something while the client is still sending its content, and then goes away in one of
 * several ways. Prints its port. Arguments as JSON: after (milliseconds from 354), reply, leave ('reset', 'fin', 'close',
 * 'drain', 'stay'), offers, key and cert (STARTTLS).
 */
import { createServer } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';

const { after, reply, leave, offers = [], key, cert } = JSON.parse(process.argv[2]);

createServer({ noDelay: true, allowHalfOpen: true }, (plain) => {
  plain.on('error', () => undefined);
  let socket = plain;
  let text = '';
  let blocks = 0;
  const say = (line) => socket.write(`${line}\r\n`);
  const refuse = () =>
    setTimeout(() => {
      if (leave === 'stay') {
        socket.pause();
        return;
      }
      socket.write(`${reply}\r\n`, () => {
        if (leave === 'reset') plain.resetAndDestroy();
        else if (leave === 'fin') {
          socket.pause();
          socket.end();
        } else if (leave === 'close') plain.destroy();
      });
    }, after);
  const hear = (chunk) => {
    if (blocks < 0) return;
    text += chunk.toString('latin1');
    for (let end = text.indexOf('\r\n'); end >= 0 && blocks >= 0; end = text.indexOf('\r\n')) {
      const line = text.slice(0, end);
      text = text.slice(end + 2);
      if (/^EHLO/.test(line))
        say(
          ['250-here', ...offers.filter((word) => word !== 'STARTTLS' || socket === plain).map((word) => `250-${word}`), '250 HELP'].join(
            '\r\n',
          ),
        );
      else if (line === 'STARTTLS') {
        say('220 go');
        plain.off('data', hear);
        socket = new TLSSocket(plain, { isServer: true, secureContext: createSecureContext({ key, cert }) });
        socket.on('error', () => undefined).on('data', hear);
      } else if (line === 'DATA') {
        say('354 go');
        blocks = -1;
        refuse();
      } else if (/^BDAT/.test(line)) {
        blocks = -1;
        refuse();
      } else if (line === 'QUIT') socket.end('221 bye\r\n');
      else say('250 ok');
    }
    if (blocks < 0) text = '';
  };
  plain.on('data', hear).on('end', () => plain.end());
  say('220 here');
}).listen(0, '127.0.0.1', function () {
  process.stdout.write(`${this.address().port}\n`);
});
