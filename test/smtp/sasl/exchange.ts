/** Asserts how a step of a SASL exchange went on. */
import assert from 'node:assert/strict';
import type { Cancelled, Exchange } from '../../../src/smtp/sasl/sasl.ts';

/** The exchange goes on. */
export function heard(next: Exchange | Cancelled): Exchange {
  assert.ok(!('cancel' in next), 'cancel' in next ? `cancelled: ${next.cancel}` : '');
  return next;
}

/** The exchange was given up; its reason. */
export function cancelled(next: Exchange | Cancelled): string {
  assert.ok('cancel' in next, 'the exchange went on');
  return next.cancel;
}
