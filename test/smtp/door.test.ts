/** The published door: a driver of somebody else, which knows nothing of the core but its door and the comments there. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import { type Action, advance, begin, type Event, type Plan, parseMailbox, ReplyReader, STEPS, type State } from '../../src/smtp/index.ts';

const test = suite('door');

const PLAN: Plan = {
  protocol: 'smtp',
  hello: 'bar.com',
  tls: 'off',
  authenticate: null,
  transactions: 'one',
  framing: 'auto',
  partial: 'never',
};

/** A session by the core's functions alone; `on` returns what is to be done. */
function openSession() {
  const reader = new ReplyReader();
  let [state]: readonly [State, ...Action[]] = begin(PLAN);
  const on = (event: Event): readonly Action[] => {
    const [next, ...actions] = advance(PLAN, state, event);
    state = next;
    return actions;
  };
  const hear = (text: string): readonly Action[] => {
    reader.push(text);
    const actions: Action[] = [];
    for (let reply = reader.next(); reply?.ok; reply = reader.next())
      actions.push(...on({ type: 'reply', reply: reply.value, rest: reader.rest }));
    return actions;
  };
  return { on, hear, at: () => state.at };
}

const mailbox = parseMailbox('Jones@foo.com');
assert.ok(mailbox.ok);
const transaction = {
  reversePath: null,
  recipients: [{ path: mailbox.value }],
  size: null,
  estimate: null,
  eightBit: 'none',
  withoutEightBit: 'convert',
  smtputf8: false,
  dsn: 'drop',
} as const;

const does = (actions: readonly Action[]): readonly string[] => actions.map((action) => action.do);

test('a driver that reports the end of the content while a block is unanswered is told of its bug, and commits nothing', () => {
  const { on, hear, at } = openSession();
  hear('220 hi\r\n');
  hear('250-hi\r\n250-PIPELINING\r\n250 CHUNKING\r\n');
  on({ type: 'transaction', transaction });
  assert.deepEqual(does(hear('250 ok\r\n250 ok\r\n')), ['pull']);
  assert.deepEqual(does(on({ type: 'block', octets: 9, last: false })), ['sendBlock', 'pull']);
  // Every write has completed, but there was no `flush`: the last block waits for the answer to the first.
  assert.deepEqual(does(on({ type: 'block', octets: 12, last: true })), []);
  assert.throws(() => on({ type: 'contentSent', rest: '' }), { message: 'bug: contentSent at content' });
  assert.deepEqual(does(hear('250 the first block\r\n')), ['sendBlock', 'flush'], 'the reply to the first block is no verdict');
  assert.equal(at(), 'content');
  assert.deepEqual(does(on({ type: 'contentSent', rest: '' })), ['commit']);
  const [settle] = hear('250 accepted\r\n');
  assert.ok(settle?.do === 'settle' && settle.outcome.kind === 'accepted');
});

test('the table of steps has a row for every phase that a state can be in', () => {
  const { hear, at } = openSession();
  assert.equal(STEPS[at()].wants, 2);
  hear('220 hi\r\n');
  assert.equal(STEPS[at()].within, 'command');
});

/* ---- names of types ---- */

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Types of the language. */
const KNOWN = /^(Exclude|Extract|Omit|Pick|Partial|Readonly|Record|Uint8Array|ReadonlySet|ReadonlyMap|ArrayBufferLike|ArrayBuffer|[A-Z])$/;

test('every type that a door shows can be imported from it by name', async () => {
  const out = mkdtempSync(path.join(tmpdir(), 'nospool-types-'));
  try {
    const options = ['-p', 'src/smtp', '--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--outDir', out];
    await promisify(execFile)(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), ...options], { cwd: root });
    const files = readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.d.ts'));
    const read = (file: string): string => readFileSync(path.join(out, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    const declared = new Map<string, string>();
    for (const file of files.filter((name) => !name.endsWith('index.d.ts'))) {
      const text = read(file).replace(/'[^'\n]*'/g, '');
      for (const [, name = '', rest = ''] of text.matchAll(
        /^(?:export )?(?:declare )?(?:interface|type|class|const|function) (\w+)([\s\S]*?)(?=^(?:export|declare|interface|type|const|import)\b|(?![\s\S]))/gm,
      ))
        declared.set(name, (declared.get(name) ?? '') + rest);
    }
    for (const door of ['smtp/index.d.ts', 'smtp/server/index.d.ts']) {
      const shown = new Set(read(door).match(/\b\w+\b(?=[^}]*\} from)/g));
      const hidden = new Set<string>();
      const look = [...shown].filter((name) => declared.has(name));
      assert.ok(look.length > 20, door);
      for (const name of look)
        for (const [used] of (declared.get(name) ?? '').matchAll(/(?<![.\w'"])[A-Z]\w*/g))
          if (!KNOWN.test(used) && !shown.has(used) && declared.has(used)) hidden.add(`${name} shows ${used}`);
      assert.deepEqual([...hidden], [], door);
    }
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});

test.run();
