import { describe, expect, it } from 'vitest';
import { type Budget, decideBudget } from '../../../src/decide/breaker.ts';
import type { Decision, Verb } from '../../../src/model/decision.ts';
import { idOf } from '../../property/host.ts';
import { GPU0, GPU1 } from './good-case.ts';

function kill(pid: number, container: number): Decision {
  return { round: 1, verb: 'kill', verdict: 'act', reason: 'orphan-container-gone', evidence: {}, target: { kind: 'process', identity: { pid, startTicks: 1, bootId: 'b' }, pid, name: 'x', containerId: idOf(container), gpuUuids: [GPU0] } };
}

function release(container: number, gpuUuid = GPU0): Decision {
  return { round: 1, verb: 'release', verdict: 'act', reason: 'gone', evidence: {}, target: { kind: 'allocation', containerId: idOf(container), containerName: 'x', startedAt: 1, gpuUuid, migUuid: null } };
}

function reset(uuid: string): Decision {
  return { round: 1, verb: 'reset', verdict: 'act', reason: 'reset-asked', evidence: {}, target: { kind: 'gpu', uuid, pciBusId: '00000000:01:00.0', index: 0 } };
}

function trips(decisions: readonly Decision[], budgets: Partial<Record<Verb, Budget>>, totals: Partial<Record<Verb, number>> = {}): readonly string[] {
  return decideBudget({ decisions, budgets, totals, lifted: false }).trips.map(({ verb, wanted, allowed }) => `${verb} ${wanted} of ${allowed}`);
}

const count = (most: number, sharePercent: number | null = null): Budget => ({ count: most, sharePercent });
const many = (most: number, make: (n: number) => Decision): readonly Decision[] => Array.from({ length: most }, (_, n) => make(n));

describe('the budget of a pass', () => {
  it('counts kills by the containers that are gone, not by processes', () => {
    expect(trips(many(50, (n) => kill(n, 1)), { kill: count(1) })).toEqual([]);
    expect(trips([kill(1, 1), kill(2, 2)], { kill: count(1) })).toEqual(['kill 2 of 1']);
  });

  it('counts releases by containers, not by devices', () => {
    expect(trips([release(1), release(1, GPU1)], { release: count(1) })).toEqual([]);
    expect(trips([release(1), release(2)], { release: count(1) })).toEqual(['release 2 of 1']);
  });

  it('counts kills of processes whose container nobody knows one by one, and stops by containers', () => {
    const stray = (pid: number): Decision => ({ ...kill(pid, 1), target: { kind: 'process', identity: null, pid, name: 'x', containerId: null, gpuUuids: [GPU0] } });
    expect(trips([stray(1), stray(2)], { kill: count(1) })).toEqual(['kill 2 of 1']);
    const stop = (container: number): Decision => ({ ...kill(1, 1), verb: 'stop', target: { kind: 'container', containerId: idOf(container), containerName: 'x', startedAt: 1, owner: null } });
    expect(trips([stop(1), stop(2)], { stop: count(1) })).toEqual(['stop 2 of 1']);
    expect(trips([stop(1), stop(1)], { stop: count(1) })).toEqual([]);
  });

  it('is not there for a verb that has none, and leaves alone what was not to be done anyway', () => {
    expect(decideBudget({ decisions: [reset(GPU0)], budgets: {}, totals: {}, lifted: false }).trips).toEqual([]);
    const left: Decision = { ...kill(3, 3), verdict: 'leave', reason: 'not-confirmed' };
    expect(decideBudget({ decisions: [kill(1, 1), kill(2, 2), left], budgets: { kill: count(1) }, totals: {}, lifted: false }).decisions.map(({ verdict }) => verdict)).toEqual(['refuse', 'refuse', 'leave']);
  });

  it('counts resets by GPUs', () => {
    expect(trips([reset(GPU0), reset(GPU1)], { reset: count(1) })).toEqual(['reset 2 of 1']);
  });

  it('is the larger of the number and the share', () => {
    expect(trips(many(6, release), { release: count(2, 50) }, { release: 12 })).toEqual([]);
    expect(trips(many(7, release), { release: count(2, 50) }, { release: 13 })).toEqual(['release 7 of 6']);
    expect(trips(many(2, release), { release: count(2, 50) }, { release: 2 })).toEqual([]);
  });

  it('of 0 lets nothing through', () => {
    expect(trips([reset(GPU0)], { reset: count(0) })).toEqual(['reset 1 of 0']);
  });

  it('withholds all of the kind and nothing of another', () => {
    const { decisions } = decideBudget({ decisions: [kill(1, 1), kill(2, 2), reset(GPU0)], budgets: { kill: count(1), reset: count(1) }, totals: {}, lifted: false });
    expect(decisions.map(({ verdict, reason }) => `${verdict} ${reason}`)).toEqual(['refuse over-budget', 'refuse over-budget', 'act reset-asked']);
    expect(decisions[0]?.evidence).toEqual({ wanted: 'orphan-container-gone' });
  });

  it('does not count what is not to be done', () => {
    expect(trips([{ ...kill(1, 1), verdict: 'leave' }, { ...kill(2, 2), verdict: 'refuse' }, kill(3, 3)], { kill: count(1) })).toEqual([]);
  });

  it('is lifted as a whole, or not at all', () => {
    expect(decideBudget({ decisions: many(9, (n) => kill(n, n)), budgets: { kill: count(0) }, totals: {}, lifted: true }).trips).toEqual([]);
  });
});
