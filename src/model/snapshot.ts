import type { EngineAnswer, EngineView } from './container.ts';
import type { DriverView, ListedProcess } from './device.ts';
import type { KernelView } from './lost.ts';
import type { KernelLogView } from './kernel-log.ts';
import type { Observed } from './observation.ts';
import type { HostProcess, ProcessView, Shim } from './process.ts';

/** Everything that was seen of the host in one go. Plain JSON: it can be kept and replayed. */
export interface Snapshot {
  readonly host: string;
  /** When the last source was read to its end, milliseconds since 1970 UTC. */
  readonly takenAt: number;
  /** When it was begun to ask who holds and who claims devices: what has come since may be missing. Absent: at `takenAt`. */
  readonly holdersAt?: number;
  readonly driver: Observed<DriverView>;
  readonly processes: Observed<ProcessView>;
  readonly engine: Observed<EngineView>;
  /** What the driver wrote to the kernel log since it was read last. Absent: it was not asked, which a pass that judges no health does not. */
  readonly kernelLog?: Observed<KernelLogView>;
  /** What the kernel says of the GPUs without nvidia-smi. Absent: it was not asked. */
  readonly kernel?: KernelView;
}

/** All that the question "whose process is this?" needs, for a few pids at one moment: the second look, and the last one before a signal. */
export interface ProcessLook {
  readonly takenAt: number;
  readonly bootId: string | null;
  readonly ownPids: readonly number[];
  /** The driver's compute list now. */
  readonly listed: Observed<readonly ListedProcess[]>;
  readonly processes: readonly HostProcess[];
  readonly shims: Observed<readonly Shim[]>;
  readonly engine: Observed<EngineIdentity>;
  readonly answers: readonly EngineAnswer[];
}

export interface EngineIdentity {
  readonly kind: 'docker' | 'podman';
  readonly engineId: string | null;
}
