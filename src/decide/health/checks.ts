import { known, type Reading } from '../../model/reading.ts';
import { belowBaseline, grewBy, aboveBaseline } from './deltas.ts';
import { type HealthFacts, thresholdOf } from './facts.ts';
import { ghostMemory } from './memory.ts';
import { flagged, found, judged, notSupported, ok, type Verdict, worst } from './verdict.ts';

export type Judge = (facts: HealthFacts) => Verdict;

/** Brands of boards that are made for data centres (NVML_BRAND_TESLA, and NVML_BRAND_NVIDIA since driver 460). */
const DATA_CENTRE: ReadonlySet<string> = new Set(['Tesla', 'NVIDIA']);

/** How each check judges a device, by its id. What it reads, its remedy and its source stand in the model. */
export const JUDGES: Readonly<Record<string, Judge>> = {
  'gpu.fault': ({ gpu: { faults } }) => (faults.length === 0 ? ok : found(`the driver reports: ${faults.join(', ')}`, { faults })),
  'gpu.recovery.reset': asks('reset'),
  'gpu.recovery.drain-and-reset': asks('drain-and-reset'),
  'gpu.recovery.reboot': asks('reboot'),
  'gpu.recovery.drain-p2p': asks('drain-p2p'),
  'gpu.recovery.imex-domain-reset': asks('imex-domain-reset'),
  'gpu.recovery.bus-reset': asks('bus-reset'),
  'gpu.recovery.system-reboot': asks('system-reboot'),
  'gpu.recovery.other': asks('other'),
  'gpu.row_remap.failed': ({ gpu }) => flagged(gpu.remapFailed, 'row remapping has failed: the board has no spare memory rows left'),
  'gpu.row_remap.pending': ({ gpu }) => flagged(gpu.health?.rowRemapPending ?? gpu.repairPending, 'a memory repair waits for a reset; running work is not affected'),
  'gpu.row_remap.uncorrectable': ({ gpu: { health }, rules }) => judged(health?.rowsRemappedUncorrectable, (rows) =>
    rows > thresholdOf('gpu.row_remap.uncorrectable', rules) ? found(`${rows} rows were remapped for uncorrectable errors`, { rows }) : ok),
  'gpu.ecc.uncorrectable': (facts) => aboveBaseline(facts, { id: 'gpu.ecc.uncorrectable', reading: 'ecc.volatile.dram.uncorrectable', value: facts.gpu.health?.eccVolatileDramUncorrectable, what: 'uncorrectable memory errors (DRAM)' }),
  'gpu.ecc.sram_uncorrectable': (facts) => aboveBaseline(facts, { id: 'gpu.ecc.sram_uncorrectable', reading: 'ecc.volatile.sram.uncorrectable', value: facts.gpu.health?.eccVolatileSramUncorrectable, what: 'uncorrectable errors in the chip (SRAM)' }),
  'gpu.ecc.sram_threshold': ({ gpu: { health } }) => flagged(health?.sramThresholdExceeded, 'the uncorrectable SRAM errors of its life exceed NVIDIA’s threshold'),
  'gpu.ecc.channel_repair_pending': ({ gpu: { health } }) => flagged(health?.channelRepairPending, 'a repair of a memory channel waits for a reset'),
  'gpu.ecc.tpc_repair_pending': ({ gpu: { health } }) => flagged(health?.tpcRepairPending, 'a repair of a processing cluster (TPC) waits for a reset'),
  'gpu.ecc.unrepairable_memory': ({ gpu: { health } }) => flagged(health?.unrepairableMemory, 'it has memory that cannot be repaired'),
  'gpu.ecc.corrected': (facts) => grewBy(facts, { id: 'gpu.ecc.corrected', reading: 'ecc.volatile.correctable', value: correctedOf(facts), what: 'corrected memory errors', scale: 1, hourly: true, unit: '' }),
  'gpu.retired_pages.limit': (facts) => retired(facts, (pages) => pages >= thresholdOf('gpu.retired_pages.limit', facts.rules)),
  'gpu.retired_pages.many': (facts) => retired(facts, (pages) => pages >= thresholdOf('gpu.retired_pages.many', facts.rules) && pages < thresholdOf('gpu.retired_pages.limit', facts.rules)),
  'gpu.retired_pages.pending': ({ gpu: { health } }) => flagged(health?.pageRetirementPending, 'the retirement of a memory page waits for a reset; running work is not affected'),
  'gpu.slowdown.thermal': (facts) => worst(
    flagged(facts.gpu.health?.hwThermalSlowdown, 'the hardware slows it down for heat'),
    grewBy(facts, { id: 'gpu.slowdown.thermal', reading: 'slowdown.thermal_us', value: facts.gpu.health?.hwThermalSlowdownUs, what: 'slowed down for heat', scale: 1000, hourly: false, unit: ' ms' }),
  ),
  'gpu.slowdown.power_brake': (facts) => worst(
    flagged(facts.gpu.health?.hwPowerBrake, 'the power brake of the chassis slows it down'),
    grewBy(facts, { id: 'gpu.slowdown.power_brake', reading: 'slowdown.power_brake_us', value: facts.gpu.health?.hwPowerBrakeUs, what: 'slowed down by the power brake of the chassis', scale: 1000, hourly: false, unit: ' ms' }),
  ),
  'gpu.slowdown.hw': slowdown,
  'gpu.temperature': temperature,
  'gpu.fabric': fabric,
  'gpu.pcie.width': (facts) => belowBaseline(facts, 'pcie.width', facts.gpu.health?.pcieWidth, (now, before) => `its PCIe link has ${now} lanes, and had ${before}`),
  'gpu.pcie.gen': (facts) => belowBaseline(facts, 'pcie.gen', facts.gpu.health?.pcieGen, (now, before) => `its PCIe link runs at generation ${now}, and ran at ${before}`),
  'gpu.pcie.replay': (facts) => grewBy(facts, { id: 'gpu.pcie.replay', reading: 'pcie.replays', value: facts.gpu.health?.pcieReplays, what: 'replays on its PCIe link', scale: 1, hourly: false, unit: '' }),
  'gpu.ghost_memory': ghostMemory,
  'gpu.mig.pending': ({ gpu }) => pending('MIG mode', gpu.migCurrent, gpu.migPending),
  'gpu.ecc.pending': ({ gpu }) => pending('ECC mode', gpu.eccCurrent, gpu.eccPending),
  'gpu.persistence.off': ({ gpu }) => judged(gpu.health?.brand, (brand) => (DATA_CENTRE.has(brand)
    ? judged(gpu.persistence, (on) => (on ? ok : found('persistence mode is off: the driver lets go of the board whenever nobody uses it, and its counters begin again')))
    : notSupported)),
  'gpu.processes.unknown': ({ gpu: { processes } }) => (processes.state === 'known' ? ok : found(`its process list is not known: ${processes.why}`, { why: processes.why })),
};

/** Each recovery action is a check of its own, so that its remedy is the right one and it can be switched off alone. */
function asks(action: string): Judge {
  const message = action === 'other' ? 'the driver asks for a recovery action that this version does not know' : `the driver asks for the recovery action ${action}`;
  return ({ gpu }) => judged(gpu.recovery, (asked) => (asked === action ? found(message, { recovery: asked }) : ok));
}

/** DRAM and SRAM together, as far as each is counted. */
export function correctedOf({ gpu: { health } }: Pick<HealthFacts, 'gpu'>): Reading<number> | undefined {
  if (health === undefined) return undefined;
  const [dram, sram] = [health.eccVolatileDramCorrectable, health.eccVolatileSramCorrectable];
  if (dram.kind !== 'value') return dram.kind === 'error' ? dram : sram;
  return sram.kind === 'value' ? { kind: 'value', value: dram.value + sram.value } : sram.kind === 'error' ? sram : dram;
}

function retired({ gpu: { health } }: HealthFacts, tooMany: (pages: number) => boolean): Verdict {
  return judged(health?.pagesRetiredSingleBit, (single) => judged(health?.pagesRetiredDoubleBit, (double) =>
    tooMany(single + double) ? found(`${single + double} memory pages are retired, ${double} of them for uncorrectable errors`, { single, double }) : ok));
}

/** Neither heat nor the power brake explains it. */
function slowdown({ gpu: { health } }: HealthFacts): Verdict {
  if (health === undefined) return notSupported;
  const explained = [health.hwThermalSlowdown, health.hwPowerBrake].some((each) => known(each) === true);
  return judged(health.hwSlowdown, (slow) => (slow && !explained ? found('the hardware holds its clocks down') : ok));
}

/** By the margin to the slow-down where the board tells it, else by its own slow-down temperature. */
function temperature({ gpu, rules }: HealthFacts): Verdict {
  const { health, temperatureC } = gpu;
  if (health === undefined) return notSupported;
  const margin = health.thermalMarginC.kind === 'value' ? health.thermalMarginC : null;
  const [from, to] = margin === null ? [temperatureC, health.slowdownC] : [health.slowdownMarginC, margin];
  return judged(to, (upper) => judged(from, (lower) => {
    const leftC = upper - lower;
    if (leftC > thresholdOf('gpu.temperature', rules)) return ok;
    const at = known(temperatureC);
    return found(`it is ${at === null ? '' : `at ${at} °C, `}${leftC <= 0 ? 'so hot that' : `${leftC} °C below where`} the hardware slows down`, { temperatureC: at, leftC });
  }));
}

/** Boards without NVSwitch say N/A. */
function fabric({ gpu: { health } }: HealthFacts): Verdict {
  if (health === undefined) return notSupported;
  const status = known(health.fabricStatus);
  return judged(health.fabricState, (state) => {
    if (state === 'Completed' && (status === null || status === 'Success')) return ok;
    return found(`its registration with the NVLink fabric is ${state}${status === null ? '' : `, status ${status}`}`, { state, status });
  });
}

function pending(what: string, current: Reading<boolean>, next: Reading<boolean>): Verdict {
  return judged(current, (now) => judged(next, (then) => (now === then ? ok : found(`${what} is ${now ? 'on' : 'off'} and becomes ${then ? 'on' : 'off'} at the next reset`))));
}
