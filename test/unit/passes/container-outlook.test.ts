import { describe, expect, it } from 'vitest';
import { decideIdle } from '../../../src/decide/idle.ts';
import { decideLeftover } from '../../../src/decide/leftovers.ts';
import { claimingIds, claimsNow, standingOf } from '../../../src/decide/managed.ts';
import type { InspectedContainer } from '../../../src/model/container.ts';
import type { Allocation } from '../../../src/model/history.ts';
import { describing, type OutlookParts } from '../../../src/passes/container-outlook.ts';
import { noTrouble } from '../../property/host.ts';
import { allocation, assessed, HOUR, JOB, MINUTE, NOW, runningJob, stopped } from '../decide/good-case.ts';
import { policy, rules } from '../decide/limit-facts.ts';

/** What its owner is told of a container, and what the rules of that very look decide about it. */
async function told(container: InspectedContainer, { once = [], driver = 'none', all = false, allocations = [], more = {} }: { readonly once?: readonly string[]; readonly driver?: 'none' | 'failed'; readonly all?: boolean; readonly allocations?: readonly Allocation[]; readonly more?: Partial<typeof rules> } = {}): Promise<readonly string[]> {
  const assessment = assessed({ containers: [container], trouble: { ...noTrouble, driver } }, { allocations });
  const mine = { ...policy, allLeftovers: all, rulesOf: () => ({ ...rules, ...more }) };
  const ledger: OutlookParts['ledger'] = { idleClocks: () => [], firstStarts: () => new Map(), keepAlives: () => [], recordKeepAlive: () => {}, warnings: () => [], onceManaged: () => new Set(once) };
  const { prospects } = await describing(assessment, { ledger, policy: mine, nextRun: async () => null }, NOW)(container);
  return prospects.map(({ what, reason, due_at: at }) => `${what} ${reason ?? at}`);
}

const asking = { deviceRequests: [{ driver: '', count: 0, deviceIds: ['0'], capabilities: [['gpu']] }] };
const due = new Date(NOW).toISOString();
/** It stopped 16 minutes ago, and its container is held for 30. */
const later = new Date(NOW + 14 * MINUTE).toISOString();

describe('what is told of a container that claims no device now, but once did', () => {
  const past = stopped({ createdAt: NOW - 6 * HOUR, startedAt: NOW - 6 * HOUR, finishedAt: NOW - 5 * HOUR });

  it('is no stop where it runs: the limits are for those that claim one now', async () => {
    const job = runningJob();
    expect(await told(job, { once: [JOB] })).toEqual(['idle-stop not-managed', 'runtime-stop not-managed']);
    const assessment = assessed({ containers: [job] });
    const standing = standingOf(claimsNow(job, assessment, claimingIds(assessment)), rules);
    expect(decideIdle({ container: job, standing, rules, policy, sample: null, clock: null, warnings: [], wishes: [], highDemand: false, mayStop: true, now: NOW, round: 1 }).reason).toBe('not-managed');
  });

  it('is its removal where it has stopped, also while nobody can see what it claims', async () => {
    expect(await told(past, { once: [JOB] })).toEqual([`removal ${due}`]);
    expect(await told({ ...past, ...asking }, { once: [JOB], driver: 'failed' })).toEqual([`removal ${due}`]);
    expect(await told({ ...past, ...asking }, { driver: 'failed' })).toEqual(['removal claims-unknown']);
  });

  it('is its removal where leftovers.all removes what never had a device, and nothing otherwise', async () => {
    expect(await told(past)).toEqual(['removal not-managed']);
    expect(await told(past, { all: true })).toEqual([`removal ${due}`]);
    expect(decideLeftover({ container: past, standing: 'unclaimed', rules, policy: { ...policy, allLeftovers: true }, firstPassAt: NOW - 48 * HOUR, now: NOW, round: 1 }).verdict).toBe('act');
  });
});

it('a container that the engine is removing is told to be just that, and not to need an admin', async () => {
  expect(await told(stopped({ state: 'removing', ...asking }))).toEqual([`gpu-release ${due}`, 'removal being-removed']);
  expect(await told(stopped({ state: 'dead', ...asking }))).toEqual([`gpu-release ${due}`, 'removal dead-container']);
});

it('a release is told of where there is something to release: a claim that holds, or an allocation that is open', async () => {
  const at = stopped();
  expect(await told({ ...at, ...asking })).toEqual([`gpu-release ${due}`, `removal ${later}`]);
  expect(await told({ ...at, ...asking }, { allocations: [allocation({ releasedAt: NOW - MINUTE, releaseReason: 'hold-expired' })] })).toEqual([`removal ${later}`]);
  expect(await told({ ...at, ...asking }, { driver: 'failed', allocations: [allocation()] })).toEqual([`gpu-release ${due}`, 'removal claims-unknown']);
});

it('a device that is not held at all after a stop is released at once, whatever the clocks say of the stop', async () => {
  const none = { more: { gpuHoldAfterStopMs: 0 } };
  expect(await told(stopped({ ...asking, finishedAt: NOW + MINUTE }), none)).toEqual([`gpu-release ${due}`, 'removal age-unknown']);
});
