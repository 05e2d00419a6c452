/** A folder and variables that would let a runtime run the code of others, open its inspector, or end. Knows no package. */
import assert from 'node:assert/strict';
import { LETTER, type Place, QUIET } from './place.ts';

const FOLDER = '/tmp/folder';
const TRACE = '/tmp/evil';
const CODE = `require("node:fs").writeFileSync("${TRACE}", "")`;

const MAKE_FOLDER = `rm -rf ${FOLDER}; mkdir ${FOLDER}; cd ${FOLDER}
echo '${CODE}' >evil.js; cp evil.js index.js; cp evil.js evil.cjs; cp evil.js sendmail
echo 'preload = ["./evil.js"]' >bunfig.toml; cp bunfig.toml .bunfig.toml
echo 'BUN_OPTIONS=--preload ./evil.js' >.env; cp .env .env.local; cp .env .env.production
echo '{ "compilerOptions": { "paths": { "*": ["./evil.js"] } } }' >tsconfig.json; cp tsconfig.json jsconfig.json
echo '{ "main": "evil.js", "imports": { "#x": "./evil.js" } }' >package.json
mkdir node_modules; cp evil.js node_modules/yargs.js`;

/** Those that might hide another stand alone. */
const ENVIRONMENTS: readonly NodeJS.ProcessEnv[] = [
  { BUN_OPTIONS: '--preload ./evil.js' },
  { BUN_OPTIONS: "--no-such-option 'x" },
  { BUN_BE_BUN: '1' },
  { BUN_INSPECT: 'ws+unix:///tmp/evil?wait=1' },
  { BUN_INSPECT_PRELOAD: `${FOLDER}/evil.js`, BUN_INSPECT_CONNECT_TO: TRACE, BUN_INSPECT_NOTIFY: TRACE },
  { BUN_BYTECODE_ORDER_OUT: TRACE, BUN_WATCHER_TRACE: TRACE, BUN_CONFIG_VERBOSE_FETCH: 'curl', NODE_TLS_REJECT_UNAUTHORIZED: '0' },
  { NODE_OPTIONS: '--require ./evil.js', NODE_PATH: FOLDER, NODE_REPL_EXTERNAL_MODULE: `${FOLDER}/evil.js` },
  { NODE_OPTIONS: '--no-such-option', NODE_V8_COVERAGE: TRACE, NODE_COMPILE_CACHE: TRACE, NODE_REDIRECT_WARNINGS: TRACE },
  { NODE_CHANNEL_FD: '9', NODE_UNIQUE_ID: '1', NODE_EXTRA_CA_CERTS: '/nonexistent', OPENSSL_CONF: '/nonexistent', OPENSSL_MODULES: FOLDER },
];

/** sendmail, called in that folder with such variables, sends the message, says nothing, and obeys none of them. */
export async function assertObeysNone({ system, mail, assertArrived }: Place): Promise<void> {
  await system.must(MAKE_FOLDER);
  await mail.clear();
  for (const env of [{}, ...ENVIRONMENTS]) {
    const ran = await system.run(`cd ${FOLDER} && timeout 20 sendmail -i ann@peer.test`, { input: LETTER, env });
    assert.deepEqual(ran, QUIET, JSON.stringify(env));
    assert.equal(await system.must(`ls ${TRACE} 2>/dev/null || echo none`), 'none\n', JSON.stringify(env));
  }
  await assertArrived(ENVIRONMENTS.length + 1);
}

/** No variable lets a smart host pass whose certificate nobody here has signed. */
export async function assertVerifies({ system, mail }: Place): Promise<void> {
  await mail.clear();
  await system.must('mv /etc/ssl/certs/ca-certificates.crt /tmp/roots.pem; cat /tmp/roots.pem >/tmp/extra.pem');
  for (const env of [{ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, { NODE_EXTRA_CA_CERTS: '/tmp/extra.pem' }]) {
    const { status, stderr } = await system.run('sendmail -i ann@peer.test', { input: LETTER, env });
    assert.equal(status, 1, JSON.stringify(env));
    assert.match(stderr, /^sendmail: mail\.example\.org .*certificate/, JSON.stringify(env));
  }
  await system.must('mv /tmp/roots.pem /etc/ssl/certs/ca-certificates.crt');
  assert.equal(await mail.total(), 0);
}
