import { describe, expect, it } from 'vitest';
import type { Gpu } from '../../../../src/model/device.ts';
import { type HealthReadings, numericReadings } from '../../../../src/model/health.ts';
import { absent, misread, read, type Reading, unsupported } from '../../../../src/model/reading.ts';
import { parseSmiXml } from '../../../../src/observe/nvidia-smi/smi-xml.ts';
import { DRIVERS, fixture, type Driver } from './captures.ts';

/** Stands before <processes> of the first GPU, so that a group of a driver's fixture can be another one. */
function gpuWith(driver: Driver, groups: Readonly<Record<string, string | null>>): Gpu {
  const [first = '', ...rest] = fixture(driver, 'qx.xml').split('</gpu>');
  const edited = Object.entries(groups).reduce((text, [name, content]) => {
    const bare = text.replace(new RegExp(`<${name}>[^]*?</${name}>`), '');
    return content === null ? bare : bare.replace('<processes>', `<${name}>${content}</${name}><processes>`);
  }, first);
  const document = parseSmiXml([edited, ...rest].join('</gpu>'), 0);
  const gpu = document.state === 'failed' ? undefined : document.value.gpus[0];
  if (gpu === undefined) throw new Error(JSON.stringify(document));
  return gpu;
}

function healthWith(driver: Driver, groups: Readonly<Record<string, string | null>>): HealthReadings {
  const { health } = gpuWith(driver, groups);
  if (health === undefined) throw new Error('no health');
  return health;
}

const ecc = (volatile: string, more = ''): string => `<volatile>${volatile}</volatile><aggregate></aggregate>${more}`;
const old = (total: string, memory: string): string => `<device_memory>${memory}</device_memory><register_file>0</register_file><total>${total}</total>`;

describe('the fixture of a driver', () => {
  it.each(DRIVERS)('%s tells of every GPU its numbers, each a finite one', (driver) => {
    const document = parseSmiXml(fixture(driver, 'qx.xml'), 0);
    const gpus = document.state === 'failed' ? [] : document.value.gpus;
    expect(gpus.length).toBeGreaterThan(0);
    for (const gpu of gpus) {
      const numbers = numericReadings(gpu);
      expect(numbers.map(({ name }) => name)).toEqual(expect.arrayContaining(['temperature', 'power', 'memory.total']));
      expect(numbers.every(({ value }) => Number.isFinite(value))).toBe(true);
    }
  });
});

describe('ECC errors', () => {
  it('of Turing and later are counted by memory', () => {
    expect(healthWith('470', { ecc_errors: ecc('<sram_correctable>1</sram_correctable><sram_uncorrectable>2</sram_uncorrectable><dram_correctable>3</dram_correctable><dram_uncorrectable>4</dram_uncorrectable>') }))
      .toMatchObject({ eccVolatileSramCorrectable: read(1), eccVolatileSramUncorrectable: read(2), eccVolatileDramCorrectable: read(3), eccVolatileDramUncorrectable: read(4), eccAggregateDramUncorrectable: absent });
  });

  it('of SRAM may be told apart by how they were found', () => {
    const sram = (parity: string, secded: string): Reading<number> => healthWith('550', { ecc_errors: ecc(`<sram_uncorrectable_parity>${parity}</sram_uncorrectable_parity><sram_uncorrectable_secded>${secded}</sram_uncorrectable_secded>`) }).eccVolatileSramUncorrectable;
    expect(sram('2', '3')).toEqual(read(5));
    expect(sram('N/A', '3')).toEqual(unsupported);
    expect(sram('2', 'GPU is lost')).toEqual(misread('GPU is lost'));
  });

  it('of earlier boards are counted by bits and by place', () => {
    expect(healthWith('470', { ecc_errors: ecc(`<single_bit>${old('9', '7')}</single_bit><double_bit>${old('3', '1')}</double_bit>`) }))
      .toMatchObject({ eccVolatileDramCorrectable: read(7), eccVolatileSramCorrectable: read(2), eccVolatileDramUncorrectable: read(1), eccVolatileSramUncorrectable: read(2) });
  });

  it.each(['-1', '1.5', '1e3', '0x10', '12 errors', '9'.repeat(20)])('that read %j are no count', (text) => {
    expect(healthWith('470', { ecc_errors: ecc(`<dram_uncorrectable>${text}</dram_uncorrectable>`) }).eccVolatileDramUncorrectable.kind).toBe('error');
  });

  it('of a board without ECC are absent or unsupported, never 0', () => {
    expect(healthWith('470', { ecc_errors: null }).eccVolatileDramUncorrectable).toEqual(absent);
    expect(healthWith('470', { ecc_errors: 'N/A' }).eccVolatileDramUncorrectable).toEqual(unsupported);
  });

  it('come with the repairs that wait from 580 on', () => {
    const more = '<channel_repair_pending>Yes</channel_repair_pending><tpc_repair_pending>No</tpc_repair_pending><unrepairable_memory>Yes</unrepairable_memory>';
    expect(healthWith('590', { ecc_errors: `<aggregate><sram_threshold_exceeded>Yes</sram_threshold_exceeded></aggregate>${more}` }))
      .toMatchObject({ sramThresholdExceeded: read(true), channelRepairPending: read(true), tpcRepairPending: read(false), unrepairableMemory: read(true) });
  });
});

describe('a repair that waits for a reset', () => {
  const none = { remapped_rows: 'N/A', retired_pages: 'N/A', ecc_errors: 'N/A' };

  it.each<[string, Readonly<Record<string, string>>, boolean]>([
    ['of a row', { remapped_rows: '<remapped_row_pending>Yes</remapped_row_pending>' }, true],
    ['of a page', { retired_pages: '<pending_retirement>Yes</pending_retirement>' }, true],
    ['of a processing cluster', { ecc_errors: '<tpc_repair_pending>Yes</tpc_repair_pending>' }, true],
    ['of a memory channel', { ecc_errors: '<channel_repair_pending>Yes</channel_repair_pending><tpc_repair_pending>No</tpc_repair_pending>' }, false],
  ])('%s calls for one by itself: %j %s', (_, group, wanted) => {
    expect(gpuWith('590', { ...none, ...group }).repairPending).toEqual(read(wanted));
  });
});

describe('what holds the clocks down', () => {
  it('has two names, by driver', () => {
    expect(healthWith('470', { clocks_throttle_reasons: '<clocks_throttle_reason_hw_thermal_slowdown>Active</clocks_throttle_reason_hw_thermal_slowdown>' }).hwThermalSlowdown).toEqual(read(true));
    expect(healthWith('590', { clocks_event_reasons: '<clocks_event_reason_hw_power_brake_slowdown>Not Active</clocks_event_reason_hw_power_brake_slowdown>' }).hwPowerBrake).toEqual(read(false));
  });

  it('may be a bare text, and is then what that text says', () => {
    expect(healthWith('590', { clocks_event_reasons: 'N/A' }).hwSlowdown).toEqual(unsupported);
    expect(healthWith('590', { clocks_event_reasons: 'GPU requires reset' }).hwSlowdown).toEqual(misread('GPU requires reset'));
    expect(healthWith('590', { clocks_event_reasons: '<clocks_event_reason_hw_slowdown>Perhaps</clocks_event_reason_hw_slowdown>' }).hwSlowdown).toEqual(misread('Perhaps'));
  });

  it('is counted in microseconds, and in nothing else', () => {
    const counter = (text: string): Reading<number> => healthWith('590', { clocks_event_reasons_counters: `<clocks_event_reasons_counters_hw_therm_slowdown>${text}</clocks_event_reasons_counters_hw_therm_slowdown>` }).hwThermalSlowdownUs;
    expect(counter('7015662857 us')).toEqual(read(7_015_662_857));
    expect(counter('N/A')).toEqual(unsupported);
    expect(counter('7 ms').kind).toBe('error');
    expect(counter('7').kind).toBe('error');
  });
});

describe('the thermal margin', () => {
  const temperature = (tlimit: string, slow: string): HealthReadings => healthWith('590', { temperature: `<gpu_temp>33 C</gpu_temp><gpu_temp_tlimit>${tlimit}</gpu_temp_tlimit><gpu_temp_slow_tlimit_threshold>${slow}</gpu_temp_slow_tlimit_threshold>` });

  it('counts beside its threshold', () => {
    expect(temperature('54 C', '-2 C')).toMatchObject({ thermalMarginC: read(54), slowdownMarginC: read(-2) });
  });

  it('is not believed without one: a board that does not answer prints 0', () => {
    expect(temperature('0 C', 'N/A').thermalMarginC).toEqual(unsupported);
    expect(temperature('0 C', 'GPU is lost').thermalMarginC).toEqual(misread('GPU is lost'));
  });
});

describe('the PCIe link', () => {
  const pci = (width: string, gen: string): HealthReadings => {
    const [before = '', after = ''] = /<pci>([^]*?)<pci_gpu_link_info>[^]*<\/pci_gpu_link_info>([^]*?)<\/pci>/.exec(fixture('590', 'qx.xml').split('</gpu>')[0] ?? '')?.slice(1) ?? [];
    return healthWith('590', { pci: `${before}<pci_gpu_link_info><pcie_gen><current_link_gen>${gen}</current_link_gen></pcie_gen><link_widths><current_link_width>${width}</current_link_width></link_widths></pci_gpu_link_info>${after}` });
  };

  it.each<[string, Reading<number>]>([['8x', read(8)], ['16x', read(16)], ['N/A', unsupported], ['x16', misread('x16')], ['16', misread('16')]])('is %s wide', (text, reading) => {
    expect(pci(text, '4').pcieWidth).toEqual(reading);
  });

  it('has a generation', () => {
    expect(pci('16x', '5').pcieGen).toEqual(read(5));
  });
});

it('the power draw is the reading that has a value, whatever it is called', () => {
  const power = (content: string): Reading<number> => healthWith('570', { gpu_power_readings: content }).powerW;
  expect(power('<average_power_draw>N/A</average_power_draw><instant_power_draw>49.68 W</instant_power_draw>')).toEqual(read(49.68));
  expect(power('<average_power_draw>618.35 W</average_power_draw><instant_power_draw>N/A</instant_power_draw>')).toEqual(read(618.35));
  expect(power('<power_draw>67.03 W</power_draw>')).toEqual(read(67.03));
  expect(power('<average_power_draw>N/A</average_power_draw>')).toEqual(unsupported);
});

it('a number that the driver did not give is not among the numbers', () => {
  const names = numericReadings(gpuWith('470', { ecc_errors: 'N/A', temperature: '<gpu_temp>Unknown Error</gpu_temp>' })).map(({ name }) => name);
  expect(names.filter((name) => name.startsWith('ecc.') || name.startsWith('temperature'))).toEqual([]);
});
