import type { Gpu } from './device.ts';
import type { Reading } from './reading.ts';

/**
 * What a board says of its own health, beyond what the other rules need. Counts are whole numbers; *volatile* ones begin
 * again with the driver or a reset, *aggregate* ones last for the life of the board. `Us`: microseconds since the driver was
 * loaded. On boards before Turing the driver counts single and double bit errors by place: device memory is DRAM here, the
 * rest SRAM.
 */
export interface HealthReadings {
  /** The product line, such as `Tesla`, `NVIDIA` or `GeForce`. */
  readonly brand: Reading<string>;
  /** `P0` (fastest) to `P15`. */
  readonly performanceState: Reading<string>;
  readonly eccVolatileDramCorrectable: Reading<number>;
  readonly eccVolatileDramUncorrectable: Reading<number>;
  readonly eccVolatileSramCorrectable: Reading<number>;
  readonly eccVolatileSramUncorrectable: Reading<number>;
  readonly eccAggregateDramCorrectable: Reading<number>;
  readonly eccAggregateDramUncorrectable: Reading<number>;
  readonly eccAggregateSramCorrectable: Reading<number>;
  readonly eccAggregateSramUncorrectable: Reading<number>;
  readonly sramThresholdExceeded: Reading<boolean>;
  readonly channelRepairPending: Reading<boolean>;
  readonly tpcRepairPending: Reading<boolean>;
  readonly unrepairableMemory: Reading<boolean>;
  readonly rowsRemappedCorrectable: Reading<number>;
  readonly rowsRemappedUncorrectable: Reading<number>;
  readonly rowRemapPending: Reading<boolean>;
  readonly pagesRetiredSingleBit: Reading<number>;
  readonly pagesRetiredDoubleBit: Reading<number>;
  readonly pageRetirementPending: Reading<boolean>;
  /** Clocks are held down this very moment. */
  readonly hwSlowdown: Reading<boolean>;
  readonly hwThermalSlowdown: Reading<boolean>;
  readonly hwPowerBrake: Reading<boolean>;
  readonly swPowerCapUs: Reading<number>;
  readonly swThermalSlowdownUs: Reading<number>;
  readonly hwThermalSlowdownUs: Reading<number>;
  readonly hwPowerBrakeUs: Reading<number>;
  /** Degrees below the highest operating temperature; negative: above it. */
  readonly thermalMarginC: Reading<number>;
  /** The margin at which the hardware slows down. */
  readonly slowdownMarginC: Reading<number>;
  /** The temperature at which the hardware slows down, on boards without margins. */
  readonly slowdownC: Reading<number>;
  readonly memoryTemperatureC: Reading<number>;
  /** `Completed`, `In Progress`, …; unsupported where there is no NVSwitch. */
  readonly fabricState: Reading<string>;
  readonly fabricStatus: Reading<string>;
  readonly pcieGen: Reading<number>;
  /** Lanes. */
  readonly pcieWidth: Reading<number>;
  readonly pcieReplays: Reading<number>;
  readonly powerW: Reading<number>;
}

/** The last time a counter or level of one device was read, and what it is compared with. */
export interface HealthMark {
  readonly gpuUuid: string;
  readonly reading: MarkedReading;
  /** What was learned or accepted. */
  readonly baseline: number;
  readonly baselineAt: number;
  readonly last: number;
  readonly lastAt: number;
  /** An earlier value, at least an hour older than `next` once there is one so old: rates are measured against it. */
  readonly anchor: number;
  readonly anchorAt: number;
  /** The value that becomes the anchor when it is an hour old. */
  readonly next: number;
  readonly nextAt: number;
}

/** Readings that mean something only beside an earlier one. Names are what `health-check --baseline` shows. */
export const MARKED_READINGS = [
  'ecc.volatile.dram.uncorrectable', 'ecc.volatile.sram.uncorrectable', 'ecc.volatile.correctable',
  'pcie.replays', 'pcie.width', 'pcie.gen', 'slowdown.thermal_us', 'slowdown.power_brake_us',
] as const;
export type MarkedReading = (typeof MARKED_READINGS)[number];

/** What the idle memory use of one board was learned from. */
export interface MemoryLearning {
  readonly gpuUuid: string;
  /** The driver that it was learned under: another one may need more or less. */
  readonly driver: string | null;
  /** The lowest use of the idle board that two looks in a row agreed on, MiB; after one look, what that one saw. */
  readonly lowestMiB: number;
  readonly lastMiB: number;
  readonly samples: number;
  readonly firstAt: number;
  readonly lastAt: number;
  /** Since when, over how many looks in a row, more than the baseline and its tolerance was in use with nobody on the device; null: it was not at the last look. */
  readonly overSince: number | null;
  readonly overSamples: number;
}

/** What the ledger remembers of the health of devices. */
export interface HealthHistory {
  readonly marks: readonly HealthMark[];
  readonly memory: readonly MemoryLearning[];
}

/** Where the memory of health stands after a look: what the ledger is to keep. A device that is not in `gpuUuids` keeps what it has. */
export interface HealthUpdate extends HealthHistory {
  readonly gpuUuids: readonly string[];
  /** Memory baselines of these devices, MiB; a device without one has none any more. */
  readonly baselines: readonly { readonly gpuUuid: string; readonly usedMiB: number }[];
}

/** One number of one device, for metrics and performance data. */
export interface NumericReading {
  /** Stable, dotted, without unit: `ecc.volatile.dram.uncorrectable`. */
  readonly name: string;
  readonly unit: 'celsius' | 'watts' | 'mib' | 'percent' | 'count' | 'microseconds';
  /** A counter only grows, until the driver is loaded anew (volatile) or for ever. */
  readonly kind: 'gauge' | 'counter';
  readonly value: number;
}

type Numeric = readonly [name: string, unit: NumericReading['unit'], kind: NumericReading['kind'], of: (gpu: Gpu, health: HealthReadings | null) => Reading<number> | undefined];

const NUMERIC: readonly Numeric[] = [
  ['temperature', 'celsius', 'gauge', (gpu) => gpu.temperatureC],
  ['temperature.margin', 'celsius', 'gauge', (_, health) => health?.thermalMarginC],
  ['temperature.memory', 'celsius', 'gauge', (_, health) => health?.memoryTemperatureC],
  ['power', 'watts', 'gauge', (_, health) => health?.powerW],
  ['power.limit', 'watts', 'gauge', (gpu) => gpu.powerLimitW],
  ['memory.total', 'mib', 'gauge', (gpu) => gpu.totalMiB],
  ['memory.used', 'mib', 'gauge', (gpu) => gpu.usedMiB],
  ['utilization', 'percent', 'gauge', (gpu) => gpu.utilizationPercent],
  ['ecc.volatile.dram.correctable', 'count', 'counter', (_, health) => health?.eccVolatileDramCorrectable],
  ['ecc.volatile.dram.uncorrectable', 'count', 'counter', (_, health) => health?.eccVolatileDramUncorrectable],
  ['ecc.volatile.sram.correctable', 'count', 'counter', (_, health) => health?.eccVolatileSramCorrectable],
  ['ecc.volatile.sram.uncorrectable', 'count', 'counter', (_, health) => health?.eccVolatileSramUncorrectable],
  ['ecc.aggregate.dram.correctable', 'count', 'counter', (_, health) => health?.eccAggregateDramCorrectable],
  ['ecc.aggregate.dram.uncorrectable', 'count', 'counter', (_, health) => health?.eccAggregateDramUncorrectable],
  ['ecc.aggregate.sram.correctable', 'count', 'counter', (_, health) => health?.eccAggregateSramCorrectable],
  ['ecc.aggregate.sram.uncorrectable', 'count', 'counter', (_, health) => health?.eccAggregateSramUncorrectable],
  ['row_remap.correctable', 'count', 'counter', (_, health) => health?.rowsRemappedCorrectable],
  ['row_remap.uncorrectable', 'count', 'counter', (_, health) => health?.rowsRemappedUncorrectable],
  ['retired_pages.single_bit', 'count', 'counter', (_, health) => health?.pagesRetiredSingleBit],
  ['retired_pages.double_bit', 'count', 'counter', (_, health) => health?.pagesRetiredDoubleBit],
  ['slowdown.sw_power_cap', 'microseconds', 'counter', (_, health) => health?.swPowerCapUs],
  ['slowdown.sw_thermal', 'microseconds', 'counter', (_, health) => health?.swThermalSlowdownUs],
  ['slowdown.hw_thermal', 'microseconds', 'counter', (_, health) => health?.hwThermalSlowdownUs],
  ['slowdown.hw_power_brake', 'microseconds', 'counter', (_, health) => health?.hwPowerBrakeUs],
  ['pcie.gen', 'count', 'gauge', (_, health) => health?.pcieGen],
  ['pcie.width', 'count', 'gauge', (_, health) => health?.pcieWidth],
  ['pcie.replays', 'count', 'counter', (_, health) => health?.pcieReplays],
];

/** Every number that the driver gave for this device, in a fixed order. A reading without a value is left out: it is never 0. */
export function numericReadings(gpu: Gpu): readonly NumericReading[] {
  return NUMERIC.flatMap(([name, unit, kind, of]) => {
    const reading = of(gpu, gpu.health ?? null);
    return reading?.kind === 'value' ? [{ name, unit, kind, value: reading.value }] : [];
  });
}
