/** The same alias files given to Exim (`exim -bt`) and to us: the same final addresses, and the same verdict. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { printMailbox } from '../../src/smtp/path.ts';
import { routeMessage } from '../../src/submit/routing.ts';
import { host, mailbox, manualroute, redirect } from '../router/world.ts';
import { within } from '../support/within.ts';
import { suiteWith } from './support/needs.ts';

const test = suiteWith('routing as Exim does it', 'root', 'exim4-daemon-heavy');

/** [alias file, why]; the address is always `k`. INCLUDED stands for a list that holds `inc1, inc2`. */
const FILES: readonly [string, string][] = [
  ['k: a', 'an alias'],
  ['K: a', 'case'],
  ['k a', 'no colon'],
  ['k : a', 'a blank before the colon'],
  ['"k": a', 'a quoted key'],
  ['k: a\nk: b', 'the first counts'],
  ['k: a,\n  b,\n\tc', 'continuation lines'],
  ['k:\n  a', 'a list on the next line'],
  ['x: y\n# k: a\n\nk: b', 'comments and empty lines'],
  ['k: a, b@p.q, a', 'duplicates'],
  ['k: a@p.q, A@p.q, a@P.Q', 'case of duplicates'],
  ['k:', 'an empty value'],
  ['k: # nothing', 'a comment only'],
  ['k: a, # rest', 'a comment at the end'],
  ['k: a # rest', 'a comment without a comma'],
  ['k: Joe Doe <a@p.q>, "Doe, J" <b@p.q>, c@p.q (C)', 'display names and comments'],
  ['k: (nobody), a', 'an item that is only a comment'],
  ['k: "a b"@p.q', 'a quoted local-part'],
  ['k: "a@p.q"', 'an item in quotes'],
  ['k: <@x.y,@z:a@p.q>', 'a source route'],
  ['k: \\k, a', 'a backslash'],
  ['k: \\a', 'a backslash and another name'],
  ['k: k, a', 'itself'],
  ['k: Team: a, b;', 'a group'],
  ['k: a@@b', 'a syntax error'],
  ['k: a, b@@c, d', 'a syntax error among others'],
  ['k: a b', 'two words'],
  ['k: :fail: no, really', ':fail:'],
  ['k: :fail:', ':fail: without a reason'],
  ['k: a, :fail: no', ':fail: after another'],
  ['k: :defer: later', ':defer:'],
  ['k: b@@c, :fail: no', 'what comes first decides'],
  ['k: :fail: no, b@@c', 'the other way round'],
  ['k: :blackhole:', ':blackhole:'],
  ['k: a, :blackhole:, b', ':blackhole: among others'],
  ['k: :blackhole:, :fail: no', ':blackhole: first'],
  ['k: :unknown:', ':unknown:'],
  ['k: :unknown:, a', ':unknown: among others'],
  ['k: :include:INCLUDED', 'an included list'],
  ['k: a, :include:INCLUDED, b', 'an included list among others'],
  ['k: ":include:INCLUDED"', 'an included list in quotes'],
  ['k: :include:/none/such', 'no such list'],
  ['k: :include:none', 'a relative path'],
  ['k: :none: x', 'no such item'],
  ['k: par\npar: :fail: gone', 'a child that fails'],
  ['k: par\npar: :defer: gone', 'a child that is deferred'],
  ['k: a,,b, ,c,', 'empty items'],
  ['k: /S=joe/C=de/@gate.example', 'X.400'],
  ['k: jürgen@p.q', 'UTF-8'],
  ['k: a.@p.q, .b@p.q, c..d@p.q', 'dots'],
];

type Verdict = { readonly kind: 'routed'; readonly to: readonly string[] } | { readonly kind: 'failed' | 'deferred' };

let folder = '';
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'nospool-exim-routing-'));
  chmodSync(folder, 0o755);
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Puts each text into the alias file of a domain of its own. */
function write(texts: readonly string[]): readonly string[] {
  writeFileSync(join(folder, 'included'), 'inc1, inc2\n');
  return texts.map((text, i) => {
    writeFileSync(join(folder, `d${i}.test`), `${text.replaceAll('INCLUDED', join(folder, 'included'))}\n`);
    return `d${i}.test`;
  });
}

function askExim(addresses: readonly string[]): ReadonlyMap<string, Verdict> {
  const configuration = `
primary_hostname = box.test
spool_directory = ${folder}/spool
log_file_path = ${folder}/log-%slog
exim_user = root
never_users =
check_spool_space = 0
begin routers
r1:
  driver = redirect
  data = \${lookup{$local_part}lsearch{${folder}/$domain_data}}
  domains = dsearch;${folder}
  allow_fail
  allow_defer
  qualify_preserve_domain
r9:
  driver = manualroute
  route_list = * 127.0.0.1 byname
  self = send
  transport = t
begin transports
t:
  driver = smtp
`;
  writeFileSync(join(folder, 'exim.conf'), configuration);
  const verdicts = new Map<string, Verdict>();
  for (const address of addresses) {
    const { stdout, stderr } = spawnSync('/usr/sbin/exim4', ['-C', join(folder, 'exim.conf'), '-bt', address], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    const said = stdout + stderr;
    if (/ cannot be resolved at this time/.test(said)) verdicts.set(address, { kind: 'deferred' });
    else if (/ is undeliverable/.test(said)) verdicts.set(address, { kind: 'failed' });
    else {
      const to = said.split('\n').filter((line) => /^\S+@\S+$|^".*"@\S+$/.test(line));
      assert.ok(to.length > 0 || /is discarded/.test(said), `${address}: ${said}`);
      verdicts.set(address, { kind: 'routed', to: canonical(to) });
    }
  }
  return verdicts;
}

/** Duplicates go when Exim delivers; the domain does not regard case. */
const canonical = (addresses: readonly string[]): readonly string[] =>
  [...new Set(addresses.map((each) => each.replace(/@[^@]*$/, (domain) => domain.toLowerCase())))].sort();

async function askUs(address: string, domain: string): Promise<Verdict> {
  const routers = [
    redirect({ domains: [domain], file: join(folder, domain), qualifyPreserveDomain: true }),
    manualroute({ hosts: [host('127.0.0.1')] }),
  ];
  const config = { routers, aliases: [], smarthosts: [], randomize: false };
  const facts = { reversePath: null, ours: [], qualifyRecipient: 'box.test' };
  const { problems, recipients } = await routeMessage(config, facts, [mailbox(address)]);
  // Exim's -bt tells the worst.
  if (problems.some(({ kind }) => kind === 'deferred')) return { kind: 'deferred' };
  if (problems.length > 0) return { kind: 'failed' };
  return { kind: 'routed', to: canonical(recipients.map(({ path }) => printMailbox(path))) };
}

test('every form of entry and list', () =>
  within(120_000, async () => {
    const domains = write(FILES.map(([text]) => text));
    const exims = askExim(domains.map((domain) => `k@${domain}`));
    const differences: string[] = [];
    for (const [i, domain] of domains.entries()) {
      const address = `k@${domain}`;
      const ours = JSON.stringify(await askUs(address, domain));
      const theirs = JSON.stringify(exims.get(address));
      if (ours !== theirs) differences.push(`${FILES[i]?.[1]}: ${JSON.stringify(FILES[i]?.[0])}: Exim ${theirs}, we ${ours}`);
    }
    assert.deepEqual(differences, []);
    const count = (kind: Verdict['kind']) => [...exims.values()].filter((verdict) => verdict.kind === kind).length;
    assert.ok(count('routed') > 25 && count('failed') > 3 && count('deferred') > 7);
  }));

test('any aliases of aliases, with loops', () =>
  within(120_000, async () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'out', 'k');
    const table = fc.dictionary(name, fc.array(name, { minLength: 1, maxLength: 3 }), { minKeys: 3, maxKeys: 6 });
    // The seed is fixed, so that a difference comes back.
    const tables = fc.sample(table, { numRuns: 60, seed: 4 });
    const domains = write(
      tables.map((each) =>
        Object.entries(each)
          .map(([key, list]) => `${key}: ${list.join(', ')}`)
          .join('\n'),
      ),
    );
    const exims = askExim(domains.map((domain) => `k@${domain}`));
    for (const [i, domain] of domains.entries())
      assert.deepEqual(await askUs(`k@${domain}`, domain), exims.get(`k@${domain}`), JSON.stringify(tables[i]));
  }));

test.run();
