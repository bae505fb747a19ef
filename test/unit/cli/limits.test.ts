import { expect, it } from 'vitest';
import { limitPolicyOf } from '../../../src/cli/limits.ts';
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
