import { describe, expect, it } from 'vitest';
import type { Debt } from '../../../../src/model/reset.ts';
import { DAY, GPU0, GPU1, HOUR, NOW, testLedger } from './hosts.ts';

const TARGET = { kind: 'gpu', uuid: GPU0, pciBusId: '00000000:10:00.0', index: 0 } as const;
const SERVICE: Debt = { kind: 'service', unit: 'dcgm.service' };
const LIMIT: Debt = { kind: 'power-limit', watts: 250 };

describe('the journal of resets', () => {
  it('knows after a crash which step was begun, what it owes, and for which GPU', () => {
    const { ledger, reopen } = testLedger();
    const run = ledger.resets.beginReset('pass-1', TARGET, NOW);
    const stop = ledger.resets.beginStep(run, { kind: 'stop-service', subject: 'dcgm.service', debts: [SERVICE] }, NOW);
    ledger.resets.endStep(stop, { result: 'done', detail: '' }, NOW + 1);
    ledger.resets.beginStep(run, { kind: 'reset', subject: null, debts: [LIMIT] }, NOW + 2);
    const again = reopen();
    expect(again.resets.unsettled()).toStrictEqual([{
      number: run, passId: 'pass-1', target: TARGET, begunAt: NOW, endedAt: null,
      steps: [{ kind: 'stop-service', subject: 'dcgm.service', begunAt: NOW, result: 'done' }, { kind: 'reset', subject: null, begunAt: NOW + 2, result: null }],
      debts: [{ debt: SERVICE, since: NOW, why: null }, { debt: LIMIT, since: NOW + 2, why: null }],
    }]);
    expect([again.resets.wasTried('pass-1', GPU0), again.resets.wasTried('pass-1', GPU1)]).toEqual([true, null]);
  });

  it('forgets a run that has ended and owes nothing, and keeps one that still does', () => {
    const { ledger } = testLedger();
    const run = ledger.resets.beginReset('pass-1', TARGET, NOW);
    ledger.resets.beginStep(run, { kind: 'reset', subject: null, debts: [LIMIT] }, NOW);
    ledger.resets.endReset(run, NOW);
    ledger.resets.oweDebt(GPU0, LIMIT, 'exit 1');
    expect(ledger.resets.unsettled()).toMatchObject([{ endedAt: NOW, debts: [{ debt: LIMIT, why: 'exit 1' }] }]);
    ledger.resets.payDebt(GPU0, LIMIT, NOW);
    expect(ledger.resets.unsettled()).toEqual([]);
  });

  it('holds the oldest of two debts of one kind: the later reset found the board without it', () => {
    const { ledger } = testLedger();
    for (const watts of [250, 700]) ledger.resets.beginStep(ledger.resets.beginReset('pass-1', TARGET, NOW), { kind: 'reset', subject: null, debts: [{ kind: 'power-limit', watts }] }, NOW);
    expect(ledger.history().resetDebts).toMatchObject([{ gpuUuid: GPU0, debt: LIMIT }]);
    ledger.resets.payDebt(GPU0, LIMIT, NOW);
    expect(ledger.history().resetDebts).toEqual([]);
  });

  it('is pruned after a year, but for what is still owed', () => {
    const { ledger } = testLedger();
    for (const debts of [[], [LIMIT]]) {
      const run = ledger.resets.beginReset('pass-1', TARGET, NOW);
      ledger.resets.beginStep(run, { kind: 'reset', subject: null, debts }, NOW);
      ledger.resets.endReset(run, NOW);
    }
    for (const [n, id] of ['pass-2', 'pass-3'].entries()) {
      ledger.beginPass({ id, job: 'release-stale', startedAt: NOW + (500 + n) * DAY });
      ledger.endPass(id, NOW + (500 + n) * DAY, 0);
    }
    expect(ledger.resets.unsettled()).toHaveLength(1);
    expect(ledger.resets.wasTried('pass-1', GPU0)).toBe(true);
  });
});

describe('taking a board out of quarantine', () => {
  it('forgives its resets, those to come by the clock included, gives up what they owe, and leaves other boards alone', () => {
    const { ledger, reopen } = testLedger();
    for (const uuid of [GPU0, GPU1]) { ledger.recordReset(uuid, false, NOW + HOUR); ledger.quarantine(uuid, NOW); }
    ledger.resets.beginStep(ledger.resets.beginReset('pass-1', TARGET, NOW), { kind: 'reset', subject: null, debts: [LIMIT] }, NOW);
    expect(ledger.resets.clearQuarantine(GPU0, NOW)).toStrictEqual([LIMIT]);
    const history = reopen().history();
    expect(history).toMatchObject({ quarantined: [GPU1], resetDebts: [] });
    expect(history.resets).toStrictEqual([{ gpuUuid: GPU0, at: NOW + HOUR, succeeded: false, forgiven: true }, { gpuUuid: GPU1, at: NOW + HOUR, succeeded: false }]);
    expect(reopen().resets.quarantined()).toStrictEqual([{ gpuUuid: GPU1, at: NOW }]);
  });
});

describe('services that were stopped in vain', () => {
  it('are those of an ended run that never came to the reset', () => {
    const { ledger } = testLedger();
    const stopping = (): number => {
      const run = ledger.resets.beginReset('pass-1', TARGET, NOW);
      ledger.resets.beginStep(run, { kind: 'stop-service', subject: 'dcgm.service', debts: [SERVICE] }, NOW);
      return run;
    };
    const tried = stopping();
    ledger.resets.beginStep(tried, { kind: 'reset', subject: null, debts: [] }, NOW);
    ledger.resets.endReset(tried, NOW);
    const vain = stopping();
    expect(ledger.history().vainPauses).toEqual([]);
    ledger.resets.endReset(vain, NOW);
    expect(ledger.history().vainPauses).toStrictEqual([{ gpuUuid: GPU0, at: NOW }]);
  });
});
