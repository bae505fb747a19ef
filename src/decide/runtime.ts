import type { Warning, WarningStage } from '../model/activity.ts';
import type { InspectedContainer } from '../model/container.ts';
import type { ContainerTarget, Decision } from '../model/decision.ts';
import type { History } from '../model/history.ts';
import { isoTime } from '../model/time.ts';
import { elapsedMs, elapsedUntilMs, plausible } from './clock.ts';
import { containerTarget, exemptAnswer, exemptionEvidence, leave, type LimitAnswer, outsideLimits, stageAnswer } from './idle.ts';
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
  /** What the boot clock confirms of the time; absent: it is not looked at. */
  readonly clock?: History['clock'] | undefined;
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
  const outside = outsideLimits(restartsCount(facts) ? { ...facts, container: { ...facts.container, state: 'running' } } : facts);
  if (outside !== null) return outside;
  if (rules.maxRuntimeMs === null) return leave('limit-never', { limitFrom: rules.maxRuntimeFrom });
  if (firstPassAt === null) return leave('first-pass');
  const startAt = runtimeSince(facts);
  if (startAt === null) return leave('age-unknown');
  const sinceAt = Math.max(startAt, firstPassAt);
  const runtimeMs = elapsedMs(sinceAt, now, facts.clock);
  return runtimeMs === null ? leave('age-unknown') : reachedAnswer(facts, { sinceAt, runtimeMs, limitMs: rules.maxRuntimeMs });
}

/** Where all runs count, one that starts again and again is as far as one that runs. */
function restartsCount({ container: { state }, policy }: RuntimeFacts): boolean {
  return state === 'restarting' && policy.runtimeCounts === 'since-first-start';
}

/** When the run, or all runs together, began; null: not known. */
export function runtimeSince({ container, policy, firstStartAt }: Pick<RuntimeFacts, 'container' | 'firstStartAt'> & { readonly policy: Pick<LimitPolicy, 'runtimeCounts'> }): number | null {
  const startedAt = plausible(container.startedAt, container);
  if (policy.runtimeCounts === 'since-last-start' || container.startedAt === null) return startedAt;
  const starts = [startedAt, plausible(firstStartAt, container)].filter((at) => at !== null);
  return starts.length === 0 ? null : Math.min(...starts);
}

interface Run {
  readonly sinceAt: number;
  readonly runtimeMs: number;
  readonly limitMs: number;
}

function reachedAnswer({ container, standing, rules, policy, warnings, clock, now }: RuntimeFacts, { sinceAt, runtimeMs, limitMs }: Run): LimitAnswer {
  const [first] = policy.runtimePercents;
  const share = { percent: (runtimeMs / limitMs) * 100, percents: policy.runtimePercents };
  const reached = reachedStage(share);
  const evidence = { runtimeMs, limitMs, limitFrom: rules.maxRuntimeFrom, since: isoTime(sinceAt), counts: policy.runtimeCounts, pastLimit: reached === 'stop', ...exemptionEvidence(rules.runtimeExemption) };
  if (standing === 'protected') return leave('protected', evidence);
  if (reached === null) {
    const wallMs = now - sinceAt;
    return wallMs >= (limitMs * first) / 100 ? leave('time-not-confirmed', { ...evidence, wallMs }) : leave('within-limit', evidence);
  }
  if (!policy.configured.limits) return { verb: reached === 'stop' ? 'stop' : 'warn', verdict: 'refuse', reason: 'limits-not-configured', evidence };
  const mine = warningsOf({ container, policy, warnings });
  if (rules.exemptFromRuntime !== null) return exemptAnswer(mine, rules.exemptFromRuntime, evidence);
  const due = dueStage({ ...share, given: runtimeGiven({ container, policy, warnings: mine, clock, now }, { sinceAt, limitMs }) });
  return stageAnswer(due, 'runtime', { mayStop: true, evidence });
}

type Warned = Pick<RuntimeFacts, 'container' | 'warnings'> & { readonly policy: Pick<LimitPolicy, 'runtimeCounts' | 'runtimePercents'> };

function warningsOf({ container, policy, warnings }: Warned): readonly Warning[] {
  return warnings.filter((warning) => warning.kind === 'runtime' && (policy.runtimeCounts === 'since-first-start' || warning.startedAt === container.startedAt));
}

/** The warnings that count; one about a limit that was shorter then says nothing about this one. */
export function runtimeGiven(facts: Warned & Pick<RuntimeFacts, 'clock' | 'now'>, { sinceAt, limitMs }: Pick<Run, 'sinceAt' | 'limitMs'>): ReadonlySet<WarningStage> {
  const [first, final] = facts.policy.runtimePercents;
  const dueMs = { warned: (limitMs * first) / 100, final: (limitMs * final) / 100, notice: 0 };
  return givenStages(warningsOf(facts), facts.now, ({ stage, at }) => (elapsedUntilMs(sinceAt, at, facts.clock) ?? -1) >= dueMs[stage]);
}
