import { createContainerActor } from '../act/container-actor.ts';
import { type ContainerCommands, type EngineClient } from '../callout/engine.ts';
import { type EffectiveLimits, exemptionFrom, limitsOf } from '../config/limits.ts';
import { isInfrastructure, isProtected, keepUntilOf, ownerOf, typeOf } from '../config/owner.ts';
import type { Config, LoadedConfig } from '../config/types.ts';
import type { LimitPolicy, LimitRules } from '../decide/limit-rules.ts';
import type { InspectedContainer } from '../model/container.ts';
import { createActivityObserver } from '../observe/activity/counters.ts';
import { observeContainer } from '../observe/docker/one.ts';
import type { Users } from '../observe/users.ts';
import type { Job } from '../passes/pass.ts';
import type { ActivityObserver, LimitsLedger, LimitsParts } from '../passes/ports.ts';

/** The limits of the configuration, in the terms of the rules. */
export function limitPolicyOf({ config, configured }: Pick<LoadedConfig, 'config' | 'configured'>, users: Users): LimitPolicy {
  const { idle, warnings, runtime, leftovers } = config;
  // Several rules ask about each of a thousand containers, and all of one look at one instant.
  const known = new WeakMap<InspectedContainer, { readonly now: number; readonly rules: LimitRules }>();
  const limitsFor = limitsByContainer(config, users);
  return {
    rulesOf: (container, now) => {
      const before = known.get(container);
      if (before?.now === now) return before.rules;
      const rules = rulesOf(container, now, { config, limitsFor });
      known.set(container, { now, rules });
      return rules;
    },
    thresholds: { gpuPercent: idle.gpuPercent, cpuPercent: idle.cpuPercent, networkBytes: idle.networkBytes },
    youngMs: idle.youngContainerGraceMs,
    highDemand: idle.highDemand,
    idlePercents: warnings.idlePercents,
    runtimePercents: warnings.runtimePercents,
    runtimeCounts: runtime.counts,
    createdTimeoutMs: leftovers.createdTimeoutMs,
    allLeftovers: leftovers.all,
    configured,
  };
}

/** Whose container it is, and its limits. */
interface OwnedLimits {
  /** Null: unknown. */
  readonly owner: string | null;
  readonly limits: EffectiveLimits;
}

/** The limits of any container, worked out once for the same facts: a thousand containers have few owners and types. */
export function limitsByContainer(config: Config, users: Users): (container: InspectedContainer) => OwnedLimits {
  const known = new Map<string, EffectiveLimits>();
  return (container) => {
    const { owner } = ownerOf(container, config, users.nameOf);
    const facts = { owner, type: typeOf(container, config), unixGroups: owner === null ? [] : users.groupsOf(owner) };
    const key = JSON.stringify([facts.owner, facts.type, facts.unixGroups]);
    const limits = known.get(key) ?? limitsOf(facts, config);
    known.set(key, limits);
    return { owner, limits };
  };
}

interface RulesContext {
  readonly config: Config;
  readonly limitsFor: (container: InspectedContainer) => OwnedLimits;
}

function rulesOf(container: InspectedContainer, now: number, { config, limitsFor }: RulesContext): LimitRules {
  const { owner, limits: { idleTimeoutMs: idle, maxRuntimeMs: runtime, ...limits } } = limitsFor(container);
  const idleExemption = exemptionFrom('idle_timeout', { owner }, { config, now });
  const runtimeExemption = exemptionFrom('max_runtime', { owner }, { config, now });
  return {
    owner,
    idleTimeoutMs: idle.value, idleTimeoutFrom: idle.from,
    maxRuntimeMs: runtime.value, maxRuntimeFrom: runtime.from,
    gpuHoldAfterStopMs: limits.gpuHoldAfterStopMs.value,
    containerHoldAfterStopMs: limits.containerHoldAfterStopMs.value,
    stopGraceMs: limits.stopGraceMs.value,
    idleChecks: limits.idleChecks.value,
    keepAliveMaxMs: limits.keepAliveMaxMs.value,
    keepUntilAt: keepUntilOf(container),
    exemptFromIdle: idleExemption?.granted === true ? idleExemption.reason : null,
    exemptFromRuntime: runtimeExemption?.granted === true ? runtimeExemption.reason : null,
    idleExemption, runtimeExemption,
    protected: isProtected(container, config),
    infrastructure: isInfrastructure(container, config),
  };
}

/** Jobs that stop or remove; no other gets hold of the means. */
const ACTING: ReadonlySet<Job> = new Set<Job>(['check-idle', 'enforce-runtime', 'cleanup-containers']);

export interface LimitsContext extends Pick<ActivityObserver, 'processUse'> {
  readonly config: Config;
  readonly ledger: LimitsLedger;
  readonly engine: EngineClient & ContainerCommands;
  readonly job: Job;
  readonly acts: boolean;
}

/** What a pass about limits has besides, on the real host. */
export function limitsPartsOf({ config, ledger, engine, job, acts, processUse }: LimitsContext): LimitsParts {
  return {
    ledger,
    activity: { ...createActivityObserver(), ...(processUse !== undefined && { processUse }) },
    actor: acts && ACTING.has(job) ? createContainerActor({ engine, look: (id) => observeContainer(engine, id) }) : null,
    notifier: null,
    nextRun: async (which, after) => {
      const { cronOf } = await import('../schedule/slots.ts');
      // A run at that very minute counts.
      return cronOf(config.schedule[which]).nextRun(new Date(after - 1))?.getTime() ?? null;
    },
  };
}
