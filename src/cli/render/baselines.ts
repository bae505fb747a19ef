import { markedReadings } from '../../decide/health/marks.ts';
import type { Gpu } from '../../model/device.ts';
import { MARKED_READINGS } from '../../model/health.ts';
import type { History } from '../../model/history.ts';
import { known } from '../../model/reading.ts';
import { counted } from '../../model/text.ts';
import { isoTime } from '../../model/time.ts';
import { renderTable } from './text.ts';

/** What one device is compared with. A number that is null was not read, or nothing was learned of it yet. */
export interface DeviceBaselines {
  readonly uuid: string;
  readonly index: number | null;
  readonly bus_id: string | null;
  readonly readings: readonly {
    readonly reading: string;
    readonly baseline: number | null;
    readonly baseline_at: string | null;
    /** At the last pass that remembers. */
    readonly last: number | null;
    readonly last_at: string | null;
    readonly now: number | null;
  }[];
  readonly idle_memory: { readonly baseline_mib: number | null; readonly lowest_mib: number | null; readonly samples: number; readonly since: string | null; readonly driver: string | null };
}

/** Of every device that is there or that something was learned of. `only` null: all. */
export function baselinesOf(history: History, gpus: readonly Gpu[], only: ReadonlySet<string> | null): readonly DeviceBaselines[] {
  const learned = [...(history.health?.marks ?? []), ...(history.health?.memory ?? [])].map(({ gpuUuid }) => gpuUuid);
  const uuids = [...new Set([...gpus.map(({ uuid }) => uuid), ...learned])].filter((uuid) => only === null || only.has(uuid));
  return uuids.map((uuid) => deviceBaselines(uuid, gpus.find((gpu) => gpu.uuid === uuid) ?? null, history));
}

function deviceBaselines(uuid: string, gpu: Gpu | null, { health, baselines }: History): DeviceBaselines {
  const now = gpu === null ? null : markedReadings(gpu);
  const memory = health?.memory.find(({ gpuUuid }) => gpuUuid === uuid);
  return {
    uuid, index: gpu?.index ?? null, bus_id: gpu?.pciBusId ?? null,
    readings: MARKED_READINGS.map((reading) => {
      const mark = health?.marks.find((each) => each.gpuUuid === uuid && each.reading === reading);
      const current = now?.[reading];
      return {
        reading, baseline: mark?.baseline ?? null, baseline_at: timeOf(mark?.baselineAt), last: mark?.last ?? null, last_at: timeOf(mark?.lastAt),
        now: current === undefined ? null : known(current),
      };
    }),
    idle_memory: {
      baseline_mib: baselines.find(({ gpuUuid }) => gpuUuid === uuid)?.usedMiB ?? null,
      lowest_mib: memory?.lowestMiB ?? null, samples: memory?.samples ?? 0, since: timeOf(memory?.firstAt), driver: memory?.driver ?? null,
    },
  };
}

function timeOf(at: number | undefined): string | null {
  return at === undefined ? null : isoTime(at);
}

/** A table for people: a line for each reading that the device has or that something is known of. */
export function renderBaselines(devices: readonly DeviceBaselines[]): string {
  if (devices.length === 0) return 'Nothing was learned yet, and no device was seen.\n';
  const rows = devices.flatMap((device) => [...readingRows(device), memoryRow(device)]);
  return `${renderTable([['GPU', 'READING', 'BASELINE', 'LAST', 'NOW', 'LEARNED'], ...rows])}\n`;
}

function readingRows({ uuid, index, readings }: DeviceBaselines): readonly (readonly string[])[] {
  const told = readings.filter(({ baseline, now }) => baseline !== null || now !== null);
  return told.map(({ reading, baseline, last, now, baseline_at }) => [nameOf(index, uuid), reading, cell(baseline), cell(last), cell(now), baseline_at ?? 'not yet']);
}

function memoryRow({ uuid, index, idle_memory: { baseline_mib, lowest_mib, samples, since } }: DeviceBaselines): readonly string[] {
  const learned = samples === 0 ? 'not yet' : `${counted(samples, 'look')} since ${since ?? '?'}`;
  return [nameOf(index, uuid), 'memory.idle_mib', cell(baseline_mib), cell(lowest_mib), '-', learned];
}

function nameOf(index: number | null, uuid: string): string {
  return index === null ? uuid : String(index);
}

function cell(value: number | null): string {
  return value === null ? '-' : String(value);
}
