import type { Claim } from './claim.ts';
import type { ClockEra } from './clock.ts';
import type { EngineView } from './container.ts';
import type { HealthHistory } from './health.ts';
import type { KernelLogMemory } from './kernel-log.ts';
import type { InventoryEntry } from './lost.ts';
import type { OpenDebt } from './reset.ts';

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

/** Does this claim hold its device? What is claimed because nobody could look, or was given up, does not. */
export function isHolding({ released, source }: Claim): boolean {
  return !released && source !== 'uninspected';
}

/** The open allocation that a claim makes. `at`: when it was seen. */
export function allocationOf(claim: Claim, { startedAt, owner, at }: { readonly startedAt: number | null; readonly owner: string | null; readonly at: number }): Allocation {
  const { containerId, containerName, gpuUuid, migUuid } = claim;
  return { containerId, containerName, startedAt, gpuUuid, migUuid, owner, observedAt: at, releasedAt: null, releaseReason: null };
}

export type ReleaseReason = 'gone' | 'hold-expired' | 'no-hold';

export interface ResetRecord {
  readonly gpuUuid: string;
  readonly at: number;
  readonly succeeded: boolean;
  /** An admin has taken the board out of quarantine since: it does not count for a day's resets any more. */
  readonly forgiven?: true;
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
  /** What that engine is; null or absent: not learned yet. Podman has no id to be known by. */
  readonly engineKind?: EngineView['kind'] | null;
  /** Full ids that this engine was once seen to have. */
  readonly knownContainerIds: readonly string[];
  /** Those of them that it has forgotten though a shim of theirs lived, which an admin accepted; they cast no more doubt on it. */
  readonly acceptedContainerIds?: readonly string[];
  /** Open ones, and released ones whose container the engine still had when last asked. */
  readonly allocations: readonly Allocation[];
  /** Of the last seven days, and the last one of each board however old it is: a cool-down may be longer. */
  readonly resets: readonly ResetRecord[];
  readonly quarantined: readonly string[];
  readonly resetWants: readonly ResetWant[];
  /** Resets that stopped services and then did not take place: the services are not stopped again at once. */
  readonly vainPauses?: readonly { readonly gpuUuid: string; readonly at: number }[];
  /** What resets took away and nobody has put back. */
  readonly resetDebts?: readonly (OpenDebt & { readonly gpuUuid: string; readonly pciBusId: string })[];
  /** Recent samples, oldest first. */
  readonly memory: readonly MemorySample[];
  /** When the host's wall clock and boot clock went together, oldest first; absent: the boot clock is not looked at. */
  readonly clock?: readonly ClockEra[];
  /** Last readings and baselines of boards. Absent: not known. */
  readonly health?: HealthHistory;
  /** Learned use of an idle board, MiB. */
  readonly baselines: readonly { readonly gpuUuid: string; readonly usedMiB: number }[];
  /** Every GPU that the host has had and that no admin accepted the loss of. Absent: not known. */
  readonly inventory?: readonly InventoryEntry[];
  /** Absent: not known. */
  readonly kernelLog?: KernelLogMemory;
}

export const emptyHistory: History = {
  firstPassAt: null,
  engineId: null,
  engineKind: null,
  knownContainerIds: [],
  allocations: [],
  resets: [],
  quarantined: [],
  resetWants: [],
  acceptedContainerIds: [],
  vainPauses: [],
  resetDebts: [],
  memory: [],
  health: { marks: [], memory: [] },
  baselines: [],
  inventory: [],
  kernelLog: { cursor: null, xids: [] },
};
