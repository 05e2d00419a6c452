/**
 * Compares the members of --json and of a log in JSON with the manual pages.
 * Loopback: the members are the subject; what may be sent where is not.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import { type LogRecord, printLog } from '../../src/submit/log.ts';
import { configured, nospool, sinkWith } from '../support/admin.ts';
import { smartHost } from '../support/command.ts';
import { within } from '../support/within.ts';

const test = suite('JSON');

const page = (name: string): string => readFileSync(fileURLToPath(new URL(`../../man/${name}`, import.meta.url)), 'utf8');

/** The names in the list of nospool(1) behind this comment. */
function documented(command: string): string[] {
  const [, list = ''] = page('nospool.1').split(`.\\" JSON of ${command}, compared by test/nospool/json.test.ts\n`);
  return [...list.slice(0, list.search(/^\.(PP|SH)/m)).matchAll(/^\.TP\n\.B (\S+)$/gm)].map((match) => match[1] as string);
}

/** Members as the manual writes them: `a[].b` for b of the objects in the list a. A list of texts has no members. */
function membersOf(value: unknown, at = ''): string[] {
  if (Array.isArray(value)) {
    const inner = value.flatMap((each) => membersOf(each, `${at}[]`));
    return inner.some((each) => each !== `${at}[]`) ? inner : [at];
  }
  if (typeof value !== 'object' || value === null) return [at];
  return Object.entries(value).flatMap(([name, each]) => membersOf(each, at === '' ? name : `${at}.${name}`));
}

/** The members of several objects. A member that is null in one and an object in another counts as an object. */
function union(...values: readonly unknown[]): string[] {
  const all = [...new Set(values.flatMap((value) => membersOf(value)))].filter((each) => each !== '');
  return all.filter((each) => !all.some((other) => other.startsWith(`${each}.`) || other.startsWith(`${each}[]`))).sort();
}

test('O8: the manual has the members of check --json', () =>
  within(30_000, async () => {
    const sink = await sinkWith({ starttls: true, auth: 'me:secret' });
    const more = `[[router]]\nname = "nobody"\ndriver = "manualroute"\nhosts = [{ url = "submission://nowhere.invalid", auth = "none" }]\n[tls]\nmode = "required"\nca_file = "${sink.certificate}"\n[auth]\nuser = "me"\npassword = "secret"\n[timeouts]\nresolve = "2s"`;
    const { config } = configured(`smarthosts = ["submission://127.0.0.1:${sink.port}"]`, more);
    const run = await nospool('check', '--config', config, '--json', '--warn-days', '60');
    await sink.close();
    assert.notEqual(run.stdout, '', run.stderr);
    const members = union(JSON.parse(run.stdout));
    // Only root hears which users cannot send, and only root can make such files.
    const closed = ['key', 'path', 'at', 'owner', 'group', 'mode', 'detail'].map((name) => `senders.closed[].${name}`);
    assert.deepEqual([...new Set([...members.filter((each) => each !== 'senders.closed'), ...closed])].sort(), documented('check').sort());
  }));

test('O8: the manual has the members of route --json', () =>
  within(30_000, async () => {
    const routers = `[[router]]\nname = "inside"\ndriver = "manualroute"\ndomains = ["inside.example"]\nhosts = ["smtp://127.0.0.1:9"]\nheaders_add = ["X-A: b"]\n[[router]]\nname = "all"\ndriver = "manualroute"\ndomains = ["*.example"]\nhosts = ["smtp://127.0.0.1:10"]\n[[router]]\nname = "aliases"\ndriver = "redirect"\ndata = { root = "x@inside.example, y@inside.example", none = ":blackhole:" }`;
    const { config } = configured('', routers);
    const asked = async (...addresses: string[]): Promise<unknown> =>
      JSON.parse((await nospool('route', '--config', config, '--json', '--resolve', ...addresses)).stdout);
    const members = union(
      await asked('a@inside.example'),
      await asked('a@inside.example', 'b@b.example'),
      await asked('a@nowhere'),
      await asked('root', 'none'),
    );
    // The children of the tree are trees, too.
    const names = members.map((each) => each.replace(/^tree\[\](\.children\[\])+/, 'tree[]'));
    assert.ok(members.some((each) => each.startsWith('tree[].children[].')));
    assert.deepEqual([...new Set([...names, 'tree[].children'])].sort(), documented('route').sort());
  }));

test('O8: the manual has the members of nospool log --json for a log in the form of Exim', async () => {
  const file = path.join(configured('').folder, 'exim');
  writeFileSync(file, '2026-11-22 16:01:04 +0000 1xVA00-000000006RF-071U <= a@b.example\n');
  assert.deepEqual(union(JSON.parse((await nospool('log', '--file', file, '--json')).stdout)), documented('log').sort());
});

test('O8: the manual has the members of log_format = "json" and of send --json', () =>
  within(30_000, async () => {
    const [, list = ''] = page('sendmail.nospool.8').split('there is one JSON object for each message, with\n');
    const text = list.slice(0, list.indexOf('\n.El\n'));
    const names = [...text.matchAll(/^\.It Cm (\w+)$/gm)].map((match) => match[1] as string);
    const [, attempts = ''] = text.split('.It Cm attempts\n');
    const inner = [...attempts.slice(0, attempts.indexOf('.It ')).matchAll(/^\.Cm (\w+)/gm)].map((match) => `attempts[].${match[1]}`);
    const wanted = [...names.filter((name) => name !== 'attempts'), ...inner].sort();

    const host = { scheme: 'smtp', host: 'mail.example.org', port: 25 } as const;
    const failure = { kind: 'unsupported', at: 'hello', condemns: 'host', lacks: 'auth', detail: 'no' } as const;
    const record = {
      time: new Date(0),
      id: 'x',
      login: 'me',
      reversePath: null,
      recipients: [],
      discarded: [],
      octets: null,
      messageId: '',
      outcome: { kind: 'failed', failure, attempts: [{ host, name: 'mail.example.org', endpoint: null, failure }], unreplayable: false },
      notes: [],
    } as unknown as LogRecord;
    const [line = ''] = printLog(record, 'json');
    assert.deepEqual(union(JSON.parse(line)), wanted);

    const peer = await smartHost();
    const { config, log, folder } = configured(`smarthosts = ["submission://127.0.0.1:${peer.port}"]\nlog_format = "json"`);
    const message = path.join(folder, 'message');
    writeFileSync(message, 'Subject: x\n\nhello\n');
    const sent = await nospool('send', '--config', config, '--to', 'you@example.org', '--json', message);
    await peer.close();
    for (const text of [sent.stdout, readFileSync(log, 'utf8')])
      assert.deepEqual(Object.keys(JSON.parse(text)).sort(), [...names].sort(), text);
  }));

test.run();
