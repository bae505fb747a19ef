import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Ledger } from '../../src/passes/ports.ts';
import { healthCheck } from '../../src/passes/health-check.ts';
import { releaseStale } from '../../src/passes/release-stale.ts';
import { runPass } from '../../src/passes/run-pass.ts';
import { runs, world } from './generate.ts';
import { benchOf, memoryLedger, passOptions } from './ports.ts';

/** A ledger that can be read, and of which every other method is a mistake. */
function readOnly(ledger: Ledger): Ledger {
  return new Proxy(ledger, {
    get(target, name) {
      if (name === 'setAside') return target.setAside;
      if (name === 'history') return () => target.history();
      return () => { throw new Error(`a dry run called ledger.${String(name)}`); };
    },
  });
}

const stories = [['release-stale', releaseStale], ['health-check', healthCheck]] as const;

describe('a dry run', () => {
  it.each(stories)('of %s has no acting side, writes nothing and asks the host like the first round does', async (job, story) => {
    await fc.assert(fc.asyncProperty(world, async (each) => {
      const bench = benchOf({ ...each, ledger: readOnly(memoryLedger(each.history)) });
      const report = await runPass({ ...bench.parts, actor: null }, passOptions({ job, dryRun: true, records: false }), story);
      expect(bench.acts).toEqual([]);
      expect(report.outcomes).toEqual([]);
      expect(report.dry_run).toBe(true);
      expect(bench.calls.filter((call) => call === 'observer.observe')).toHaveLength(1);
      expect(bench.calls.filter((call) => call === 'observer.look').length).toBeLessThanOrEqual(1);
      expect(bench.calls.filter((call) => call === 'observer.glance')).toEqual([]);
      expect(bench.host).toBe(each.host);
    }), runs(300));
  });

  it.each(stories)('of %s shows in its first rounds what the pass then does on the same host', async (job, story) => {
    let planned = 0;
    await fc.assert(fc.asyncProperty(world, async (each) => {
      const dry = benchOf({ ...each, ledger: readOnly(memoryLedger(each.history)) });
      const plan = await runPass({ ...dry.parts, actor: null }, passOptions({ job, dryRun: true, records: false }), story);
      const real = benchOf({ ...each });
      const report = await runPass(real.parts, passOptions({ job }), story);
      const told = (decisions: typeof plan.decisions, verb: string): readonly string[] => decisions.filter((one) => one.verb === verb).map((one) => JSON.stringify([one.verdict, one.reason, one.target]));
      expect(told(plan.decisions, 'release')).toEqual(told(report.decisions, 'release'));
      expect(told(plan.decisions, 'kill')).toEqual(told(report.decisions, 'kill'));
      planned += plan.decisions.filter(({ verb, verdict }) => verb === 'kill' && verdict === 'act').length;
      // What would be reset is either named, or said to depend on what comes before it.
      const resets = new Set(real.acts.flatMap((act) => (act.kind === 'reset' ? [act.target.uuid] : [])));
      for (const one of plan.decisions) {
        if (one.target.kind === 'gpu' && resets.has(one.target.uuid) && one.verdict !== 'act') expect(['conditional', 'not-yet-confirmed']).toContain(one.reason);
      }
    }), runs(250));
    expect(planned).toBeGreaterThan(0);
  });

  it.each(stories)('as well as a report of %s (nothing may be acted on) changes nothing either', async (job, story) => {
    await fc.assert(fc.asyncProperty(world, fc.boolean(), async (each, dryRun) => {
      const bench = benchOf({ ...each, ledger: readOnly(memoryLedger(each.history)) });
      await runPass({ ...bench.parts, actor: null }, passOptions({ job, acts: false, records: false, dryRun }), story);
      expect(bench.acts).toEqual([]);
      expect(bench.host).toBe(each.host);
    }), runs(200));
  });

  it('a pass that acts but was given no acting side does nothing and says so', async () => {
    await fc.assert(fc.asyncProperty(world, async (each) => {
      const bench = benchOf({ ...each });
      const report = await runPass({ ...bench.parts, actor: null }, passOptions(), releaseStale);
      expect(bench.acts).toEqual([]);
      expect(report.outcomes.filter(({ result, decision }) => result === 'done' && report.decisions[decision]?.verb !== 'release')).toEqual([]);
    }), runs(200));
  });
});
