// What a part that is loaded only when it is needed costs when it is: `stages-child.mjs FILE PART [CA-FILE]` loads it in
// this process, uses it once, and prints as JSON the milliseconds of both.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [file, part, authority] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const TEXT = Buffer.from('Subject: \xf0\xd2\xc9\xd7\xc5\xd4\n\n', 'latin1').latin1Slice();

/** The net that every message needs is there already. */
require('node:net');
/** Each: how it is loaded, and its first use. */
const PARTS = {
  charset: [() => require(file), ({ decode }) => decode(TEXT, 'koi8-r')],
  'node:tls': [() => require('node:tls'), (tls) => tls.createSecureContext(authority ? { ca: readFileSync(authority) } : {})],
  'node:dns': [() => require('node:dns'), ({ promises }) => promises.lookup('localhost')],
};

const [load, use] = PARTS[part];
const times = [performance.now()];
const loaded = load();
times.push(performance.now());
await use(loaded);
times.push(performance.now());
process.stdout.write(JSON.stringify({ load: times[1] - times[0], first: times[2] - times[1], both: times[2] - times[0] }));
