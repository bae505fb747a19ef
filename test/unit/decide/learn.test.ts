import { describe, expect, it } from 'vitest';
import { type Learned, learnFrom } from '../../../src/decide/learn.ts';
import type { Container, EngineView } from '../../../src/model/container.ts';
import type { Allocation, History } from '../../../src/model/history.ts';
import { ENGINE, OTHER_ENGINE } from '../../property/host.ts';
import { allocation, assessed, GONE, GPU0, GPU1, historyOf, HOUR, JOB, MIG10, NOW, runningJob, STRANGE } from './good-case.ts';

const STARTED = NOW - HOUR;
const job = runningJob({ labels: { 'gpuctl.device': GPU0 } });
const held = allocation({ startedAt: STARTED, owner: 'alice', observedAt: STARTED });
const engineOf = (containers: readonly Container[], more: Partial<EngineView> = {}): EngineView => ({ kind: 'docker', engineId: ENGINE, version: null, containers, answers: [], ...more });

function learned(containers: readonly Container[], history: Partial<History> = {}, engine: Partial<EngineView> | null = {}): Learned {
  const { claims } = assessed({ containers }, history);
  return learnFrom(historyOf(history), { engine: engine === null ? null : engineOf(containers, engine), claims: claims.claims, owners: new Map([[JOB, 'alice'], [GONE, null]]), at: NOW });
}

/** The open allocations after one look at the running job, where the ledger had these. */
function opened(allocations: readonly Allocation[], containers: readonly Container[] = [job]): { readonly opened: number; readonly kept: readonly (number | null)[] } {
  const { opened: news, history } = learned(containers, { allocations });
  return { opened: news.length, kept: history.allocations.map(({ observedAt }) => observedAt) };
}

describe('one look at the containers', () => {
  it('teaches an empty ledger when it was, which engine this is, what that has, and who holds what', () => {
    const empty = historyOf({ firstPassAt: null, engineId: null, engineKind: null, knownContainerIds: [] });
    const opening = { ...held, observedAt: NOW };
    expect(learned([job, runningJob({ id: STRANGE })], empty)).toEqual({
      history: { ...empty, firstPassAt: NOW, engineId: ENGINE, engineKind: 'docker', knownContainerIds: [JOB, STRANGE], allocations: [opening] },
      opened: [opening],
    });
  });

  it('adds the containers that were not known, and forgets none', () => {
    expect(learned([job], { knownContainerIds: [GONE] }).history.knownContainerIds).toEqual([GONE, JOB]);
    expect(learned([job], { knownContainerIds: [GONE, JOB] }).history.knownContainerIds).toEqual([GONE, JOB]);
  });

  it('says whose an allocation is, where that is known', () => {
    const other = runningJob({ id: GONE, labels: { 'gpuctl.device': GPU0 } });
    const nobodys = runningJob({ id: STRANGE, labels: { 'gpuctl.device': GPU0 } });
    expect(learned([job, other, nobodys]).opened.map(({ owner }) => owner)).toEqual(['alice', null, null]);
  });

  it.each<[string, Partial<EngineView> | null, Partial<History>]>([
    ['does not answer', null, {}],
    ['is another one', { engineId: OTHER_ENGINE }, {}],
    ['does not say which one it is, where the ledger knows one', { engineId: null }, {}],
    ['is another kind of engine', { kind: 'podman', engineId: null }, { engineId: null, engineKind: 'docker' }],
  ])('teaches nothing but that there was a pass where the engine %s', (_, engine, history) => {
    const before = { allocations: [allocation()], firstPassAt: null, ...history };
    expect(learned([job], before, engine)).toEqual({ history: { ...historyOf(before), firstPassAt: NOW }, opened: [] });
  });

  it('teaches of podman, which has no id, under a ledger of podman', () => {
    expect(learned([job], { engineId: null, engineKind: 'podman' }, { kind: 'podman', engineId: null }).history).toMatchObject({ engineId: null, engineKind: 'podman', knownContainerIds: [GONE, JOB] });
  });
});

describe('an allocation', () => {
  it('is opened once, however often and in however many ways the container names the device', () => {
    expect(opened([], [{ ...job, labels: { 'gpuctl.device': `${GPU0},0` } }])).toEqual({ opened: 1, kept: [NOW] });
    expect(opened([held])).toEqual({ opened: 0, kept: [STARTED] });
  });

  it('is one a device, a run and a container', () => {
    const others = [allocation({ ...held, gpuUuid: GPU1 }), allocation({ ...held, migUuid: MIG10 }), allocation({ ...held, containerId: GONE })];
    expect(opened(others)).toEqual({ opened: 1, kept: [STARTED, STARTED, STARTED, NOW] });
  });

  it('of an earlier run ends where the container has started again, and where that is not known it stays', () => {
    const earlier = allocation({ startedAt: STARTED - HOUR, observedAt: 1 });
    expect(opened([earlier])).toEqual({ opened: 1, kept: [NOW] });
    expect(opened([earlier], [])).toEqual({ opened: 0, kept: [1] });
    expect(opened([earlier], [{ inspected: false, id: JOB, name: 'job', state: 'running', why: 'timeout' }])).toEqual({ opened: 0, kept: [1] });
    expect(opened([earlier], [runningJob({ startedAt: null })])).toEqual({ opened: 0, kept: [1] });
  });

  it('that was released is opened anew where its container is alive in the same run', () => {
    expect(opened([{ ...held, releasedAt: NOW - 1, releaseReason: 'gone' }])).toEqual({ opened: 1, kept: [NOW] });
  });

  it('that was released stays so where its container is not alive', () => {
    const released: Allocation = { ...held, releasedAt: NOW - 1, releaseReason: 'hold-expired' };
    expect(opened([released], [{ ...job, state: 'exited', pid: null, finishedAt: NOW - 1 }])).toEqual({ opened: 0, kept: [STARTED] });
  });
});
