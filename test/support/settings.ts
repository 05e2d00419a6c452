/** The settings that a configuration of these lines gives. */
import assert from 'node:assert/strict';
import type { Config } from '../../src/config/config.ts';
import { interpret } from '../../src/config/interpret.ts';
import { parseToml } from '../../src/config/toml.ts';

export function settingsOf(text: string): Config {
  const toml = parseToml(`aliases = []\n${text}`);
  assert.ok(toml.ok);
  const got = interpret({ path: '/nospool.toml', toml: toml.value, refuses: () => null, isSystem: false }, {}, { home: '/' });
  assert.ok(got.ok, got.ok ? '' : got.errors.join('\n'));
  return got.config;
}
