import { describe, expect, it } from 'vitest';
import type { LimitPolicy, LimitRules } from '../../../src/decide/limit-rules.ts';
import { decideOutlook, type OutlookFacts, type Prospect } from '../../../src/decide/outlook.ts';
import { datingBy } from '../../../src/passes/dated-outlook.ts';
import type { IdleClock } from '../../../src/model/activity.ts';
import { container } from '../config/helpers.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const NOW = 1_000 * HOUR_MS;

const rules: LimitRules = {
  owner: 'alice', idleTimeoutMs: 30 * MINUTE_MS, maxRuntimeMs: 24 * HOUR_MS, idleTimeoutFrom: 'default', maxRuntimeFrom: 'user alice',
  gpuHoldAfterStopMs: 15 * MINUTE_MS, containerHoldAfterStopMs: 10 * MINUTE_MS, stopGraceMs: 60_000, idleChecks: 3, keepAliveMaxMs: 24 * HOUR_MS,
  keepUntilAt: null, exemptFromIdle: null, exemptFromRuntime: null, protected: false, infrastructure: false,
};
const policy: OutlookFacts['policy'] & Pick<LimitPolicy, 'configured'> = {
  allLeftovers: false, configured: { limits: true, leftovers: false }, createdTimeoutMs: 30 * MINUTE_MS, highDemand: { atPercent: 80, factor: 0.5 }, idlePercents: [80, 95], runtimePercents: [75, 90], runtimeCounts: 'since-first-start', youngMs: 30 * MINUTE_MS,
};
const running = container({ state: 'running', startedAt: NOW - 10 * HOUR_MS });
const clock = { containerId: running.id, startedAt: running.startedAt, last: { at: NOW - MINUTE_MS }, samples: 9, consecutiveIdle: 4, idleMs: 20 * MINUTE_MS, activeAt: NOW - 21 * MINUTE_MS } as unknown as IdleClock;

function outlook(changed: Partial<OutlookFacts> = {}): readonly Prospect[] {
  return decideOutlook({ container: running, standing: 'managed', holds: true, rules, policy, highDemand: false, clock, firstStartAt: NOW - 20 * HOUR_MS, firstPassAt: 0, warnings: [], wishes: [], now: NOW, ...changed });
}

const inMinutes = (prospect: Prospect | undefined): number | string | null => (prospect === undefined || prospect.at === null ? (prospect?.why ?? null) : (prospect.at - NOW) / MINUTE_MS);
const of = (what: Prospect['what'], changed: Partial<OutlookFacts> = {}): number | string | null => inMinutes(outlook(changed).find((each) => each.what === what));

describe('what is to come for a running container', () => {
  it('is dated from the idle time that has counted and from its first start', () => {
    expect([of('idle-stop'), of('runtime-stop')]).toEqual([9, 4 * 60]);
    expect(outlook().map(({ limit }) => limit.from)).toEqual(['default', 'user alice']);
  });

  it('comes sooner in high demand, later for a young container and for one that is kept', () => {
    expect(of('idle-stop', { highDemand: true })).toBe(0);
    expect([true, false].map((highDemand) => outlook({ highDemand })[0]?.limit)).toEqual([{ key: 'idle_timeout', ms: 15 * MINUTE_MS, from: 'default', shortenedFromMs: 30 * MINUTE_MS }, { key: 'idle_timeout', ms: 30 * MINUTE_MS, from: 'default' }]);
    expect(of('idle-stop', { container: { ...running, startedAt: NOW - MINUTE_MS } })).toBe(29);
    expect(of('idle-stop', { wishes: [{ containerId: running.id, startedAt: running.startedAt, uid: 1, askedAt: NOW - MINUTE_MS, until: NOW + 2 * HOUR_MS }] })).toBe(120);
  });

  it.each<readonly [string, Partial<OutlookFacts>, string, string]>([
    ['protected', { standing: 'protected' }, 'protected', 'protected'],
    ['without a device', { standing: 'unclaimed' }, 'not-managed', 'not-managed'],
    ['of the infrastructure', { standing: 'infrastructure' }, 'not-managed', 'not-managed'],
    ['whose devices were not seen', { standing: 'unknown' }, 'claims-unknown', 'claims-unknown'],
    ['on a host without limits', { policy: { ...policy, configured: { limits: false, leftovers: true } } }, 'limits-not-configured', 'limits-not-configured'],
    ['of an exempt owner', { rules: { ...rules, exemptFromIdle: 'x', exemptFromRuntime: 'x' } }, 'exempt', 'exempt'],
    ['without limits', { rules: { ...rules, idleTimeoutMs: null, maxRuntimeMs: null } }, 'limit-never', 'limit-never'],
    ['before the first pass', { clock: null, firstPassAt: null }, 'too-few-samples', 'first-pass'],
    ['that began in the future', { clock: { ...clock, consecutiveIdle: 0 }, container: { ...running, startedAt: NOW + HOUR_MS }, firstStartAt: NOW + HOUR_MS }, 'active', 'age-unknown'],
  ])('has no date for one %s', (_, changed, idle, runtime) => {
    expect([of('idle-stop', changed), of('runtime-stop', changed)]).toEqual([idle, runtime]);
  });
});

it('an exemption is told with the limit it is from, one that does not count too, and changes no date by that', () => {
  const exemption = { reason: 'thesis', until: '2026-12-24', granted: false };
  expect(outlook({ rules: { ...rules, idleExemption: exemption } })).toEqual([{ ...outlook()[0], exemption }, outlook()[1]]);
  expect(outlook({ rules: { ...rules, runtimeExemption: exemption } })).toEqual([outlook()[0], { ...outlook()[1], exemption }]);
});

describe('what must come before a stop', () => {
  const steps = (changed: Partial<OutlookFacts>): readonly unknown[] => outlook(changed).map((prospect) => prospect.steps.map(({ kind, notBefore }) => [kind, (notBefore - NOW) / MINUTE_MS]));
  const said = (kind: 'idle' | 'runtime', stages: readonly ('warned' | 'final')[], containerId = running.id): OutlookFacts['warnings'] => stages.map((stage) => ({ containerId, startedAt: running.startedAt, kind, stage, at: NOW - MINUTE_MS }));

  it('are the warnings that were not given, each when its share of the limit has passed', () => {
    const late = { firstStartAt: NOW - 23 * HOUR_MS };
    expect(steps({})).toEqual([[['warning', 3], ['warning', 7.5]], [['warning', 0], ['warning', 96]]]);
    expect(steps({ ...late, warnings: [...said('idle', ['warned']), ...said('runtime', ['warned'])] })).toEqual([[['warning', 7.5]], [['warning', 0]]]);
    expect(steps({ ...late, warnings: [...said('idle', ['final']), ...said('runtime', ['final'])] })).toEqual([[['warning', 3]], [['warning', 0]]]);
    expect(steps({ ...late, warnings: [...said('idle', ['warned', 'final']), ...said('runtime', ['warned', 'final'])] })).toEqual([[], []]);
    expect(steps({ ...late, warnings: [...said('idle', ['warned', 'final'], 'other'), ...said('runtime', ['warned', 'final'], 'other')] })).toEqual([[['warning', 3], ['warning', 7.5]], [['warning', 0], ['warning', 0]]]);
  });

  it('are idle samples as well, where too few came in a row, but no more than are worth counting', () => {
    const ready = { warnings: said('idle', ['warned', 'final']) };
    expect(steps({ ...ready, rules: { ...rules, idleChecks: 7 } })[0]).toEqual([['sample', 0], ['sample', 0]]);
    expect(steps({ ...ready, rules: { ...rules, idleChecks: 1000 } })[0]).toHaveLength(50);
  });
});

it('each limit is told with what it is, where it comes from and what has counted towards it', () => {
  const shown = (changed: Partial<OutlookFacts>): readonly unknown[] => outlook(changed).map(({ steps: _, ...rest }) => rest);
  const idle = { what: 'idle-stop', limit: { key: 'idle_timeout', ms: 30 * MINUTE_MS, from: 'default' }, spentMs: 20 * MINUTE_MS };
  const runtime = { what: 'runtime-stop', limit: { key: 'max_runtime', ms: 24 * HOUR_MS, from: 'user alice' }, spentMs: 20 * HOUR_MS };
  for (const none of [{}, { idleExemption: null, runtimeExemption: null }]) expect(shown({ rules: { ...rules, ...none } })).toStrictEqual([{ ...idle, at: NOW + 9 * MINUTE_MS, why: null }, { ...runtime, at: NOW + 4 * HOUR_MS, why: null }]);
  const wishes = [{ containerId: running.id, startedAt: running.startedAt, uid: 1, askedAt: NOW - MINUTE_MS, until: NOW + HOUR_MS }];
  expect(shown({ wishes })[0]).toEqual({ ...idle, at: NOW + HOUR_MS, why: 'kept-alive' });
  expect(shown({ clock: null, highDemand: true, rules: { ...rules, idleTimeoutMs: null, maxRuntimeMs: null } })).toEqual([
    { ...idle, limit: { ...idle.limit, ms: null }, spentMs: null, at: null, why: 'limit-never' }, { ...runtime, limit: { ...runtime.limit, ms: null }, at: null, why: 'limit-never' },
  ]);
  const stopped = container({ state: 'exited', startedAt: NOW - 10 * HOUR_MS, finishedAt: NOW - 5 * MINUTE_MS });
  expect(outlook({ container: stopped })).toEqual([
    { what: 'gpu-release', limit: { key: 'gpu_hold_after_stop', ms: 15 * MINUTE_MS, from: null }, spentMs: 5 * MINUTE_MS, steps: [], at: NOW + 10 * MINUTE_MS, why: null },
    { what: 'removal', limit: { key: 'container_hold_after_stop', ms: 15 * MINUTE_MS, from: null }, spentMs: 5 * MINUTE_MS, steps: [], at: NOW + 10 * MINUTE_MS, why: null },
  ]);
});

it('a container whose start nobody knows has no date for the stop', () => {
  expect(of('runtime-stop', { container: { ...running, startedAt: null } })).toBe('age-unknown');
  expect(of('idle-stop', { container: { ...running, startedAt: null } })).toBe(9);
});

describe('the pass of the schedule that may do it first', () => {
  const EVERY: Readonly<Record<string, readonly number[]>> = { 'sample': [2, 7, 12, 17, 22, 27, 32, 37, 42, 47, 52, 57], 'release-stale': [5], 'check-idle': [20], 'enforce-runtime': [35], 'cleanup-containers': [50] };
  /** NOW is the begin of an hour. */
  const nextRun = async (job: string, after: number): Promise<number | null> => {
    const minutes = [0, 1, 2, 3, 4, 5, 6].flatMap((hour) => (EVERY[job] ?? []).map((minute) => NOW + (hour * 60 + minute) * MINUTE_MS));
    return minutes.find((at) => at >= after) ?? null;
  };
  const passOf = async (what: Prospect['what'], changed: Partial<OutlookFacts> = {}, next = nextRun): Promise<number | string | null> => {
    const prospect = outlook(changed).find((each) => each.what === what);
    if (prospect === undefined) return 'none';
    const { passAt } = await datingBy(next, NOW)(prospect);
    return passAt === null ? null : (passAt - NOW) / MINUTE_MS;
  };
  const said = (...stages: readonly ('warned' | 'final')[]): OutlookFacts['warnings'] => stages.map((stage) => ({ containerId: running.id, startedAt: running.startedAt, kind: 'idle' as const, stage, at: NOW - MINUTE_MS }));

  it('is the next run of its job after the limit, and after passes that give the warnings that are missing', async () => {
    // Idle for 20 minutes a minute ago: 80 % in 3 minutes, 95 % in 7.5, all of it in 9.
    expect(await passOf('idle-stop', { warnings: said('warned', 'final') })).toBe(20);
    expect(await passOf('idle-stop')).toBe(20);
    const late = { ...clock, idleMs: 13 * MINUTE_MS };
    // 95 % are reached at :14.5: the sampler of :17 warns for the last time at the earliest.
    expect(await passOf('idle-stop', { clock: late })).toBe(20);
    expect(await passOf('idle-stop', { clock: { ...clock, idleMs: 8 * MINUTE_MS } })).toBe(80);
  });

  it('waits for the idle samples that are still missing in a row', async () => {
    const ready = { warnings: said('warned', 'final'), rules: { ...rules, idleChecks: 3 } };
    expect(await passOf('idle-stop', { ...ready, clock: { ...clock, consecutiveIdle: 1 } })).toBe(20);
    // Passes of :02, :05, :07, :12, :17 come before that of :20.
    expect(await passOf('idle-stop', { ...ready, rules: { ...rules, idleChecks: 7 }, clock: { ...clock, consecutiveIdle: 1 } })).toBe(20);
    expect(await passOf('idle-stop', { ...ready, rules: { ...rules, idleChecks: 8 }, clock: { ...clock, consecutiveIdle: 1 } })).toBe(80);
  });

  it('for a runtime is two hourly passes later where nobody was warned yet', async () => {
    const over = { firstStartAt: NOW - 30 * HOUR_MS };
    expect(await passOf('runtime-stop', over)).toBe(2 * 60 + 35);
    expect(await passOf('runtime-stop', { ...over, warnings: said('warned', 'final').map((each) => ({ ...each, kind: 'runtime' as const })) })).toBe(35);
  });

  it('is none where the limit is not reached, or the schedule has no such pass', async () => {
    expect(await passOf('idle-stop', { standing: 'protected' })).toBeNull();
    expect(await passOf('idle-stop', {}, async (job, after) => (job === 'check-idle' ? null : nextRun(job, after)))).toBeNull();
  });

  it('counts a runtime only as far as the boot clock confirms it', () => {
    const hostClock = [{ number: 1, bootId: 'one', fromAt: NOW - 30 * HOUR_MS, fromUptimeMs: 0, seenUptimeMs: 0, untilUptimeMs: 5 * HOUR_MS, jumpMs: null }];
    expect(outlook({ hostClock }).find(({ what }) => what === 'runtime-stop')).toMatchObject({ spentMs: 0 });
    expect(outlook({ hostClock, firstStartAt: NOW - 29 * HOUR_MS }).find(({ what }) => what === 'runtime-stop')).toMatchObject({ spentMs: 4 * HOUR_MS, at: NOW + 20 * HOUR_MS });
  });
});

describe('what is to come for a stopped container', () => {
  const stopped = container({ state: 'exited', startedAt: NOW - 10 * HOUR_MS, finishedAt: NOW - 5 * MINUTE_MS });

  it('is the release of its device, and never before that its removal', () => {
    expect([of('gpu-release', { container: stopped }), of('removal', { container: stopped })]).toEqual([10, 10]);
  });

  it('is nothing where its device is held for ever, or it is protected, or dead', () => {
    const held = { container: stopped, rules: { ...rules, gpuHoldAfterStopMs: null } };
    expect([of('gpu-release', held), of('removal', held)]).toEqual(['hold-never', 'hold-never']);
    expect([of('gpu-release', { container: stopped, standing: 'protected' }), of('removal', { container: stopped, standing: 'protected' })]).toEqual(['protected', 'protected']);
    expect([of('removal', { container: { ...stopped, state: 'dead' } }), of('removal', { container: { ...stopped, state: 'removing' } })]).toEqual(['dead-container', 'being-removed']);
    expect(of('removal', { container: stopped, rules: { ...rules, containerHoldAfterStopMs: null } })).toBe('hold-never');
  });

  it('is no removal where no file sets limits or leftovers; either is enough', () => {
    const configured = (limits: boolean, leftovers: boolean): number | string | null => of('removal', { container: stopped, policy: { ...policy, configured: { limits, leftovers } } });
    expect([configured(false, false), configured(true, false), configured(false, true)]).toEqual(['limits-not-configured', 10, 10]);
  });

  it('is its removal though it claims no device, or nobody knows whether, where all leftovers go', () => {
    const all = (standing: OutlookFacts['standing'], allLeftovers: boolean): number | string | null => of('removal', { container: stopped, standing, policy: { ...policy, allLeftovers } });
    expect((['managed', 'unclaimed', 'unknown', 'infrastructure', 'protected'] as const).map((standing) => all(standing, true))).toEqual([10, 10, 10, 'not-managed', 'protected']);
    expect((['managed', 'unclaimed', 'unknown', 'infrastructure', 'protected'] as const).map((standing) => all(standing, false))).toEqual([10, 'not-managed', 'claims-unknown', 'not-managed', 'protected']);
  });

  it('counts no time before the first pass, and none under a clock that jumped', () => {
    expect(of('gpu-release', { container: stopped, firstPassAt: NOW - MINUTE_MS })).toBe(14);
    expect(of('gpu-release', { container: { ...stopped, finishedAt: NOW + MINUTE_MS } })).toBe('age-unknown');
    expect(of('gpu-release', { container: { ...stopped, finishedAt: null } })).toBe('age-unknown');
    expect(of('gpu-release', { container: stopped, firstPassAt: null })).toBe('first-pass');
  });

  it('is the removal of one that was never started', () => {
    expect(outlook({ container: container({ state: 'created', startedAt: null, createdAt: NOW - MINUTE_MS }) })).toMatchObject([{ what: 'removal', at: NOW + 29 * MINUTE_MS, limit: { key: 'created_timeout' } }]);
  });
});
