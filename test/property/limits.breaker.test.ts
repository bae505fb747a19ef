import { expect, it } from 'vitest';
import { type Deed, exampleContainer, exampleWorld, HOUR, live, MINUTE, type World } from './limits-world.ts';

/** So many containers that all fall idle at once, and the breaker as it is by default: ten stops, or a quarter. */
function crowd(count: number, more: Partial<World> = {}): World {
  const containers = Array.from({ length: count }, (_, n) => ({ ...exampleContainer, n, name: `job-${n}` }));
  return { ...exampleWorld, days: 4 / 24, containers, budgets: { stop: { count: 10, sharePercent: 25 } }, ...more };
}

function at(deeds: readonly Deed[], what: Deed['what']): readonly number[] {
  return deeds.filter((deed) => deed.what === what).map((deed) => deed.at);
}

const [FIRST, SECOND, THIRD] = [HOUR + 20 * MINUTE, 2 * HOUR + 20 * MINUTE, 3 * HOUR + 20 * MINUTE];

it('of a hundred containers that expire at once none is stopped, which every such pass tells, until an admin lets a pass do more', async () => {
  const lived = await live(crowd(100, { overBudget: [{ from: THIRD, until: Infinity }] }));
  expect(lived.trips).toEqual([FIRST, SECOND].map((when) => ({ at: when, job: 'check-idle', facts: { verb: 'stop', wanted: 100, allowed: 25 } })));
  expect([at(lived.deeds, 'warned').length, at(lived.deeds, 'final').length]).toEqual([100, 100]);
  // Each once, though the pass was held up twice.
  expect(at(lived.deeds, 'stop')).toEqual(Array.from({ length: 100 }, () => THIRD));
  expect(new Set(lived.deeds.filter(({ what }) => what === 'stop').map(({ n }) => n)).size).toBe(100);
});

it('as many as the breaker allows are all stopped by the first pass that may, and it tells nothing', async () => {
  const busy = [{ from: 0, until: 6 * HOUR }];
  const { containers } = crowd(100);
  const lived = await live(crowd(100, { containers: containers.map((each) => (each.n < 25 ? each : { ...each, cpu: busy })) }));
  expect(lived.trips).toEqual([]);
  expect(at(lived.deeds, 'stop')).toEqual(Array.from({ length: 25 }, () => FIRST));
});
