/** What makes a process the same process: a pid alone is re-used. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks between boot and the process's start. */
  readonly startTicks: number;
  readonly bootId: string;
}

/** A process as /proc shows it. *Unreadable*: it may exist (hidden by hidepid, no permission): nothing is known. */
export type HostProcess =
  | PresentProcess
  | { readonly state: 'absent'; readonly pid: number }
  | { readonly state: 'unreadable'; readonly pid: number; readonly why: string };

export interface PresentProcess {
  readonly state: 'present';
  readonly pid: number;
  readonly startTicks: number;
  /** One letter of /proc/PID/stat: R S D Z T t X I. */
  readonly runState: string;
  readonly parentPid: number;
  /** Effective uid; null: unreadable. */
  readonly uid: number | null;
  /** Kernel's short name, ≤ 15 bytes, chosen by the process itself. */
  readonly command: string;
  /** Path of every hierarchy in /proc/PID/cgroup. Null: unreadable. */
  readonly cgroups: readonly string[] | null;
  readonly pidNamespace: 'host' | 'other' | 'unknown';
}

/** A process that has a GPU's device node open. `minorNumber` is the n of /dev/nvidia<n>. */
export interface NodeHolder {
  readonly minorNumber: number;
  readonly pid: number;
  readonly startTicks: number;
  readonly command: string;
  readonly uid: number | null;
  readonly cgroups: readonly string[] | null;
}

/** A live `containerd-shim` or `conmon` of uid 0, and every full container id in its arguments. */
export interface Shim {
  readonly pid: number;
  readonly containerIds: readonly string[];
  /** Full container ids in its own cgroup paths: the containers that it is itself in. Absent: none, or it cannot be told. */
  readonly inContainers?: readonly string[];
}

/** What /proc says. */
export interface ProcessView {
  readonly bootId: string;
  /** gpuctl itself and all its ancestors. */
  readonly ownPids: readonly number[];
  /** Every process that a device lists, by pid. */
  readonly listed: readonly HostProcess[];
  /** Whoever has a GPU's device node open. Null: it was not asked, which a pass that never resets does not. */
  readonly holders: readonly NodeHolder[] | null;
  readonly shims: readonly Shim[];
}
