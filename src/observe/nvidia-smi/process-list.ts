import type { GpuProcess, GpuProcessList, GpuProcessType } from '../../model/device.ts';
import { asCount, asNumber, readText } from './reading.ts';
import { quote, showName } from './text.ts';
import type { XmlElement, XmlNode } from './xml.ts';

const TYPES: ReadonlySet<string> = new Set<GpuProcessType>(['C', 'G', 'C+G', 'M+C', 'M+C+G']);

/** A process list of which nothing may be concluded, and why. */
export function unknownList(why: string): GpuProcessList {
  return { state: 'unknown', why };
}

/**
 * The rows of `<processes>` as the document has them. An empty list here proves nothing: nvidia-smi prints one too
 * where reading the list failed. One row that cannot be read makes the whole list unknown.
 */
export function readProcesses(processes: XmlNode): GpuProcessList {
  if (processes === '') return { state: 'known', processes: [] };
  if (typeof processes === 'string') return unknownList(`-q -x says "${quote(processes)}" in place of the process list`);
  const { process_info: rows, ...others } = processes;
  const [other] = Object.keys(others);
  if (other !== undefined || !Array.isArray(rows)) return unknownList(`the process list holds more than process rows: ${quote(other ?? '')}`);
  const read = (rows as readonly XmlNode[]).map(readRow);
  const bad = read.findIndex((row) => row === null);
  if (bad >= 0) return unknownList(`row ${bad + 1} of the process list has no pid`);
  return { state: 'known', processes: read.filter((row) => row !== null) };
}

function readRow(row: XmlNode): GpuProcess | null {
  const pid = asPid(asCount(readText(row, 'pid')));
  if (pid === null || typeof row === 'string') return null;
  const type = readText(row, 'type');
  const used = asNumber(readText(row, 'used_memory'), 'MiB');
  return {
    pid,
    type: type.kind === 'value' && TYPES.has(type.value) ? (type.value as GpuProcessType) : 'other',
    name: nameOf(row),
    usedMiB: used.kind === 'value' ? used.value : null,
    gpuInstanceId: asCount(readText(row, 'gpu_instance_id')),
    computeInstanceId: asCount(readText(row, 'compute_instance_id')),
  };
}

/** Not through `readText`: a process may well be called "N/A" or "GPU is lost". */
function nameOf(row: XmlElement): string {
  const name = row['process_name'];
  return typeof name === 'string' ? showName(name) : '';
}

/** Linux gives out pids from 1 to 2²² (PID_MAX_LIMIT). */
export function asPid(count: number | null): number | null {
  return count !== null && count >= 1 && count <= 4_194_304 ? count : null;
}
