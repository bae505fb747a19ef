import { GPU_UUID, normalizeBusId, type Gpu, type GpuProcessList } from '../../model/device.ts';
import type { Reading } from '../../model/reading.ts';
import { malformed } from './failure.ts';
import { readHealth } from './health.ts';
import { readMigDevices } from './mig.ts';
import { readProcesses, unknownList } from './process-list.ts';
import { anyOf, asCount, asFlag, asNumber, firstOf, isErrorText, isFault, readText } from './reading.ts';
import { readRecovery } from './recovery.ts';
import { quote, showName } from './text.ts';
import type { XmlElement, XmlNode } from './xml.ts';

/** What a `<gpu>` block describes: a GPU, or one that cannot be told which it is. */
export type GpuBlock =
  | { readonly certain: true; readonly busId: string; readonly gpu: Gpu }
  | { readonly certain: false; readonly busId: string | null; readonly why: string };

/** Where one of these cannot be read, neither can the process list be believed, however empty it looks. */
const OCCUPANCY = ['processes', 'fb_memory_usage', 'mig_mode', 'mig_devices', 'uuid'] as const;

/**
 * One `<gpu>` block; indices, MIG UUIDs and the proof of its process list come from elsewhere.
 * @throws {Refusal} where the block contradicts itself, or has not exactly one `<processes>`.
 */
export function readGpu(block: XmlNode): GpuBlock {
  if (typeof block === 'string') return malformed('a <gpu> block is empty');
  const lists = block['processes'];
  if (!Array.isArray(lists) || lists.length !== 1) malformed(`a <gpu> block has ${Array.isArray(lists) ? lists.length : 'no'} <processes>`);
  const busId = busIdOf(block);
  const uuid = readText(block, 'uuid');
  const why = uuid.kind === 'value' && !GPU_UUID.test(uuid.value) ? `"${quote(uuid.value)}" is no GPU UUID` : whyNot(uuid);
  if (busId === null) return { certain: false, busId, why: 'a <gpu> block names no PCI bus id' };
  if (why !== null || uuid.kind !== 'value') return { certain: false, busId, why: why ?? 'it has no UUID' };
  return { certain: true, busId, gpu: describeGpu(block, uuid.value, busId) };
}

function whyNot(uuid: Reading<string>): string | null {
  if (uuid.kind === 'error') return uuid.text;
  return uuid.kind === 'value' ? null : `its UUID is ${uuid.kind}`;
}

function busIdOf(block: XmlElement): string | null {
  // An error in place of one of them leaves the other; one that is broken contradicts it, as nobody knows what it was.
  const stated = [readText(block, '@id'), readText(block, 'pci', 'pci_bus_id')].flatMap((id) => (id.kind === 'value' ? [id.value] : id.kind === 'error' && !isErrorText(id.text) ? [id.text] : []));
  const ids = new Set(stated.map(normalizeBusId));
  if (ids.size > 1) malformed(`a <gpu> block names two PCI bus ids: ${quote(stated.join(' and '))}`);
  return [...ids][0] ?? null;
}

function describeGpu(block: XmlElement, uuid: string, pciBusId: string): Gpu {
  const text = (...path: readonly string[]) => readText(block, ...path);
  const flag = (...path: readonly string[]) => asFlag(text(...path));
  const number = (unit: string, ...path: readonly string[]) => asNumber(text(...path), unit);
  const name = block['product_name'];
  return {
    uuid,
    index: null,
    pciBusId,
    minorNumber: asCount(text('minor_number')),
    name: typeof name === 'string' ? showName(name) : '',
    migCurrent: flag('mig_mode', 'current_mig'),
    migPending: flag('mig_mode', 'pending_mig'),
    migDevices: readMigDevices(block),
    totalMiB: number('MiB', 'fb_memory_usage', 'total'),
    usedMiB: number('MiB', 'fb_memory_usage', 'used'),
    utilizationPercent: number('%', 'utilization', 'gpu_util'),
    displayActive: flag('display_active'),
    persistence: flag('persistence_mode'),
    computeMode: text('compute_mode'),
    eccCurrent: flag('ecc_mode', 'current_ecc'),
    eccPending: flag('ecc_mode', 'pending_ecc'),
    // 535 and later, then the older name.
    powerLimitW: firstOf(number('W', 'gpu_power_readings', 'current_power_limit'), number('W', 'power_readings', 'power_limit')),
    recovery: readRecovery(block),
    // A TPC repair waits for a reset as well (Xid 156 of NVIDIA's catalogue of 2025-10-29); of a channel repair it does not say so.
    repairPending: anyOf(flag('remapped_rows', 'remapped_row_pending'), flag('retired_pages', 'pending_retirement'), flag('ecc_errors', 'tpc_repair_pending')),
    remapFailed: flag('remapped_rows', 'remapped_row_failure'),
    temperatureC: number('C', 'temperature', 'gpu_temp'),
    health: readHealth(block),
    processes: believable(block),
    faults: faultsIn(block),
  };
}

/** The block's own list, unless the board is gone or what bears on occupancy could not be read. */
function believable(block: XmlElement): GpuProcessList {
  const fault = OCCUPANCY.flatMap((name) => faultsIn(block[name] ?? ''))[0] ?? faultsIn(block).find((text) => text === 'GPU is lost');
  if (fault !== undefined) return unknownList(`-q -x says "${fault}"`);
  const [processes = ''] = block['processes'] as readonly XmlNode[];
  return readProcesses(processes);
}

/** NVML error texts in an element, each once. Names of processes are chosen by users and are no faults. */
function faultsIn(node: XmlNode | readonly XmlNode[]): readonly string[] {
  if (typeof node === 'string') return isFault(node) ? [node] : [];
  const children = Array.isArray(node)
    ? (node as readonly XmlNode[])
    : Object.entries(node).filter(([name]) => name !== 'process_name').map(([, child]) => child as XmlNode);
  return [...new Set(children.flatMap(faultsIn))];
}
