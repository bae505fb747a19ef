import { describe, expect, it } from 'vitest';
import { allocation, assessed, GONE, GPU0, GPU1, hostOf, JOB, orphan, runningJob, stopped } from './good-case.ts';

const trouble = hostOf().trouble;
const held = { labels: { 'gpuctl.device': GPU0 } };

describe('what follows from one look', () => {
  it('is nothing about devices where nvidia-smi failed, and nothing about claims where the engine did', () => {
    expect(assessed({ trouble: { ...trouble, driver: 'failed' } }).gpus).toEqual([]);
    expect(assessed({ containers: [runningJob(held)], trouble: { ...trouble, engine: 'failed' } }).claims).toEqual({ claims: [], unresolved: [] });
  });

  it('is who claims what by the labels of the policy, and what the ledger has released', () => {
    const claimed = (released: boolean): readonly unknown[] => assessed({ containers: [stopped(held)] }, { allocations: released ? [allocation({ releasedAt: 1 })] : [] }).claims.claims.map(({ gpuUuid, released: is }) => [gpuUuid, is]);
    expect([claimed(false), claimed(true)]).toEqual([[[GPU0, false]], [[GPU0, true]]]);
  });

  it('is whose each listed process is, on the engine that the ledger knows, and by the containers that it had', () => {
    expect(assessed({ processes: [orphan()] }).ownership.get(4711)).toMatchObject({ kind: 'orphan', containerId: GONE });
    expect([...assessed({ processes: [orphan()] }, { engineId: null, knownContainerIds: [JOB] }).rules.knownContainerIds]).toEqual([JOB]);
    expect(assessed({}, { engineId: 'X' }).rules.engineId).toBe('X');
  });

  it('is nothing that an engine says which the ledger does not know', () => {
    const seen = assessed({ containers: [runningJob(held)] }, { engineId: 'X' });
    expect([seen.snapshot.engine.state, seen.claims.claims]).toEqual(['failed', []]);
    expect(seen.gpus.map(({ uuid }) => uuid)).toEqual([GPU0, GPU1]);
  });
});
