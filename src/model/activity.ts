import type { Reading } from './reading.ts';

/**
 * Counters of one running container at one instant. They only grow; what counts is how much, between two samples of the
 * same run and boot. *Unsupported* and *absent*: this host has no such signal, the others decide. *Error*: it failed to be
 * read, so the sample is unknown, and unknown is never idle.
 */
export interface ContainerCounters {
  readonly containerId: string;
  /** The run of the container; null: unknown, and then nothing is concluded. */
  readonly startedAt: number | null;
  /** CPU time of all its processes, nanoseconds. */
  readonly cpuNs: Reading<number>;
  /** Bytes received and sent by its network namespace, without loopback. */
  readonly networkBytes: Reading<number>;
}

/** One sample: the counters with the time they were read at, and the use of the devices that it has a process on. */
export interface ActivitySample extends ContainerCounters {
  /** Milliseconds since 1970 UTC. */
  readonly at: number;
  readonly bootId: string;
  /** Highest use of any of its devices on which it has a process, percent; 0: a complete list shows no process of it; unsupported under MIG. */
  readonly gpuPercent: Reading<number>;
}

/**
 * How long one run of a container has been idle, folded from its samples. Only intervals between two samples that follow
 * each other in one boot, and not too far apart, count: a gap stops the clock and never feeds it.
 */
export interface IdleClock {
  readonly containerId: string;
  readonly startedAt: number;
  readonly last: ActivitySample;
  /** Samples of this run since the clock began, the first included. */
  readonly samples: number;
  /** Idle samples in a row, up to and including the last; 0: the last one was active or unknown. */
  readonly consecutiveIdle: number;
  /** Idle time credited since the last activity, milliseconds. */
  readonly idleMs: number;
  /** When it was last seen active, or first seen at all. */
  readonly activeAt: number;
}

export type LimitKind = 'idle' | 'runtime';
/** `notice`: what an exempt owner gets once instead of a stop. */
export type WarningStage = 'warned' | 'final' | 'notice';

/** A warning that was given for one run (idle) or one container (runtime). */
export interface Warning {
  readonly containerId: string;
  readonly startedAt: number | null;
  readonly kind: LimitKind;
  readonly stage: WarningStage;
  readonly at: number;
}

/** An owner's wish to keep a container from the idle stop. All wishes of one idle spell are bounded together by `keep_alive_max`. */
export interface KeepAlive {
  readonly containerId: string;
  readonly startedAt: number | null;
  /** Who asked; uid on the host. */
  readonly uid: number;
  readonly askedAt: number;
  readonly until: number;
}

/** What one process uses of one device, as `nvidia-smi pmon` tells it. */
export interface ProcessUse {
  /** The number of the device as nvidia-smi counts. */
  readonly gpuIndex: number;
  readonly pid: number;
  /** Share of the time in which it computed, per cent; null: no sample, which is not 0. */
  readonly smPercent: number | null;
}

/** The use of one device at one instant, for findings of waste. */
export interface DeviceUse {
  readonly gpuUuid: string;
  readonly at: number;
  readonly utilizationPercent: number;
}
