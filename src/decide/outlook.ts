import type { OwnerExemption } from '../config/limits.ts';
import type { IdleClock, KeepAlive, Warning, WarningStage } from '../model/activity.ts';
import { type InspectedContainer, isLive } from '../model/container.ts';
import type { History } from '../model/history.ts';
import type { ReasonCode } from '../model/reason.ts';
import { elapsedMs, restedMs } from './clock.ts';
import { idleGiven } from './idle.ts';
import { decideKeeping } from './keep-alive.ts';
import type { LimitPolicy, LimitRules } from './limit-rules.ts';
import type { Standing } from './managed.ts';
import { longer } from './release.ts';
import { runtimeGiven, runtimeSince } from './runtime.ts';

export interface OutlookFacts {
  readonly container: InspectedContainer;
  readonly standing: Standing;
  /** It holds a device now, or the ledger says so: there is something to release. */
  readonly holds: boolean;
  readonly rules: LimitRules;
  readonly policy: Pick<LimitPolicy, 'allLeftovers' | 'configured' | 'createdTimeoutMs' | 'highDemand' | 'idlePercents' | 'runtimeCounts' | 'runtimePercents' | 'youngMs'>;
  /** Idle time-outs are shorter now. */
  readonly highDemand: boolean;
  /** Null: it was not sampled in this run yet. */
  readonly clock: IdleClock | null;
  /** Null: not seen to start yet. */
  readonly firstStartAt: number | null;
  /** gpuctl's first pass on this host; null: there was none. No clock starts before it. */
  readonly firstPassAt: number | null;
  /** What the boot clock confirms of the time; absent: it is not looked at. */
  readonly hostClock?: History['clock'];
  readonly warnings: readonly Warning[];
  readonly wishes: readonly KeepAlive[];
  readonly now: number;
}

/** Something that an earlier pass must have done: seen one more idle sample, or given a warning. */
export interface Step {
  readonly kind: 'sample' | 'warning';
  readonly notBefore: number;
}

/** One thing that may happen to a container. */
export interface Prospect {
  readonly what: 'idle-stop' | 'runtime-stop' | 'gpu-release' | 'removal';
  /** When its limit is reached, if all stays as it is; null: it is not, `why` says why. */
  readonly at: number | null;
  /** In this order, and each in a pass of its own, before the pass that may do it. */
  readonly steps: readonly Step[];
  /** Why it does not happen, cannot be dated, or is put off; null: nothing stands against it. */
  readonly why: ReasonCode | null;
  /** The limit's key in the configuration, its value (null: never), the level that it comes from (null: not told), and what high demand has shortened it from. */
  readonly limit: { readonly key: string; readonly ms: number | null; readonly from: string | null; readonly shortenedFromMs?: number };
  /** Time that has counted towards the limit, milliseconds; null: not known. */
  readonly spentMs: number | null;
  /** The owner's exemption from this limit, one that does not count too; not given: there is none. */
  readonly exemption?: OwnerExemption;
}

/** Everything that may happen to a container as things are, each by its limit. What a pass decides later may only be later. */
export function decideOutlook(facts: OutlookFacts): readonly Prospect[] {
  const { state } = facts.container;
  if (isLive(state)) return [idleProspect(facts), runtimeProspect(facts)];
  return state === 'created' || !facts.holds ? [removalProspect(facts)] : [releaseProspect(facts), removalProspect(facts)];
}

/** Why nothing at all is done to this container; null: something may be. */
function shelter({ standing }: Pick<OutlookFacts, 'standing'>, configured: boolean): ReasonCode | null {
  if (standing === 'protected') return 'protected';
  if (standing === 'unknown') return 'claims-unknown';
  if (standing !== 'managed') return 'not-managed';
  return configured ? null : 'limits-not-configured';
}

function exemptionIn(exemption: OwnerExemption | null | undefined): Pick<Prospect, 'exemption'> {
  return exemption === null || exemption === undefined ? {} : { exemption };
}

/** More samples than this are not waited for one by one. */
const MOST_SAMPLES = 50;

function idleProspect(facts: OutlookFacts): Prospect {
  const { clock, now, rules, policy } = facts;
  const ms = rules.idleTimeoutMs === null ? null : rules.idleTimeoutMs * (facts.highDemand ? policy.highDemand.factor : 1);
  const shortened = ms === rules.idleTimeoutMs || rules.idleTimeoutMs === null ? {} : { shortenedFromMs: rules.idleTimeoutMs };
  const base = { what: 'idle-stop', limit: { key: 'idle_timeout', ms, from: rules.idleTimeoutFrom, ...shortened }, spentMs: clock?.idleMs ?? null, steps: [], ...exemptionIn(rules.idleExemption) } as const;
  const never = shelter(facts, policy.configured.limits) ?? (rules.exemptFromIdle === null ? null : 'exempt');
  if (never !== null) return { ...base, at: null, why: never };
  if (ms === null) return { ...base, at: null, why: 'limit-never' };
  if (clock === null) return { ...base, at: null, why: 'too-few-samples' };
  if (clock.consecutiveIdle === 0) return { ...base, at: null, why: 'active' };
  const keeping = decideKeeping({ wishes: facts.wishes, clock, rules, now });
  const kept = keeping.state === 'kept';
  const freeAt = Math.max(now, (facts.container.startedAt ?? 0) + policy.youngMs, kept ? keeping.untilAt : now);
  const reachedAt = (percent: number): number => Math.max(freeAt, clock.last.at + (ms * percent) / 100 - clock.idleMs);
  const missing = Math.min(MOST_SAMPLES, rules.idleChecks - clock.consecutiveIdle - 1);
  const samples = Array.from({ length: Math.max(0, missing) }, (): Step => ({ kind: 'sample', notBefore: now }));
  const given = idleGiven(facts.warnings, clock, now);
  return { ...base, at: reachedAt(100), why: kept ? 'kept-alive' : null, steps: [...samples, ...warningSteps(given, policy.idlePercents, reachedAt)] };
}

/** What is to be said before a stop. */
function warningSteps(given: ReadonlySet<WarningStage>, [first, final]: readonly [number, number], reachedAt: (percent: number) => number): readonly Step[] {
  const percents = given.has('warned') ? (given.has('final') ? [] : [final]) : [first, ...(given.has('final') ? [] : [final])];
  return percents.map((percent) => ({ kind: 'warning', notBefore: reachedAt(percent) }));
}

function runtimeProspect(facts: OutlookFacts): Prospect {
  const { container, now, rules, policy, hostClock: clock } = facts;
  const ms = rules.maxRuntimeMs;
  const since = runtimeSince(facts);
  const from = since === null || facts.firstPassAt === null ? null : Math.max(since, facts.firstPassAt);
  const base = { what: 'runtime-stop', limit: { key: 'max_runtime', ms, from: rules.maxRuntimeFrom }, spentMs: from === null ? null : elapsedMs(from, now, clock), steps: [], ...exemptionIn(rules.runtimeExemption) } as const;
  const never = shelter(facts, policy.configured.limits) ?? (rules.exemptFromRuntime === null ? null : 'exempt');
  if (never !== null) return { ...base, at: null, why: never };
  if (ms === null) return { ...base, at: null, why: 'limit-never' };
  const { spentMs } = base;
  if (from === null || spentMs === null) return { ...base, at: null, why: facts.firstPassAt === null ? 'first-pass' : 'age-unknown' };
  const reachedAt = (percent: number): number => now + Math.max(0, (ms * percent) / 100 - spentMs);
  const given = runtimeGiven({ container, policy, clock, now, warnings: facts.warnings.filter(({ containerId }) => containerId === container.id) }, { sinceAt: from, limitMs: ms });
  return { ...base, at: reachedAt(100), why: null, steps: warningSteps(given, policy.runtimePercents, reachedAt) };
}

function releaseProspect(facts: OutlookFacts): Prospect {
  const ms = facts.rules.gpuHoldAfterStopMs;
  const base = { what: 'gpu-release', limit: { key: 'gpu_hold_after_stop', ms, from: null }, spentMs: restedOf(facts), steps: [] } as const;
  if (facts.standing === 'protected') return { ...base, at: null, why: 'protected' };
  if (ms === 0) return { ...base, at: facts.now, why: null };
  return ms === null ? { ...base, at: null, why: 'hold-never' } : dated(base, ms, facts);
}

/** The engine is at it, or has failed at it. */
const UNREMOVABLE: Readonly<Partial<Record<InspectedContainer['state'], ReasonCode>>> = { dead: 'dead-container', removing: 'being-removed' };

/** A stopped container goes after the longer of its holds: its device is released first. */
function removalProspect(facts: OutlookFacts): Prospect {
  const { container, rules, policy } = facts;
  const neverStarted = container.state === 'created';
  const ms = neverStarted ? policy.createdTimeoutMs : longer(rules.containerHoldAfterStopMs, rules.gpuHoldAfterStopMs);
  const base = { what: 'removal', limit: { key: neverStarted ? 'created_timeout' : 'container_hold_after_stop', ms, from: null }, spentMs: restedOf(facts), steps: [] } as const;
  const standing = policy.allLeftovers && (facts.standing === 'unclaimed' || facts.standing === 'unknown') ? 'managed' : facts.standing;
  const never = UNREMOVABLE[container.state] ?? shelter({ standing }, policy.configured.limits || policy.configured.leftovers);
  if (never !== null) return { ...base, at: null, why: never };
  return ms === null ? { ...base, at: null, why: 'hold-never' } : dated(base, ms, facts);
}

function restedOf({ container, firstPassAt, hostClock: clock, now }: OutlookFacts): number | null {
  return restedMs(container, { firstPassAt, clock }, now);
}

function dated(base: Omit<Prospect, 'at' | 'why'>, ms: number, { now, firstPassAt }: OutlookFacts): Prospect {
  if (base.spentMs === null) return { ...base, at: null, why: firstPassAt === null ? 'first-pass' : 'age-unknown' };
  return { ...base, at: now + Math.max(0, ms - base.spentMs), why: null };
}
