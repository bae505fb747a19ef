import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultConfig } from '../../../src/config/defaults.ts';
import { type Collision, findCollisions, likelyDuration } from '../../../src/schedule/collisions.ts';
import { isTolerable, renderCollision } from '../../../src/schedule/render-collision.ts';
import { type Schedule, slotsOf } from '../../../src/schedule/slots.ts';
import { transitionsBetween, offsetsIn } from '../../../src/schedule/zone.ts';
import { naiveCollisions } from './naive.ts';

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 10, 22, 12, 0);
const { schedule } = defaultConfig();

function collisions(changes: Partial<Schedule>, { zone = 'UTC', likely = 10 * MINUTE } = {}): readonly Collision[] {
  return findCollisions({ slots: slotsOf({ ...schedule, ...changes }), likelyMs: () => likely, now: NOW, zone });
}

const told = (...args: Parameters<typeof collisions>): readonly string[] => collisions(...args).map(renderCollision);

describe('the default schedule', () => {
  it.each(['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata', 'Africa/Casablanca', 'America/St_Johns'])('collides on no day of the calendar in %s', (zone) => {
    expect(told({}, { zone })).toEqual([]);
  });

  it('collides where a pass is measured to run for more than the quarter of an hour', () => {
    expect(findCollisions({ slots: slotsOf(schedule), likelyMs: (job) => (job === 'check-idle' ? 16 : 1) * MINUTE, now: NOW, zone: 'UTC' }).map(renderCollision))
      .toEqual(['enforce-runtime starts 15 min after check-idle, which is then likely still running: first at 2026-11-22 12:35']);
  });
});

describe('a collision', () => {
  it('of two passes in one minute is named with its jobs, minute and first date', () => {
    expect(told({ 'check-idle': '5 * * * *' })).toEqual(['release-stale and check-idle start in the same minute: first at 2026-11-22 12:05']);
  });

  it('is found where two jobs meet on one leap day in four years', () => {
    expect(told({ 'check-idle': '35 4 29 2 *' })).toEqual(['check-idle and enforce-runtime start in the same minute: first at 2028-02-29 04:35']);
  });

  it('is found on a leap day that is a Monday, decades ahead, across the year without one', () => {
    const monday = { 'release-stale': '0 4 29 2 *', 'check-idle': '0 5 1 * *', 'enforce-runtime': '0 6 1 * *', 'cleanup-containers': '0 4 * * Mon' };
    expect(told(monday)).toContain('release-stale and cleanup-containers start in the same minute: first at 2044-02-29 04:00');
  });

  it('is found across midnight', () => {
    expect(told({ 'release-stale': '55 23 * * *', 'check-idle': '1 0 * * *', 'enforce-runtime': '35 3 * * *', 'cleanup-containers': '50 4 * * *' }))
      .toEqual(['check-idle starts 6 min after release-stale, which is then likely still running: first at 2026-11-23 00:01']);
  });

  it('is found in the night that skips the hour of nightly jobs: all of them move to its end', () => {
    const nightly = { 'release-stale': '5 2 * * *', 'check-idle': '20 2 * * *', 'enforce-runtime': '35 2 * * *', 'cleanup-containers': '50 2 * * *' };
    expect(told(nightly, { zone: 'UTC' })).toEqual([]);
    expect(told(nightly, { zone: 'Europe/Berlin' })).toContain('release-stale and check-idle start in the same minute: first at 2027-03-28 03:00');
    expect(told(nightly, { zone: 'America/New_York' })).toContain('release-stale and check-idle start in the same minute: first at 2027-03-14 03:00');
  });

  it('is found there for jobs of several fixed hours as well, which cron moves in the same way', () => {
    const twice = { 'release-stale': '5 2,14 * * *', 'check-idle': '20 2,14 * * *', 'enforce-runtime': '35 2,14 * * *', 'cleanup-containers': '50 2,14 * * *' };
    expect(told(twice, { zone: 'Europe/Berlin' })).toContain('release-stale and check-idle start in the same minute: first at 2027-03-28 03:00');
  });

  it('is found where an hourly job meets one that the skipped hour has moved', () => {
    const moved = { 'release-stale': '0 * * * *', 'cleanup-containers': '30 2 * * *' };
    expect(told(moved, { zone: 'Europe/Berlin', likely: MINUTE }).filter((each) => each.includes('same minute'))).toEqual(['release-stale and cleanup-containers start in the same minute: first at 2027-03-28 03:00']);
    expect(told(moved, { likely: MINUTE }).filter((each) => each.includes('same minute'))).toEqual([]);
  });

  it('of a job with itself is found', () => {
    expect(told({ 'release-stale': '5,12 * * * *' })).toContain('release-stale starts 7 min after release-stale, which is then likely still running: first at 2026-11-22 12:12');
  });

  it('is an order that is not kept within the hour', () => {
    expect(told({ 'cleanup-containers': '10 * * * *' }, { likely: MINUTE })).toContain('cleanup-containers starts before check-idle in the same hour, and belongs after it: first at 2026-11-22 12:10');
  });

  it('with the sampler is told, but tolerable', () => {
    const found = collisions({ sample: '*/5 * * * *' });
    expect(found.map(({ kind }) => kind)).toEqual(['sampler', 'sampler', 'sampler', 'sampler']);
    expect(found.every(isTolerable)).toBe(true);
  });
});

describe('the likely duration', () => {
  it('is the deadline of 10 minutes where nothing was measured', () => {
    expect(likelyDuration([])).toBe(10 * MINUTE);
  });

  it('is the 95th percentile of what was: one outlier in a hundred does not count', () => {
    expect(likelyDuration([...Array.from({ length: 99 }, () => 400), 599_000])).toBe(400);
    expect(likelyDuration([300, 700])).toBe(700);
  });
});

describe('changes of the clock', () => {
  it('are found to the minute', () => {
    const found = transitionsBetween(offsetsIn('Europe/Berlin'), NOW, NOW + 366 * 24 * 60 * MINUTE);
    expect(found.map(({ at }) => new Date(at).toISOString())).toEqual(['2027-03-28T01:00:00.000Z', '2027-10-31T01:00:00.000Z']);
  });
});

describe('any schedule', () => {
  const minute = fc.oneof(fc.integer({ min: 0, max: 59 }).map(String), fc.tuple(fc.integer({ min: 0, max: 29 }), fc.integer({ min: 30, max: 59 })).map(([a, b]) => `${a},${b}`), fc.integer({ min: 11, max: 30 }).map((step) => `*/${step}`));
  const hour = fc.oneof(fc.constant('*'), fc.integer({ min: 0, max: 23 }).map(String), fc.constant('*/6'), fc.constant('22-23'));
  const day = fc.oneof({ weight: 3, arbitrary: fc.constant('*') }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 28 }).map(String) });
  const month = fc.oneof({ weight: 3, arbitrary: fc.constant('*') }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 12 }).map(String) });
  const weekday = fc.oneof({ weight: 3, arbitrary: fc.constant('*') }, { weight: 1, arbitrary: fc.constantFrom('0', '1-5', '6,7', 'Wed') });
  const pattern = fc.tuple(minute, hour, day, month, weekday).map((fields) => fields.join(' '));
  const any = fc.record({ 'release-stale': pattern, 'check-idle': pattern, 'enforce-runtime': pattern, 'cleanup-containers': pattern, sample: fc.constant('2-59/5 * * * *') });

  it('has in its first year the collisions that going through it minute by minute finds, at the same times', () => {
    fc.assert(fc.property(any, fc.integer({ min: 1, max: 20 }), (random, likelyMinutes) => {
      const year = NOW + 365 * 24 * 60 * MINUTE;
      const found = findCollisions({ slots: slotsOf(random), likelyMs: () => likelyMinutes * MINUTE, now: NOW, zone: 'UTC' }).filter(({ localMs, kind }) => localMs < year && kind !== 'sampler');
      const texts = found.map((each) => `${each.kind} ${each.first} ${each.second} ${new Date(each.localMs).toISOString()}`);
      expect(texts.toSorted()).toEqual(naiveCollisions(random, { from: NOW, until: year, likelyMinutes }).toSorted());
    }), { numRuns: 12 });
  });
});
