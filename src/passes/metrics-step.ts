import { numericReadings } from '../model/health.ts';
import type { History } from '../model/history.ts';
import type { Gpu } from '../model/device.ts';
import type { DeviceMetrics, MetricsView } from '../model/metrics.ts';
import type { Pass } from './pass.ts';

const DAY_MS = 24 * 3_600_000;

/** Leaves the numbers of this pass for those who collect them. A place that cannot be written is an event, and no failure. */
export function shareMetrics(pass: Pass): void {
  const { metrics, sink } = pass.parts;
  try {
    metrics?.write({ sources: sourcesOf(pass), devices: devicesOf(pass), conditions: pass.conditions?.map(({ condition }) => condition) ?? null });
  } catch (error) {
    sink.emit({ action: 'notify.failed', message: `the metrics could not be written: ${error instanceof Error ? error.message : String(error)}`, outcome: 'failure', reason: 'metrics' });
  }
}

function sourcesOf({ latest }: Pass): MetricsView['sources'] {
  if (latest === null) return [];
  const { driver, engine, processes } = latest.snapshot;
  return [{ source: 'nvidia-smi', state: driver.state }, { source: 'engine', state: engine.state }, { source: 'processes', state: processes.state }];
}

/** As the ledger is after the pass. */
function devicesOf({ latest, parts }: Pass): readonly DeviceMetrics[] {
  const history = parts.ledger.history();
  const seen = latest?.gpus ?? [];
  const unseen = [...new Set([...history.quarantined, ...history.resetWants.map(({ gpuUuid }) => gpuUuid), ...history.allocations.map(({ gpuUuid }) => gpuUuid)])].filter((uuid) => !seen.some((gpu) => gpu.uuid === uuid));
  const now = parts.clock.now();
  return [...seen.map((gpu) => ({ ...seenOf(gpu), ...rememberedOf(gpu.uuid, history, now) })), ...unseen.map((uuid) => ({ uuid, index: null, busId: null, name: null, readings: [], processes: null, ...rememberedOf(uuid, history, now) }))];
}

function seenOf(gpu: Gpu): Pick<DeviceMetrics, 'uuid' | 'index' | 'busId' | 'name' | 'readings' | 'processes'> {
  return { uuid: gpu.uuid, index: gpu.index, busId: gpu.pciBusId, name: gpu.name, readings: numericReadings(gpu), processes: gpu.processes.state === 'known' ? gpu.processes.processes.length : null };
}

function rememberedOf(uuid: string, { allocations, quarantined, resetWants, resets }: History, now: number): Pick<DeviceMetrics, 'allocations' | 'quarantined' | 'resetWanted' | 'resetsInDay' | 'lastResetAt'> {
  const mine = resets.filter(({ gpuUuid }) => gpuUuid === uuid).map(({ at }) => at);
  return {
    allocations: allocations.filter((each) => each.gpuUuid === uuid && each.releasedAt === null).length,
    quarantined: quarantined.includes(uuid),
    resetWanted: resetWants.some(({ gpuUuid }) => gpuUuid === uuid),
    resetsInDay: mine.filter((at) => at <= now && now - at < DAY_MS).length,
    lastResetAt: mine.length === 0 ? null : Math.max(...mine),
  };
}
