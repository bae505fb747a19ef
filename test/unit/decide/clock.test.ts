import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clockFindings, elapsedMs, foldReading } from '../../../src/decide/clock.ts';
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
const hours = (eras: readonly ClockEra[], sinceAt: number, untilAt: number): number | null => { const ms = elapsedMs(sinceAt, untilAt, eras); return ms === null ? null : ms / HOUR; };
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
  });

  it('is never more than the true one, for something that began under any clock, whatever the wall clock does', () => {
    const jumps = fc.array(fc.record({ stepMs: fc.integer({ min: MINUTE, max: 5 * HOUR }), wrongMs: fc.constantFrom(0, 0, 24 * HOUR, -HOUR, -24 * HOUR, 30_000, 10 * MINUTE), reboots: fc.boolean() }), { minLength: 1, maxLength: 12 });
    fc.assert(fc.property(jumps, fc.nat(11), (steps, begun) => {
      let [at, bootedAt, boot] = [0, -HOUR, 0];
      const passes = steps.map(({ stepMs, wrongMs, reboots }) => { at += stepMs; if (reboots) { bootedAt = at - MINUTE / 2; boot += 1; } return { at, wrongMs, boot: `boot ${boot}`, bootedAt }; });
      const [start, end] = [passes[Math.min(begun, passes.length - 1)], passes.at(-1)];
      if (start === undefined || end === undefined) return;
      const passed = elapsedMs(start.at + start.wrongMs, end.at + end.wrongMs, lived(...passes));
      expect(passed ?? 0).toBeLessThanOrEqual(end.at - start.at + MINUTE);
    }), { numRuns: 3000 });
  });
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
  });
});
