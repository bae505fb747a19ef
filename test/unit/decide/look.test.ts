import { describe, expect, it } from 'vitest';
import { candidatesIn, lookOf, ownershipIn } from '../../../src/decide/look.ts';
import type { Gap } from '../../../src/model/observation.ts';
import type { HostProcess } from '../../../src/model/process.ts';
import type { ProcessLook } from '../../../src/model/snapshot.ts';
import { BOOT, ENGINE, type HostState, snapshotOf } from '../../property/host.ts';
import { assessed, GONE, GPU0, GPU1, hostOf, JOB, NOW, orphan, runningJob, STRANGE } from './good-case.ts';

const trouble = hostOf().trouble;
const row = (gpu: number): HostState['processes'][number]['rows'][number] => ({ gpu, type: 'C', usedMiB: 1 });
const look = (host: Partial<HostState>): ProcessLook => lookOf(snapshotOf(hostOf(host), NOW));

describe('the processes that the driver lists', () => {
  const processes = [orphan({ pid: 90, rows: [row(1), row(0), row(0)] }), orphan({ pid: 8, rows: [row(1)] })];

  it('are each one candidate, by pid, with every device and every row', () => {
    expect(candidatesIn(snapshotOf(hostOf({ processes }), NOW)).map(({ pid, gpuUuids, rows }) => [pid, gpuUuids, rows.length])).toEqual([[8, [GPU1], 1], [90, [GPU0, GPU1], 3]]);
  });

  it('are none where the driver failed, and those of other devices where one list is not known', () => {
    expect(candidatesIn(snapshotOf(hostOf({ processes, trouble: { ...trouble, driver: 'failed' } }), NOW))).toEqual([]);
    const [first, second] = hostOf().gpus;
    if (first === undefined || second === undefined) throw new Error('two GPUs');
    expect(candidatesIn(snapshotOf(hostOf({ processes, gpus: [first, { ...second, listUnknown: 'swallowed' }] }), NOW)).map(({ pid, gpuUuids }) => [pid, gpuUuids])).toEqual([[90, [GPU0]]]);
  });
});

describe('the first look', () => {
  it('is the part of a snapshot that tells whose the listed processes are', () => {
    const containers = [runningJob(), { inspected: false, id: STRANGE, name: 'x', state: 'running', why: 'timeout' } as const];
    const found = look({ containers, processes: [orphan({ pid: 8, rows: [row(0), row(1)] })], shims: [{ pid: 7, containerIds: [JOB] }] });
    expect(found).toEqual({
      takenAt: NOW, bootId: BOOT, ownPids: [1, 50, 51],
      listed: { state: 'failed', code: 'error', why: 'the list of compute processes was not asked for' },
      processes: [expect.objectContaining({ pid: 8, state: 'present' })],
      shims: { state: 'complete', value: [{ pid: 7, containerIds: [JOB] }] },
      engine: { state: 'complete', value: { kind: 'docker', engineId: ENGINE } },
      answers: [{ containerId: JOB, answer: 'running', name: 'job' }, { containerId: STRANGE, answer: 'failed', name: 'x' }, { containerId: GONE, answer: 'not-found', name: null }],
    });
  });

  it('of a host of which nothing was seen says so, and knows nothing', () => {
    const found = look({ containers: [runningJob()], processes: [orphan()], trouble: { ...trouble, driver: 'failed', proc: 'failed', engine: 'failed' } });
    expect(found).toEqual({
      takenAt: NOW, bootId: null, ownPids: [], listed: { state: 'failed', code: 'error', why: 'the list of compute processes was not asked for' }, processes: [], answers: [],
      shims: { state: 'failed', code: 'untrusted', why: 'gpuctl does not run in the pid namespace of the host' },
      engine: { state: 'failed', code: 'timeout', why: 'the engine did not answer' },
    });
  });

  it('leaves a process that it did not read unknown', () => {
    const { rules, look: seen } = assessed({ processes: [orphan()] });
    const owners = ownershipIn([4711, 12], seen, rules);
    expect([owners.get(4711)?.kind, owners.get(12)]).toEqual(['orphan', { kind: 'unknown', reason: 'process-unreadable', containerId: null }]);
  });
});

/** What is known of the shims where this is missing of the processes; pid 7 is listed and unreadable, pid 9 is listed and gone. */
function shimsWithout(gap: Gap): string {
  const snapshot = snapshotOf(hostOf(), NOW);
  if (snapshot.processes.state === 'failed') throw new Error('the processes are known');
  const listed: readonly HostProcess[] = [{ state: 'unreadable', pid: 7, why: 'EIO' }, { state: 'absent', pid: 9 }];
  return lookOf({ ...snapshot, processes: { state: 'partial', value: { ...snapshot.processes.value, listed }, missing: [gap] } }).shims.state;
}

it('shims are not known completely where one may not have been read, whatever the words for it are', () => {
  expect(shimsWithout({ kind: 'shim', subject: 'pid 7', why: 'EIO' })).toBe('partial');
  expect(shimsWithout({ subject: 'pid 7', why: 'its name is shim: EIO' })).toBe('complete');
  expect(shimsWithout({ subject: 'pid 8', why: 'EIO' })).toBe('partial');
  expect(shimsWithout({ subject: 'pid 9', why: 'EIO' })).toBe('partial');
  expect(shimsWithout({ kind: 'files', subject: 'holders', why: 'too many' })).toBe('complete');
});
