import type { InspectedContainer } from '../model/container.ts';
import type { Gpu } from '../model/device.ts';
import type { History } from '../model/history.ts';
import { seen } from '../model/observation.ts';
import type { ProcessLook, Snapshot } from '../model/snapshot.ts';
import { type Claims, decideClaims } from './claims.ts';
import { distrustEngine } from './engine.ts';
import type { HealthRules } from './health/facts.ts';
import { candidatesIn, lookOf, ownershipIn } from './look.ts';
import type { LimitPolicy } from './limit-rules.ts';
import type { Ownership, OwnershipRules, PermitRules } from './ownership.ts';
import type { HoldRules } from './release.ts';

/** What the configuration says, in the terms of the rules. */
export interface Policy {
  readonly permit: PermitRules;
  readonly deviceLabels: readonly string[];
  /** Labels by which a container says that it is part of the host; absent: none is looked at. */
  readonly infrastructureLabels?: readonly string[];
  readonly rulesOf: (container: InspectedContainer) => HoldRules & { readonly infrastructure: boolean };
  readonly confirmAfterMs: number;
  readonly toleranceMiB: number;
  readonly reset: { readonly policy: 'when-dirty' | 'after-orphans' | 'never'; readonly cooldownMs: number; readonly maxPerDay: number; readonly pauseServices?: readonly string[] };
  /** Absent: every check with its default threshold. */
  readonly health?: HealthRules;
  /** Absent: whoever asks has nothing to do with limits. */
  readonly limits?: LimitPolicy;
}

/** A snapshot with what follows from it: whether the engine is to be believed, whose each process is, who claims what. */
export interface Assessment {
  readonly snapshot: Snapshot;
  readonly history: History;
  readonly look: ProcessLook;
  readonly rules: OwnershipRules;
  readonly ownership: ReadonlyMap<number, Ownership>;
  readonly claims: Claims;
  /** The GPUs that were seen; empty where nvidia-smi failed. */
  readonly gpus: readonly Gpu[];
}

export function assess(raw: Snapshot, history: History, policy: Policy): Assessment {
  const snapshot = distrustEngine(raw, history);
  const gpus = seen(snapshot.driver)?.gpus ?? [];
  const engine = seen(snapshot.engine);
  const rules: OwnershipRules = { engineId: history.engineId, knownContainerIds: new Set(history.knownContainerIds), permit: policy.permit };
  const look = lookOf(snapshot);
  const ownership = ownershipIn(candidatesIn(snapshot).map(({ pid }) => pid), look, rules);
  const claims = engine === null ? { claims: [], unresolved: [] } : decideClaims({ gpus, engine, ownership, allocations: history.allocations, deviceLabels: policy.deviceLabels });
  return { snapshot, history, look, rules, ownership, claims, gpus };
}
