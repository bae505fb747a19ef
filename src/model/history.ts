/** The ledger's record that a container holds a device. */
export interface Allocation {
  readonly containerId: string;
  readonly containerName: string;
  /** The run of the container it belongs to; null: created, never started. */
  readonly startedAt: number | null;
  readonly gpuUuid: string;
  readonly migUuid: string | null;
  readonly owner: string | null;
  readonly observedAt: number;
  readonly releasedAt: number | null;
  readonly releaseReason: ReleaseReason | null;
}

export type ReleaseReason = 'gone' | 'hold-expired' | 'no-hold';

export interface ResetRecord {
  readonly gpuUuid: string;
  readonly at: number;
  readonly succeeded: boolean;
}

export interface ResetWant {
  readonly gpuUuid: string;
  readonly reason: string;
  readonly since: number;
}

/** Device memory that no listed process explains, at one instant. */
export interface MemorySample {
  readonly gpuUuid: string;
  readonly at: number;
  readonly usedMiB: number;
  readonly unexplainedMiB: number;
}

/** What the ledger remembers, as a value. All instants are milliseconds since 1970 UTC. */
export interface History {
  /** gpuctl's first pass on this host; null: there was none, so no clock has started. */
  readonly firstPassAt: number | null;
  /** The engine that the ledger belongs to; null: not learned yet. */
  readonly engineId: string | null;
  /** Full ids that this engine was once seen to have. */
  readonly knownContainerIds: readonly string[];
  /** Open ones, and released ones whose container the engine still had when last asked. */
  readonly allocations: readonly Allocation[];
  /** Of the last 24 hours and longer. */
  readonly resets: readonly ResetRecord[];
  readonly quarantined: readonly string[];
  readonly resetWants: readonly ResetWant[];
  /** Recent samples, oldest first. */
  readonly memory: readonly MemorySample[];
  /** Learned use of an idle board, MiB. */
  readonly baselines: readonly { readonly gpuUuid: string; readonly usedMiB: number }[];
}

export const emptyHistory: History = {
  firstPassAt: null,
  engineId: null,
  knownContainerIds: [],
  allocations: [],
  resets: [],
  quarantined: [],
  resetWants: [],
  memory: [],
  baselines: [],
};
