// What a part that is loaded only when it is needed costs when it is: `stages-child.mjs DIST PART [CA-FILE]` loads it in
// this process, as the sendmail command would, uses it once, and prints as JSON the milliseconds of both.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [dist, part, authority] = process.argv.slice(2);
const require = createRequire(import.meta.url);
// The loader is part of a CommonJS file, where there is one.
globalThis.require = require;
const { loader, readKept } = await import(pathToFileURL(`${dist}/lib/loader.js`));
const chunk = (name) => loader(dist, readKept)(`chunks/${name}.cjs`);
const CONFIG = `smarthosts = ["submission://mail.example.org"]
qualify_domain = "example.org"
[auth]
user = "web1"
password_file = "/etc/nospool.password"
`;
const TEXT = Buffer.from('Subject: \xf0\xd2\xc9\xd7\xc5\xd4\n\n', 'latin1').latin1Slice();
const block = Buffer.alloc(65536, 'QWxsIG1lbiBieSBuYXR1cmUgZGVzaXJlIHRvIGtub3c\n');

/** The net that every message needs is there already. */
require('node:net');
/** Each: how it is loaded, and its first use. */
const PARTS = {
  toml: [() => chunk('toml'), ({ parseToml }) => parseToml(CONFIG)],
  kernel: [() => chunk('kernel').loadKernel(), (kernel) => kernel('data').push(block)],
  charset: [() => chunk('charset'), ({ decode }) => decode(TEXT, 'koi8-r')],
  convert: [() => chunk('convert'), () => {}],
  tls: [() => chunk('tls'), () => {}],
  'node:tls': [() => require('node:tls'), (tls) => tls.createSecureContext(authority ? { ca: readFileSync(authority) } : {})],
  'node:dns': [() => require('node:dns'), ({ promises }) => promises.lookup('localhost')],
  secret: [() => chunk('secret'), () => {}],
  choose: [() => chunk('choose'), () => {}],
  proxy: [() => chunk('proxy'), () => {}],
};

const [load, use] = PARTS[part];
const times = [performance.now()];
const loaded = load();
times.push(performance.now());
await use(loaded);
times.push(performance.now());
process.stdout.write(JSON.stringify({ load: times[1] - times[0], first: times[2] - times[1], both: times[2] - times[0] }));
