import type { HealthReadings } from './health.ts';
import type { Reading } from './reading.ts';

/** `gpu_recovery_action` (drivers ≥ 570), or what `gpu_reset_status` of 535–565 says in its terms. `other`: a text that this version does not know; it is unhealthy. */
export type RecoveryAction = 'none' | 'reset' | 'reboot' | 'drain-p2p' | 'drain-and-reset' | 'imex-domain-reset' | 'bus-reset' | 'system-reboot' | 'other';

/** Driver's type column: C compute, G graphics, M a client of MPS. */
export type GpuProcessType = 'C' | 'G' | 'C+G' | 'M+C' | 'M+C+G' | 'other';

/** One row of a device's process list. */
export interface GpuProcess {
  readonly pid: number;
  readonly type: GpuProcessType;
  /** User-controlled text; control characters already replaced. For showing only, never for deciding who somebody is. */
  readonly name: string;
  /** Null: not known (N/A, or an error text). */
  readonly usedMiB: number | null;
  readonly gpuInstanceId: number | null;
  readonly computeInstanceId: number | null;
}

/** *Unknown* whenever the list could have been cut, swallowed or contradicted: it never means "empty". */
export type GpuProcessList =
  | { readonly state: 'known'; readonly processes: readonly GpuProcess[] }
  | { readonly state: 'unknown'; readonly why: string };

/** A compute instance as CUDA sees it. */
export interface MigDevice {
  /** `MIG-…`; null where `nvidia-smi -L` did not name it. */
  readonly uuid: string | null;
  /** The n in `-L`'s "Device n"; with the GPU's index it makes the `0:1` form. */
  readonly index: number;
  /** As `-L` prints it (`1g.10gb`); null when unknown. */
  readonly profile: string | null;
  readonly gpuInstanceId: number | null;
  readonly computeInstanceId: number | null;
  readonly totalMiB: Reading<number>;
  readonly usedMiB: Reading<number>;
}

/** One GPU that nvidia-smi described and whose UUID and bus id are certain. */
export interface Gpu {
  /** `GPU-` and 36 hex-and-dash characters. */
  readonly uuid: string;
  /** As `--query-gpu=index` numbers it, which is what `--gpus` and CUDA's numbers mean. Null: unknown. */
  readonly index: number | null;
  /** Eight-digit domain, lower case: `00000000:3b:00.0`. */
  readonly pciBusId: string;
  /** The n of /dev/nvidia<n>. Null: unknown. */
  readonly minorNumber: number | null;
  readonly name: string;
  readonly migCurrent: Reading<boolean>;
  readonly migPending: Reading<boolean>;
  readonly migDevices: readonly MigDevice[];
  readonly totalMiB: Reading<number>;
  readonly usedMiB: Reading<number>;
  readonly utilizationPercent: Reading<number>;
  readonly displayActive: Reading<boolean>;
  readonly persistence: Reading<boolean>;
  readonly computeMode: Reading<string>;
  readonly eccCurrent: Reading<boolean>;
  readonly eccPending: Reading<boolean>;
  readonly powerLimitW: Reading<number>;
  readonly recovery: Reading<RecoveryAction>;
  /** Row remapping or page retirement that waits for a reset. */
  readonly repairPending: Reading<boolean>;
  readonly remapFailed: Reading<boolean>;
  readonly temperatureC: Reading<number>;
  /** Absent: whoever made this GPU up says nothing of it, which is not the same as healthy. */
  readonly health?: HealthReadings;
  readonly processes: GpuProcessList;
  /** NVML error texts found anywhere in this GPU's block, each once. */
  readonly faults: readonly string[];
}

/** What nvidia-smi says of the whole host. */
export interface DriverView {
  readonly driverVersion: string | null;
  /** `attached_gpus`; null where the document has none, and then nobody knows whether these are all. */
  readonly attachedGpus: number | null;
  readonly gpus: readonly Gpu[];
}

/** One (device, process) pair of the driver's compute list. */
export interface ListedProcess {
  readonly gpuUuid: string;
  readonly pid: number;
}

export const GPU_UUID = /^GPU-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** R470 and later, or R460's `MIG-GPU-<parent>/<gpu instance>/<compute instance>`. */
export const MIG_UUID =
  /^MIG-(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|GPU-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\/\d+\/\d+)$/;

/**
 * A PCI bus id in the one form used inside gpuctl, from any form in the wild (`0000:3B:00.0`, `00000000:3b:00.0`,
 * `3b:00.0`). Null: not a bus id.
 */
export function normalizeBusId(text: string): string | null {
  const match = /^(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])$/i.exec(text.trim());
  if (match === null) return null;
  const [, domain = '0', bus = '', device = '', fn = ''] = match;
  return `${domain.padStart(8, '0')}:${bus.padStart(2, '0')}:${device.padStart(2, '0')}.${fn}`.toLowerCase();
}
