// Routes in a process of its own: `routing-child.mjs DIST SCENARIO FILE` writes its alias file if it is not there, routes,
// checks the result, and prints as JSON the milliseconds and the peak of the resident set in MiB.
import { closeSync, existsSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [dist, name, file] = process.argv.slice(2);
const { routeMessage, checkAliasFiles } = await import(pathToFileURL(`${dist}/lib/submit/routing.js`));

const HUB = {
  scheme: 'smtp',
  host: 'hub.example',
  port: 25,
  expand: 'none',
  tls: {
    mode: 'default',
    verify: true,
    caFile: '',
    fingerprint: [],
    serverName: '',
    certificate: '',
    certificateKey: '',
    minVersion: '1.2',
  },
  auth: null,
};

const range = (n, make) => Array.from({ length: n }, (_, i) => make(i));
const bare = (localPart) => ({ localPart, domain: '' });

/** Entries of the alias file, the text before them, the recipients, and the number of final recipients. */
const SCENARIOS = {
  'no alias': () => ({ entries: 10, recipients: [bare('user3')], expected: 1 }),
  'many elsewhere': () => ({
    entries: 10,
    recipients: range(50_000, (i) => ({ localPart: `u${i}`, domain: `d${i % 100}.example` })),
    expected: 50_000,
  }),
  'one in a million': () => ({ entries: 1_000_000, recipients: [bare('user999999')], expected: 1 }),
  'a chain of four': () => ({
    entries: 1_000_000,
    first: 'postmaster: root\nroot: admin\nadmin: user777777\n',
    recipients: [bare('postmaster')],
    expected: 1,
  }),
  'many in a million': () => ({ entries: 1_000_000, recipients: range(50_000, (i) => bare(`user${i * 20}`)), expected: 50_000 }),
  'an alias of addresses': () => ({
    entries: 10,
    first: `all: ${range(20_000, (i) => `member${i}@list.example`).join(',\n\t')}\n`,
    recipients: [bare('all')],
    expected: 20_000,
  }),
  'an alias of aliases': () => ({
    entries: 20_000,
    first: `all: ${range(20_000, (i) => `user${i}`).join(', ')}\n`,
    recipients: [bare('all')],
    expected: 20_000,
  }),
  newaliases: () => ({ entries: 1_000_000, recipients: [], expected: 0 }),
};

/** Writes in pieces, so that the file does not count as memory of routing. */
function writeAliases(entries, first) {
  const fd = openSync(`${file}.new`, 'w');
  writeSync(fd, first);
  for (let at = 0; at < entries; at += 1000)
    writeSync(
      fd,
      range(Math.min(1000, entries - at), (i) => `user${at + i}: mailbox${at + i}@store${(at + i) % 16}.example.org\n`).join(''),
    );
  closeSync(fd);
  renameSync(`${file}.new`, file);
}

const { entries, first = '', recipients: wanted, expected } = SCENARIOS[name]();
if (!existsSync(file)) writeAliases(entries, first);
const config = { routers: [], aliases: [file], smarthosts: [HUB], randomize: false };
const begun = performance.now();
if (name === 'newaliases') {
  const checked = await checkAliasFiles(config);
  if (checked.entries !== entries) throw new Error(`${checked.entries} entries`);
} else {
  const facts = { reversePath: null, ours: ['here.example'], qualifyRecipient: 'here.example' };
  const { recipients, problems } = await routeMessage(config, facts, wanted);
  if (problems.length > 0 || recipients.length !== expected)
    throw new Error(`${name}: ${recipients.length} recipients, ${problems.length} problems`);
}
const took = performance.now() - begun;
process.stdout.write(JSON.stringify({ took, peak: process.resourceUsage().maxRSS / 1024, file: statSync(file).size / 2 ** 20 }));
