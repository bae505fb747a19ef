import type { ProcessIdentity } from './process.ts';
import type { ReasonCode } from './reason.ts';

export type Verb = 'kill' | 'reset' | 'release' | 'stop' | 'remove' | 'warn' | 'alert';

/** *Act*: do it. *Refuse*: it is called for, but something forbids it. *Leave*: it is not called for. */
export type Verdict = 'act' | 'refuse' | 'leave';

export interface ProcessTarget {
  readonly kind: 'process';
  /** Null: the process has no /proc entry, or it is unreadable; such a target is never acted on. */
  readonly identity: ProcessIdentity | null;
  readonly pid: number;
  readonly name: string;
  readonly containerId: string | null;
  readonly gpuUuids: readonly string[];
}

export interface GpuTarget {
  readonly kind: 'gpu';
  readonly uuid: string;
  readonly pciBusId: string;
  readonly index: number | null;
}

export interface AllocationTarget {
  readonly kind: 'allocation';
  readonly containerId: string;
  readonly containerName: string;
  readonly startedAt: number | null;
  readonly gpuUuid: string;
  readonly migUuid: string | null;
}

export interface ContainerTarget {
  readonly kind: 'container';
  readonly containerId: string;
  readonly containerName: string;
  /** The run that was decided on; null: created, never started. */
  readonly startedAt: number | null;
  readonly owner: string | null;
}

export type Target = ProcessTarget | GpuTarget | AllocationTarget | ContainerTarget;

/** JSON that a person or a script may read; never consulted by code. */
export type Evidence = Readonly<Record<string, unknown>>;

/** Exactly one per candidate and round. */
export interface Decision<T extends Target = Target> {
  readonly round: number;
  readonly verb: Verb;
  readonly target: T;
  readonly verdict: Verdict;
  readonly reason: ReasonCode;
  readonly evidence: Evidence;
}

export type Result = 'done' | 'already-gone' | 'refused' | 'failed';

/** What became of one decision to act. `refused` and `already-gone` are answers of the last check, not errors. */
export interface Outcome {
  /** Index into the pass's decisions. */
  readonly decision: number;
  readonly result: Result;
  readonly reason: ReasonCode | null;
  readonly detail: string;
}

/** Why a reset may not happen. *Hard* ones forbid it; *yielding* ones are dealt with by the reset itself. */
export interface Blocker {
  readonly kind:
    | 'container-claim'
    | 'uninspected-container'
    | 'live-process'
    | 'process-list-unknown'
    | 'node-holder'
    | 'holders-unknown'
    | 'claims-unknown'
    | 'mig-enabled'
    | 'mig-unknown'
    | 'display-active'
    | 'cool-down'
    | 'quarantine'
    | 'device-unknown'
    | 'persistence-daemon'
    | 'pausable-service';
  readonly hard: boolean;
  readonly what: string;
  /** What an admin can do about it. */
  readonly wayOut: string;
  /** The systemd unit that the reset stops and starts again; only of a `pausable-service`. */
  readonly unit?: string;
}
