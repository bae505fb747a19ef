import type { OwnerExemption } from '../config/limits.ts';
import type { InspectedContainer } from '../model/container.ts';

/** What the configuration says of one container's limits. Durations are milliseconds; null: never. */
export interface LimitRules {
  /** Null: unknown. */
  readonly owner: string | null;
  readonly idleTimeoutMs: number | null;
  readonly maxRuntimeMs: number | null;
  /** Where the two come from: `default`, `type api`, `group researcher`, `user bob`. */
  readonly idleTimeoutFrom: string;
  readonly maxRuntimeFrom: string;
  readonly gpuHoldAfterStopMs: number | null;
  readonly containerHoldAfterStopMs: number | null;
  readonly stopGraceMs: number;
  readonly idleChecks: number;
  /** 0: no deferral. */
  readonly keepAliveMaxMs: number;
  /** A label of the container asks to keep it until then; null: none does. */
  readonly keepUntilAt: number | null;
  /** Reasons of live exemptions; null: not exempt. */
  readonly exemptFromIdle: string | null;
  readonly exemptFromRuntime: string | null;
  /** What an admin wrote of the owner's exemptions, those that do not count for want of trust among them; absent: nothing is told of them. */
  readonly idleExemption?: OwnerExemption | null;
  readonly runtimeExemption?: OwnerExemption | null;
  readonly protected: boolean;
  readonly infrastructure: boolean;
}

/** Below all of them that are present, a sample is idle. */
export interface IdleThresholds {
  readonly gpuPercent: number;
  /** Of one core. */
  readonly cpuPercent: number;
  /** Per five minutes. */
  readonly networkBytes: number;
}

/** What the configuration says of limits and leftovers, in the terms of the rules. */
export interface LimitPolicy {
  readonly rulesOf: (container: InspectedContainer, now: number) => LimitRules;
  readonly thresholds: IdleThresholds;
  readonly youngMs: number;
  readonly highDemand: { readonly atPercent: number; readonly factor: number };
  /** Warning and final warning, per cent of the limit. */
  readonly idlePercents: readonly [number, number];
  readonly runtimePercents: readonly [number, number];
  readonly runtimeCounts: 'since-first-start' | 'since-last-start';
  readonly createdTimeoutMs: number | null;
  /** Leftovers that never had a device are removed as well. */
  readonly allLeftovers: boolean;
  /** Which sections a file sets: without them nothing is stopped or removed. */
  readonly configured: { readonly limits: boolean; readonly leftovers: boolean };
}
