import type { InspectedContainer } from '../model/container.ts';
import type { ContainerTarget, Decision, Evidence } from '../model/decision.ts';
import type { History } from '../model/history.ts';
import { restedMs } from './clock.ts';
import { containerTarget, type LimitAnswer } from './idle.ts';
import type { LimitPolicy, LimitRules } from './limit-rules.ts';
import type { Standing } from './managed.ts';
import { longer } from './release.ts';

export interface LeftoverFacts {
  readonly container: InspectedContainer;
  /** By what it claims now or was ever seen to claim. */
  readonly standing: Standing;
  readonly rules: LimitRules;
  readonly policy: Pick<LimitPolicy, 'createdTimeoutMs' | 'allLeftovers' | 'configured'>;
  /** No clock starts before gpuctl's first pass; null: this is it. */
  readonly firstPassAt: number | null;
  /** What the boot clock confirms of the time; absent: it is not looked at. */
  readonly clock?: History['clock'] | undefined;
  readonly now: number;
  readonly round: number;
}

/** One decision for one container that does not run: remove it, or why not. */
export function decideLeftover(facts: LeftoverFacts): Decision<ContainerTarget> {
  return { round: facts.round, target: containerTarget(facts.container, facts.rules.owner), ...answerFor(facts) };
}

function keep(reason: LimitAnswer['reason'], evidence: Evidence = {}): LimitAnswer {
  return { verb: 'remove', verdict: 'leave', reason, evidence };
}

function answerFor(facts: LeftoverFacts): LimitAnswer {
  const { container, standing, policy } = facts;
  if (standing === 'infrastructure') return keep('not-managed');
  if (container.state === 'dead') return keep('dead-container');
  if (container.state === 'removing') return keep('being-removed');
  if (container.state !== 'created' && container.state !== 'exited') return keep('container-not-settled', { state: container.state });
  if (standing === 'protected') return keep('protected', ageAnswer(facts).evidence);
  if (standing === 'unknown' && !policy.allLeftovers) return keep('claims-unknown');
  if (standing === 'unclaimed' && !policy.allLeftovers) return keep('not-managed');
  return ageAnswer(facts);
}

function ageAnswer(facts: LeftoverFacts): LimitAnswer {
  const { container, policy, firstPassAt, clock, now } = facts;
  const holdMs = holdOf(facts);
  if (holdMs === null) return keep('hold-never');
  if (firstPassAt === null) return keep('first-pass');
  const forMs = restedMs(container, { firstPassAt, clock }, now);
  if (forMs === null) return keep('age-unknown');
  const evidence = { restedMs: forMs, holdMs, pastLimit: forMs > holdMs };
  if (forMs <= holdMs) return keep('within-hold', evidence);
  if (!policy.configured.limits && !policy.configured.leftovers) return { verb: 'remove', verdict: 'refuse', reason: 'limits-not-configured', evidence };
  return { verb: 'remove', verdict: 'act', reason: container.state === 'created' ? 'created-leftover' : 'stopped-leftover', evidence };
}

/** A stopped container waits for both of its holds, so that its device is released first. Null: for ever. */
function holdOf({ container, rules, policy }: LeftoverFacts): number | null {
  if (container.state === 'created') return policy.createdTimeoutMs;
  return longer(rules.gpuHoldAfterStopMs, rules.containerHoldAfterStopMs);
}
