import type { Gpu, GpuProcess } from '../../model/device.ts';
import { seen, type Gap, type Observed } from '../../model/observation.ts';
import type { ComputeApps } from './compute-apps.ts';
import { unknownList } from './process-list.ts';
import type { SmiDocument } from './smi-xml.ts';

const MOST_PIDS = 8;

/**
 * The GPUs, each with its process list only if the two readings of it agree: nvidia-smi prints an empty list in its XML
 * where reading the list failed, and says so in the compute list alone.
 */
export function proveProcesses(document: SmiDocument, apps: Observed<ComputeApps>): readonly Gpu[] {
  return document.gpus.map((gpu) => {
    if (gpu.processes.state === 'unknown') return gpu;
    const doubt = doubtAbout(gpu, document, apps);
    return doubt === null ? gpu : { ...gpu, processes: unknownList(doubt) };
  });
}

function doubtAbout(gpu: Gpu, document: SmiDocument, apps: Observed<ComputeApps>): string | null {
  if (apps.state === 'failed') return `--query-compute-apps failed: ${apps.why}`;
  const { unknown, unattributed, rows } = apps.value;
  const own = unknown.find(({ subject }) => subject === gpu.uuid);
  if (own !== undefined) return own.why;
  // A GPU that -q -x could not name has its row without a name here too; any further one may be this GPU's.
  const unexplained = unattributed[document.uncertain.length];
  if (unexplained !== undefined && !rows.some(({ gpuUuid }) => gpuUuid === gpu.uuid)) return unexplained;
  return contradiction(gpu, apps.value);
}

/** GPUs of which the two readings differ: processes began or ended between them, or one reading is wrong. */
export function disagree(document: SmiDocument, apps: Observed<ComputeApps>): boolean {
  const value = seen(apps);
  if (value === null) return false;
  const unreadable = new Set(value.unknown.map(({ subject }) => subject));
  return document.gpus.some((gpu) => !unreadable.has(gpu.uuid) && contradiction(gpu, value) !== null) || strangers(document, value).length > 0;
}

/** Processes on a GPU that the document does not describe. */
export function strangers(document: SmiDocument, apps: ComputeApps): readonly Gap[] {
  const described = new Set(document.gpus.map(({ uuid }) => uuid));
  const uuids = new Set(apps.rows.map(({ gpuUuid }) => gpuUuid).filter((uuid) => !described.has(uuid)));
  return [...uuids].map((subject) => ({ subject, why: '--query-compute-apps lists processes on it, -q -x does not describe it' }));
}

function contradiction(gpu: Gpu, apps: ComputeApps): string | null {
  if (gpu.processes.state === 'unknown') return null;
  const listed = new Set(apps.rows.filter(({ gpuUuid }) => gpuUuid === gpu.uuid).map(({ pid }) => pid));
  const compute = new Set(gpu.processes.processes.filter(isCompute).map(({ pid }) => pid));
  // A row of a type that this version does not know may stand in either list or in both.
  const open = new Set(gpu.processes.processes.filter(({ type }) => type === 'other').map(({ pid }) => pid));
  const agrees = [...compute].every((pid) => listed.has(pid)) && [...listed].every((pid) => compute.has(pid) || open.has(pid));
  return agrees ? null : `the process lists differ: -q -x has ${show(compute)}, --query-compute-apps has ${show(listed)}`;
}

function isCompute({ type }: GpuProcess): boolean {
  return type.includes('C');
}

function show(pids: ReadonlySet<number>): string {
  const sorted = [...pids].toSorted((a, b) => a - b);
  const rest = sorted.length - MOST_PIDS;
  return sorted.length === 0 ? 'none' : `${sorted.slice(0, MOST_PIDS).join(' ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
