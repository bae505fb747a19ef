import type { ContainerState } from './container.ts';

export type ClaimSource =
  | 'device-request'
  | 'cdi'
  | 'environment'
  | 'device-node'
  | 'label'
  | 'live-process'
  | 'uninspected';

/** One container's reference to one device. A claim on a MIG device names its parent GPU as well. */
export interface Claim {
  readonly containerId: string;
  readonly containerName: string;
  readonly containerState: ContainerState;
  /** The run of the container that makes it; null: never started, or unknown. */
  readonly startedAt: number | null;
  readonly source: ClaimSource;
  /** As written by whoever wrote it. */
  readonly reference: string;
  readonly gpuUuid: string;
  readonly migUuid: string | null;
  /** The allocation was released and the container has not started since: shown, but blocks nothing. */
  readonly released: boolean;
}

/** A reference that names no device of this host. */
export interface UnresolvedClaim {
  readonly containerId: string;
  readonly containerName: string;
  readonly source: ClaimSource;
  readonly reference: string;
}
