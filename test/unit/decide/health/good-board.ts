import { type CheckResult, decideChecks } from '../../../../src/decide/health.ts';
import type { HealthFacts, HealthRules } from '../../../../src/decide/health/facts.ts';
import { defaultHealthRules } from '../../../../src/decide/health/facts.ts';
import type { Gpu } from '../../../../src/model/device.ts';
import type { HealthMark, HealthReadings, MarkedReading, MemoryLearning } from '../../../../src/model/health.ts';
import { absent, read, unsupported } from '../../../../src/model/reading.ts';

/*
 * A sound, idle data-centre board of driver 590; a test changes what it is about.
 */

export const NOW = Date.UTC(2026, 10, 22, 9, 5);
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const UUID = 'GPU-00000000-aaaa-4bbb-8ccc-0123456789ab';
export const DRIVER = '590.48.01';

const health: HealthReadings = {
  brand: read('NVIDIA'), performanceState: read('P0'),
  eccVolatileDramCorrectable: read(0), eccVolatileDramUncorrectable: read(0), eccVolatileSramCorrectable: read(0), eccVolatileSramUncorrectable: read(0),
  eccAggregateDramCorrectable: read(0), eccAggregateDramUncorrectable: read(0), eccAggregateSramCorrectable: read(0), eccAggregateSramUncorrectable: read(0),
  sramThresholdExceeded: read(false), channelRepairPending: read(false), tpcRepairPending: read(false), unrepairableMemory: read(false),
  rowsRemappedCorrectable: read(0), rowsRemappedUncorrectable: read(0), rowRemapPending: read(false),
  pagesRetiredSingleBit: unsupported, pagesRetiredDoubleBit: unsupported, pageRetirementPending: unsupported,
  hwSlowdown: read(false), hwThermalSlowdown: read(false), hwPowerBrake: read(false),
  swPowerCapUs: read(7_000_000), swThermalSlowdownUs: read(0), hwThermalSlowdownUs: read(0), hwPowerBrakeUs: read(0),
  thermalMarginC: read(54), slowdownMarginC: read(-2), slowdownC: absent, memoryTemperatureC: read(40),
  fabricState: read('Completed'), fabricStatus: read('Success'), pcieGen: read(5), pcieWidth: read(16), pcieReplays: read(150), powerW: read(68),
};

export function boardOf(more: Partial<Gpu> = {}, moreHealth: Partial<HealthReadings> = {}): Gpu {
  return {
    uuid: UUID, index: 0, pciBusId: '00000000:10:00.0', minorNumber: 0, name: 'NVIDIA H100 80GB HBM3',
    migCurrent: read(false), migPending: read(false), migDevices: [], totalMiB: read(81_559), usedMiB: read(4), utilizationPercent: read(0),
    displayActive: read(false), persistence: read(true), computeMode: read('Default'), eccCurrent: read(true), eccPending: read(true), powerLimitW: read(700),
    recovery: read('none'), repairPending: read(false), remapFailed: read(false), temperatureC: read(33), processes: { state: 'known', processes: [] }, faults: [],
    health: { ...health, ...moreHealth }, ...more,
  };
}

/** A mark whose every value is `value`, made three hours ago. */
export function markOf(reading: MarkedReading, value: number, more: Partial<HealthMark> = {}): HealthMark {
  const at = NOW - 3 * HOUR;
  return { gpuUuid: UUID, reading, baseline: value, baselineAt: at, last: value, lastAt: NOW - 5 * MINUTE, anchor: value, anchorAt: NOW - 90 * MINUTE, next: value, nextAt: NOW - 30 * MINUTE, ...more };
}

const goodMarks: readonly HealthMark[] = [
  markOf('ecc.volatile.dram.uncorrectable', 0), markOf('ecc.volatile.sram.uncorrectable', 0), markOf('ecc.volatile.correctable', 0), markOf('pcie.replays', 150),
  markOf('pcie.width', 16), markOf('pcie.gen', 5), markOf('slowdown.thermal_us', 0), markOf('slowdown.power_brake_us', 0),
];

export const learned: MemoryLearning = { gpuUuid: UUID, driver: DRIVER, lowestMiB: 4, lastMiB: 4, samples: 20, firstAt: NOW - 30 * HOUR, lastAt: NOW - 5 * MINUTE, overSince: null, overSamples: 0 };

export function factsOf(more: Partial<HealthFacts> & { readonly board?: Gpu } = {}): HealthFacts {
  const { board = boardOf(), ...rest } = more;
  return {
    gpu: board, marks: new Map(goodMarks.map((mark) => [mark.reading, mark])), memory: learned, baselineMiB: 4, nobody: true, unclaimed: true, driver: DRIVER,
    now: NOW, rules: defaultHealthRules, ...rest,
  };
}

/** The good board's facts with other marks in place of those of the same readings. */
export function withMarks(board: Gpu, ...marks: readonly HealthMark[]): HealthFacts {
  return factsOf({ board, marks: new Map([...goodMarks, ...marks].map((mark) => [mark.reading, mark])) });
}

export function rulesOf(more: Partial<HealthRules>): HealthRules {
  return { ...defaultHealthRules, ...more };
}

/** Ids of what was found. */
export function foundIn(facts: HealthFacts): readonly string[] {
  return decideChecks(facts).filter(({ verdict }) => verdict.state === 'found').map(({ check }) => check.id);
}

export function verdictOf(id: string, facts: HealthFacts): CheckResult['verdict'] {
  const result = decideChecks(facts).find(({ check }) => check.id === id);
  if (result === undefined) throw new Error(`no check ${id}`);
  return result.verdict;
}
