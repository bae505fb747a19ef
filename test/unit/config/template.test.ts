import { expect, it } from 'vitest';
import { defaultConfig, rawDefaults } from '../../../src/config/defaults.ts';
import { meanings } from '../../../src/config/meanings.ts';
import { renderDefaultConfig } from '../../../src/config/template.ts';
import { loadFiles } from './helpers.ts';

const load = (text: string) => loadFiles({ 'config.yaml': text });
const uncommented = () => renderDefaultConfig().replaceAll(/^(\s*)#(?=\S)/gm, '$1');

it('the default file loads as exactly the defaults, and configures neither limits nor leftovers', async () => {
  const loaded = await load(renderDefaultConfig());
  expect(loaded.config).toEqual(defaultConfig());
  expect(loaded).toMatchObject({ configured: { limits: false, leftovers: false }, warnings: [] });
});

it('with everything in it switched on, it still loads as the defaults, now configured', async () => {
  const loaded = await load(uncommented());
  expect(loaded.config).toEqual({ ...defaultConfig(), engine: { ...defaultConfig().engine, host: 'unix:///var/run/docker.sock' } });
  expect(loaded).toMatchObject({ configured: { limits: true, leftovers: true }, written: { ...rawDefaults, engine: {} } });
  expect(loaded.warnings.filter(({ message }) => !message.includes('counts only where limits.trust_labels lists type'))).toEqual([]);
});

it('every key in it has its meaning on the line above, and every meaning is used', () => {
  const lines = renderDefaultConfig().split('\n');
  const keys = lines.flatMap((line, index) => (/^\s*#?[\w-]+:/.test(line) ? [{ line, above: lines[index - 1] ?? '' }] : [])).filter(({ line }) => !line.includes('#host:'));
  expect(keys.filter(({ above }) => !/^\s*# [A-Za-z]/.test(above))).toEqual([]);
  expect(keys).toHaveLength(Object.keys(meanings).length);
});

it.each([
  ['limits.groups', 'limits: { groups: { researcher: { members: [alice], members_file: FILE, group: UNIXGROUP, max_runtime: 48h } } }'],
  ['limits.users', 'limits: { users: { bob: { idle_timeout: 2h } } }'],
  ['notify.admin', 'notify: { admin: [{ webhook: https://example.org/hook, format: generic }, { mail: admin@example.org }, { exec: /usr/local/bin/alert }] }'],
  ['exemptions', 'exemptions: [{ user: carol, from: [idle_timeout, max_runtime], reason: thesis deadline, until: 2026-12-24 }]'],
])('the example of %s is one that loads', async (key, text) => {
  expect(meanings[key]).toContain(text.slice(text.indexOf(key.split('.').at(-1) ?? '') + (key.split('.').at(-1) ?? '').length + 2).replace(/ \}$/, ''));
  const loaded = await loadFiles({ 'config.yaml': `version: 1\n${text}\n`, FILE: 'dora\n' });
  expect(loaded.warnings.filter(({ message }) => message.includes('does not count'))).toEqual([]);
});
