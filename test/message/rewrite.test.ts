import assert from 'node:assert/strict';
import { domainToASCII } from 'node:url';
import { suite } from 'uvu';
import type { Field } from '../../src/message/fields.ts';
import { parseRewrite, type Rewrite, rewriteFields, rewriteReversePath } from '../../src/message/rewrite.ts';
import { parseReversePath, printPath } from '../../src/smtp/path.ts';
import { utf8 } from '../../src/smtp/text.ts';

const test = suite('message/rewrite');

const RULES = {
  root: 'host1-root@example.org',
  'joe@old.example': 'Joe.Doe@new.example',
  '*@old.example': '*@new.example',
  '*@gone.example': 'postmaster',
  'a@new.example': 'b@new.example',
};

function rules(record: Record<string, string> = RULES, domain = 'q.example'): Rewrite {
  const got = parseRewrite(record, domain, (domain) => domain.toLowerCase());
  assert.ok(got.ok);
  return got.value;
}

test('the reverse-path is rewritten, and the null reverse-path stays null', () => {
  const rows: [string, string, string][] = [
    ['<>', '<>', 'null stays null'],
    ['root@q.example', '<host1-root@example.org>', 'a bare key is at qualify_domain'],
    ['root@Q.EXAMPLE', '<host1-root@example.org>', 'domains in any case'],
    ['root', '<host1-root@example.org>', 'a bare address'],
    ['Root@q.example', '<Root@q.example>', 'the local-part decides by case'],
    ['root@old.example', '<root@new.example>', 'a domain keeps the local-part'],
    ['joe@old.example', '<Joe.Doe@new.example>', 'an address before its domain'],
    ['a@old.example', '<a@new.example>', 'once: no rule for the result'],
    ['x@gone.example', '<postmaster@q.example>', 'all of a domain to one address'],
    ['"a b"@old.example', '<"a b"@new.example>', 'quoted'],
    ['x@other.example', '<x@other.example>', 'no rule'],
    ['x@sub.old.example', '<x@sub.old.example>', 'a subdomain is another domain'],
  ];
  for (const [path, expected, why] of rows) {
    const parsed = parseReversePath(path);
    assert.ok(parsed.ok);
    assert.equal(printPath(rewriteReversePath(rules(), parsed.value, 'q.example')), expected, why);
  }
});

test('header fields keep everything except the address', () => {
  const rows: [string, string, string][] = [
    ['From: root (Cron Daemon)', 'From: host1-root@example.org (Cron Daemon)', 'the comment stays'],
    ['From: "R, oot"\n\t<root@q.example>', 'From: "R, oot"\n\t<host1-root@example.org>', 'name and folding stay'],
    ['SENDER : x@old.example', 'SENDER : x@new.example', 'Sender'],
    ['Reply-To: G: joe@old.example, x@y, root;', 'Reply-To: G: Joe.Doe@new.example, x@y, host1-root@example.org;', 'groups'],
    ['From: x <@r:root . (c) x@old . example>', 'From: x <@r:root.x@new.example>', 'obsolete blanks and comments within the address go'],
    ['From: <@r:x@old . example>', 'From: <@r:x@new.example>', 'only the address, not its route'],
    ['To: root', 'To: root', 'recipients are not rewritten'],
    ['Subject: root@q.example', 'Subject: root@q.example', 'nor other fields'],
    ['From: J\xf6 <root>', 'From: J\xf6 <host1-root@example.org>', 'octets stay'],
  ];
  for (const [raw, expected, why] of rows) {
    const field: Field = { name: raw.slice(0, raw.indexOf(':')).trimEnd(), raw };
    assert.equal(rewriteFields(rules(), [field], 'q.example')[0]?.raw, expected, why);
  }
});

test('a bare key stands for the bare address if there is no qualify_domain', () => {
  const bare = rules({ root: 'r@x' }, '');
  const fields = rewriteFields(bare, [{ name: 'From', raw: 'From: root, root@y' }], '');
  assert.equal(fields[0]?.raw, 'From: r@x, root@y');
});

test('rules and addresses may spell a domain in either form', () => {
  const record = { '*@müller.example': '*@new.example', 'x@xn--zca.example': 'y@new.example', 'ü@ß.example': 'z@new.example' };
  const got = parseRewrite(record, '', domainToASCII);
  assert.ok(got.ok);
  const raw = utf8(
    'From: a@Müller.example, b@xn--mller-kva.EXAMPLE, x@ß.example, x@xn--zca.example, ü@ß.example, ü@xn--zca.example, q@ss.example',
  );
  const expected = utf8('From: a@new.example, b@new.example, y@new.example, y@new.example, z@new.example, z@new.example, q@ss.example');
  assert.equal(rewriteFields(got.value, [{ name: 'From', raw }], '')[0]?.raw, expected);
});

test('no rules change nothing', () => {
  const fields = [{ name: 'From', raw: 'From: root' }];
  assert.equal(rewriteFields(rules({}), fields, 'q.example'), fields);
});

test('rules that cannot be meant are refused and named', () => {
  const rows: [Record<string, string>, string, RegExp][] = [
    [{ 'a b': 'x@y' }, 'q', /^\[rewrite\] "a b" = "x@y": the key: /],
    [{ '*@': 'x@y' }, 'q', /the key: /],
    [{ a: '' }, 'q', /the replacement: /],
    [{ a: '*@-' }, 'q', /the replacement: "-" is not a domain/],
    [{ a: 'root' }, '', /the replacement: it needs a domain: write it in full or set qualify_domain/],
    [{ a: 'x@y\r\nRCPT TO:<z@y>' }, 'q', /^\[rewrite\] "a" = "x@y\\x0d\\x0aRCPT TO:<z@y>": the replacement: a control character/],
  ];
  for (const [record, domain, expected] of rows) {
    const got = parseRewrite(record, domain, (domain) => domain.toLowerCase());
    assert.ok(!got.ok);
    assert.match(got.detail, expected);
  }
});

test.run();
