import { describe, expect, it } from 'vitest';
import type { HealthMark, HealthUpdate, MemoryLearning } from '../../../../src/model/health.ts';
import { GPU0, GPU1, HOUR, NOW, testLedger } from './hosts.ts';

const mark = (gpuUuid: string, value: number): HealthMark => ({ gpuUuid, reading: 'pcie.replays', baseline: value, baselineAt: NOW - HOUR, last: value + 1, lastAt: NOW, anchor: value, anchorAt: NOW - HOUR, next: value, nextAt: NOW - 1 });
const learning = (gpuUuid: string, more: Partial<MemoryLearning> = {}): MemoryLearning => ({ gpuUuid, driver: '590.48.01', lowestMiB: 4, lastMiB: 5.5, samples: 9, firstAt: NOW - HOUR, lastAt: NOW, overSince: null, overSamples: 0, ...more });
const update = (gpuUuids: readonly string[], more: Partial<HealthUpdate> = {}): HealthUpdate => ({ gpuUuids, marks: [], memory: [], baselines: [], ...more });

describe('the health of boards', () => {
  it('comes back as it was written, by device', () => {
    const { ledger, reopen } = testLedger();
    const memory = [learning(GPU0, { overSince: NOW, overSamples: 2 }), learning(GPU1, { driver: null })];
    ledger.recordHealth(update([GPU1, GPU0], { marks: [mark(GPU1, 2 ** 52), mark(GPU0, 1)], memory: memory.toReversed(), baselines: [{ gpuUuid: GPU0, usedMiB: 4 }] }));
    const { health, baselines } = reopen().history();
    expect(health).toStrictEqual({ marks: [mark(GPU0, 1), mark(GPU1, 2 ** 52)], memory });
    expect(baselines).toStrictEqual([{ gpuUuid: GPU0, usedMiB: 4 }]);
  });

  it('is replaced for the devices of an update, and kept for the others', () => {
    const { ledger, reopen } = testLedger();
    ledger.recordHealth(update([GPU0, GPU1], { marks: [mark(GPU0, 1), mark(GPU1, 2)], memory: [learning(GPU0), learning(GPU1)], baselines: [{ gpuUuid: GPU0, usedMiB: 4 }, { gpuUuid: GPU1, usedMiB: 4 }] }));
    ledger.recordHealth(update([GPU0]));
    const { health, baselines } = reopen().history();
    expect(health).toStrictEqual({ marks: [mark(GPU1, 2)], memory: [learning(GPU1)] });
    expect(baselines).toStrictEqual([{ gpuUuid: GPU1, usedMiB: 4 }]);
  });

  it('is written whole or not at all', () => {
    const { ledger, reopen } = testLedger();
    ledger.recordHealth(update([GPU0], { marks: [mark(GPU0, 1)] }));
    expect(() => { ledger.recordHealth(update([GPU0], { marks: [mark(GPU0, 2), mark(GPU0, 3)] })); }).toThrow('UNIQUE');
    expect(reopen().history().health?.marks).toStrictEqual([mark(GPU0, 1)]);
  });
});
