import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import type { Config } from '../../../src/config/types.ts';
import type { ContainerState, InspectedContainer } from '../../../src/model/container.ts';
import type { Decision } from '../../../src/model/decision.ts';
import type { Allocation, History } from '../../../src/model/history.ts';
import { type HostState, OTHER_ENGINE } from '../../property/host.ts';
import { judged, releases } from '../../property/rules.ts';
import { allocation, GONE, GPU1, HOUR, hostOf, JOB, MIG10, MINUTE, NOW, orphan, SECOND, stopped, worldOf } from './good-case.ts';

interface Case {
  readonly container?: Partial<InspectedContainer>;
  readonly host?: Partial<HostState>;
  readonly allocation?: Partial<Allocation>;
  readonly history?: Partial<History>;
  readonly config?: Config;
}

/** What becomes of one allocation of a container that stopped sixteen minutes ago, after one change. */
function decided({ container = {}, host = {}, history = {}, config = defaultConfig(), ...rest }: Case = {}): Decision | undefined {
  const world = worldOf({ containers: [stopped(container)], ...host }, { allocations: [allocation(rest.allocation)], ...history }, config);
  return releases(judged(world), config, NOW)[0];
}

function verdict(change: Case = {}): string {
  const decision = decided(change);
  return decision === undefined ? 'nothing' : `${decision.verdict} ${decision.reason}`;
}

function holding(gpuHoldAfterStopMs: number | null, createdTimeoutMs: number | null = 30 * MINUTE): Config {
  const base = defaultConfig();
  return { ...base, limits: { ...base.limits, default: { ...base.limits.default, gpuHoldAfterStopMs } }, leftovers: { ...base.leftovers, createdTimeoutMs } };
}

describe('an allocation is released', () => {
  it('when its container has not run for longer than the hold', () => {
    expect(verdict()).toBe('act hold-expired');
  });

  it('when its container is gone', () => {
    expect(verdict({ host: { containers: [] } })).toBe('act gone');
    expect(verdict({ host: { containers: [], processes: [orphan({ cgroups: [`/docker/${JOB}`] })] } })).toBe('act gone');
  });

  it('when its container is gone, whatever the engine answers for another one', () => {
    expect(verdict({ host: { containers: [], processes: [orphan()], oddAnswers: [{ id: GONE, answer: 'failed' }] } })).toBe('act gone');
  });

  it('at once where the hold is 0', () => {
    expect(verdict({ container: { finishedAt: NOW }, config: holding(0) })).toBe('act no-hold');
    expect(verdict({ container: { labels: { 'gpuctl.type': 'api' }, finishedAt: NOW } })).toBe('act no-hold');
  });

  it('of a MIG device like any other', () => {
    expect(verdict({ allocation: { gpuUuid: GPU1, migUuid: MIG10 } })).toBe('act hold-expired');
  });

  it('of a dead container, and of one that is being removed', () => {
    expect(verdict({ container: { state: 'dead' } })).toBe('act hold-expired');
    expect(verdict({ container: { state: 'removing' } })).toBe('act hold-expired');
  });

  it.each<[number, string]>([[15 * MINUTE - SECOND, 'leave within-hold'], [15 * MINUTE, 'leave within-hold'], [15 * MINUTE + 1, 'act hold-expired']])('%i ms after the end: %s', (ago, expected) => {
    expect(verdict({ container: { finishedAt: NOW - ago } })).toBe(expected);
  });

  it('while another container could not be inspected: the list is whole all the same', () => {
    expect(verdict({ host: { containers: [stopped(), { inspected: false, id: 'f'.repeat(64), name: 'x', state: 'running', why: 'timeout' }] } })).toBe('act hold-expired');
  });
});

describe('an allocation is kept', () => {
  it.each<ContainerState>(['running', 'paused', 'restarting', 'unknown'])('while its container is %s', (state) => {
    expect(verdict({ container: { state } })).toBe('leave still-running');
  });

  it.each<[string, string, Case]>([
    ['leave hold-never', 'its hold is never', { config: holding(null) }],
    ['leave protected', 'the container is protected', { container: { labels: { 'ds01.protected': 'true' } } }],
    ['leave first-pass', 'gpuctl was never here before', { history: { firstPassAt: null } }],
    ['leave within-hold', 'gpuctl came later than the stop', { history: { firstPassAt: NOW - 14 * MINUTE } }],
    ['leave age-unknown', 'it is not known when it stopped', { container: { finishedAt: null } }],
    ['leave age-unknown', 'it stopped in the future: a clock jumped', { container: { finishedAt: NOW + 1 } }],
    ['leave age-unknown', 'gpuctl’s first pass was in the future', { history: { firstPassAt: NOW + HOUR } }],
    ['leave identity-changed', 'the container ran again and stopped', { container: { startedAt: NOW - 20 * MINUTE } }],
    ['refuse container-unknown', 'the container cannot be inspected', { host: { containers: [{ inspected: false, id: JOB, name: 'job', state: 'exited', why: 'timeout' }] } }],
    ['refuse containers-unknown', 'the engine fails', { host: { trouble: { ...hostOf().trouble, engine: 'failed' } } }],
    ['refuse containers-unknown', 'another engine answers', { host: { engine: { kind: 'docker', engineId: OTHER_ENGINE }, containers: [] } }],
    ['refuse containers-unknown', 'podman answers for the engine', { host: { engine: { kind: 'podman', engineId: null }, containers: [] } }],
    ['refuse containers-unknown', 'a container that the engine forgot still has a shim', { host: { shims: [{ pid: 7, containerIds: [GONE] }] } }],
    ['refuse containers-unknown', 'shims could not be looked for', { host: { trouble: { ...hostOf().trouble, proc: 'failed' } } }],
    ['refuse containers-unknown', 'the list lacks it, but the engine answers for it', { host: { containers: [], processes: [orphan({ cgroups: [`/docker/${JOB}`] })], oddAnswers: [{ id: JOB, answer: 'running' }] } }],
    ['refuse containers-unknown', 'the list lacks it, and the engine does not answer for it', { host: { containers: [], processes: [orphan({ cgroups: [`/docker/${JOB}`] })], oddAnswers: [{ id: JOB, answer: 'failed' }] } }],
    ['nothing', 'it was released before', { allocation: { releasedAt: NOW - HOUR, releaseReason: 'gone' } }],
  ])('%s: where %s', (expected, _, change) => {
    expect(verdict(change)).toBe(expected);
  });
});

describe('a container that was created and never started', () => {
  const created = (ago: number | null, config: Config = defaultConfig()): string =>
    verdict({ container: { state: 'created', startedAt: null, finishedAt: null, createdAt: ago === null ? null : NOW - ago }, allocation: { startedAt: null }, config });

  it('keeps its device until it would be removed, which is later than the hold', () => {
    expect(created(20 * MINUTE)).toBe('leave within-hold');
    expect(created(30 * MINUTE)).toBe('leave within-hold');
    expect(created(30 * MINUTE + 1)).toBe('act hold-expired');
  });

  it('keeps it for the hold, where that is later', () => {
    expect(created(50 * MINUTE, holding(HOUR))).toBe('leave within-hold');
    expect(created(61 * MINUTE, holding(HOUR))).toBe('act hold-expired');
  });

  it('keeps it as long even where the hold is 0', () => {
    expect(created(20 * MINUTE, holding(0))).toBe('leave within-hold');
    expect(created(31 * MINUTE, holding(0))).toBe('act hold-expired');
  });

  it('keeps it for ever where either is never', () => {
    expect(created(99 * HOUR, holding(null))).toBe('leave hold-never');
    expect(created(99 * HOUR, holding(0, null))).toBe('leave hold-never');
  });

  it('keeps it where its age is not known', () => {
    expect(created(null)).toBe('leave age-unknown');
    expect(created(-HOUR)).toBe('leave age-unknown');
  });
});

describe('what is told of a decision', () => {
  const answered = { processes: [orphan({ cgroups: [`/docker/${JOB}`] })], oddAnswers: [{ id: JOB, answer: 'running' as const }] };
  it.each<[string, Case, Record<string, unknown>]>([
    ['why the engine is not believed', { host: { trouble: { ...hostOf().trouble, engine: 'failed' } } }, { why: 'the engine did not answer' }],
    ['how the engine contradicts its list', { host: { containers: [], ...answered } }, { why: 'the list lacks it, the engine does not say that it is gone' }],
    ['why the container is not known', { host: { containers: [{ inspected: false, id: JOB, name: 'job', state: 'exited', why: 'timeout' }] } }, { why: 'timeout' }],
    ['the hold, where the age is not known', { container: { finishedAt: null } }, { holdMs: 15 * MINUTE }],
    ['the hold and the age', {}, { holdMs: 15 * MINUTE, stoppedForMs: 16 * MINUTE }],
    ['the owner alone, where there is no hold', { config: holding(0) }, {}],
  ])('is %s', (_, change, evidence) => {
    expect(decided({ ...change, allocation: { owner: 'alice' } })?.evidence).toEqual({ owner: 'alice', ...evidence });
  });
});

describe('every open allocation', () => {
  it('has exactly one decision, in the order of the ledger, with what it is about', () => {
    const allocations = [allocation(), allocation({ gpuUuid: GPU1, migUuid: MIG10, owner: 'alice' }), allocation({ containerId: GONE })];
    const decisions = releases(judged(worldOf({ containers: [stopped()] }, { allocations })), defaultConfig(), NOW);
    expect(decisions).toMatchObject([
      { verb: 'release', round: 1, target: { kind: 'allocation', containerId: JOB, migUuid: null }, evidence: { stoppedForMs: 16 * MINUTE, holdMs: 15 * MINUTE } },
      { target: { containerId: JOB, gpuUuid: GPU1, migUuid: MIG10 }, evidence: { owner: 'alice' } },
      { target: { containerId: GONE }, reason: 'gone' },
    ]);
  });
});
