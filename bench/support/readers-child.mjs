// Runs one reader in a process of its own: `readers-child.mjs DIST KIND MILLISECONDS` prints its rates as JSON.
import { pathToFileURL } from 'node:url';

const [dist, kind, duration] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(`${dist}/lib/${file}`));

const REPLIES =
  '250-mail.example.org\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250 8BITMIME\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go ahead\r\n250 2.0.0 queued as 4F2\r\n';
const COUNT = 5;
const FIELDS = Array.from(
  { length: 40 },
  (_, i) => `X-Field-${i}: some words of an ordinary length,\r\n and a folded line with some more of them\r\n`,
);
const HEAD = Buffer.from(`From: a@example.org\r\nTo: b@example.org\r\nSubject: words\r\n${FIELDS.join('')}\r\n`, 'latin1');

/** Each makes a function that reads once, with the number of octets and of items that it reads. */
const KINDS = {
  async replies() {
    const { ReplyReader } = await load('smtp/reply.js');
    const reader = new ReplyReader();
    const text = REPLIES;
    const read = () => {
      reader.push(text);
      let count = 0;
      while (reader.next() !== null) count++;
      if (count !== COUNT) throw new Error('bug: replies were lost');
    };
    return [read, text.length, COUNT];
  },
  async 'replies by octet'() {
    const { ReplyReader } = await load('smtp/reply.js');
    const reader = new ReplyReader();
    const read = () => {
      let count = 0;
      for (const octet of REPLIES) {
        reader.push(octet);
        if (reader.next() !== null) count++;
      }
      if (count !== COUNT) throw new Error('bug: replies were lost');
    };
    return [read, REPLIES.length, COUNT];
  },
  async 'replies by split'() {
    let kept;
    const read = () => {
      kept = REPLIES.split('\r\n').filter((line) => /^\d{3} /.test(line));
      if (kept.length !== COUNT) throw new Error('bug: replies were lost');
    };
    return [read, REPLIES.length, COUNT];
  },
  async head() {
    const { readHead } = await load('message/head.js');
    const { sourceOf } = await load('message/source.js');
    const read = async () => {
      const head = await readHead(sourceOf(HEAD), { limit: 1 << 20 });
      if (head.value.fields.length !== 43) throw new Error('bug: fields were lost');
    };
    return [read, HEAD.length, 43];
  },
  async 'head by split'() {
    const read = () => {
      const fields = HEAD.latin1Slice().split(/\r\n(?![ \t])/);
      if (fields.length !== 45) throw new Error('bug: fields were lost');
    };
    return [read, HEAD.length, 43];
  },
};

const [read, octets, items] = await KINDS[kind]();
async function turn(milliseconds) {
  const begun = performance.now();
  let times = 0;
  while (performance.now() - begun < milliseconds) {
    for (let i = 0; i < 100; i++) {
      const pending = read();
      if (pending) await pending;
    }
    times += 100;
  }
  const elapsed = performance.now() - begun;
  return { rate: (times * octets) / 1000 / elapsed, items: (times * items) / elapsed };
}
await turn(Number(duration));
process.stdout.write(JSON.stringify(await turn(Number(duration))));
