import { describe, expect, it } from 'vitest';
import { decideDirt, type Dirt, type DirtFacts, unexplainedMiB } from '../../../src/decide/dirt.ts';
import type { Gpu } from '../../../src/model/device.ts';
import type { MemorySample } from '../../../src/model/history.ts';
import { read } from '../../../src/model/reading.ts';
import type { GpuState, ProcessState } from '../../property/host.ts';
import { assessed, GPU0, GPU1, gpuState, historyOf, MINUTE, NOW, orphan } from './good-case.ts';

function gpuOf(more: Partial<GpuState> = {}, processes: readonly ProcessState[] = []): Gpu {
  const [gpu] = assessed({ gpus: [gpuState(0, more)], processes }).gpus;
  if (gpu === undefined) throw new Error('no GPU');
  return gpu;
}

const FULL = { unexplainedMiB: 4096 };

type Seen = readonly [minutesAgo: number, unexplainedMiB: number];

function samples(...all: readonly Seen[]): readonly MemorySample[] {
  return all.map(([ago, unexplained]) => ({ gpuUuid: GPU0, at: NOW - ago * MINUTE, usedMiB: unexplained, unexplainedMiB: unexplained }));
}

function found(more: Partial<DirtFacts> = {}): Dirt {
  return decideDirt({ gpu: gpuOf(FULL), ghosts: [], afterEnding: null, history: historyOf(), toleranceMiB: 1024, now: NOW, ...more });
}

function dirt(more: Partial<DirtFacts> = {}): string {
  const answer = found(more);
  return 'reason' in answer ? `${answer.kind} ${answer.reason}` : answer.kind;
}

describe('memory that no process explains', () => {
  it('is what is used beyond the baseline and the processes', () => {
    const gpu = gpuOf({ unexplainedMiB: 500 }, [orphan(), orphan({ pid: 2 })]);
    expect(unexplainedMiB(gpu, historyOf())).toBe(500);
    expect(unexplainedMiB(gpu, historyOf({ baselines: [{ gpuUuid: GPU1, usedMiB: 9 }, { gpuUuid: GPU0, usedMiB: 450 }] }))).toBe(50);
  });

  it('is not known where anything about it is not', () => {
    expect(unexplainedMiB(gpuOf({ unexplainedMiB: null }), historyOf())).toBeNull();
    expect(unexplainedMiB(gpuOf({ listUnknown: 'swallowed' }), historyOf())).toBeNull();
    expect(unexplainedMiB(gpuOf({}, [orphan({ rows: [{ gpu: 0, type: 'C', usedMiB: null }] })]), historyOf())).toBeNull();
  });

  it('alone is only a suspicion', () => {
    expect(dirt()).toBe('suspect not-yet-confirmed');
  });

  it.each<readonly [expected: string, all: readonly Seen[]]>([
    ['dirty dirty-memory', [[10, 4096], [5, 4096]]],
    ['dirty dirty-memory', [[300, 4096], [5, 4096]]],
    ['dirty dirty-memory', [[10, 4096], [0, 4096]]],
    ['suspect not-yet-confirmed', [[10, 4096]]],
    ['suspect not-yet-confirmed', [[9, 4096], [5, 4096], [1, 4096]]],
    ['suspect not-yet-confirmed', [[60, 4096], [10, 1024], [5, 4096]]],
    ['suspect not-yet-confirmed', [[60, 4096], [30, 4096], [5, 0]]],
    ['dirty dirty-memory', [[60, 0], [30, 4096], [5, 1025]]],
    ['suspect not-yet-confirmed', [[30, 4096], [20, 4096], [-5, 4096]]],
  ])('that was seen before: %s after %j (minutes ago, MiB)', (expected, all) => {
    expect(dirt({ history: historyOf({ memory: samples(...all) }) })).toBe(expected);
  });

  it('on another device says nothing', () => {
    const memory = samples([20, 4096], [10, 4096]).map((sample) => ({ ...sample, gpuUuid: GPU1 }));
    expect(dirt({ history: historyOf({ memory }) })).toBe('suspect not-yet-confirmed');
  });

  it.each<[string, readonly (number | null)[]]>([
    ['dirty dirty-memory', [4096, 4096]], ['suspect not-yet-confirmed', [4096]], ['suspect not-yet-confirmed', [4096, 1024]], ['suspect not-yet-confirmed', [null, 4096]], ['suspect not-yet-confirmed', []],
  ])('after an orphan was ended needs two readings: %s after %j', (expected, afterEnding) => {
    expect(dirt({ afterEnding })).toBe(expected);
  });

  it('that once made a reset wanted needs no new proof, and another want is none', () => {
    const want = { gpuUuid: GPU0, since: NOW - MINUTE };
    expect(dirt({ history: historyOf({ resetWants: [{ ...want, reason: 'dirty-memory' }] }) })).toBe('dirty dirty-memory');
    expect(dirt({ history: historyOf({ resetWants: [{ ...want, reason: 'dirty-ghost' }] }) })).toBe('suspect not-yet-confirmed');
    expect(dirt({ history: historyOf({ resetWants: [{ ...want, reason: 'dirty-memory', gpuUuid: GPU1 }] }) })).toBe('suspect not-yet-confirmed');
  });

  it('within the tolerance is clean, whatever was wanted', () => {
    expect(dirt({ gpu: gpuOf({ unexplainedMiB: 1024 }), history: historyOf({ resetWants: [{ gpuUuid: GPU0, reason: 'dirty-memory', since: NOW }] }) })).toBe('clean');
  });

  it('that is not known is no dirt', () => {
    expect(dirt({ gpu: gpuOf({ unexplainedMiB: null }), afterEnding: [4096, 4096] })).toBe('unknown');
  });
});

describe('a board', () => {
  it.each<[string, Partial<GpuState>]>([
    ['dirty reset-asked', { recovery: read('reset') }], ['dirty reset-asked', { recovery: read('drain-and-reset') }], ['dirty repair-pending', { repairPending: 'yes' }],
    ['clean', { recovery: read('none') }], ['clean', { recovery: read('reboot') }], ['clean', { recovery: { kind: 'error', text: 'Unknown Error' } }], ['clean', { repairPending: 'error' }], ['clean', { repairPending: 'absent' }],
  ])('is %s where it says %j', (expected, more) => {
    expect(dirt({ gpu: gpuOf(more) })).toBe(expected);
  });

  it('is dirty with a ghost, though its memory is explained', () => {
    expect(dirt({ gpu: gpuOf(), ghosts: [12] })).toBe('dirty dirty-ghost');
  });

  it('asks first: what it says counts though nothing else is known', () => {
    expect(dirt({ gpu: gpuOf({ recovery: read('reset'), unexplainedMiB: null, listUnknown: 'swallowed' }) })).toBe('dirty reset-asked');
  });
});

describe('what is told of a device', () => {
  const memory = { unexplainedMiB: 4096, toleranceMiB: 1024 };
  it.each<[string, Partial<DirtFacts>, Dirt]>([
    ['the action that the driver asks for', { gpu: gpuOf({ recovery: read('drain-and-reset') }) }, { kind: 'dirty', reason: 'reset-asked', evidence: { recovery: 'drain-and-reset' } }],
    ['the fault that asks for it', { gpu: gpuOf({ faults: ['GPU requires reset'] }) }, { kind: 'dirty', reason: 'reset-asked', evidence: { fault: 'GPU requires reset' } }],
    ['the ghosts', { ghosts: [12, 13] }, { kind: 'dirty', reason: 'dirty-ghost', evidence: { ghosts: [12, 13] } }],
    ['what was read after an orphan was ended', { afterEnding: [4096, 4000] }, { kind: 'dirty', reason: 'dirty-memory', evidence: { ...memory, readings: [4096, 4000] } }],
    ['that a reset was wanted before', { history: historyOf({ resetWants: [{ gpuUuid: GPU0, since: NOW - MINUTE, reason: 'dirty-memory' }] }) }, { kind: 'dirty', reason: 'dirty-memory', evidence: { ...memory, wantedBefore: true } }],
    ['how often and how long it was seen', { history: historyOf({ memory: samples([11, 4096], [5, 4096]) }) }, { kind: 'dirty', reason: 'dirty-memory', evidence: { ...memory, samples: 3, forMs: 11 * MINUTE } }],
    ['the memory, while it is only a suspicion', {}, { kind: 'suspect', reason: 'not-yet-confirmed', unexplainedMiB: 4096 }],
    ['why it cannot be said', { gpu: gpuOf({ unexplainedMiB: null }) }, { kind: 'unknown', why: 'the memory of the device or of a process on it is not known' }],
  ])('is %s', (_, more, told) => {
    expect(found(more)).toEqual(told);
  });
});
