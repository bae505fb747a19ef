import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { tried } from '../tally.ts';
import { runs } from './generate.ts';
import { config, DAY, type Deed, exampleContainer, exampleWorld, HOUR, lastStart, live, type Lived, MINUTE, type Span, type World, type WorldContainer } from './limits-world.ts';

// Ten thousand passes on a real ledger.
vi.setConfig({ testTimeout: 300_000 });

const IDLE_MS = config.limits.default.idleTimeoutMs ?? Infinity;
const RUNTIME_MS = config.limits.default.maxRuntimeMs ?? Infinity;
/** What one container lives through, from when it is made. */
const LIFE = 2 * DAY;

const spans = (shortestMs: number, longestMs: number, maxLength: number, withinMs = LIFE): fc.Arbitrary<readonly Span[]> => fc.array(
  fc.record({ from: fc.integer({ min: 0, max: withinMs }), length: fc.integer({ min: shortestMs, max: longestMs }) }).map(({ from, length }) => ({ from, until: from + length })),
  { maxLength },
).map((all) => all.toSorted((a, b) => a.from - b.from).filter((span, n, sorted) => n === 0 || span.from >= Math.max(...sorted.slice(0, n).map((each) => each.until))));

const shifted = <T extends Span>(all: readonly T[], byMs: number): readonly T[] => all.map((each) => ({ ...each, from: each.from + byMs, until: each.until + byMs }));

/** All of them at once, or over the days one after the other: of those that are stopped nothing is left soon. */
const containers = (count: number, days: number): fc.Arbitrary<readonly WorldContainer[]> => fc.tuple(...Array.from({ length: count }, (_, n) => fc.tuple(fc.nat(days - 2).map((day) => day * DAY), fc.record({
  starts: fc.oneof({ weight: 4, arbitrary: fc.constant<number[]>([0]) }, { weight: 1, arbitrary: fc.constant<number[]>([]) }, { weight: 2, arbitrary: fc.array(fc.integer({ min: 0, max: LIFE }), { minLength: 1, maxLength: 3 }) }),
  // A minute of one core is more than 2 % of the longest interval that is not a gap.
  cpu: spans(MINUTE, 5 * HOUR, 4), network: spans(MINUTE, 3 * HOUR, 1), gpu: spans(20 * MINUTE, 4 * HOUR, 1), unread: spans(MINUTE, 2 * HOUR, 1),
  createdAt: fc.constantFrom(0, 0, 0, 3 * HOUR, DAY),
  removedAt: fc.constantFrom(Infinity, Infinity, 30 * HOUR),
  labels: fc.constantFrom({}, {}, {}, { 'gpuctl.protected': 'true' }, { 'gpuctl.type': 'api' }),
  claims: fc.constantFrom(true, true, true, true, false),
  keeps: fc.array(fc.record({ at: fc.integer({ min: 0, max: LIFE }), forMs: fc.integer({ min: MINUTE, max: 60 * HOUR }) }), { maxLength: 3 }),
})).map(([madeAt, some]): WorldContainer => ({
  ...exampleContainer, ...some, n, name: n === 1 ? 'job-0' : `job-${n}`,
  createdAt: madeAt + some.createdAt, removedAt: madeAt + some.removedAt, starts: some.starts.map((at) => madeAt + Math.max(at, some.createdAt)),
  cpu: shifted(some.cpu, madeAt), network: shifted(some.network, madeAt), gpu: shifted(some.gpu, madeAt), unread: shifted(some.unread, madeAt),
  keeps: some.keeps.map((keep) => ({ ...keep, at: madeAt + keep.at })),
}))));

const worldsOf = (days: number): fc.Arbitrary<World> => fc.record({
  containers: containers(Math.max(4, days), days),
  dead: spans(10 * MINUTE, 5 * HOUR, days, days * DAY),
  wrong: spans(10 * MINUTE, 5 * HOUR, Math.ceil(days / 10), days * DAY).chain((all) => fc.tuple(...all.map((span) => fc.constantFrom(-HOUR, DAY, -10 * MINUTE, 3 * HOUR).map((byMs) => ({ ...span, byMs }))))),
  reboots: fc.array(fc.integer({ min: HOUR, max: days * DAY }), { maxLength: Math.ceil(days / 10) }),
  // Of few worlds none is to be spent on a host where nothing may happen.
  limitsConfigured: fc.constantFrom(true, true, true, true, days > 2),
}).map((some) => ({ ...exampleWorld, days, ...some }));

/** The last true moment before `at` at which the container did anything; its start at the earliest. */
function lastActive(world: World, container: WorldContainer, at: number, { passes }: Lived): number {
  const start = lastStart(container, at, world.reboots) ?? at;
  const ends = [...container.cpu, ...container.network].filter(({ from }) => from < at).map(({ until }) => Math.min(until, at));
  // What only the device shows can be seen at samples alone.
  const sampled = passes.filter((pass) => pass <= at && container.gpu.some(({ from, until }) => from <= pass && pass < until));
  return Math.max(start, ...ends, ...sampled);
}

function keptAt(world: World, container: WorldContainer, at: number): boolean {
  const start = lastStart(container, at, world.reboots) ?? 0;
  // Only where the clock was right all along; one wish alone, so that the bound is plain.
  if (container.keeps.length !== 1 || world.wrong.length > 0 || world.dead.length > 0 || world.reboots.length > 0) return false;
  return container.keeps.some((keep) => keep.at > start && keep.at + 5 * MINUTE < at && at < keep.at + Math.min(keep.forMs, 24 * HOUR));
}

function violations(world: World, lived: Lived): readonly string[] {
  return lived.deeds.flatMap((deed) => {
    const container = world.containers.find(({ n }) => n === deed.n);
    if (container === undefined) return ['an unknown container'];
    return [...anyDeed(world, container, deed), ...(deed.what === 'stop' ? stopOf(world, container, deed, lived) : []), ...(deed.what === 'remove' ? removalOf(world, container, deed) : [])];
  });
}

function anyDeed(world: World, container: WorldContainer, deed: Deed): readonly string[] {
  return [
    ...('gpuctl.protected' in container.labels ? [`${deed.what} of a protected container`] : []),
    ...(!container.claims ? [`${deed.what} of a container that is not managed`] : []),
    ...(!world.limitsConfigured ? [`${deed.what} without limits`] : []),
  ];
}

function stopOf(world: World, container: WorldContainer, deed: Deed, lived: Lived): readonly string[] {
  const warned = (what: Deed['what']): Deed | undefined => lived.deeds.findLast((each) => each.n === deed.n && each.kind === deed.kind && each.what === what && each.pass < deed.pass);
  const [first, final] = [warned('warned'), warned('final')];
  const start = lastStart(container, deed.at, world.reboots) ?? deed.at;
  const told = [
    ...(first === undefined || final === undefined ? [`${deed.kind} stop without both warnings`] : first.pass < final.pass && final.pass < deed.pass ? [] : ['warnings in the same pass']),
    ...(lived.deeds.some((each) => each !== deed && each.n === deed.n && each.kind === deed.kind && each.pass === deed.pass) ? ['two stages in one pass'] : []),
  ];
  if (deed.kind === 'runtime') {
    // Whatever the wall clock said meanwhile; a minute of it is not told from a slow clock.
    return [...told, ...(deed.at - Math.min(...container.starts) < RUNTIME_MS - MINUTE ? ['a runtime stop before the limit'] : [])];
  }
  const active = lastActive(world, container, deed.at, lived);
  return [
    ...told,
    ...(deed.job !== 'check-idle' ? [`an idle stop by ${deed.job}`] : []),
    ...(deed.at - active < IDLE_MS ? [`an idle stop after ${(deed.at - active) / MINUTE} min of idleness`] : []),
    ...((first?.at ?? 0) < active ? ['an idle stop after a warning that activity followed'] : []),
    ...(first?.startedAt !== deed.startedAt || final?.startedAt !== deed.startedAt ? ['warnings of another run'] : []),
    ...(container.unread.some(({ from, until }) => from <= deed.at && deed.at < until) ? ['an idle stop on unknown counters'] : []),
    ...(deed.at - start < 30 * MINUTE ? ['an idle stop of a young container'] : []),
    ...(keptAt(world, container, deed.at) ? ['an idle stop of a kept container'] : []),
  ];
}

function removalOf(world: World, container: WorldContainer, deed: Deed): readonly string[] {
  const start = lastStart(container, deed.at, world.reboots);
  if (start === null) return deed.at - container.createdAt < 29 * MINUTE ? ['removed too early'] : [];
  return [];
}

/** Lives through so many worlds of so many days. */
async function liveThrough(days: number, { numRuns }: { readonly numRuns: number }): Promise<{ readonly stops: number; readonly warnings: number }> {
  const told = { stops: 0, warnings: 0 };
  // The smallest month that fails is hours away; the seed and path of this one are enough.
  await fc.assert(fc.asyncProperty(worldsOf(days), async (world) => {
    const lived = await live(world);
    told.stops += lived.deeds.filter(({ what }) => what === 'stop').length;
    told.warnings += lived.deeds.filter(({ what }) => what !== 'stop').length;
    tried(days > 2 ? 'days of whole months' : 'days', days);
    expect(violations(world, lived)).toEqual([]);
  }), { numRuns, endOnFailure: days > 2 });
  return told;
}

describe('days of a host, lived through with generated activity, dead schedulers, wrong clocks and reboots', () => {
  it('never stop a container that was active, unknown, young, kept, protected or not managed, nor one that was not told twice before', async () => {
    const { stops, warnings } = await liveThrough(2, { numRuns: 30 });
    // Else nothing was tried.
    expect(stops).toBeGreaterThan(5);
    expect(warnings).toBeGreaterThan(10);
  });

  // Minutes of work: where PROPERTY_RUNS asks for more than the usual, so many months.
  it.runIf(runs(1).numRuns > 1)('never do so over months either', async () => {
    const { stops, warnings } = await liveThrough(30, runs(1));
    expect(stops).toBeGreaterThan(5);
    expect(warnings).toBeGreaterThan(10);
  }, 3_600_000);

  it('stop the idler of two containers no later than the other', async () => {
    const busy = spans(MINUTE, 10 * HOUR, 5);
    await fc.assert(fc.asyncProperty(busy, fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }), spans(20 * MINUTE, 5 * HOUR, 2), async (cpu, kept, dead) => {
      const world = (spells: readonly Span[]): World => ({ ...exampleWorld, days: 2, dead, containers: [{ ...exampleContainer, cpu: spells }] });
      const stopAt = async (spells: readonly Span[]): Promise<number> => (await live(world(spells))).deeds.find(({ what, kind }) => what === 'stop' && kind === 'idle')?.at ?? Infinity;
      const [more, less] = [await stopAt(cpu.filter((_, n) => kept[n] === true)), await stopAt(cpu)];
      expect(more).toBeLessThanOrEqual(less);
    }), { numRuns: 8 });
  });
});
