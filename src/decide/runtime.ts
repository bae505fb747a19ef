import type { Warning } from '../model/activity.ts';
import type { InspectedContainer } from '../model/container.ts';
import type { ContainerTarget, Decision } from '../model/decision.ts';
import { isoTime } from '../model/time.ts';
import { containerTarget, exemptAnswer, leave, type LimitAnswer, outsideLimits, stageAnswer } from './idle.ts';
import type { LimitPolicy, LimitRules } from './limit-rules.ts';
import type { Standing } from './managed.ts';
import { dueStage, givenStages, reachedStage } from './stages.ts';

export interface RuntimeFacts {
  readonly container: InspectedContainer;
  readonly standing: Standing;
  readonly rules: LimitRules;
  readonly policy: Pick<LimitPolicy, 'runtimePercents' | 'runtimeCounts' | 'configured'>;
  /** The first start that gpuctl ever saw; null: none. */
  readonly firstStartAt: number | null;
  /** No clock starts before gpuctl's first pass; null: this is it. */
  readonly firstPassAt: number | null;
  readonly warnings: readonly Warning[];
  readonly now: number;
  readonly round: number;
}

/** One decision for one running container, from the wall time since its first or its last start. */
export function decideRuntime(facts: RuntimeFacts): Decision<ContainerTarget> {
  return { round: facts.round, target: containerTarget(facts.container, facts.rules.owner), ...answerFor(facts) };
}

function answerFor(facts: RuntimeFacts): LimitAnswer {
  const { rules, firstPassAt, now } = facts;
  const outside = outsideLimits(facts);
  if (outside !== null) return outside;
  if (rules.maxRuntimeMs === null) return leave('limit-never', { limitFrom: rules.maxRuntimeFrom });
  if (firstPassAt === null) return leave('first-pass');
  const startAt = countedFrom(facts);
  const sinceAt = startAt === null ? null : Math.max(startAt, firstPassAt);
  if (sinceAt === null || now < sinceAt) return leave('age-unknown');
  return reachedAnswer(facts, sinceAt, rules.maxRuntimeMs);
}

function countedFrom({ container, policy, firstStartAt }: RuntimeFacts): number | null {
  const { startedAt } = container;
  if (policy.runtimeCounts === 'since-last-start' || startedAt === null) return startedAt;
  return Math.min(startedAt, firstStartAt ?? startedAt);
}

function reachedAnswer({ container, standing, rules, policy, warnings, now }: RuntimeFacts, sinceAt: number, limitMs: number): LimitAnswer {
  const runtimeMs = now - sinceAt;
  const [first, final] = policy.runtimePercents;
  const share = { percent: (runtimeMs / limitMs) * 100, percents: policy.runtimePercents };
  const reached = reachedStage(share);
  const evidence = { runtimeMs, limitMs, limitFrom: rules.maxRuntimeFrom, since: isoTime(sinceAt), counts: policy.runtimeCounts, pastLimit: reached === 'stop' };
  if (standing === 'protected') return leave('protected', evidence);
  if (reached === null) return leave('within-limit', evidence);
  if (!policy.configured.limits) return { verb: reached === 'stop' ? 'stop' : 'warn', verdict: 'refuse', reason: 'limits-not-configured', evidence };
  const mine = warnings.filter((warning) => warning.kind === 'runtime' && (policy.runtimeCounts === 'since-first-start' || warning.startedAt === container.startedAt));
  if (rules.exemptFromRuntime !== null) return exemptAnswer(mine, rules.exemptFromRuntime, evidence);
  // A warning about a limit that was shorter then says nothing about this one.
  const dueAt = { warned: sinceAt + (limitMs * first) / 100, final: sinceAt + (limitMs * final) / 100, notice: sinceAt };
  const due = dueStage({ ...share, given: givenStages(mine, now, ({ stage, at }) => at >= dueAt[stage]) });
  return stageAnswer(due, 'runtime', { mayStop: true, evidence });
}
