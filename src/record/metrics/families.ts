import type { NumericReading } from '../../model/health.ts';
import type { DeviceMetrics, LastPass, MetricsView } from '../../model/metrics.ts';

/** Labels in their order; a value is any text. */
export type Labels = Readonly<Record<string, string>>;

/** One number of a family. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** All numbers of one name. */
export interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** What is written: what a pass knows, and what the ledger knows of passes. */
export interface Numbers extends MetricsView {
  readonly version: string;
  readonly lastPasses: readonly LastPass[];
}

const STATES = ['complete', 'partial', 'failed'] as const;

/** Every family, those without a sample included, in the order in which they are written. Base units only. */
export function familiesOf(numbers: Numbers): readonly Family[] {
  return [...generalFamilies(numbers), ...ledgerFamilies(numbers.devices), ...readingFamilies(numbers.devices)];
}

function generalFamilies({ version, lastPasses, sources, conditions }: Numbers): readonly Family[] {
  const ofJobs = (valueOf: (pass: LastPass) => number | null): readonly Sample[] => lastPasses.flatMap((pass) => sample({ job: pass.job }, valueOf(pass)));
  return [
    gauge('gpuctl_build_info', 'Always 1; the version of gpuctl that wrote this.', [{ labels: { version }, value: 1 }]),
    gauge('gpuctl_pass_last_end_timestamp_seconds', 'When the last pass of this job ended.', ofJobs(({ endedAt }) => endedAt / 1000)),
    gauge('gpuctl_pass_last_exit_code', 'Exit code of the last pass of this job: 0 nothing to do or all done, 1 findings, 3 could not observe, 4 an act failed.', ofJobs(({ exit }) => exit)),
    gauge('gpuctl_pass_last_duration_seconds', 'How long the last pass of this job took.', ofJobs(({ durationMs }) => (durationMs === null ? null : durationMs / 1000))),
    gauge('gpuctl_source_state', 'What this source told the last pass: 1 for the state it is in, 0 for the others.', sources.flatMap(({ source, state }) => STATES.map((each) => ({ labels: { source, state: each }, value: each === state ? 1 : 0 })))),
    gauge('gpuctl_conditions_known', '1: open conditions are written below, none is none. 0: the ledger did not tell.', [{ labels: {}, value: conditions === null ? 0 : 1 }]),
    ...conditionFamilies(conditions ?? []),
  ];
}

/** By finding and device. Processes and containers come and go: they are counted, not named. */
function conditionFamilies(conditions: NonNullable<MetricsView['conditions']>): readonly Family[] {
  const groups = Map.groupBy(conditions, ({ id, severity, subject }) => JSON.stringify([id, severity, subject.gpu ?? '']));
  const samples = (valueOf: (group: readonly (typeof conditions)[number][]) => number): readonly Sample[] => [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [{ labels: { id: first.id, severity: first.severity, uuid: first.subject.gpu ?? '' }, value: valueOf(group) }];
  });
  return [
    gauge('gpuctl_conditions', 'Open conditions by finding, severity and device; an empty uuid is the host.', samples((group) => group.length)),
    gauge('gpuctl_condition_first_seen_timestamp_seconds', 'When the oldest of these open conditions was first seen.', samples((group) => Math.min(...group.map(({ firstSeenAt }) => firstSeenAt)) / 1000)),
  ];
}

function ledgerFamilies(devices: readonly DeviceMetrics[]): readonly Family[] {
  const of = (valueOf: (device: DeviceMetrics) => number | null): readonly Sample[] => devices.flatMap((device) => sample(labelsOf(device), valueOf(device)));
  return [
    gauge('gpuctl_gpu_info', 'Always 1; the product name of a GPU that was seen.', devices.flatMap((device) => (device.name === null ? [] : [{ labels: { ...labelsOf(device), name: device.name }, value: 1 }]))),
    gauge('gpuctl_gpu_processes', 'Processes that the driver lists on it; missing where the list is not known.', of(({ processes }) => processes)),
    gauge('gpuctl_gpu_allocations', 'Allocations that are not released.', of(({ allocations }) => allocations)),
    gauge('gpuctl_gpu_quarantined', '1: it was reset too often and is not reset again.', of(({ quarantined }) => Number(quarantined))),
    gauge('gpuctl_gpu_reset_wanted', '1: it should be reset and waits for a moment when nothing refers to it.', of(({ resetWanted }) => Number(resetWanted))),
    gauge('gpuctl_gpu_resets_last_day', 'Resets tried in the 24 hours before the pass.', of(({ resetsInDay }) => resetsInDay)),
    gauge('gpuctl_gpu_last_reset_timestamp_seconds', 'When it was last reset; missing where the ledger knows of no reset.', of(({ lastResetAt }) => (lastResetAt === null ? null : lastResetAt / 1000))),
  ];
}

/** One family for each reading that any device has. */
function readingFamilies(devices: readonly DeviceMetrics[]): readonly Family[] {
  const all = new Map<string, { readonly reading: NumericReading; readonly samples: Sample[] }>();
  for (const device of devices) {
    for (const reading of device.readings) {
      const family = all.get(reading.name) ?? { reading, samples: [] };
      all.set(reading.name, family);
      family.samples.push({ labels: labelsOf(device), value: reading.value * UNITS[reading.unit].factor });
    }
  }
  return [...all.values()].map(({ reading, samples }) => ({ ...shapeOf(reading), samples }));
}

/** From the driver's units to Prometheus's base units (https://prometheus.io/docs/practices/naming/, 2026-11). */
const UNITS: Readonly<Record<NumericReading['unit'], { readonly suffix: string; readonly factor: number }>> = {
  celsius: { suffix: '_celsius', factor: 1 },
  watts: { suffix: '_watts', factor: 1 },
  mib: { suffix: '_bytes', factor: 1_048_576 },
  percent: { suffix: '_ratio', factor: 0.01 },
  count: { suffix: '', factor: 1 },
  microseconds: { suffix: '_seconds', factor: 1e-6 },
};

function shapeOf({ name, unit, kind }: NumericReading): Omit<Family, 'samples'> {
  const metric = `gpuctl_gpu_${name.replaceAll('.', '_')}${UNITS[unit].suffix}${kind === 'counter' ? '_total' : ''}`;
  return { name: metric, type: kind, help: `${name.replaceAll(/[._]/g, ' ')}, as nvidia-smi tells it; missing where the board does not.` };
}

function labelsOf({ uuid, index, busId }: DeviceMetrics): Labels {
  return { uuid, index: index === null ? '' : String(index), bus_id: busId ?? '' };
}

function sample(labels: Labels, value: number | null): readonly Sample[] {
  return value === null ? [] : [{ labels, value }];
}

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: 'gauge', help, samples };
}
