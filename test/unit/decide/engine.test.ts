import { describe, expect, it } from 'vitest';
import { distrustEngine } from '../../../src/decide/engine.ts';
import type { History } from '../../../src/model/history.ts';
import { type HostState, OTHER_ENGINE, snapshotOf } from '../../property/host.ts';
import { GONE, historyOf, hostOf, JOB, NOW, runningJob, STRANGE } from './good-case.ts';

function engine(host: Partial<HostState> = {}, history: Partial<History> = {}): string {
  const { engine: seen } = distrustEngine(snapshotOf(hostOf(host), NOW), historyOf(history));
  return seen.state === 'failed' ? `failed ${seen.code}` : seen.state;
}

const shim = (...containerIds: readonly string[]): HostState['shims'] => [{ pid: 7, containerIds }];
const trouble = hostOf().trouble;

describe('the engine is believed', () => {
  it.each<[string, Partial<HostState>, Partial<History>]>([
    ['that the ledger knows', {}, {}],
    ['where the ledger knows none yet', { engine: { kind: 'docker', engineId: OTHER_ENGINE } }, { engineId: null }],
    ['that is podman, where the ledger knows none', { engine: { kind: 'podman', engineId: null } }, { engineId: null }],
    ['whose containers have shims', { containers: [runningJob()], shims: shim(JOB) }, {}],
    ['beside another one, whose containers it never had', { shims: shim(STRANGE) }, {}],
    ['that forgot a container which somebody in a container of it says he is the shim of', { containers: [runningJob()], shims: [{ pid: 7, containerIds: [GONE], inContainers: [JOB] }] }, {}],
    ['the same in a container that the ledger does not know yet', { containers: [runningJob({ id: STRANGE })], shims: [{ pid: 7, containerIds: [GONE], inContainers: [STRANGE] }] }, {}],
    ['that forgot a container whose shim lives, which an admin accepted', { shims: shim(GONE) }, { acceptedContainerIds: [GONE] }],
    ['where /proc failed and it never had a container', { trouble: { ...trouble, proc: 'failed' } }, { knownContainerIds: [] }],
  ])('%s', (_, host, history) => {
    expect(engine(host, history)).toBe('complete');
  });

  it('in part, where a container could not be inspected', () => {
    expect(engine({ containers: [{ inspected: false, id: JOB, name: 'x', state: 'running', why: 'timeout' }] })).toBe('partial');
  });
});

describe('the engine counts as failed', () => {
  it.each<[string, Partial<HostState>, Partial<History>]>([
    ['that is not the one that the ledger knows', { engine: { kind: 'docker', engineId: OTHER_ENGINE } }, {}],
    ['that is podman where the ledger knows Docker', { engine: { kind: 'podman', engineId: null } }, {}],
    ['that does not say who it is', { engine: { kind: 'docker', engineId: null } }, {}],
    ['that forgot a container whose shim lives', { shims: shim(GONE) }, {}],
    ['that forgot a container whose shim lives in a container of another engine', { shims: [{ pid: 7, containerIds: [GONE], inContainers: [STRANGE] }] }, {}],
    ['that forgot another one than an admin accepted', { shims: shim(JOB, GONE) }, { acceptedContainerIds: [GONE] }],
    ['that forgot one of several of a shim', { containers: [runningJob()], shims: shim(JOB, GONE) }, {}],
    ['that is Docker where the ledger was begun under podman', {}, { engineId: null, engineKind: 'podman' }],
    ['that is podman where the ledger was begun under Docker', { engine: { kind: 'podman', engineId: null } }, { engineId: null, engineKind: 'docker' }],
    ['where /proc failed, so that a forgotten one would go unseen', { trouble: { ...trouble, proc: 'failed' } }, {}],
  ])('%s', (_, host, history) => {
    expect(engine(host, history)).toBe('failed untrusted');
  });

  it('where a shim could not be read, and only then: whatever else is missing of the processes says nothing of shims', () => {
    const partial = (kind?: 'shim'): unknown => {
      const snapshot = snapshotOf(hostOf(), NOW);
      if (snapshot.processes.state === 'failed') throw new Error('the processes are known');
      const missing = [{ subject: 'pid 7', why: 'Input/output error, a shim for all that is known', ...(kind !== undefined && { kind }) }];
      return distrustEngine({ ...snapshot, processes: { state: 'partial', value: snapshot.processes.value, missing } }, historyOf()).engine;
    };
    expect(partial('shim')).toMatchObject({ state: 'failed', why: 'pid 7 Input/output error, a shim for all that is known, so a forgotten container would go unseen' });
    expect(partial()).toMatchObject({ state: 'complete' });
  });

  it('for its own reason where it failed by itself', () => {
    expect(engine({ trouble: { ...trouble, engine: 'failed' } })).toBe('failed timeout');
  });

  it.each<[string, Partial<HostState>, Partial<History>]>([
    ['podman answers on this socket, the ledger knows docker: another engine', { engine: { kind: 'podman', engineId: null } }, { engineKind: 'docker' }],
    ["the engine's id is ENGN:THEIRS, the ledger knows ENGN:OURS: another engine answers on this socket", { engine: { kind: 'docker', engineId: OTHER_ENGINE } }, {}],
    ["the engine's id is none (podman), the ledger knows ENGN:OURS: another engine answers on this socket", { engine: { kind: 'podman', engineId: null } }, {}],
    ['shims could not be looked for, so a forgotten container would go unseen', { trouble: { ...trouble, proc: 'failed' } }, {}],
    [`container ${GONE.slice(0, 12)} still has a live shim (pid 7), but the engine no longer lists it`, { shims: shim(GONE) }, {}],
  ])('and says why: %s', (why, host, history) => {
    expect(distrustEngine(snapshotOf(hostOf(host), NOW), historyOf(history)).engine).toMatchObject({ why });
  });

  it('with the rest of the snapshot as it was', () => {
    const snapshot = snapshotOf(hostOf({ engine: { kind: 'docker', engineId: OTHER_ENGINE } }), NOW);
    const { engine: _, ...rest } = distrustEngine(snapshot, historyOf());
    expect(rest).toEqual({ host: snapshot.host, takenAt: NOW, driver: snapshot.driver, processes: snapshot.processes });
  });
});
