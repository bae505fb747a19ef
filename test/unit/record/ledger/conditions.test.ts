import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Condition, ConditionVerdict } from '../../../../src/model/condition.ts';
import { ExitCode } from '../../../../src/model/errors.ts';
import { openLedger, type OpenLedger } from '../../../../src/record/ledger/open.ts';
import { testFolder } from '../folders.ts';

const HOUR = 3_600_000;

const condition: Condition = {
  id: 'gpu.row_remap.pending', subject: { gpu: 'GPU-1', owner: 'alice' }, severity: 'warning', message: 'a repair waits', remedy: 'a reset',
  firstSeenAt: HOUR, lastSeenAt: HOUR, seenBy: ['sample'],
};

function raised(...conditions: readonly Condition[]): ConditionVerdict {
  return { changes: conditions.map((each) => ({ change: 'raised', condition: each, before: null })), still: [], open: conditions };
}

function opener(): () => OpenLedger {
  const file = join(testFolder(), 'ledger.db');
  return () => openLedger({ file, now: () => 0, mode: 'write' });
}

describe('conditions in the ledger', () => {
  it('last over passes with their first instant, and are kept as last seen', () => {
    const open = opener();
    const first = open();
    first.conditions.settle(raised(condition), HOUR);
    first.close();
    const second = open();
    expect(second.conditions.open()).toEqual([condition]);
    const worse: Condition = { ...condition, severity: 'critical', message: 'worse', lastSeenAt: 2 * HOUR, seenBy: ['sample', 'release-stale'] };
    second.conditions.settle({ changes: [{ change: 'changed', condition: worse, before: 'warning' }], still: [], open: [worse] }, 2 * HOUR);
    second.conditions.settle({ changes: [], still: [{ ...worse, lastSeenAt: 3 * HOUR }], open: [] }, 3 * HOUR);
    expect(second.conditions.open()).toEqual([{ ...worse, lastSeenAt: 3 * HOUR }]);
    second.conditions.settle({ changes: [{ change: 'cleared', condition: worse, before: 'critical' }], still: [], open: [] }, 4 * HOUR);
    expect(second.conditions.open()).toEqual([]);
    second.conditions.settle(raised({ ...condition, firstSeenAt: 5 * HOUR }), 5 * HOUR);
    expect(second.conditions.open()).toMatchObject([{ firstSeenAt: 5 * HOUR }]);
    second.close();
  });

  it('leave every change untold until it is marked, in order and across passes', () => {
    const open = opener();
    const first = open();
    first.conditions.settle(raised(condition), HOUR);
    first.close();
    const second = open();
    second.conditions.settle({ changes: [{ change: 'cleared', condition, before: 'warning' }], still: [], open: [] }, 2 * HOUR);
    const untold = second.conditions.untold();
    expect(untold).toMatchObject([{ number: 1, at: HOUR, change: 'raised', before: null, condition }, { number: 2, at: 2 * HOUR, change: 'cleared', before: 'warning', condition }]);
    second.conditions.markTold([1]);
    expect(second.conditions.untold()).toEqual(untold.slice(1));
    second.close();
  });

  it('are kept all or none: one of a pass that cannot be written takes the others back', () => {
    const ledger = opener()();
    ledger.conditions.settle(raised(condition), HOUR);
    expect(() => { ledger.conditions.settle(raised({ ...condition, id: 'gpu.fault' }, condition), 2 * HOUR); }, 'it is open already').toThrow(/constraint/i);
    expect([ledger.conditions.open().length, ledger.conditions.untold().length]).toEqual([1, 1]);
    expect(() => { ledger.conditions.settle({ changes: [], still: [{ ...condition, id: 'gpu.fault' }], open: [] }, 0); }).toThrow(/is not open/);
    ledger.close();
  });

  it('have a bounded past', () => {
    const ledger = opener()();
    const storm = (from: number): ConditionVerdict => {
      const all = Array.from({ length: 3000 }, (_, n): Condition => ({ ...condition, subject: { pid: from + n } }));
      return { changes: all.flatMap((each) => [{ change: 'raised', condition: each, before: null }, { change: 'cleared', condition: each, before: 'warning' }] as const), still: [], open: [] };
    };
    ledger.conditions.settle(raised(condition), HOUR);
    for (const from of [0, 3000, 6000, 9000]) ledger.conditions.settle(storm(from), HOUR);
    expect(ledger.conditions.untold().length).toBeLessThanOrEqual(20_000);
    expect(ledger.conditions.open(), 'what is open is not forgotten').toEqual([condition]);
    ledger.close();
  });
});

it('the last pass of each job that ended is known; one that was asked for what cannot be is none', () => {
  const ledger = opener()();
  ledger.beginPass({ id: 'a', job: 'sample', startedAt: 1000 });
  ledger.endPass('a', 3000, 0);
  ledger.beginPass({ id: 'b', job: 'release-stale', startedAt: 5000 });
  ledger.endPass('b', 4000, 1);
  ledger.beginPass({ id: 'c', job: 'sample', startedAt: 9000 });
  for (const job of ['release-stale', 'reset']) {
    ledger.beginPass({ id: job, job, startedAt: 9000 });
    ledger.endPass(job, 10_000, ExitCode.usage);
  }
  expect(ledger.lastPasses()).toEqual([{ job: 'release-stale', endedAt: 4000, exit: 1, durationMs: null }, { job: 'sample', endedAt: 3000, exit: 0, durationMs: 2000 }]);
  ledger.close();
});
