import { describe, expect, it } from 'vitest';
import { emptyHistory } from '../../../../src/model/history.ts';
import { DAY, GPU0, GPU1, HOUR, NOW, testLedger } from './hosts.ts';

describe('a new ledger', () => {
  it('remembers nothing', () => {
    expect(testLedger().ledger.history()).toStrictEqual(emptyHistory);
  });
});

describe('resets', () => {
  it('are remembered for seven days, and longer where the clock was ahead when they happened', () => {
    const { ledger, reopen } = testLedger();
    ledger.recordReset(GPU1, true, NOW + DAY);
    ledger.recordReset(GPU0, false, NOW - 6 * DAY);
    ledger.recordReset(GPU0, true, NOW - 8 * DAY);
    expect(reopen().history().resets).toStrictEqual([{ gpuUuid: GPU0, at: NOW - 6 * DAY, succeeded: false }, { gpuUuid: GPU1, at: NOW + DAY, succeeded: true }]);
  });

  it('are forgotten but for the last of each board: a cool-down may be longer than any history', () => {
    const { ledger, reopen } = testLedger();
    for (const days of [500, 450, 401]) ledger.recordReset(GPU0, true, NOW - days * DAY);
    for (const id of ['a', 'b']) { ledger.beginPass({ id, job: 'sample', startedAt: NOW }); ledger.endPass(id, NOW, 0); }
    expect(reopen().history().resets).toStrictEqual([{ gpuUuid: GPU0, at: NOW - 401 * DAY, succeeded: true }]);
  });

  it('wanted stay as old as the first wish, with the latest reason, until they are withdrawn', () => {
    const { ledger, reopen } = testLedger();
    ledger.wantReset({ gpuUuid: GPU0, reason: 'dirty-memory', since: NOW });
    ledger.wantReset({ gpuUuid: GPU0, reason: 'reset-asked', since: NOW + HOUR });
    ledger.wantReset({ gpuUuid: GPU1, reason: 'dirty-ghost', since: NOW });
    ledger.withdrawReset(GPU1);
    ledger.withdrawReset(GPU1);
    expect(reopen().history().resetWants).toStrictEqual([{ gpuUuid: GPU0, reason: 'reset-asked', since: NOW }]);
  });
});

describe('quarantine', () => {
  it('lasts', () => {
    const { ledger, reopen } = testLedger();
    ledger.quarantine(GPU1, NOW);
    ledger.quarantine(GPU0, NOW);
    ledger.quarantine(GPU1, NOW + 1);
    expect(reopen().history().quarantined).toStrictEqual([GPU0, GPU1]);
  });
});

describe('memory samples', () => {
  const sample = (gpuUuid: string, at: number) => ({ gpuUuid, at, usedMiB: 100.5, unexplainedMiB: -3 });

  it('come back oldest first, those of the last day only, and none from the future', () => {
    const { ledger } = testLedger();
    ledger.recordMemory([sample(GPU1, NOW), sample(GPU0, NOW), sample(GPU0, NOW - DAY - 1), sample(GPU0, NOW - HOUR), sample(GPU0, NOW + 1)]);
    expect(ledger.history().memory).toStrictEqual([sample(GPU0, NOW - HOUR), sample(GPU0, NOW), sample(GPU1, NOW)]);
  });

  it('are bounded for each device, and the newest are kept', () => {
    const { ledger } = testLedger();
    ledger.recordMemory(Array.from({ length: 200 }, (_, n) => [sample(GPU0, NOW - n * 60_000), sample(GPU1, NOW - n * 60_000)]).flat());
    const { memory } = ledger.history();
    expect(memory.filter((each) => each.gpuUuid === GPU0).map((each) => each.at)).toEqual(Array.from({ length: 50 }, (_, n) => NOW - (49 - n) * 60_000));
    expect(memory).toHaveLength(100);
  });

  it('taken twice at one instant are one', () => {
    const { ledger } = testLedger();
    ledger.recordMemory([sample(GPU0, NOW), { ...sample(GPU0, NOW), usedMiB: 7 }]);
    expect(ledger.history().memory).toMatchObject([{ usedMiB: 7 }]);
  });

  it('older than they are kept are forgotten at the end of a pass', () => {
    const { ledger, clock } = testLedger({ keepSamplesMs: HOUR });
    ledger.recordMemory([sample(GPU0, NOW - 2 * HOUR), sample(GPU0, NOW)]);
    for (const id of ['1', '2']) {
      ledger.beginPass({ id, job: 'sample', startedAt: NOW });
      ledger.endPass(id, NOW, 0);
    }
    clock.now = NOW;
    expect(ledger.history().memory).toStrictEqual([sample(GPU0, NOW)]);
  });
});
