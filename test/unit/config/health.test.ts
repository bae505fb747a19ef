import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FIXED_FINDINGS, FURTHER_FINDINGS, HEALTH_CHECKS, isSwitchable } from '../../../src/model/health-checks.ts';
import { loadFiles, mistakesOf } from './helpers.ts';

const withHealth = (lines: string): string => `version: 1\nhealth:\n${lines}\n`;

describe('the section health', () => {
  it('takes every check, and every further finding with a number in the place of #', async () => {
    const ids = [...HEALTH_CHECKS.map(({ id }) => id), ...Object.keys(FURTHER_FINDINGS).map((id) => id.replace('#', '79'))];
    const { config } = await loadFiles({ 'config.yaml': withHealth(`  disable: [${ids.join(', ')}]`) });
    expect(config.health.disable).toEqual(ids);
  });

  it('takes a threshold of every check that has one', async () => {
    const ids = HEALTH_CHECKS.filter(({ threshold }) => threshold !== null).map(({ id }) => id);
    const { config } = await loadFiles({ 'config.yaml': withHealth(`  thresholds: { ${ids.map((id) => `${id}: 7`).join(', ')} }`) });
    expect(config.health.thresholds).toEqual(Object.fromEntries(ids.map((id) => [id, 7])));
  });

  it.each([
    ['gpu.temprature: 5', 'unknown key; did you mean gpu.temperature?'],
    ['gpu.fault: 5', 'unknown key'],
    ['gpu.lost: 5', 'unknown key'],
    ['gpu.temperature: hot', 'expected a number'],
    ['gpu.temperature: -1', 'expected a number'],
    ['gpu.temperature: 5C', 'expected a number'],
  ])('refuses the threshold %s with file, line and key', async (threshold, message) => {
    const [key] = threshold.split(':');
    const mistakes = await mistakesOf({ 'config.yaml': withHealth(`  thresholds:\n    gpu.pcie.replay: 3\n    ${threshold}`) });
    expect(mistakes).toEqual([{ file: 'config.yaml', line: 5, column: 5, key: `health.thresholds."${key}"`, message: expect.stringContaining(message) }]);
  });

  it.each(['gpu.falt', 'GPU.FAULT', 'gpu.xid.', 'gpu.xid.79.x', 'breaker.tripped', 'source.nvidia-smi.failed', 'constructor', ''])('refuses to switch off %j with file, line and key', async (id) => {
    expect(isSwitchable(id)).toBe(false);
    const mistakes = await mistakesOf({ 'config.yaml': withHealth(`  disable:\n    - gpu.fault\n    - ${JSON.stringify(id)}`) });
    expect(mistakes).toEqual([{ file: 'config.yaml', line: 5, column: 7, key: 'health.disable[1]', message: expect.stringContaining('expected the id of a finding') }]);
  });
});

it('every finding is one that can be switched off or one that cannot, never both, and so stands in docs/health.md', () => {
  const rules = new URL('../../../src/decide/', import.meta.url);
  const written = readdirSync(rules).filter((name) => name.endsWith('.ts')).flatMap((name) => [...readFileSync(new URL(name, rules), 'utf8').matchAll(/(?:\bid: |found\(target, )['`]([a-z][^'`]*\.[^'`]*)['`]/g)].map((match) => (match[1] ?? '').replace('${result}', 'failed').replaceAll(/\$\{[^}]*\}/g, '79')));
  expect(written).toEqual(expect.arrayContaining(['gpu.lost', 'limits.not_configured', 'source.79.failed', 'container.79.due', 'gpu.xid.79']));
  const fixed = new RegExp(`^(?:${Object.keys(FIXED_FINDINGS).map((id) => id.replaceAll('.', '\\.').replaceAll('*', '.+')).join('|')})$`);
  expect(written.filter((id) => isSwitchable(id) === fixed.test(id))).toEqual([]);
});
