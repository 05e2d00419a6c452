/**
 * The SMTP core without a socket: a driver is whoever gives the dialogue octets and performs its actions. Here both ends of the
 * stream are in this process, and a server of ten lines answers. `npm run build`, then `node examples/driver.mjs`.
 */
import { contentEncoder, Dialogue, parseMailbox } from 'nospool/smtp';

/** A server that takes everything; what it hears and says is printed. */
function serve(answer) {
  let isContent = false;
  let text = '';
  const say = (line) => {
    console.log(`S: ${line}`);
    // Like a network, it answers later.
    queueMicrotask(() => answer(`${line}\r\n`));
  };
  say('220 mail.example.org ready');
  return (octets) => {
    const lines = (text + octets).split('\r\n');
    text = lines.pop();
    for (const line of lines) {
      console.log(`C: ${line}`);
      if (isContent) {
        isContent = line !== '.';
        if (!isContent) say('250 2.0.0 taken');
      } else if (line === 'DATA') {
        isContent = true;
        say('354 go on');
      } else say(line === 'QUIT' ? '221 bye' : '250 fine');
    }
  };
}

/** Sends one message and resolves with its outcome. */
function deliver(transaction, content) {
  const dialogue = new Dialogue({
    protocol: 'smtp',
    hello: 'client.example.org',
    tls: 'off',
    authenticate: null,
    transactions: 'one',
    framing: 'data',
    partial: 'never',
  });
  return new Promise((resolve) => {
    const write = serve((octets) => perform(dialogue.receive(octets)));
    function perform(actions) {
      for (const action of actions)
        switch (action.do) {
          case 'send':
            write(action.lines.map((line) => `${line}\r\n`).join(''));
            break;
          case 'ready':
            perform(dialogue.on({ type: 'transaction', transaction }));
            break;
          case 'pull': {
            const encoder = contentEncoder('data');
            write(Buffer.from(encoder.push(content)).toString('latin1'));
            write(Buffer.from(encoder.end()).toString('latin1'));
            perform(dialogue.on({ type: 'contentSent' }));
            break;
          }
          case 'commit':
            write([action.line, ...action.along].map((line) => `${line}\r\n`).join(''));
            break;
          case 'settle':
            resolve(action.outcome);
            break;
          case 'note':
            console.log(`!  ${action.note}`);
            break;
          // 'close' and 'destroy' end a stream. 'startTls' and 'sendBlock' cannot come: the plan has no TLS and no BDAT.
        }
    }
    perform(dialogue.begin());
  });
}

const mailbox = (text) => {
  const read = parseMailbox(text);
  if (!read.ok) throw new Error(read.detail);
  return read.value;
};
const outcome = await deliver(
  {
    reversePath: mailbox('web1@example.org'),
    recipients: [{ path: mailbox('alice@example.org') }],
    size: null,
    estimate: null,
    eightBit: 'none',
    withoutEightBit: 'refuse',
    smtputf8: false,
    dsn: 'drop',
  },
  new TextEncoder().encode('Subject: backup\n\nAll done.\n.\nA line of one dot is doubled.\n'),
);
console.log(outcome.kind === 'accepted' ? 'accepted' : outcome.failure);
process.exitCode = outcome.kind === 'accepted' ? 0 : 1;
