import fc, { type Arbitrary } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Budget, decideBudget } from '../../src/decide/breaker.ts';
import type { Decision, Verb } from '../../src/model/decision.ts';
import { releaseStale } from '../../src/passes/release-stale.ts';
import { runPass } from '../../src/passes/run-pass.ts';
import { runs, world } from './generate.ts';
import { gpuUuid, idOf } from './host.ts';
import { benchOf, passOptions } from './ports.ts';

const budget: Arbitrary<Budget> = fc.record({ count: fc.integer({ min: 0, max: 4 }), sharePercent: fc.constantFrom(null, null, 25, 50, 100) });

const decision: Arbitrary<Decision> = fc.record({ verb: fc.constantFrom<Verb>('kill', 'release', 'reset'), which: fc.nat(6), pid: fc.nat(30), verdict: fc.constantFrom('act', 'act', 'refuse', 'leave') }).map(({ verb, which, pid, verdict }): Decision => {
  const common = { round: 1, verb, verdict, reason: 'gone', evidence: { seen: true } } as const;
  switch (verb) {
    case 'kill': return { ...common, target: { kind: 'process', identity: { pid, startTicks: 1, bootId: 'b' }, pid, name: 'x', containerId: idOf(which), gpuUuids: [gpuUuid(0)] } };
    case 'release': return { ...common, target: { kind: 'allocation', containerId: idOf(which), containerName: 'x', startedAt: pid, gpuUuid: gpuUuid(pid % 4), migUuid: null } };
    default: return { ...common, target: { kind: 'gpu', uuid: gpuUuid(which), pciBusId: '00000000:01:00.0', index: which } };
  }
});

/** What is counted: gone containers, containers, GPUs. */
function unitOf({ target }: Decision): string {
  return target.kind === 'gpu' ? target.uuid : (target as { readonly containerId: string }).containerId;
}

function actsOf(decisions: readonly Decision[], verb: Verb): readonly Decision[] {
  return decisions.filter((each) => each.verb === verb && each.verdict === 'act');
}

describe('the breaker', () => {
  it('lets all of a kind through or none, by the larger of a number and a share, counted by container or GPU', () => {
    fc.assert(fc.property(fc.array(decision, { maxLength: 12 }), fc.record({ kill: budget, release: budget, reset: budget }), fc.nat(20), (decisions, budgets, total) => {
      const result = decideBudget({ decisions, budgets, totals: { release: total }, lifted: false });
      for (const verb of ['kill', 'release', 'reset'] as const) {
        const wanted = new Set(actsOf(decisions, verb).map(unitOf)).size;
        const share = budgets[verb].sharePercent;
        const of = verb === 'release' ? total : 0;
        const allowed = share === null ? budgets[verb].count : Math.max(budgets[verb].count, Math.floor((of * share) / 100));
        expect(actsOf(result.decisions, verb)).toEqual(wanted > allowed ? [] : actsOf(decisions, verb));
        expect(result.trips.filter((trip) => trip.verb === verb)).toEqual(wanted > allowed ? [{ verb, wanted, allowed }] : []);
      }
      expect(result.decisions).toHaveLength(decisions.length);
    }), runs(1500));
  });

  it('says of each act that it withheld what it was, and leaves every other decision as it is', () => {
    fc.assert(fc.property(fc.array(decision, { maxLength: 12 }), (decisions) => {
      const none = { count: 0, sharePercent: null };
      const result = decideBudget({ decisions, budgets: { kill: none, release: none, reset: none }, totals: {}, lifted: false });
      result.decisions.forEach((each, n) => {
        const before = decisions[n];
        if (before?.verdict === 'act') expect(each).toEqual({ ...before, verdict: 'refuse', reason: 'over-budget', evidence: { ...before.evidence, wanted: before.reason } });
        else expect(each).toBe(before);
      });
    }), runs(300));
  });

  it('once lifted by hand, withholds nothing', () => {
    fc.assert(fc.property(fc.array(decision), (decisions) => {
      const none = { count: 0, sharePercent: null };
      expect(decideBudget({ decisions, budgets: { kill: none, release: none, reset: none }, totals: {}, lifted: true })).toEqual({ decisions, trips: [] });
    }), runs(100));
  });
});

describe('a pass', () => {
  it('does no more of a kind than its budget, alerts where it wanted more, and does the other kinds all the same', async () => {
    const tally = { trips: 0, within: 0 };
    await fc.assert(fc.asyncProperty(world, fc.record({ kill: budget, release: budget, reset: budget }), async (each, budgets) => {
      const bench = benchOf({ ...each, budgets });
      const report = await runPass(bench.parts, passOptions(), releaseStale);
      const done = {
        kill: new Set(bench.acts.flatMap((act) => (act.kind === 'signal' ? [act.target.containerId] : []))).size,
        reset: new Set(bench.acts.flatMap((act) => (act.kind === 'reset' ? [act.target.uuid] : []))).size,
      };
      expect(done.kill).toBeLessThanOrEqual(budgets.kill.count);
      expect(done.reset).toBeLessThanOrEqual(budgets.reset.count);
      const holders = report.decisions.flatMap((one) => (one.target.kind === 'allocation' ? [{ id: one.target.containerId, released: one.verdict === 'act' }] : []));
      const released = new Set(holders.filter((one) => one.released).map(({ id }) => id)).size;
      const share = Math.floor((new Set(holders.map(({ id }) => id)).size * (budgets.release.sharePercent ?? 0)) / 100);
      expect(released).toBeLessThanOrEqual(Math.max(budgets.release.count, share));
      const withheld = new Set(report.decisions.filter(({ reason }) => reason === 'over-budget').map(({ verb }) => verb));
      const tripped = bench.events.filter(({ action }) => action === 'breaker.tripped').map(({ facts }) => facts?.['verb']);
      expect(tripped.toSorted()).toEqual([...withheld].toSorted());
      expect(report.findings.filter(({ id }) => id === 'breaker.tripped')).toHaveLength(withheld.size);
      if (withheld.size > 0) expect(report.exit).not.toBe(0);
      for (const verb of withheld) expect(report.decisions.filter((one) => one.verb === verb && one.verdict === 'act')).toEqual([]);
      tally.trips += withheld.size;
      tally.within += bench.acts.length;
    }), runs(500));
    expect(Math.min(tally.trips, tally.within)).toBeGreaterThan(0);
  });
});
