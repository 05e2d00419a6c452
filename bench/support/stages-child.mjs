// `stages-child.mjs DIST SOURCES PART [CA-FILE]` loads a part of the sendmail command in this process, as the command would when it
// needs the part, uses it once, and prints in its last line the milliseconds of both as JSON.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [dist, sources, wanted, authority] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const sourceOf = (name) => import(pathToFileURL(`${sources}/lib/sendmail/start/${name}.js`));
const { offerParts, openKept, readMainFile, makeScript } = await sourceOf('loader');
const { nameKeptPlace } = await sourceOf('kept-place');
const program = readMainFile(readFileSync(`${dist}/main.cjs`));
const kept = openKept(nameKeptPlace(dist), program);
const part = offerParts(dist, program, (name, text) => makeScript(name, text(), kept?.(name)), require);
// Parts take from main what it has. Main runs the command as soon as it is loaded, so it runs one that looks at nothing.
const { argv, exit } = process;
process.argv = [process.execPath, 'sendmail', '-bp'];
await new Promise((resolve) => {
  process.exit = resolve;
  part('main');
});
Object.assign(process, { argv, exit, exitCode: 0 });
const TEXT = Buffer.from('Subject: \xf0\xd2\xc9\xd7\xc5\xd4\n\n', 'latin1').latin1Slice();
const block = Buffer.alloc(65536, 'QWxsIG1lbiBieSBuYXR1cmUgZGVzaXJlIHRvIGtub3c\n');
const nothing = () => {};

/** Every message needs node:net, so it is loaded before the clock starts. */
require('node:net');
/** The first use of a part. */
const USES = {
  'transport-kernel-kernel': ({ loadKernel }) => loadKernel()('data').push(block),
  [program.rare]: ({ decode }) => decode(TEXT, 'koi8-r'),
  'node:tls': (tls) => tls.createSecureContext(authority ? { ca: readFileSync(authority) } : {}),
  'node:dns': ({ promises }) => promises.lookup('localhost'),
};

const times = [performance.now()];
const loaded = wanted.startsWith('node:') ? require(wanted) : part(wanted);
times.push(performance.now());
await (USES[wanted] ?? nothing)(loaded);
times.push(performance.now());
process.stdout.write(`\n${JSON.stringify({ load: times[1] - times[0], first: times[2] - times[1], both: times[2] - times[0] })}\n`);
