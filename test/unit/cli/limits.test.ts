import { expect, it, onTestFinished, vi } from 'vitest';
import { type LimitsContext, limitPolicyOf, limitsPartsOf } from '../../../src/cli/limits.ts';
import { nextRuns, slotsOf } from '../../../src/schedule/slots.ts';
import { container, loadText } from '../config/helpers.ts';

it('the rules of a container tell its owner’s exemption, and heed it only where owners are trusted', async () => {
  const users = { nameOf: () => null, uidOf: () => null, groupsOf: () => [] };
  const rulesWith = async (trust: string) => {
    const { config } = await loadText(`limits: { trust_labels: [${trust}] }\nexemptions: [{ user: carol, from: [idle_timeout], reason: thesis, until: 2026-12-24 }]\n`);
    return limitPolicyOf({ config, configured: { limits: true, leftovers: true } }, users).rulesOf(container({ labels: { 'gpuctl.owner': 'carol' } }), Date.UTC(2026, 10, 22));
  };
  expect(await rulesWith('owner')).toMatchObject({ exemptFromIdle: 'thesis', exemptFromRuntime: null, idleExemption: { until: '2026-12-24', granted: true }, runtimeExemption: null });
  expect(await rulesWith('')).toMatchObject({ exemptFromIdle: null, exemptFromRuntime: null, idleExemption: { until: '2026-12-24', granted: false }, runtimeExemption: null });
});

it('the earliest stop that an owner is told is a run of the schedule, also in the nights that skip or repeat an hour', async () => {
  vi.stubEnv('TZ', 'Europe/Berlin');
  onTestFinished(() => { vi.unstubAllEnvs(); });
  const { config } = await loadText('schedule: { check-idle: "30 1-3 * * *" }\n');
  const { nextRun } = limitsPartsOf({ config, job: 'sample', acts: false } as unknown as LimitsContext);
  const nights = ['2027-03-28T00:31:00Z', '2027-10-31T00:31:00Z'].map(Date.parse);
  const runs = nights.map((after) => nextRuns(slotsOf(config.schedule), after - 1).find(({ job }) => job === 'check-idle')?.at);
  expect(runs.map((at) => new Date(at ?? 0).toISOString())).toEqual(['2027-03-28T01:00:00.000Z', '2027-10-31T02:30:00.000Z']);
  expect(await Promise.all(nights.map((after) => nextRun('check-idle', after)))).toEqual(runs);
});
