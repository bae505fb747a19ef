import type { Assessment } from '../decide/assess.ts';
import { refuseUninspected } from '../decide/idle.ts';
import type { LimitPolicy } from '../decide/limit-rules.ts';
import { claimingIds, claimsNow, countManaged, standingOf } from '../decide/managed.ts';
import { decideRuntime } from '../decide/runtime.ts';
import { type Container, isLive } from '../model/container.ts';
import type { ContainerTarget, Decision } from '../model/decision.ts';
import { seen } from '../model/observation.ts';
import { graceOf } from './idle-round.ts';
import { carryOutLimits } from './limit-acts.ts';
import { nextRound, type Pass, view } from './pass.ts';
import type { LimitsParts } from './ports.ts';

/** Round: containers that have run for long are warned, warned for the last time, and stopped. */
export async function runtimeRound(pass: Pass): Promise<void> {
  const assessment = await view(pass);
  const { limits, policy: { limits: policy }, clock } = pass.parts;
  if (limits === undefined || policy === undefined) return;
  const context: Context = { limits, policy, round: nextRound(pass) };
  const decide = deciding(pass, assessment, context);
  await carryOutLimits(pass, limits, {
    kind: 'runtime',
    outlivesRestart: policy.runtimeCounts === 'since-first-start',
    decisions: containersIn(assessment).filter((each) => isLive(each.state)).map(decide),
    total: countManaged(assessment, (each) => policy.rulesOf(each, clock.now())),
    graceMsOf: graceOf(assessment, policy, clock.now()),
    again: async ({ containerId }, fresh) => {
      const container = containersIn(fresh).find((each) => each.id === containerId);
      return container === undefined ? null : deciding(pass, fresh, context)(container);
    },
  });
}

interface Context {
  readonly limits: LimitsParts;
  readonly policy: LimitPolicy;
  readonly round: number;
}

function containersIn({ snapshot }: Assessment): readonly Container[] {
  return seen(snapshot.engine)?.containers ?? [];
}

function deciding({ parts }: Pass, assessment: Assessment, { limits, policy, round }: Context): (container: Container) => Decision<ContainerTarget> {
  const now = parts.clock.now();
  const claiming = claimingIds(assessment);
  const firstStarts = limits.ledger.firstStarts();
  const warnings = Map.groupBy(limits.ledger.warnings(), ({ containerId }) => containerId);
  return (container) => {
    if (!container.inspected) return refuseUninspected(container, 'stop', round);
    const rules = policy.rulesOf(container, now);
    return decideRuntime({
      container, rules, policy, now, round,
      standing: standingOf(claimsNow(container, assessment, claiming), rules),
      firstStartAt: firstStarts.get(container.id) ?? null,
      firstPassAt: assessment.history.firstPassAt,
      clock: assessment.history.clock,
      warnings: warnings.get(container.id) ?? [],
    });
  };
}
