import { faultOf, listedProcesses, mainVersion, usedMiB } from './smi-device.ts';
import { NVML, type Answer } from './smi-texts.ts';
import { RESERVED_MIB } from './smi-xml.ts';
import type { World, WorldGpu, WorldProcess } from './world.ts';

/** The words after `--format=`. */
export interface CsvFormat { readonly header: boolean; readonly units: boolean }

interface Column<T> { readonly header: string; readonly unit?: string; readonly value: (row: T) => string | number | null }

const UNSUPPORTED = '[N/A]';
const onOff = (on: boolean): string => (on ? 'Enabled' : 'Disabled');
const migMode = ({ architecture }: WorldGpu, on: boolean): string | null =>
  architecture === 'Ampere' || architecture === 'Hopper' ? onOff(on) : null;

function gpuColumns(world: World): Record<string, Column<WorldGpu>> {
  const bus: Column<WorldGpu> = { header: 'pci.bus_id', value: (gpu) => gpu.busId };
  const name: Column<WorldGpu> = { header: 'name', value: (gpu) => gpu.name };
  const uuid: Column<WorldGpu> = { header: 'uuid', value: (gpu) => gpu.uuid };
  const reserved = mainVersion(world) >= 510 ? RESERVED_MIB : 0;
  return {
    'index': { header: 'index', value: (gpu) => gpu.index },
    'uuid': uuid, 'gpu_uuid': uuid, 'name': name, 'gpu_name': name, 'pci.bus_id': bus, 'gpu_bus_id': bus,
    'count': { header: 'count', value: () => world.attached ?? world.gpus.length },
    'driver_version': { header: 'driver_version', value: () => world.driver },
    'timestamp': { header: 'timestamp', value: () => stamp(new Date()) },
    'memory.total': { header: 'memory.total', unit: 'MiB', value: (gpu) => gpu.totalMiB },
    'memory.reserved': { header: 'memory.reserved', unit: 'MiB', value: () => reserved },
    'memory.used': { header: 'memory.used', unit: 'MiB', value: usedMiB },
    'memory.free': { header: 'memory.free', unit: 'MiB', value: (gpu) => gpu.totalMiB - reserved - usedMiB(gpu) },
    'utilization.gpu': { header: 'utilization.gpu', unit: '%', value: (gpu) => (gpu.mig === null ? gpu.utilization : null) },
    'utilization.memory': { header: 'utilization.memory', unit: '%', value: (gpu) => (gpu.mig === null ? Math.floor(gpu.utilization / 6) : null) },
    'temperature.gpu': { header: 'temperature.gpu', value: (gpu) => gpu.temperatureC },
    'persistence_mode': { header: 'persistence_mode', value: (gpu) => onOff(gpu.persistence) },
    'compute_mode': { header: 'compute_mode', value: (gpu) => gpu.computeMode },
    'display_active': { header: 'display_active', value: (gpu) => onOff(gpu.display !== 'none') },
    'power.limit': { header: 'power.limit', unit: 'W', value: (gpu) => gpu.powerLimitW.toFixed(2) },
    'mig.mode.current': { header: 'mig.mode.current', value: (gpu) => migMode(gpu, gpu.mig !== null) },
    'mig.mode.pending': { header: 'mig.mode.pending', value: (gpu) => migMode(gpu, gpu.migPending ?? gpu.mig !== null) },
    ...(mainVersion(world) >= 565 && { 'gpu_recovery_action': { header: 'gpu_recovery_action', value: (gpu: WorldGpu) => gpu.recovery } }),
  };
}

interface App { readonly gpu: WorldGpu; readonly process: WorldProcess | null; readonly error: string | null }

function appColumns(): Record<string, Column<App>> {
  const ofProcess = (value: (process: WorldProcess) => string | number | null) => (app: App): string | number | null =>
    app.process === null ? app.error : value(app.process);
  const name: Column<App> = { header: 'process_name', value: ofProcess((process) => (process.ghost === true ? '[Not Found]' : process.name.replaceAll(',', '?'))) };
  const memory: Column<App> = { header: 'used_gpu_memory', unit: 'MiB', value: ofProcess((process) => process.usedMiB) };
  return {
    'timestamp': { header: 'timestamp', value: () => stamp(new Date()) },
    'gpu_name': { header: 'gpu_name', value: ({ gpu }) => gpu.name },
    'gpu_bus_id': { header: 'gpu_bus_id', value: ({ gpu }) => gpu.busId },
    'gpu_uuid': { header: 'gpu_uuid', value: ({ gpu }) => gpu.uuid },
    'pid': { header: 'pid', value: ofProcess((process) => process.pid) },
    'process_name': name, 'name': name, 'used_gpu_memory': memory, 'used_memory': memory,
  };
}

/** `2026/07/14 09:00:44.742` */
function stamp(now: Date): string {
  return now.toISOString().replaceAll('-', '/').replace('T', ' ').replace('Z', '');
}

/** `--query-gpu=…`. A GPU whose every property fails answers each field with the error. */
export function renderGpuQuery(world: World, gpus: readonly WorldGpu[], fields: readonly string[], format: CsvFormat): Answer {
  return renderTable({ rows: gpus, columns: gpuColumns(world), fields, format, errorOf: (gpu) => propertyError(world, gpu) });
}

function propertyError(world: World, gpu: WorldGpu): string | null {
  const sick = faultOf(world, 'sick-gpu', gpu);
  return sick?.style === 'property' ? `[${NVML[sick.error].value}]` : null;
}

/** `--query-compute-apps=…`: compute processes only; under MIG with the parent's UUID. A list that cannot be read is one row of errors. */
export function renderComputeApps(world: World, gpus: readonly WorldGpu[], fields: readonly string[], format: CsvFormat): Answer {
  const rows = gpus.flatMap((gpu) => appsOf(world, gpu));
  return renderTable({ rows, columns: appColumns(), fields, format, errorOf: ({ gpu }) => propertyError(world, gpu) });
}

function appsOf(world: World, gpu: WorldGpu): App[] {
  const error = appsError(world, gpu);
  if (error !== null) return [{ gpu, process: null, error }];
  if (faultOf(world, 'disagree', gpu)?.hideFrom === 'compute-apps') return [];
  return listedProcesses(gpu).filter((process) => process.type.includes('C')).map((process) => ({ gpu, process, error: null }));
}

function appsError(world: World, gpu: WorldGpu): string | null {
  const failed = faultOf(world, 'swallow-processes', gpu) ?? faultOf(world, 'compute-apps-error', gpu);
  if (failed !== undefined) return `[${failed.error}]`;
  const sick = faultOf(world, 'sick-gpu', gpu);
  if (sick !== undefined) return `[${NVML[sick.error].value}]`;
  return faultOf(world, 'process-list-unsupported', gpu) === undefined ? null : UNSUPPORTED;
}

interface Table<T> {
  readonly rows: readonly T[];
  readonly columns: Record<string, Column<T>>;
  readonly fields: readonly string[];
  readonly format: CsvFormat;
  readonly errorOf: (row: T) => string | null;
}

function renderTable<T>({ rows, columns, fields, format, errorOf }: Table<T>): Answer {
  const chosen: Column<T>[] = [];
  for (const field of fields) {
    const column = columns[field];
    if (column === undefined) return { text: `Field "${field}" is not a valid field to query.\n\n`, exitCode: 2 };
    chosen.push(column);
  }
  const head = chosen.map(({ header, unit }) => (unit === undefined ? header : `${header} [${unit}]`)).join(', ');
  const lines = rows.map((row) => chosen.map((column) => errorOf(row) ?? cell(column, row, format)).join(', '));
  return { text: [...(format.header ? [head] : []), ...lines].map((line) => `${line}\n`).join(''), exitCode: 0 };
}

function cell<T>(column: Column<T>, row: T, format: CsvFormat): string {
  const value = column.value(row);
  if (value === null) return UNSUPPORTED;
  const isError = typeof value === 'string' && value.startsWith('[');
  return column.unit !== undefined && format.units && !isError ? `${value} ${column.unit}` : String(value);
}

/** `nvidia-smi -L`; MIG devices under their parent, in R460's spelling before 470. */
export function renderList(world: World, gpus: readonly WorldGpu[]): Answer {
  if (gpus.length === 0) return { text: 'No devices found.\n', exitCode: 0 };
  const isOld = mainVersion(world) < 470;
  const lines = gpus.flatMap((gpu) => [
    `GPU ${gpu.index}: ${gpu.name} (UUID: ${gpu.uuid})\n`,
    ...(gpu.mig ?? []).map((mig, n) =>
      isOld
        ? `  MIG ${mig.profile} Device ${n}: (UUID: MIG-${gpu.uuid}/${mig.gi}/${mig.ci})\n`
        : `  MIG ${mig.profile.padEnd(12)}Device ${String(n).padStart(2)}: (UUID: ${mig.uuid})\n`,
    ),
  ]);
  return { text: lines.join(''), exitCode: 0 };
}
