import type { Assessment } from '../decide/assess.ts';
import { isDemandHigh } from '../decide/demand.ts';
import { decideIdle, refuseUninspected } from '../decide/idle.ts';
import type { LimitPolicy } from '../decide/limit-rules.ts';
import { claimingIds, claimsNow, countManaged, standingOf } from '../decide/managed.ts';
import { type InspectedContainer, isLive } from '../model/container.ts';
import type { ContainerTarget, Decision } from '../model/decision.ts';
import { seen } from '../model/observation.ts';
import { type Activity, sampleAgain } from './activity-step.ts';
import { carryOutLimits } from './limit-acts.ts';
import { nextRound, type Pass, view } from './pass.ts';

/** What a decision needs beside the container. */
interface Context {
  readonly assessment: Assessment;
  readonly activity: Activity;
  readonly policy: LimitPolicy;
  readonly mayStop: boolean;
  readonly round: number;
}

/** Round: running containers that are idle are warned, warned for the last time and, where this pass may, stopped. */
export async function idleRound(pass: Pass, { mayStop }: { readonly mayStop: boolean }): Promise<void> {
  const assessment = await view(pass);
  const { limits, policy: { limits: policy }, clock } = pass.parts;
  if (limits === undefined || policy === undefined || pass.activity === null) return;
  const context: Context = { assessment, activity: pass.activity, policy, mayStop, round: nextRound(pass) };
  const decide = deciding(pass, context);
  const containers = (seen(assessment.snapshot.engine)?.containers ?? []).filter((each) => isLive(each.state));
  await carryOutLimits(pass, limits, {
    kind: 'idle',
    outlivesRestart: false,
    decisions: containers.map((each) => (each.inspected ? decide(each) : refuseUninspected(each, 'stop', context.round))),
    total: countManaged(assessment, (each) => policy.rulesOf(each, clock.now())),
    graceMsOf: graceOf(assessment, policy, clock.now()),
    again: (target, fresh) => decideAgain(pass, target, { ...context, assessment: fresh }),
  });
}

/** The grace of the stop of each container, from its limits. */
export function graceOf({ snapshot }: Assessment, policy: LimitPolicy, now: number): (target: ContainerTarget) => number {
  const graces = new Map((seen(snapshot.engine)?.containers ?? []).flatMap((each) => (each.inspected && isLive(each.state) ? [[each.id, policy.rulesOf(each, now).stopGraceMs] as const] : [])));
  return ({ containerId }) => graces.get(containerId) ?? 0;
}

/** The rule with everything in it that is the same for all containers of one look. */
function deciding({ parts }: Pass, { assessment, activity, policy, mayStop, round }: Context): (container: InspectedContainer) => Decision<ContainerTarget> {
  const now = parts.clock.now();
  const claiming = claimingIds(assessment);
  const highDemand = isDemandHigh(assessment, (each) => policy.rulesOf(each, now).infrastructure, policy.highDemand.atPercent);
  const warnings = Map.groupBy(parts.limits?.ledger.warnings() ?? [], ({ containerId }) => containerId);
  const wishes = Map.groupBy(parts.limits?.ledger.keepAlives() ?? [], ({ containerId }) => containerId);
  return (container) => {
    const rules = policy.rulesOf(container, now);
    return decideIdle({
      container, rules, policy, highDemand, mayStop, now, round,
      standing: standingOf(claimsNow(container, assessment, claiming), rules),
      sample: activity.samples.get(container.id) ?? null,
      clock: activity.clocks.get(container.id) ?? null,
      warnings: warnings.get(container.id) ?? [],
      wishes: wishes.get(container.id) ?? [],
    });
  };
}

/** On a fresh look and one more sample of this container. Null: it is not there any more. */
async function decideAgain(pass: Pass, { containerId }: ContainerTarget, context: Context): Promise<Decision<ContainerTarget> | null> {
  const container = (seen(context.assessment.snapshot.engine)?.containers ?? []).find((each) => each.id === containerId);
  if (container === undefined) return null;
  if (!container.inspected) return refuseUninspected(container, 'stop', context.round);
  const latest = await sampleAgain(pass, container, context);
  const one = <T>(value: T | null | undefined): ReadonlyMap<string, T> => (value === null || value === undefined ? new Map() : new Map([[containerId, value]]));
  return deciding(pass, { ...context, activity: { samples: one(latest?.sample), clocks: one(latest?.clock) } })(container);
}
