/** Errors of the system, of resolvers and of signals in words and as reasons; addresses as octets and back. */
import assert from 'node:assert/strict';
import { getSystemErrorMap } from 'node:util';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import { abortReason, printThrown, reasonOf, whenAborted } from '../../src/transport/abort.ts';
import { addressOctets, printAddress } from '../../src/transport/address.ts';
import { explainCode, unfound } from '../../src/transport/lookup/codes.ts';
import { explainConnectError, printSocketError, systemCodeOf } from '../../src/transport/socket-error.ts';

const test = suite('words of errors');

const error = (code: unknown, message = 'words of Node', more: object = {}): NodeJS.ErrnoException =>
  Object.assign(new Error(message), { code, ...more }) as NodeJS.ErrnoException;

test('why there is no connection, by the code', () => {
  for (const [code, reason, detail] of [
    ['ECONNREFUSED', 'refused', 'connection refused'],
    ['ECONNRESET', 'refused', 'connection reset by the server'],
    ['ENOTFOUND', 'resolve', 'words of Node'],
    ['EAI_AGAIN', 'resolve', 'words of Node'],
    ['ENOENT', 'unreachable', 'no such socket'],
    ['EHOSTUNREACH', 'unreachable', 'no route to the host'],
    ['EHOSTDOWN', 'unreachable', 'words of Node'],
    ['ENETUNREACH', 'unreachable', 'network is unreachable'],
    ['ENETDOWN', 'unreachable', 'words of Node'],
    ['EADDRNOTAVAIL', 'unreachable', 'address not available'],
    ['ETIMEDOUT', 'timeout', 'connection timed out'],
    ['EPIPE', 'other', 'the server closed the connection'],
    ['EACCES', 'other', 'permission denied'],
    ['EADDRINUSE', 'other', 'every local port is in use'],
    ['EPERM', 'other', 'forbidden by a rule of this host'],
    ['EMFILE', 'other', 'this process may open no more files (ulimit -n)'],
    ['ENFILE', 'other', 'this host can open no more files'],
    ['X_OTHER', 'other', 'words of Node'],
  ] as const)
    assert.deepEqual(explainConnectError(error(code)), { detail, reason, systemCode: code });
  assert.deepEqual(explainConnectError(error(7)), { detail: 'words of Node', reason: 'other' });
  assert.deepEqual(explainConnectError(error('EADDRNOTAVAIL'), '192.0.2.1'), {
    detail: '192.0.2.1 is not an address of this host',
    reason: 'other',
    systemCode: 'EADDRNOTAVAIL',
  });
  assert.equal(explainConnectError(error('ECONNREFUSED'), '192.0.2.1').reason, 'refused');
});

test('the system has words for what we have none for', () => {
  const [errno, [, words]] = [...getSystemErrorMap()].find(([, [name]]) => name === 'EHOSTDOWN') as [number, [string, string]];
  assert.equal(printSocketError(error('EHOSTDOWN', 'connect EHOSTDOWN undefined', { errno })), `${words} (EHOSTDOWN)`);
  assert.equal(printSocketError(error('ECONNREFUSED', 'x', { errno })), 'connection refused');
  assert.equal(printSocketError(new Error('of a program')), 'of a program');
  assert.equal(printSocketError(error(undefined, 'without a code', { errno })), 'without a code');
  assert.equal(printSocketError(error('EHOSTDOWN', 'without a number')), 'without a number');
  assert.equal(
    printSocketError(error('X_OTHER', 'a number that the system does not know', { errno: 1 })),
    'a number that the system does not know',
  );
  assert.deepEqual(systemCodeOf(error('X')), { systemCode: 'X' });
  assert.deepEqual(systemCodeOf(error(undefined)), {});
});

test('what a resolver says', () => {
  for (const [code, words] of [
    ['ENOTFOUND', /unknown/],
    ['ENODATA', /no such record/],
    ['ENOIPV4', /no IPv4 address/],
    ['ENOIPV6', /no IPv6 address/],
    ['EAI_AGAIN', /do not answer/],
    ['ETIMEOUT', /do not answer/],
    ['ESERVFAIL', /failed/],
    ['EREFUSED', /refuse/],
    ['ECONNREFUSED', /no name server answers/],
    ['EFORMERR', /understand/],
    ['ENOTIMP', /understand/],
    ['EBADRESP', /nonsense/],
    ['EOTHER', /^EOTHER$/],
    [undefined, /^unknown error$/],
  ] as const)
    assert.match(explainCode(code), words);
  for (const [code, systemCode] of [
    ['ENOTFOUND', 'ENOTFOUND'],
    ['ENOIPV4', 'ENODATA'],
    ['ENOIPV6', 'ENODATA'],
    [undefined, undefined],
    [7 as never, undefined],
  ] as const)
    assert.equal(unfound('x', code).systemCode, systemCode);
});

test('what is thrown has words, whatever it is', () => {
  const wordless = { toString: () => assert.fail('no') };
  for (const [thrown, reason, printed] of [
    [new Error('x'), 'x', 'x'],
    ['y', 'y', 'y'],
    [7, '7', ''],
    [undefined, 'undefined', ''],
    [wordless, 'an object without words (object)', ''],
    [Object.assign(new Error('x'), { message: 7 }), '7', ''],
    [runInNewContext('new TypeError("of another realm")'), 'of another realm', 'of another realm'],
  ] as const) {
    assert.equal(reasonOf(thrown), reason);
    assert.equal(printThrown(thrown), printed);
  }
  const controller = new AbortController();
  controller.abort('');
  assert.equal(abortReason(controller.signal), 'the attempt was ended');
  assert.equal(abortReason(AbortSignal.abort(new Error('enough'))), 'enough');
});

test('many wait for one signal, with one listener, and each can give up', () => {
  const controller = new AbortController();
  const { signal } = controller;
  const told: string[] = [];
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    if (args[0] === 'abort') listeners += 1;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    if (args[0] === 'abort') listeners -= 1;
    removeEventListener.apply(signal, args);
  };
  const first = (): void => void told.push('first');
  const giveUp = [whenAborted(signal, first), whenAborted(signal, first), whenAborted(signal, () => told.push('second'))];
  assert.equal(listeners, 1);
  giveUp[0]?.();
  giveUp[0]?.();
  assert.equal(listeners, 1, 'others wait');
  giveUp[1]?.();
  assert.equal(listeners, 1, 'one waits');
  giveUp[2]?.();
  assert.equal(listeners, 0, 'nobody waits');
  const late = whenAborted(signal, () => {
    told.push('third');
    last();
  });
  const last = whenAborted(signal, () => told.push('fourth'));
  controller.abort();
  assert.deepEqual(told, ['third'], 'who gave up meanwhile hears nothing');
  late();
  whenAborted(signal, () => told.push('too late'))();
  whenAborted(undefined, () => told.push('never'))();
  assert.deepEqual(told, ['third']);
});

test('addresses as octets, and back', () => {
  for (const [address, hex, printed = address] of [
    ['192.0.2.255', 'c00002ff'],
    ['::', '00000000000000000000000000000000'],
    ['::1', '00000000000000000000000000000001'],
    ['2001:db8::ff00:1', '20010db80000000000000000ff000001'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['fe80::', 'fe800000000000000000000000000000'],
    ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201', '::ffff:c000:201'],
  ] as const) {
    const octets = addressOctets(address);
    assert.equal(Buffer.from(octets, 'latin1').toString('hex'), hex);
    assert.equal(printAddress(octets), printed);
  }
  for (const length of [0, 3, 5, 15, 17]) assert.equal(printAddress('x'.repeat(length)), '(no address)');
});

test.run();
