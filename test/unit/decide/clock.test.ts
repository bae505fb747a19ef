import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clockFindings, elapsedMs, elapsedUntilMs, foldReading, plausible } from '../../../src/decide/clock.ts';
import { decideLeftover } from '../../../src/decide/leftovers.ts';
import { decideRelease } from '../../../src/decide/release.ts';
import { decideRuntime } from '../../../src/decide/runtime.ts';
import type { ClockEra } from '../../../src/model/clock.ts';
import { judged } from '../../property/rules.ts';
import { GPU0, worldOf } from './good-case.ts';
import { container, HOUR, MINUTE, NOW, policy, rules, warning } from './limit-facts.ts';

const BOOTED = NOW - 100 * HOUR;

interface PassAt { readonly at: number; readonly wrongMs?: number; readonly boot?: string; readonly bootedAt?: number }

/** Passes at these true times, under a wall clock that is wrong by so much then. */
function lived(...passes: readonly PassAt[]): readonly ClockEra[] {
  return passes.reduce<readonly ClockEra[]>((eras, { at, wrongMs = 0, boot = 'one', bootedAt = BOOTED }) => foldReading(eras, { bootId: boot, uptimeMs: at - bootedAt, at: at + wrongMs }), []);
}

/** A true time at or after a pass, and what the wall clock showed then: what it did at that pass, or already what it will at the next one of that boot. */
function momentIn(passes: readonly (PassAt & { readonly jumpsAt: number })[], { pass, share }: { readonly pass: number; readonly share: number }): { readonly at: number; readonly shownAt: number } {
  const [before, next] = passes.slice(Math.min(pass, passes.length - 1));
  if (before === undefined) throw new Error('there is a pass');
  if (next === undefined || next.boot !== before.boot) return { at: before.at, shownAt: before.at + (before.wrongMs ?? 0) };
  const at = before.at + Math.floor(share * (next.at - before.at));
  return { at, shownAt: at + ((share >= next.jumpsAt ? next : before).wrongMs ?? 0) };
}
const hours = (eras: readonly ClockEra[], sinceAt: number, untilAt: number): number | null => { const ms = elapsedMs(sinceAt, untilAt, eras); return ms === null ? null : ms / HOUR; };
const hoursUntil = (eras: readonly ClockEra[] | undefined, sinceAt: number, untilAt: number): number | null => { const ms = elapsedUntilMs(sinceAt, untilAt, eras); return ms === null ? null : ms / HOUR; };
const ago = (count: number): number => NOW - count * HOUR;

describe('the time that has passed', () => {
  it('is that of the wall clock while it goes with the boot clock', () => {
    const eras = lived({ at: ago(10) }, { at: ago(5) }, { at: NOW });
    expect(eras).toHaveLength(1);
    expect([hours(eras, ago(8), NOW), hours(eras, ago(20), NOW)]).toEqual([8, 20]);
  });

  it('does not hold a day by which the wall clock jumped ahead, nor when it is put right again', () => {
    const ahead = lived({ at: ago(10) }, { at: ago(1) }, { at: NOW, wrongMs: 24 * HOUR });
    expect(hours(ahead, ago(2), NOW + 24 * HOUR)).toBe(2);
    const right = lived({ at: ago(10) }, { at: ago(2), wrongMs: 24 * HOUR }, { at: ago(1), wrongMs: 24 * HOUR }, { at: NOW });
    expect(hours(right, ago(5), NOW)).toBe(5);
  });

  it('is the smaller one after the clock was put back an hour, and unknown before it began', () => {
    const eras = lived({ at: ago(10) }, { at: NOW, wrongMs: -HOUR });
    expect([hours(eras, ago(5), NOW - HOUR), hours(eras, NOW, NOW - HOUR)]).toEqual([4, null]);
  });

  it('does not hold the time for which the host was down', () => {
    const eras = lived({ at: ago(40) }, { at: ago(30) }, { at: NOW, boot: 'two', bootedAt: ago(2) });
    expect(hours(eras, ago(40), NOW)).toBe(12);
    expect(hours(eras, ago(20), NOW)).toBe(2);
  });

  it('begins with nothing, and what began at the last reading or after it has not been seen to last', () => {
    const eras = lived({ at: ago(3) }, { at: ago(1) });
    expect([elapsedMs(NOW, NOW, undefined), hours(eras, ago(1), NOW), hours(eras, ago(0.5), NOW)]).toEqual([0, 0, 0]);
  });

  it('is the least that it can be for what began where a jump left off, was left out by it, or began anew', () => {
    const small = lived({ at: ago(10) }, { at: ago(5) }, { at: NOW, wrongMs: 10 * MINUTE });
    expect([ago(5) + 10 * MINUTE, NOW].map((at) => elapsedMs(at, NOW + 10 * MINUTE, small))).toEqual([5 * HOUR - 10 * MINUTE, 0]);
    expect(hours(lived({ at: ago(10) }, { at: ago(1) }, { at: NOW, wrongMs: 24 * HOUR }), NOW + 10 * HOUR, NOW + 24 * HOUR)).toBe(0);
    expect(hours(lived({ at: ago(10) }, { at: ago(5) }, { at: NOW, wrongMs: -HOUR }, { at: NOW + HOUR, wrongMs: 10 * HOUR }), ago(6), NOW + 11 * HOUR)).toBe(6);
  });

  it('does not hold a leap of the wall clock that nobody saw, for something that began shortly before it, long after the last reading', () => {
    const eras = lived({ at: ago(20) }, { at: ago(10) }, { at: NOW, wrongMs: 5 * HOUR });
    expect([hours(eras, ago(1), NOW + 5 * HOUR), hours(eras, ago(9), NOW + 5 * HOUR)]).toEqual([1, 9]);
  });

  it('is that of all the while between two passes of one boot, however far apart', () => {
    expect(hours(lived({ at: ago(90) }, { at: NOW }), ago(50), NOW)).toBe(50);
  });

  it('is not known where the boot clock could not be read, and ends with its last reading', () => {
    expect(hours([], ago(2), NOW)).toBeNull();
    expect(hours(lived({ at: ago(3) }, { at: ago(1) }), ago(2), NOW)).toBe(1);
  });

  it('is not taken from a wall clock alone that ran before all eras that are still known', () => {
    const eras = lived({ at: ago(3) }, { at: NOW }).map((era) => ({ ...era, number: 700 }));
    expect(hours(eras, ago(90), NOW)).toBe(3);
    const leapt = lived({ at: ago(10) }, { at: ago(1) }, { at: NOW, wrongMs: 24 * HOUR }).slice(1);
    expect(hours(leapt, ago(0.5), NOW + 24 * HOUR)).toBe(0);
  });

  it('is never more than the true one, for something that began under any clock, before or after it jumped unseen, whatever the wall clock does', () => {
    const jumps = fc.array(fc.record({ stepMs: fc.integer({ min: MINUTE, max: 5 * HOUR }), wrongMs: fc.constantFrom(0, 0, 24 * HOUR, 24 * HOUR + 50_000, HOUR, HOUR + 50_000, -HOUR, -24 * HOUR, 30_000, 10 * MINUTE), reboots: fc.boolean(), jumpsAt: fc.constantFrom(0.05, 0.3, 0.7, 0.95) }), { minLength: 1, maxLength: 12 });
    const moment = fc.record({ pass: fc.nat(11), share: fc.constantFrom(0, 0, 0.1, 0.5, 0.9) });
    fc.assert(fc.property(jumps, moment, moment, (steps, begun, ended) => {
      let [at, bootedAt, boot] = [0, -HOUR, 0];
      const passes = steps.map(({ stepMs, wrongMs, reboots, jumpsAt }) => { at += stepMs; if (reboots) { bootedAt = at - MINUTE / 2; boot += 1; } return { at, wrongMs, boot: `boot ${boot}`, bootedAt, jumpsAt }; });
      const end = passes.at(-1);
      const [start, until] = [begun, ended].map((each) => momentIn(passes, each)).toSorted((a, b) => a.at - b.at);
      if (start === undefined || until === undefined || end === undefined) return;
      const eras = lived(...passes);
      expect(elapsedMs(start.shownAt, end.at + end.wrongMs, eras) ?? 0).toBeLessThanOrEqual(end.at - start.at + MINUTE);
      expect(elapsedUntilMs(start.shownAt, until.shownAt, eras) ?? 0).toBeLessThanOrEqual(until.at - start.at + MINUTE);
    }), { numRuns: 3000 });
  });
});

describe('the time between two instants of the past', () => {
  it('is that of the wall clock where the boot clock is not looked at, and unknown where it could not be read, or the second is the earlier', () => {
    expect([hoursUntil(undefined, ago(8), ago(6)), hoursUntil(undefined, ago(6), ago(6)), hoursUntil(undefined, ago(6), ago(8))]).toEqual([2, 0, null]);
    expect([hoursUntil([], ago(8), ago(6)), hoursUntil(lived({ at: ago(10) }, { at: NOW }), ago(6), ago(8))]).toEqual([null, null]);
  });

  it('is that of both clocks while they go together', () => {
    expect(hoursUntil(lived({ at: ago(10) }, { at: NOW }), ago(8), ago(6))).toBe(2);
  });

  it('holds neither the time for which the host was down, nor what the wall clock leapt over', () => {
    const down = lived({ at: ago(40) }, { at: ago(30) }, { at: NOW, boot: 'two', bootedAt: ago(2) });
    expect([hoursUntil(down, ago(35), ago(1)), hoursUntil(down, ago(36), ago(35))]).toEqual([6, 1]);
    expect(hoursUntil(lived({ at: ago(10) }, { at: ago(1) }, { at: NOW, wrongMs: 24 * HOUR }), ago(2), NOW + 24 * HOUR)).toBe(2);
  });

  it('ends as early as it can have been where a clock that was ahead was put back unseen', () => {
    expect(hoursUntil(lived({ at: ago(10) }, { at: ago(8), wrongMs: HOUR }, { at: NOW }), ago(10), ago(4))).toBe(5);
  });

  it('ends no later than the last reading of a clock that was ahead and also fast by less than the tolerance, and was put right by a boot', () => {
    const eras = lived({ at: ago(12) }, { at: ago(10), wrongMs: HOUR }, { at: ago(8), wrongMs: HOUR + 50_000 }, { at: NOW, boot: 'two', bootedAt: ago(7.9) });
    expect(hoursUntil(eras, ago(12), ago(7) + 50_000)).toBe(4);
  });

  it('is none that counts where the wall clock showed both of them twice', () => {
    expect(hoursUntil(lived({ at: ago(10) }, { at: ago(5) }, { at: NOW, wrongMs: -3 * HOUR }), ago(7), ago(6))).toBe(-2);
  });
});

describe('the eras', () => {
  it('are numbered as they come, by a boot or by a jump', () => {
    expect(lived({ at: ago(9) }, { at: ago(8), boot: 'two', bootedAt: ago(8.5) }, { at: ago(7), boot: 'two', bootedAt: ago(8.5), wrongMs: HOUR }, { at: ago(6), boot: 'three', bootedAt: ago(6.5) }).map(({ number, jumpMs }) => [number, jumpMs])).toEqual([[1, null], [2, null], [3, HOUR], [4, null]]);
  });

  it('are not changed by a boot clock that goes back; one that stands still still shows a jump', () => {
    const eras = lived({ at: ago(9) }, { at: ago(8) });
    expect(foldReading(eras, { bootId: 'one', uptimeMs: ago(8) - BOOTED - 1, at: NOW })).toBe(eras);
    expect(foldReading(eras, { bootId: 'one', uptimeMs: ago(8) - BOOTED, at: NOW })).toHaveLength(2);
  });

  it('allow the clocks a minute', () => {
    expect([MINUTE, -MINUTE, MINUTE + 1, -MINUTE - 1].map((wrongMs) => lived({ at: ago(9) }, { at: ago(8), wrongMs }).length)).toEqual([1, 1, 2, 2]);
  });
});

it.each<[number | null, number | null, number | null]>([[null, 5, null], [5, null, 5], [null, null, null], [4, 5, null], [5, 5, 5], [6, 5, 6]])('an instant %s of a container made at %s is held to be %s', (at, createdAt, expected) => {
  expect(plausible(at, { createdAt })).toBe(expected);
});

describe('a container under a clock that jumped a day ahead', () => {
  const eras = lived({ at: ago(10) }, { at: ago(1) }, { at: NOW, wrongMs: 24 * HOUR });
  const now = NOW + 24 * HOUR;
  const runtime = { container: { ...container, startedAt: ago(5) }, standing: 'managed', rules, policy, firstStartAt: ago(5), firstPassAt: ago(10), warnings: [], clock: eras, now, round: 1 } as const;

  it('is neither warned nor stopped for a runtime that it does not have, and told why', () => {
    expect(decideRuntime(runtime)).toMatchObject({ verdict: 'leave', reason: 'time-not-confirmed', evidence: { runtimeMs: 5 * HOUR, wallMs: 29 * HOUR } });
    expect(decideRuntime({ ...runtime, warnings: [warning('warned', -60, { kind: 'runtime' }), warning('final', -120, { kind: 'runtime' })] })).toMatchObject({ verdict: 'leave' });
    expect(decideRuntime({ ...runtime, clock: undefined })).toMatchObject({ verdict: 'act' });
  });

  it('that has run out its limit by both clocks is warned as ever', () => {
    const both = { ...runtime, container: { ...container, startedAt: ago(30) }, firstStartAt: ago(30), firstPassAt: ago(200) };
    expect(decideRuntime(both)).toMatchObject({ verb: 'warn', verdict: 'act', evidence: { runtimeMs: 30 * HOUR } });
  });

  it('and has only just stopped is not removed', () => {
    const stopped = { container: { ...container, state: 'exited', finishedAt: NOW - 5 * MINUTE }, standing: 'managed', rules, policy, firstPassAt: ago(10), now, round: 1 } as const;
    expect(decideLeftover({ ...stopped, clock: eras })).toMatchObject({ verdict: 'leave', reason: 'within-hold' });
    expect(decideLeftover(stopped)).toMatchObject({ verdict: 'act' });
  });
});

describe('a container that started under a clock that was years behind, before it was set right', () => {
  const YEARS = 6 * 365 * 24 * HOUR;
  const old = { ...container, createdAt: ago(500) };
  const facts = { standing: 'managed', rules, policy, now: NOW, round: 1, firstPassAt: ago(2000) } as const;
  const after = lived({ at: ago(2000), bootedAt: ago(2000) }, { at: ago(1), boot: 'two', bootedAt: ago(2) }, { at: NOW, boot: 'two', bootedAt: ago(2) });

  it('has not run since gpuctl came to the host: when it started is not known, but its first start is', () => {
    const runtime = { ...facts, container: { ...old, startedAt: ago(2) - YEARS }, warnings: [], clock: after };
    expect(decideRuntime({ ...runtime, firstStartAt: null })).toMatchObject({ verdict: 'leave', reason: 'age-unknown' });
    expect(decideRuntime({ ...runtime, firstStartAt: ago(2) - YEARS })).toMatchObject({ verdict: 'leave', reason: 'age-unknown' });
    expect(decideRuntime({ ...runtime, firstStartAt: ago(1) })).toMatchObject({ verdict: 'leave', reason: 'within-limit', evidence: { runtimeMs: HOUR } });
  });

  it('and ended then is not removed', () => {
    expect(decideLeftover({ ...facts, container: { ...old, state: 'exited', finishedAt: ago(2) - YEARS }, clock: after })).toMatchObject({ verdict: 'leave', reason: 'age-unknown' });
  });
});

describe('a device', () => {
  it('is not released for a hold that only a clock that jumped says is over', () => {
    const eras = lived({ at: ago(10) }, { at: ago(1) }, { at: NOW + MINUTE, wrongMs: 24 * HOUR });
    const stopped = { ...container, state: 'exited' as const, finishedAt: NOW };
    const world = worldOf({ containers: [stopped] }, { firstPassAt: ago(10), allocations: [{ containerId: stopped.id, containerName: 'job', startedAt: stopped.startedAt, gpuUuid: GPU0, migUuid: null, owner: null, observedAt: ago(9), releasedAt: null, releaseReason: null }] });
    const { snapshot } = judged(world);
    const release = (clock: readonly ClockEra[] | undefined): unknown => decideRelease({ snapshot, history: { ...world.history, ...(clock === undefined ? {} : { clock }) }, rulesOf: () => ({ gpuHoldAfterStopMs: 15 * MINUTE, createdTimeoutMs: null, protected: false }), now: NOW + MINUTE + 24 * HOUR, round: 1 });
    expect(release(eras)).toMatchObject([{ verdict: 'leave', reason: 'within-hold', evidence: { stoppedForMs: MINUTE } }]);
    expect(release(undefined)).toMatchObject([{ verdict: 'act', reason: 'hold-expired' }]);
  });
});

describe('a jump of the wall clock', () => {
  it('is told until the clocks have gone together for an hour', () => {
    const told = (...passes: readonly PassAt[]): readonly unknown[] => clockFindings({ clock: lived(...passes) });
    expect(told({ at: ago(2) }, { at: ago(1), wrongMs: 24 * HOUR })).toMatchObject([{ id: 'host.clock.jumped', severity: 'warning', message: expect.stringContaining('forward by 1440 min') }]);
    expect(told({ at: ago(3) }, { at: ago(2), wrongMs: -HOUR }, { at: ago(2) + 10 * MINUTE, wrongMs: -HOUR })).toMatchObject([{ message: expect.stringContaining('back by 60 min') }]);
    expect(told({ at: ago(2) - 5 * MINUTE }, { at: ago(2), wrongMs: -HOUR }, { at: ago(2) + 10 * MINUTE, wrongMs: -HOUR })).toMatchObject([{ message: expect.stringContaining('back by 60 min') }]);
    expect(told({ at: ago(2) }, { at: ago(1), wrongMs: 24 * HOUR }, { at: NOW, wrongMs: 24 * HOUR })).toEqual([]);
    expect(told({ at: ago(2) }, { at: ago(1), boot: 'two', bootedAt: ago(1.5) })).toEqual([]);
    expect(told({ at: ago(4) }, { at: ago(3), wrongMs: HOUR }, { at: ago(2), boot: 'two', bootedAt: ago(2.5) })).toEqual([]);
  });

  it('is told with what it means and where to look', () => {
    expect(clockFindings({ clock: lived({ at: ago(2) }, { at: ago(1), wrongMs: -90 * MINUTE }) })).toEqual([{
      id: 'host.clock.jumped', severity: 'warning', subject: {},
      message: 'the wall clock moved back by 90 min while the host was up; limits count only the time that the boot clock confirms',
      remedy: 'see what sets the clock: chronyc tracking, timedatectl',
    }]);
  });
});
