import type { Assessment } from '../decide/assess.ts';
import { refuseUninspected } from '../decide/idle.ts';
import { decideLeftover } from '../decide/leftovers.ts';
import type { LimitPolicy } from '../decide/limit-rules.ts';
import { claimingIds, claimsNow, countManaged, standingOf } from '../decide/managed.ts';
import { type Container, isLive } from '../model/container.ts';
import type { ContainerTarget, Decision } from '../model/decision.ts';
import { seen } from '../model/observation.ts';
import { begin, finish, interruption, type Numbered, settle } from './carry-out.ts';
import { nextRound, type Pass, view } from './pass.ts';
import type { ContainerActor } from './ports.ts';

/** Round: containers that were never started, or have been stopped for long, are removed. */
export async function leftoverRound(pass: Pass): Promise<void> {
  const assessment = await view(pass);
  const { limits, policy: { limits: policy }, clock } = pass.parts;
  if (limits === undefined || policy === undefined) return;
  const containers = (seen(assessment.snapshot.engine)?.containers ?? []).filter((each) => !isLive(each.state));
  const decide = deciding(pass, assessment, { policy, once: limits.ledger.onceManaged(), round: nextRound(pass) });
  const total = countManaged(assessment, (each) => policy.rulesOf(each, clock.now()));
  for (const entry of settle(pass, containers.map(decide), total)) await removeOne(pass, limits.actor, entry);
}

interface Context {
  readonly policy: LimitPolicy;
  readonly once: ReadonlySet<string>;
  readonly round: number;
}

function deciding({ parts }: Pass, assessment: Assessment, { policy, once, round }: Context): (container: Container) => Decision<ContainerTarget> {
  const now = parts.clock.now();
  const claiming = claimingIds(assessment);
  return (container) => {
    if (!container.inspected) return refuseUninspected(container, 'remove', round);
    const rules = policy.rulesOf(container, now);
    const claims = once.has(container.id) ? true : claimsNow(container, assessment, claiming);
    return decideLeftover({ container, rules, policy, now, round, standing: standingOf(claims, rules), firstPassAt: assessment.history.firstPassAt, clock: assessment.history.clock });
  };
}

/** What is removed holds nothing any more, so its allocations end with it. */
async function removeOne(pass: Pass, actor: ContainerActor | null, entry: Numbered<ContainerTarget>): Promise<void> {
  const { clock, ledger } = pass.parts;
  const stop = interruption(pass);
  if (stop !== null || actor === null) { finish(pass, entry, null, stop ?? { result: 'refused', reason: 'interrupted', detail: 'this pass has no acting side' }); return; }
  const { target } = entry.decision;
  const act = begin(pass, entry);
  const result = await actor.removeContainer(target);
  if (result.result === 'done') {
    for (const each of pass.latest?.history.allocations ?? []) if (each.containerId === target.containerId && each.releasedAt === null) ledger.release(each, 'gone', clock.now());
  }
  finish(pass, entry, act, result);
}
