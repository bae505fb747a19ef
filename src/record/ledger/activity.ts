import type { ActivitySample, IdleClock } from '../../model/activity.ts';
import { misread, read, type Reading, unsupported } from '../../model/reading.ts';
import type { LimitsLedger } from '../../passes/ports.ts';
import type { Store } from './store.ts';

type ActivityMethods = Pick<LimitsLedger, 'idleClocks' | 'recordActivity' | 'recordDeviceUse' | 'deviceUse'>;

/** The ledger's part about what containers and devices did. */
export function activityIn(store: Store): ActivityMethods {
  return { ...clocksIn(store), ...usesIn(store) };
}

function clocksIn(store: Store): Pick<ActivityMethods, 'idleClocks' | 'recordActivity'> {
  const clocks = store.prepare('SELECT * FROM idle_clocks ORDER BY container_id');
  const keep = store.prepare(`
    INSERT OR REPLACE INTO idle_clocks (container_id, started_at, boot_id, at, cpu_us, network_bytes, gpu_percent, samples, consecutive_idle, idle_ms, active_at)
    VALUES (:id, :started, :boot, :at, :cpu, :network, :gpu, :samples, :consecutive, :idle, :active)`);
  const drop = store.prepare(`
    DELETE FROM idle_clocks WHERE EXISTS (
      SELECT 1 FROM containers WHERE id = container_id AND (present = 0 OR containers.started_at IS NOT idle_clocks.started_at))`);
  const sampled = samplingIn(store);
  return {
    idleClocks: () => store.read(() => clocks.all().map(clockOf)),
    recordActivity: (samples, all) => store.write(() => {
      for (const sample of samples) sampled(sample);
      for (const clock of all) keep.run({ ...columnsOf(clock.last), id: clock.containerId, started: clock.startedAt, boot: clock.last.bootId, at: clock.last.at, samples: clock.samples, consecutive: clock.consecutiveIdle, idle: Math.round(clock.idleMs), active: clock.activeAt });
      drop.run();
    }),
  };
}

function samplingIn(store: Store): (sample: ActivitySample) => void {
  const find = store.prepare("SELECT number FROM runs WHERE container_id = :id AND ifnull(started_at, 'unknown') = ifnull(:started, 'unknown') AND boot_id = :boot");
  const begin = store.prepare('INSERT INTO runs (container_id, started_at, boot_id) VALUES (:id, :started, :boot)');
  const insert = store.prepare('INSERT OR REPLACE INTO samples (at, run, cpu_us, network_bytes, gpu_percent) VALUES (:at, :run, :cpu, :network, :gpu)');
  return (sample) => {
    const key = { id: sample.containerId, started: sample.startedAt, boot: sample.bootId };
    const run = Number(find.get(key)?.['number'] ?? begin.run(key).lastInsertRowid);
    insert.run({ ...columnsOf(sample), at: sample.at, run });
  };
}

function usesIn(store: Store): Pick<ActivityMethods, 'recordDeviceUse' | 'deviceUse'> {
  const name = store.prepare('INSERT INTO devices (gpu_uuid) VALUES (?) ON CONFLICT DO NOTHING');
  const insert = store.prepare('INSERT OR REPLACE INTO device_use (at, device, percent) SELECT ?, number, ? FROM devices WHERE gpu_uuid = ?');
  const since = store.prepare('SELECT gpu_uuid AS gpuUuid, at, percent AS utilizationPercent FROM device_use JOIN devices ON number = device WHERE at >= ? ORDER BY at, gpu_uuid');
  return {
    recordDeviceUse: (uses) => store.write(() => {
      for (const { gpuUuid, at, utilizationPercent } of uses) {
        name.run(gpuUuid);
        insert.run(at, utilizationPercent, gpuUuid);
      }
    }),
    deviceUse: (from) => store.read(() => since.all(from).map((row) => ({ ...row }) as unknown as ReturnType<LimitsLedger['deviceUse']>[number])),
  };
}

type Row = Readonly<Record<string, unknown>>;

function clockOf(row: Row): IdleClock {
  const [containerId, startedAt] = [String(row['container_id']), Number(row['started_at'])];
  const last: ActivitySample = {
    containerId, startedAt, at: Number(row['at']), bootId: String(row['boot_id']),
    cpuNs: readingOf(row['cpu_us'], 1000), networkBytes: readingOf(row['network_bytes']), gpuPercent: readingOf(row['gpu_percent']),
  };
  return { containerId, startedAt, last, samples: Number(row['samples']), consecutiveIdle: Number(row['consecutive_idle']), idleMs: Number(row['idle_ms']), activeAt: Number(row['active_at']) };
}

const FAILED = -1;

function columnsOf({ cpuNs, networkBytes, gpuPercent }: ActivitySample): { readonly cpu: number | null; readonly network: number | null; readonly gpu: number | null } {
  return { cpu: columnOf(cpuNs, 1000), network: columnOf(networkBytes), gpu: columnOf(gpuPercent) };
}

/** Rounded down, so that a counter never seems to have shrunk. */
function columnOf(reading: Reading<number>, unit = 1): number | null {
  if (reading.kind === 'value') return unit === 1 ? reading.value : Math.floor(reading.value / unit);
  return reading.kind === 'error' ? FAILED : null;
}

function readingOf(column: unknown, unit = 1): Reading<number> {
  if (column === null) return unsupported;
  return Number(column) === FAILED ? misread('it failed to be read') : read(Number(column) * unit);
}
