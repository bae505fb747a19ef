import { array, assert, constantFrom, property, record, subarray } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { exemptionFrom, limitsOf, limitValuesOf, type OwnerFacts } from '../../../src/config/limits.ts';
import type { Config } from '../../../src/config/types.ts';
import { loadText } from './helpers.ts';

const HOUR = 3_600_000;
const nobody: OwnerFacts = { owner: null, type: null, unixGroups: [] };
const size = (value: number | null) => value ?? Infinity;
const trusting = (rest: string) => loadText(`limits:\n  trust_labels: [owner, type]\n${rest}`);

describe('a later level changes only the keys that it names', () => {
  const text = `  default: { idle_timeout: 20m }
  groups:
    researcher: { members: [bob], max_runtime: 48h, idle_timeout: 1h, idle_checks: 4 }
  users:
    bob: { idle_timeout: 2h }
`;

  it('one key overridden for a user keeps the other limits of the user\'s group', async () => {
    const { config } = await trusting(text);
    expect(limitValuesOf({ ...nobody, owner: 'bob' }, config)).toEqual({ ...defaultConfig().limits.default, idleTimeoutMs: 2 * HOUR, maxRuntimeMs: 48 * HOUR, idleChecks: 4 });
  });

  it('each limit says which level and which line it comes from', async () => {
    const { config, originOf } = await trusting(text);
    const limits = limitsOf({ owner: 'bob', type: 'api', unixGroups: [] }, config, originOf);
    expect(limits.idleTimeoutMs).toMatchObject({ from: 'user bob', origin: { line: 8 } });
    expect(limits.maxRuntimeMs).toMatchObject({ from: 'group researcher', origin: { line: 6 } });
    expect(limits.gpuHoldAfterStopMs).toEqual({ value: 0, from: 'type api', origin: null, withheld: null });
    expect(limits.stopGraceMs).toMatchObject({ from: 'default', origin: null });
  });

  it('types come below groups and users', async () => {
    const { config } = await trusting(text);
    expect(limitValuesOf({ ...nobody, type: 'api' }, config)).toMatchObject({ idleTimeoutMs: null, gpuHoldAfterStopMs: 0 });
    expect(limitValuesOf({ owner: 'bob', type: 'api', unixGroups: [] }, config)).toMatchObject({ idleTimeoutMs: 2 * HOUR, gpuHoldAfterStopMs: 0 });
  });
});

it('an owner is in the first group that fits, by list or by Unix group', async () => {
  const { config } = await trusting('  groups: { b: { group: staff, idle_checks: 5 }, a: { members: [bob], idle_checks: 6 } }\n');
  expect(limitValuesOf({ ...nobody, owner: 'bob' }, config).idleChecks).toBe(6);
  expect(limitValuesOf({ ...nobody, owner: 'bob', unixGroups: ['users', 'staff'] }, config).idleChecks).toBe(5);
  expect(limitValuesOf({ ...nobody, owner: null, unixGroups: ['staff'] }, config).idleChecks).toBe(3);
});

it('an unknown owner and an unknown type have the defaults', async () => {
  const { config } = await trusting('  users: { bob: { idle_timeout: never } }\n');
  for (const owner of [null, 'alice', '', 'constructor', 'toString', '__proto__']) {
    expect(limitValuesOf({ owner, type: owner, unixGroups: [] }, config)).toEqual(config.limits.default);
  }
});

describe('what a container says of itself, when nobody trusts it,', () => {
  const text = 'limits: { users: { bob: { idle_timeout: 2h, max_runtime: 1h } }, types: { slow: { idle_timeout: never }, fast: { idle_timeout: 5m } } }';

  it('tightens a limit, and does not loosen it', async () => {
    const { config } = await loadText(text);
    const limits = limitsOf({ ...nobody, owner: 'bob' }, config);
    expect(limits.maxRuntimeMs).toMatchObject({ value: HOUR, from: 'user bob', withheld: null });
    expect(limits.idleTimeoutMs).toMatchObject({ value: HOUR / 2, from: 'default', withheld: 'user bob' });
  });

  it('a container of type api releases its device at once and is idle-stopped all the same', async () => {
    const limits = limitsOf({ ...nobody, type: 'api' }, defaultConfig());
    expect(limits.gpuHoldAfterStopMs).toMatchObject({ value: 0, from: 'type api' });
    expect(limits.idleTimeoutMs).toMatchObject({ value: HOUR / 2, withheld: 'type api' });
  });

  it('a second label does not undo what a first one tightened', async () => {
    const { config } = await loadText(text);
    expect(limitValuesOf({ owner: 'bob', type: 'fast', unixGroups: [] }, config).idleTimeoutMs).toBe(5 * 60_000);
  });

  it('trusting the owner does not trust the type', async () => {
    const { config } = await loadText(`${text.slice(0, -2)}, trust_labels: [owner] }`.replace('5m } }', '5m } }'));
    expect(limitValuesOf({ owner: 'bob', type: 'slow', unixGroups: [] }, config).idleTimeoutMs).toBe(2 * HOUR);
    expect(limitsOf({ ...nobody, type: 'slow' }, config).idleTimeoutMs).toMatchObject({ value: HOUR / 2, withheld: 'type slow' });
  });
});

describe('whatever the configuration,', () => {
  const duration = constantFrom(null, 60_000, 600_000, 3_600_000, 36_000_000);
  const level = record({ idleTimeoutMs: duration, maxRuntimeMs: duration, gpuHoldAfterStopMs: duration, idleChecks: constantFrom(1, 3, 9) }, { requiredKeys: [] });
  const generated = record({
    trustLabels: subarray<'owner' | 'type'>(['owner', 'type']),
    types: record({ t: level }),
    groups: array(record({ name: constantFrom('g'), members: constantFrom(['u'], []), unixGroup: constantFrom(null, 'staff'), limits: level }), { maxLength: 2 }),
    users: record({ u: level }, { requiredKeys: [] }),
  }).map((limits): Config => ({ ...defaultConfig(), limits: { ...defaultConfig().limits, ...limits } }));
  const facts = record({ owner: constantFrom(null, 'u'), type: constantFrom(null, 't'), unixGroups: constantFrom([], ['staff']) });

  it('an untrusted fact never loosens a limit, beside whatever else is said', () => {
    assert(property(generated, facts, (config, said) => {
      for (const fact of ['owner', 'type'] as const) {
        if (config.limits.trustLabels.includes(fact)) continue;
        const without = limitValuesOf({ ...said, [fact]: null }, config);
        for (const [name, value] of Object.entries(limitValuesOf(said, config))) {
          expect(size(value)).toBeLessThanOrEqual(size(without[name as keyof typeof without]));
        }
      }
    }));
  });

  it('trusted facts give exactly the last level that names a key', () => {
    assert(property(generated, facts, (config, said) => {
      const trusted = { ...config, limits: { ...config.limits, trustLabels: ['owner', 'type'] as const } };
      const group = said.owner === null ? undefined : trusted.limits.groups.find(({ members, unixGroup }) => members.includes('u') || (unixGroup === 'staff' && said.unixGroups.length > 0));
      const expected = {
        ...trusted.limits.default, ...(said.type === null ? {} : trusted.limits.types['t']), ...group?.limits, ...(said.owner === null ? {} : trusted.limits.users['u']),
      };
      expect(limitValuesOf(said, trusted)).toEqual(expected);
    }));
  });
});

describe('exemptions of an owner', () => {
  const text = 'exemptions: [{ user: carol, from: [idle_timeout], reason: x, until: 2026-12-24 }]\n';
  const lastDay = new Date(2026, 11, 24, 23, 59).getTime();

  it('are live to the end of the last day', async () => {
    const { config } = await loadText(`limits: { trust_labels: [owner] }\n${text}`);
    const from = (owner: string | null, now = lastDay, key: 'idle_timeout' | 'max_runtime' = 'idle_timeout') => exemptionFrom(key, { owner }, { config, now });
    expect(from('carol')).toEqual({ reason: 'x', until: '2026-12-24', granted: true });
    expect([from('carol', lastDay + 60_000), from('dave'), from(null), from('carol', lastDay, 'max_runtime')]).toEqual([null, null, null, null]);
  });

  it('are not granted to who only says to be that owner, and the file is told so', async () => {
    const { config, warnings } = await loadText(text);
    expect(exemptionFrom('idle_timeout', { owner: 'carol' }, { config, now: lastDay })).toMatchObject({ granted: false });
    expect(warnings).toEqual([expect.objectContaining({ line: 2, key: 'exemptions' })]);
  });
});
