import type { Gpu } from '../../model/device.ts';
import type { HealthMark, HealthUpdate, MarkedReading } from '../../model/health.ts';
import { known, type Reading } from '../../model/reading.ts';
import { correctedOf } from './checks.ts';
import type { HealthFacts } from './facts.ts';
import { learnMemory } from './memory.ts';

const HOUR_MS = 3_600_000;

/** Levels have a baseline that only rises, and only at full speed; counters one that follows them down. */
const LEVELS: ReadonlySet<MarkedReading> = new Set(['pcie.width', 'pcie.gen']);

/** What each marked reading is, on this device. */
export function markedReadings(gpu: Gpu): Readonly<Record<MarkedReading, Reading<number> | undefined>> {
  const { health } = gpu;
  return {
    'ecc.volatile.dram.uncorrectable': health?.eccVolatileDramUncorrectable,
    'ecc.volatile.sram.uncorrectable': health?.eccVolatileSramUncorrectable,
    'ecc.volatile.correctable': correctedOf({ gpu }),
    'pcie.replays': health?.pcieReplays,
    'pcie.width': health?.pcieWidth,
    'pcie.gen': health?.pcieGen,
    'slowdown.thermal_us': health?.hwThermalSlowdownUs,
    'slowdown.power_brake_us': health?.hwPowerBrakeUs,
  };
}

/** What the ledger is to remember after this look at these devices. */
export function learnHealth(devices: readonly HealthFacts[], toleranceMiB: number): HealthUpdate {
  const learned = devices.map((facts) => ({ facts, ...learnMemory(facts, toleranceMiB) }));
  return {
    gpuUuids: devices.map(({ gpu }) => gpu.uuid),
    marks: devices.flatMap((facts) => marksOf(facts, (mark, value) => fold(mark, value, facts))),
    memory: learned.flatMap(({ memory }) => memory ?? []),
    baselines: learned.flatMap(({ facts, baselineMiB }) => (baselineMiB === null ? [] : [{ gpuUuid: facts.gpu.uuid, usedMiB: baselineMiB }])),
  };
}

/** The same where an admin takes the devices as they are now: counters and levels count from here, the idle memory is learned anew. */
export function acceptHealth(devices: readonly HealthFacts[]): HealthUpdate {
  return {
    gpuUuids: devices.map(({ gpu }) => gpu.uuid),
    marks: devices.flatMap((facts) => marksOf(facts, (mark, value) => fresh(mark, value, facts.now)).filter(({ lastAt }) => lastAt === facts.now)),
    memory: [], baselines: [],
  };
}

type Next = (mark: Pick<HealthMark, 'gpuUuid' | 'reading'> & Partial<HealthMark>, value: number) => HealthMark;

function marksOf({ gpu, marks }: HealthFacts, next: Next): readonly HealthMark[] {
  return Object.entries(markedReadings(gpu)).flatMap(([name, reading]) => {
    const key = name as MarkedReading;
    const before = marks.get(key);
    const value = reading === undefined ? null : known(reading);
    if (value === null || (LEVELS.has(key) && !isAtFullSpeed(gpu))) return before ?? [];
    return [next(before ?? { gpuUuid: gpu.uuid, reading: key }, value)];
  });
}

function isAtFullSpeed({ health }: Gpu): boolean {
  return health !== undefined && known(health.performanceState) === 'P0';
}

function fresh({ gpuUuid, reading }: Pick<HealthMark, 'gpuUuid' | 'reading'>, value: number, now: number): HealthMark {
  return { gpuUuid, reading, baseline: value, baselineAt: now, last: value, lastAt: now, anchor: value, anchorAt: now, next: value, nextAt: now };
}

function fold(mark: Pick<HealthMark, 'gpuUuid' | 'reading'> & Partial<HealthMark>, value: number, { now }: HealthFacts): HealthMark {
  if (!isWhole(mark)) return fresh(mark, value, now);
  if (LEVELS.has(mark.reading)) return { ...mark, last: value, lastAt: now, ...(value > mark.baseline ? { baseline: value, baselineAt: now } : {}) };
  // It has begun again: nothing is known of what it would have been, so nothing is held against it.
  if (value < mark.last) return fresh(mark, value, now);
  const seen = { ...mark, last: value, lastAt: now };
  if (now < mark.lastAt) return { ...seen, anchor: value, anchorAt: now, next: value, nextAt: now };
  return now - mark.nextAt < HOUR_MS ? seen : { ...seen, anchor: mark.next, anchorAt: mark.nextAt, next: value, nextAt: now };
}

function isWhole(mark: Partial<HealthMark>): mark is HealthMark {
  return mark.last !== undefined;
}
