import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unexplainedMiB } from '../../src/decide/dirt.ts';
import { healthCheck } from '../../src/passes/health-check.ts';
import { releaseStale } from '../../src/passes/release-stale.ts';
import { runPass } from '../../src/passes/run-pass.ts';
import { runs, type World, world } from './generate.ts';
import { type HostState, idsIn, lookAt, snapshotOf } from './host.ts';
import { type Mutation, mutate, mutation } from './mutations.ts';
import { mayReset, mayStillEnd } from './oracle.ts';
import { type Act, type Bench, benchOf, passOptions } from './ports.ts';

/** Is this act right on the host as it is this instant? */
function isRight(act: Act, { host, now, parts }: Bench, { config }: World): boolean {
  const history = parts.ledger.history();
  const at = { snapshot: snapshotOf(host, now), history, config, now };
  if (act.kind === 'signal') {
    const { identity, pid } = act.target;
    const process = host.processes.find((each) => each.pid === pid);
    const glance = lookAt(host, { pids: [pid], containerIds: idsIn(process?.cgroups ?? null), takenAt: now, glance: true });
    return identity !== null && identity.pid === pid && mayStillEnd(at, identity, glance);
  }
  const { uuid, pciBusId } = act.target;
  const gpu = host.gpus.find((each) => each.uuid === uuid && each.pciBusId === pciBusId);
  const seen = act.before.driver.state === 'failed' ? undefined : act.before.driver.value.gpus.find((each) => each.uuid === uuid);
  if (gpu === undefined || seen === undefined || now - act.before.takenAt > 2000) return false;
  const reading = unexplainedMiB(seen, history);
  // What was ended, and which ghosts two looks found, the pass knows; it may only be right or more careful about them.
  const ghosts = host.processes.filter(({ presence }) => presence === 'absent').map(({ pid }) => pid);
  return mayReset(at, uuid, { endedOrphan: true, ghosts, readings: [reading, reading] });
}

/** At most two changes, at any of the first questions. */
const changes = fc.array(fc.tuple(fc.nat(7), mutation(0)), { maxLength: 2 });

function changing(all: readonly (readonly [number, Mutation])[]): (host: HostState, n: number) => HostState {
  return (host, n) => all.filter(([at]) => at === n).reduce((now, [, change]) => mutate(now, change), host);
}

describe('an act is done to what was decided on, as it is at that moment', () => {
  it.each([['release-stale', releaseStale], ['health-check', healthCheck]] as const)('however the host changes during %s', async (job, story) => {
    const tally = { signal: 0, reset: 0, refused: 0, gone: 0 };
    await fc.assert(fc.asyncProperty(world, changes, fc.boolean(), async (each, mutations, stubborn) => {
      const wrong: Act[] = [];
      const bench = benchOf({
        ...each, change: changing(mutations), stubborn: () => (stubborn ? 'term' : 'no'),
        onAct: (act, self) => { tally[act.kind] += 1; if (!isRight(act, self, each)) wrong.push(act); },
      });
      const report = await runPass(bench.parts, passOptions({ job }), story);
      tally.refused += report.outcomes.filter(({ result }) => result === 'refused').length;
      tally.gone += report.outcomes.filter(({ result }) => result === 'already-gone').length;
      expect(wrong).toEqual([]);
      expect(report.outcomes.every(({ decision }) => report.decisions[decision]?.verdict === 'act')).toBe(true);
    }), runs(400));
    // Without acts, and without acts that were given up, the above says nothing.
    expect(Math.min(tally.signal, tally.reset, tally.refused + tally.gone)).toBeGreaterThan(0);
  });

  it('before every signal the process and its container are looked at anew', async () => {
    await fc.assert(fc.asyncProperty(world, fc.boolean(), async (each, stubborn) => {
      const bench = benchOf({ ...each, stubborn: () => (stubborn ? 'kill' : 'no') });
      await runPass(bench.parts, passOptions(), releaseStale);
      bench.calls.forEach((call, n) => { if (call === 'actor.signal') expect(bench.calls[n - 1]).toBe('observer.glance'); });
    }), runs(300));
  });

  it('nothing is reset on an observation older than two seconds', async () => {
    await fc.assert(fc.asyncProperty(world, fc.integer({ min: 2001, max: 600_000 }), async (each, delayMs) => {
      const bench = benchOf({ ...each });
      const { observer } = bench.parts;
      const late = { ...bench.parts, observer: { ...observer, observe: async () => { const snapshot = await observer.observe(); return { ...snapshot, takenAt: snapshot.takenAt - delayMs }; } } };
      await runPass(late, passOptions(), releaseStale);
      expect(bench.acts.filter(({ kind }) => kind === 'reset')).toEqual([]);
    }), runs(300));
  });

  it('a device that came back at another bus id, or another device at its bus id, is not reset', async () => {
    await fc.assert(fc.asyncProperty(world, async (each) => {
      let looks = 0;
      const bench = benchOf({ ...each, change: (host) => host });
      const { observer } = bench.parts;
      const moved = { ...bench.parts, observer: { ...observer, observe: async () => {
        const snapshot = await observer.observe();
        looks += 1;
        if (snapshot.driver.state === 'failed') return snapshot;
        const gpus = snapshot.driver.value.gpus.map((gpu) => ({ ...gpu, pciBusId: `${looks.toString(16).padStart(8, '0')}:01:00.0` }));
        return { ...snapshot, driver: { ...snapshot.driver, value: { ...snapshot.driver.value, gpus } } };
      } } };
      await runPass(moved, passOptions(), releaseStale);
      expect(bench.acts.filter(({ kind }) => kind === 'reset')).toEqual([]);
    }), runs(200));
  });
});
