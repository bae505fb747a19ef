import type { HealthReadings } from '../../model/health.ts';
import { absent, misread, read, type Reading } from '../../model/reading.ts';
import { asFlag, asNumber, firstOf, readText } from './reading.ts';
import { quote } from './text.ts';
import type { XmlElement } from './xml.ts';

/** The health groups of one `<gpu>` block, by the presence of their elements: the version of the document says too little. */
export function readHealth(block: XmlElement): HealthReadings {
  const text = (...path: readonly string[]): Reading<string> => readText(block, ...path);
  const count = (...path: readonly string[]): Reading<number> => whole(text(...path));
  const flag = (...path: readonly string[]): Reading<boolean> => asFlag(text(...path));
  const celsius = (name: string): Reading<number> => asNumber(text('temperature', name), 'C');
  const slowdownMarginC = celsius('gpu_temp_slow_tlimit_threshold');
  const volatile = readEcc(block, 'volatile');
  const aggregate = readEcc(block, 'aggregate');
  return {
    brand: text('product_brand'),
    performanceState: text('performance_state'),
    eccVolatileDramCorrectable: volatile.dramCorrectable,
    eccVolatileDramUncorrectable: volatile.dramUncorrectable,
    eccVolatileSramCorrectable: volatile.sramCorrectable,
    eccVolatileSramUncorrectable: volatile.sramUncorrectable,
    eccAggregateDramCorrectable: aggregate.dramCorrectable,
    eccAggregateDramUncorrectable: aggregate.dramUncorrectable,
    eccAggregateSramCorrectable: aggregate.sramCorrectable,
    eccAggregateSramUncorrectable: aggregate.sramUncorrectable,
    sramThresholdExceeded: flag('ecc_errors', 'aggregate', 'sram_threshold_exceeded'),
    channelRepairPending: flag('ecc_errors', 'channel_repair_pending'),
    tpcRepairPending: flag('ecc_errors', 'tpc_repair_pending'),
    unrepairableMemory: flag('ecc_errors', 'unrepairable_memory'),
    rowsRemappedCorrectable: count('remapped_rows', 'remapped_row_corr'),
    rowsRemappedUncorrectable: count('remapped_rows', 'remapped_row_unc'),
    rowRemapPending: flag('remapped_rows', 'remapped_row_pending'),
    pagesRetiredSingleBit: count('retired_pages', 'multiple_single_bit_retirement', 'retired_count'),
    pagesRetiredDoubleBit: count('retired_pages', 'double_bit_retirement', 'retired_count'),
    pageRetirementPending: flag('retired_pages', 'pending_retirement'),
    hwSlowdown: reason(block, 'hw_slowdown'),
    hwThermalSlowdown: reason(block, 'hw_thermal_slowdown'),
    hwPowerBrake: reason(block, 'hw_power_brake_slowdown'),
    swPowerCapUs: counter(block, 'sw_power_cap'),
    swThermalSlowdownUs: counter(block, 'sw_therm_slowdown'),
    hwThermalSlowdownUs: counter(block, 'hw_therm_slowdown'),
    hwPowerBrakeUs: counter(block, 'hw_power_brake'),
    // Drivers 535 to 555 print a margin of 0 where the board did not answer; its threshold is then no number.
    thermalMarginC: slowdownMarginC.kind === 'value' ? celsius('gpu_temp_tlimit') : slowdownMarginC,
    slowdownMarginC,
    slowdownC: celsius('gpu_temp_slow_threshold'),
    memoryTemperatureC: celsius('memory_temp'),
    fabricState: text('fabric', 'state'),
    fabricStatus: text('fabric', 'status'),
    pcieGen: count('pci', 'pci_gpu_link_info', 'pcie_gen', 'current_link_gen'),
    pcieWidth: lanes(text('pci', 'pci_gpu_link_info', 'link_widths', 'current_link_width')),
    pcieReplays: count('pci', 'replay_counter'),
    powerW: readPower(block),
  };
}

interface EccCounts {
  readonly dramCorrectable: Reading<number>;
  readonly dramUncorrectable: Reading<number>;
  readonly sramCorrectable: Reading<number>;
  readonly sramUncorrectable: Reading<number>;
}

/** Turing and later count by memory and by whether it could be corrected, earlier boards by bits and by place. */
function readEcc(block: XmlElement, span: 'volatile' | 'aggregate'): EccCounts {
  const count = (...path: readonly string[]): Reading<number> => whole(readText(block, 'ecc_errors', span, ...path));
  const elsewhere = (bits: string): Reading<number> => difference(count(bits, 'total'), count(bits, 'device_memory'));
  return {
    dramCorrectable: firstOf(count('dram_correctable'), count('single_bit', 'device_memory')),
    dramUncorrectable: firstOf(count('dram_uncorrectable'), count('double_bit', 'device_memory')),
    sramCorrectable: firstOf(count('sram_correctable'), elsewhere('single_bit')),
    // From 535 on some boards tell parity errors from the others.
    sramUncorrectable: firstOf(count('sram_uncorrectable'), sum(count('sram_uncorrectable_parity'), count('sram_uncorrectable_secded')), elsewhere('double_bit')),
  };
}

function sum(a: Reading<number>, b: Reading<number>): Reading<number> {
  return both(a, b, (x, y) => x + y);
}

function difference(a: Reading<number>, b: Reading<number>): Reading<number> {
  return both(a, b, (x, y) => Math.max(0, x - y));
}

function both(a: Reading<number>, b: Reading<number>, of: (a: number, b: number) => number): Reading<number> {
  if (a.kind !== 'value') return a;
  return b.kind === 'value' ? read(of(a.value, b.value)) : b;
}

/** 535 and later, then the older name. */
function reason(block: XmlElement, name: string): Reading<boolean> {
  const text = firstOf(
    readText(block, 'clocks_event_reasons', `clocks_event_reason_${name}`),
    readText(block, 'clocks_throttle_reasons', `clocks_throttle_reason_${name}`),
  );
  if (text.kind !== 'value') return text;
  if (text.value === 'Active') return read(true);
  return text.value === 'Not Active' ? read(false) : misread(quote(text.value));
}

function counter(block: XmlElement, name: string): Reading<number> {
  return whole(readText(block, 'clocks_event_reasons_counters', `clocks_event_reasons_counters_${name}`), ' us');
}

/** A count: nothing else that looks like a number is one. */
function whole(text: Reading<string>, unit: '' | ' us' = ''): Reading<number> {
  if (text.kind !== 'value') return text;
  const digits = text.value.endsWith(unit) ? text.value.slice(0, text.value.length - unit.length) : '';
  return /^\d{1,15}$/.test(digits) ? read(Number(digits)) : misread(quote(text.value));
}

/** `16x` */
function lanes(width: Reading<string>): Reading<number> {
  if (width.kind !== 'value') return width;
  const match = /^(\d{1,3})x$/.exec(width.value);
  return match === null ? misread(quote(width.value)) : read(Number(match[1]));
}

/** The names of the current draw, by driver; of two, the one that has a value. */
function readPower(block: XmlElement): Reading<number> {
  const draw = (...path: readonly string[]): Reading<number> => asNumber(readText(block, ...path), 'W');
  const readings = [
    draw('gpu_power_readings', 'instant_power_draw'), draw('gpu_power_readings', 'average_power_draw'),
    draw('gpu_power_readings', 'power_draw'), draw('power_readings', 'power_draw'),
  ];
  return readings.find(({ kind }) => kind === 'value') ?? readings.find(({ kind }) => kind !== 'absent') ?? absent;
}
