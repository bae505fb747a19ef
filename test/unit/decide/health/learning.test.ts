import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideDirt } from '../../../../src/decide/dirt.ts';
import type { HealthFacts } from '../../../../src/decide/health/facts.ts';
import { acceptHealth, learnHealth } from '../../../../src/decide/health/marks.ts';
import type { Gpu } from '../../../../src/model/device.ts';
import type { HealthMark, HealthReadings, HealthUpdate, MarkedReading } from '../../../../src/model/health.ts';
import { emptyHistory } from '../../../../src/model/history.ts';
import { misread, read, unsupported } from '../../../../src/model/reading.ts';
import { boardOf, DRIVER, factsOf, foundIn, MINUTE, NOW, UUID } from './good-board.ts';

const TOLERANCE = 1024;

interface Step {
  readonly minute: number;
  readonly health?: Partial<HealthReadings>;
  readonly gpu?: Partial<Gpu>;
  readonly facts?: Partial<HealthFacts>;
}

interface Remembered {
  readonly update: HealthUpdate;
  readonly found: readonly string[];
}

/** One look after the other, each judged by what the ones before it taught. */
function looks(steps: readonly Step[]): readonly Remembered[] {
  let update: HealthUpdate = { gpuUuids: [], marks: [], memory: [], baselines: [] };
  return steps.map(({ minute, health = {}, gpu = {}, facts: more = {} }) => {
    const driver = more.driver ?? DRIVER;
    const memory = update.memory.find((each) => each.driver === driver) ?? null;
    const facts = factsOf({
      board: boardOf(gpu, health), now: NOW + minute * MINUTE, marks: new Map(update.marks.map((mark) => [mark.reading, mark])),
      memory, baselineMiB: memory === null ? null : (update.baselines[0]?.usedMiB ?? null), ...more,
    });
    const found = foundIn(facts);
    update = learnHealth([facts], TOLERANCE);
    return { update, found };
  });
}

function last(steps: readonly Step[]): Remembered {
  const end = looks(steps).at(-1);
  if (end === undefined) throw new Error('no step');
  return end;
}

const markIn = ({ update }: Remembered, reading: MarkedReading): HealthMark | undefined => update.marks.find((mark) => mark.reading === reading);
const baselineIn = ({ update }: Remembered): number | null => update.baselines[0]?.usedMiB ?? null;
const replays = (minute: number, count: number): Step => ({ minute, health: { pcieReplays: read(count) } });
const idle = (minute: number, usedMiB: number, facts: Partial<HealthFacts> = {}, gpu: Partial<Gpu> = {}): Step => ({ minute, gpu: { usedMiB: read(usedMiB), ...gpu }, facts });
const every5 = (count: number, usedMiB: number): readonly Step[] => Array.from({ length: count }, (_, n) => idle(n * 5, usedMiB));

describe('a counter that is sampled every five minutes', () => {
  const steps = Array.from({ length: 40 }, (_, n) => replays(n * 5, n < 20 ? 150 : 153));

  it('is a finding from the look at which it grew, for one to two hours, so that no hourly pass misses it, and then no more', () => {
    const found = looks(steps).map((each) => each.found.includes('gpu.pcie.replay'));
    expect(found.slice(0, 20).some(Boolean)).toBe(false);
    const seen = found.slice(20).lastIndexOf(true) + 1;
    expect(found.slice(20, 20 + seen).every(Boolean)).toBe(true);
    expect(seen * 5).toBeGreaterThanOrEqual(60);
    expect(seen * 5).toBeLessThanOrEqual(120);
  });

  it('begins again without a finding', () => {
    expect(looks([replays(0, 150), replays(5, 150), replays(10, 0), replays(15, 0)]).flatMap((each) => each.found)).toEqual([]);
    expect(markIn(last([replays(0, 150), replays(5, 3)]), 'pcie.replays')).toMatchObject({ baseline: 3, anchor: 3, next: 3, last: 3 });
  });

  it('keeps what was known of it while it cannot be read', () => {
    const before = last([replays(0, 150)]);
    const after = last([replays(0, 150), { minute: 5, health: { pcieReplays: misread('Unknown Error') } }]);
    expect(markIn(after, 'pcie.replays')).toEqual(markIn(before, 'pcie.replays'));
    expect(last([{ minute: 0, health: { pcieReplays: unsupported } }]).update.marks.map(({ reading }) => reading)).not.toContain('pcie.replays');
  });
});

describe('the anchor that a counter is held against', () => {
  const markAfter = (...steps: readonly (readonly [minute: number, count: number])[]): HealthMark | undefined => markIn(last(steps.map(([minute, count]) => replays(minute, count))), 'pcie.replays');
  const at = (minute: number): number => NOW + minute * MINUTE;

  it('is the first reading at first', () => {
    expect(markAfter([0, 150])).toEqual({ gpuUuid: UUID, reading: 'pcie.replays', baseline: 150, baselineAt: NOW, last: 150, lastAt: NOW, anchor: 150, anchorAt: NOW, next: 150, nextAt: NOW });
  });

  it('moves on to the reading of an hour ago, once there is one so old', () => {
    expect(markAfter([0, 150], [59, 151])).toMatchObject({ last: 151, lastAt: at(59), anchor: 150, anchorAt: NOW, next: 150, nextAt: NOW });
    expect(markAfter([0, 150], [60, 151])).toMatchObject({ anchor: 150, anchorAt: NOW, next: 151, nextAt: at(60) });
    expect(markAfter([0, 150], [60, 151], [120, 152])).toMatchObject({ baseline: 150, baselineAt: NOW, anchor: 151, anchorAt: at(60), next: 152, nextAt: at(120) });
  });

  it('is the reading of now where the clock was set back, and stays where no time has passed', () => {
    expect(markAfter([0, 150], [5, 151], [-600, 152])).toMatchObject({ baseline: 150, last: 152, lastAt: at(-600), anchor: 152, anchorAt: at(-600), next: 152, nextAt: at(-600) });
    expect(markAfter([0, 150], [0, 151])).toMatchObject({ last: 151, anchor: 150, next: 150 });
  });
});

describe('what is remembered of a board', () => {
  it('is each of its readings under its own name', () => {
    const health: Partial<HealthReadings> = {
      eccVolatileDramUncorrectable: read(1), eccVolatileSramUncorrectable: read(2), eccVolatileDramCorrectable: read(3), eccVolatileSramCorrectable: read(4),
      pcieReplays: read(5), pcieWidth: read(6), pcieGen: read(7), hwThermalSlowdownUs: read(8), hwPowerBrakeUs: read(9),
    };
    expect(Object.fromEntries(last([{ minute: 0, health }]).update.marks.map(({ reading, last: value }) => [reading, value]))).toEqual({
      'ecc.volatile.dram.uncorrectable': 1, 'ecc.volatile.sram.uncorrectable': 2, 'ecc.volatile.correctable': 7,
      'pcie.replays': 5, 'pcie.width': 6, 'pcie.gen': 7, 'slowdown.thermal_us': 8, 'slowdown.power_brake_us': 9,
    });
  });

  it('is nothing of one that tells nothing of its health', () => {
    const { health: _, ...board } = boardOf();
    expect(learnHealth([factsOf({ board, marks: new Map(), memory: null, baselineMiB: null, nobody: null })], TOLERANCE)).toEqual({ gpuUuids: [UUID], marks: [], memory: [], baselines: [] });
  });
});

describe('uncorrectable errors', () => {
  const errors = (minute: number, count: number): Step => ({ minute, health: { eccVolatileDramUncorrectable: read(count) } });

  it('stay a finding for days, until a reset makes the counter begin again', () => {
    const found = looks([errors(0, 0), errors(5, 1), errors(600, 1), errors(6000, 1), errors(6005, 0), errors(6010, 0)]).map((each) => each.found);
    expect(found).toEqual([[], ['gpu.ecc.uncorrectable'], ['gpu.ecc.uncorrectable'], ['gpu.ecc.uncorrectable'], [], []]);
  });

  it('are none any more once an admin took the board as it is', () => {
    const facts = factsOf({ board: boardOf({}, { eccVolatileDramUncorrectable: read(7) }) });
    expect(foundIn(facts)).toEqual(['gpu.ecc.uncorrectable']);
    const accepted = acceptHealth([facts]);
    expect(foundIn(factsOf({ board: facts.gpu, marks: new Map(accepted.marks.map((mark) => [mark.reading, mark])), memory: null, baselineMiB: null }))).toEqual([]);
    expect(accepted).toMatchObject({ gpuUuids: [UUID], memory: [], baselines: [] });
  });
});

describe('the PCIe link', () => {
  const link = (minute: number, pcieGen: number, pcieWidth: number, performanceState = 'P0'): Step => ({ minute, health: { pcieGen: read(pcieGen), pcieWidth: read(pcieWidth), performanceState: read(performanceState) } });

  it('is held against the best that was seen in P0', () => {
    expect(looks([link(0, 3, 8), link(5, 4, 8), link(10, 3, 8), link(15, 3, 8)]).map((each) => each.found)).toEqual([[], [], ['gpu.pcie.gen'], ['gpu.pcie.gen']]);
  });

  it('has its best from the look that saw it first', () => {
    const steps = [link(0, 3, 8), link(5, 4, 8), link(10, 4, 8), link(15, 3, 8)];
    expect(markIn(last(steps), 'pcie.gen')).toMatchObject({ baseline: 4, baselineAt: NOW + 5 * MINUTE, last: 3, lastAt: NOW + 15 * MINUTE });
  });

  it('teaches nothing while the board sleeps', () => {
    expect(last([link(0, 1, 1, 'P8')]).update.marks.map(({ reading }) => reading)).not.toContain('pcie.gen');
    expect(looks([link(0, 4, 16), link(5, 1, 4, 'P8'), link(10, 4, 16)]).flatMap((each) => each.found)).toEqual([]);
  });

  it('may be accepted as it is, in P0; asleep, it is learned anew', () => {
    const low = boardOf({}, { pcieWidth: read(8) });
    expect(acceptHealth([factsOf({ board: low })]).marks.find(({ reading }) => reading === 'pcie.width')).toMatchObject({ baseline: 8 });
    const asleep = boardOf({}, { pcieWidth: read(8), performanceState: read('P8') });
    expect(acceptHealth([factsOf({ board: asleep })]).marks.map(({ reading }) => reading)).not.toContain('pcie.width');
  });
});

describe('the memory of the idle board', () => {
  it('is believed after five looks over half an hour', () => {
    expect(baselineIn(last(every5(6, 450)))).toBeNull();
    expect(baselineIn(last(every5(7, 450)))).toBe(450);
    expect(baselineIn(last([0, 8, 16, 24, 30].map((minute) => idle(minute, 450))))).toBe(450);
    expect(baselineIn(last([idle(0, 450), idle(20, 450), idle(40, 450)]))).toBeNull();
  });

  it('is the lowest that two looks in a row agree on, and never rises', () => {
    expect(baselineIn(last([...every5(7, 450), idle(40, 0), idle(45, 450)]))).toBe(450);
    expect(baselineIn(last([...every5(7, 450), idle(40, 10), idle(45, 12)]))).toBe(12);
    expect(baselineIn(last([...every5(7, 450), ...[40, 45, 50, 55].map((minute) => idle(minute, 900))]))).toBe(450);
    expect(baselineIn(last([idle(-5, 10), ...every5(7, 450)])), 'one look agrees with nothing').toBe(450);
    expect(baselineIn(last([450, 450, 900, 900, 900, 900, 900].map((used, n) => idle(n * 5, used)))), 'two did early on').toBe(450);
    expect(baselineIn(last([...every5(7, 4), ...every5(7, 600).map((step) => ({ ...step, minute: step.minute - 600 }))])), 'learned anew after the clock was set back').toBe(4);
  });

  it('is learned of a board that knows no recovery action, up to what is tolerated anyhow', () => {
    expect(baselineIn(last(every5(7, 1024).map((step) => ({ ...step, gpu: { ...step.gpu, recovery: unsupported } }))))).toBe(1024);
  });

  it('is remembered with all that the next look needs', () => {
    expect(last([idle(0, 10), idle(5, 12), idle(5, 12)]).update.memory).toEqual([{
      gpuUuid: UUID, driver: DRIVER, lowestMiB: 12, lastMiB: 12, samples: 3, firstAt: NOW, lastAt: NOW + 5 * MINUTE, overSince: null, overSamples: 0,
    }]);
  });

  it.each<[string, Step]>([
    ['somebody is on it', idle(0, 450, { nobody: false })], ['it is not known who claims it', idle(0, 450, { nobody: null, unclaimed: false })],
    ['a stopped container still holds it', idle(0, 450, { unclaimed: false })], ['MIG is on', idle(0, 450, {}, { migCurrent: read(true) })],
    ['it reports a fault', idle(0, 450, {}, { faults: ['Unknown Error'] })], ['it asks for a reset', idle(0, 450, {}, { recovery: read('reset') })],
    ['more is in use than is tolerated anyhow', idle(0, 1025)], ['its use is not known', idle(0, 0, {}, { usedMiB: misread('Unknown Error') })],
  ])('is not learned while %s', (_, step) => {
    expect(last(Array.from({ length: 10 }, (__, n) => ({ ...step, minute: n * 5 }))).update).toMatchObject({ memory: [], baselines: [] });
  });

  it('is learned anew under another driver', () => {
    const other = looks([...every5(7, 4), ...Array.from({ length: 7 }, (_, n) => idle(100 + n * 5, 600, { driver: '600.10' }))]);
    expect(other.flatMap((each) => each.found)).toEqual([]);
    expect(baselineIn(other[7] ?? last([]))).toBeNull();
    expect(baselineIn(other[13] ?? last([]))).toBe(600);
  });

  it('that leaks becomes ghost memory at the third look, ten minutes on, and is over when it is free again', () => {
    const steps = [...every5(7, 4), idle(40, 2000), idle(45, 2000), idle(50, 2000), idle(55, 2000), idle(60, 4)];
    expect(looks(steps).slice(7).map((each) => each.found)).toEqual([[], [], ['gpu.ghost_memory'], ['gpu.ghost_memory'], []]);
  });

  it('that is used by somebody in between is no ghost memory: the count begins again', () => {
    const steps = [...every5(7, 4), idle(40, 2000), idle(45, 2000), idle(50, 2000, { nobody: false }), idle(55, 2000), idle(60, 2000)];
    expect(looks(steps).flatMap((each) => each.found)).toEqual([]);
  });

  it('is over from the first look that sees too much, by the clock as it is then, and never before a baseline was learned', () => {
    const over = (...steps: readonly Step[]): readonly unknown[] => last([...every5(7, 4), ...steps]).update.memory.map(({ overSince, overSamples }) => [overSince, overSamples]);
    expect(over(idle(40, 2000), idle(45, 2000))).toEqual([[NOW + 40 * MINUTE, 2]]);
    expect(over(idle(40, 2000), idle(-600, 2000)), 'the clock was set back').toEqual([[NOW - 600 * MINUTE, 1]]);
    expect(over(idle(40, 2000), idle(40, 2000)), 'two looks at one instant are one').toEqual([[NOW + 40 * MINUTE, 1]]);
    expect(over(idle(40, 2000), idle(45, 0, {}, { usedMiB: misread('Unknown Error') }))).toEqual([[null, 0]]);
    expect(last([idle(0, 900), idle(5, 900)]).update.memory).toMatchObject([{ overSince: null, overSamples: 0 }]);
  });

  it('under a clock that jumped back is learned anew', () => {
    const { update } = last([...every5(7, 4), idle(-600, 4)]);
    expect(update.memory[0]).toMatchObject({ samples: 1, firstAt: NOW - 600 * MINUTE });
  });
});

describe('whatever was learned', () => {
  const step = fc.record({
    used: fc.integer({ min: 0, max: TOLERANCE + 200 }), nobody: fc.constantFrom(true, true, true, true, false, null), unclaimed: fc.constantFrom(true, true, true, false), gap: fc.integer({ min: 1, max: 30 }),
  });

  it('never makes a device dirty that would not be dirty without it: a wrong baseline causes no reset', () => {
    let learned = 0;
    fc.assert(fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), fc.integer({ min: 0, max: 5000 }), (walk, usedMiB) => {
      let minute = 0;
      const { update } = last(walk.map(({ used, nobody, unclaimed, gap }) => idle((minute += gap), used, { nobody, unclaimed })));
      const now = NOW + minute * MINUTE;
      const gpu = boardOf({ usedMiB: read(usedMiB) });
      const kind = (baselines: HealthUpdate['baselines']): string => {
        const unexplained = usedMiB - (baselines[0]?.usedMiB ?? 0);
        const memory = [30, 20, 10].map((ago) => ({ gpuUuid: UUID, at: now - ago * MINUTE, usedMiB, unexplainedMiB: unexplained }));
        return decideDirt({ gpu, ghosts: [], afterEnding: null, toleranceMiB: TOLERANCE, now, history: { ...emptyHistory, baselines, memory } }).kind;
      };
      learned += update.baselines.length;
      for (const { usedMiB: baseline } of update.baselines) expect(baseline >= 0 && baseline <= TOLERANCE).toBe(true);
      if (kind([]) === 'clean') expect(kind(update.baselines)).toBe('clean');
    }), { numRuns: 200 });
    expect(learned).toBeGreaterThan(0);
  });

  it('is not more than one row of each kind a device', () => {
    const { update } = last([...every5(7, 4), { minute: 60 }]);
    expect(new Set(update.marks.map(({ reading }) => reading)).size).toBe(update.marks.length);
    expect(update.memory).toHaveLength(1);
  });
});
