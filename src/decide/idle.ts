import type { OwnerExemption } from '../config/limits.ts';
import type { ActivitySample, IdleClock, KeepAlive, Warning, WarningStage } from '../model/activity.ts';
import type { Container, InspectedContainer } from '../model/container.ts';
import type { ContainerTarget, Decision, Evidence, Verb, Verdict } from '../model/decision.ts';
import type { ReasonCode } from '../model/reason.ts';
import { isoTime } from '../model/time.ts';
import { isRunning } from './activity.ts';
import { decideKeeping } from './keep-alive.ts';
import type { LimitPolicy, LimitRules } from './limit-rules.ts';
import type { Standing } from './managed.ts';
import { dueStage, givenStages, reachedStage } from './stages.ts';

export interface IdleFacts {
  readonly container: InspectedContainer;
  readonly standing: Standing;
  readonly rules: LimitRules;
  readonly policy: Pick<LimitPolicy, 'youngMs' | 'idlePercents' | 'highDemand' | 'configured'>;
  /** The sample that this pass took; null: it took none, and then nothing is done. */
  readonly sample: ActivitySample | null;
  /** The clock with that sample in it. */
  readonly clock: IdleClock | null;
  readonly warnings: readonly Warning[];
  readonly wishes: readonly KeepAlive[];
  readonly highDemand: boolean;
  /** False: this pass warns, but never stops. */
  readonly mayStop: boolean;
  readonly now: number;
  readonly round: number;
}

/** What one rule says of one container. */
export interface LimitAnswer {
  readonly verb: Verb;
  readonly verdict: Verdict;
  readonly reason: ReasonCode;
  readonly evidence: Evidence;
}

/** One decision for one running container: warn, warn for the last time, stop, or why not. */
export function decideIdle(facts: IdleFacts): Decision<ContainerTarget> {
  return { round: facts.round, target: containerTarget(facts.container, facts.rules.owner), ...answerFor(facts) };
}

/** The target of a decision about a container that may not have been inspected. */
export function containerTarget(container: Container, owner: string | null): ContainerTarget {
  return { kind: 'container', containerId: container.id, containerName: container.name, startedAt: container.inspected ? container.startedAt : null, owner };
}

/** A container that could not be inspected: nothing about it is certain. */
export function refuseUninspected(container: Extract<Container, { inspected: false }>, verb: Verb, round: number): Decision<ContainerTarget> {
  return { round, verb, target: containerTarget(container, null), verdict: 'refuse', reason: 'container-unknown', evidence: { why: container.why } };
}

/** Nothing is to be done, and why. */
export function leave(reason: ReasonCode, evidence: Evidence = {}): LimitAnswer {
  return { verb: 'stop', verdict: 'leave', reason, evidence };
}

/** Why a running container is not even considered, whatever its clocks say; null: it is. */
export function outsideLimits({ container, standing }: Pick<IdleFacts, 'container' | 'standing'>): LimitAnswer | null {
  if (standing === 'infrastructure' || standing === 'unclaimed') return leave('not-managed');
  if (standing === 'unknown') return leave('claims-unknown');
  return isRunning(container) ? null : leave('container-not-settled', { state: container.state });
}

function answerFor(facts: IdleFacts): LimitAnswer {
  const { container, rules, policy, sample, clock, now } = facts;
  const outside = outsideLimits(facts);
  if (outside !== null) return outside;
  if (rules.idleTimeoutMs === null) return leave('limit-never', { limitFrom: rules.idleTimeoutFrom });
  if (sample === null || clock === null || hasError(sample)) return leave('activity-unknown', errorsIn(sample));
  const limitMs = rules.idleTimeoutMs * (facts.highDemand ? policy.highDemand.factor : 1);
  const evidence = evidenceOf(facts, clock, limitMs);
  const ageMs = container.startedAt === null ? -1 : now - container.startedAt;
  if (ageMs < 0) return leave('age-unknown', evidence);
  if (ageMs < policy.youngMs) return leave('young', { ...evidence, ageMs });
  if (clock.consecutiveIdle === 0) return leave(clock.samples === 1 ? 'too-few-samples' : 'active', evidence);
  if (clock.consecutiveIdle < rules.idleChecks) return leave(clock.samples <= rules.idleChecks ? 'too-few-samples' : 'not-idle-in-a-row', evidence);
  return reachedAnswer(facts, clock, { limitMs, evidence });
}

function hasError({ cpuNs, networkBytes, gpuPercent }: ActivitySample): boolean {
  return [cpuNs, networkBytes, gpuPercent].some((signal) => signal.kind === 'error');
}

function errorsIn(sample: ActivitySample | null): Evidence {
  if (sample === null) return { why: 'no sample was taken' };
  const { cpuNs, networkBytes, gpuPercent } = sample;
  return { why: [cpuNs, networkBytes, gpuPercent].flatMap((signal) => (signal.kind === 'error' ? [signal.text] : [])).join('; ') };
}

function evidenceOf({ rules, highDemand }: IdleFacts, clock: IdleClock, limitMs: number): Evidence {
  const { idleMs, consecutiveIdle, samples, activeAt } = clock;
  return { idleMs, limitMs, limitFrom: rules.idleTimeoutFrom, highDemand, consecutiveIdle, samples, activeAt: isoTime(activeAt) };
}

function reachedAnswer(facts: IdleFacts, clock: IdleClock, { limitMs, evidence }: { readonly limitMs: number; readonly evidence: Evidence }): LimitAnswer {
  const { standing, rules, policy, warnings, now } = facts;
  const share = { percent: (clock.idleMs / limitMs) * 100, percents: policy.idlePercents };
  const reached = reachedStage(share);
  // Said by the pass that would stop it, not at every sample.
  const told = { ...evidence, pastLimit: reached === 'stop' && facts.mayStop, ...exemptionEvidence(rules.idleExemption) };
  if (standing === 'protected') return leave('protected', told);
  if (reached === null) return leave('within-limit', told);
  if (!policy.configured.limits) return { verb: reached === 'stop' ? 'stop' : 'warn', verdict: 'refuse', reason: 'limits-not-configured', evidence: told };
  const ofRun = warnings.filter((warning) => warning.kind === 'idle' && warning.startedAt === clock.startedAt);
  if (rules.exemptFromIdle !== null) return exemptAnswer(ofRun, rules.exemptFromIdle, told);
  const keeping = decideKeeping({ wishes: facts.wishes, clock, rules, now });
  if (keeping.state === 'kept') return leave('kept-alive', { ...told, keptUntil: isoTime(keeping.untilAt) });
  const due = dueStage({ ...share, given: idleGiven(ofRun, clock, now) });
  return stageAnswer(due, 'idle', { mayStop: facts.mayStop, evidence: keeping.state === 'spent' ? { ...told, keepAliveSpent: isoTime(keeping.sinceAt) } : told });
}

/** The warnings of this idle spell: what was said before the last activity, or under a clock that was ahead, counts for nothing. */
export function idleGiven(warnings: readonly Warning[], { containerId, startedAt, activeAt }: Pick<IdleClock, 'containerId' | 'startedAt' | 'activeAt'>, now: number): ReadonlySet<WarningStage> {
  const ofRun = warnings.filter((warning) => warning.containerId === containerId && warning.kind === 'idle' && warning.startedAt === startedAt);
  return givenStages(ofRun, now, (warning) => warning.at >= activeAt);
}

/** What the owner of an exemption is told of it beside its reason; of one that is not granted it is told that it is not. */
export function exemptionEvidence(exemption: OwnerExemption | null | undefined): Evidence {
  if (exemption === null || exemption === undefined) return {};
  return exemption.granted ? { exemptUntil: exemption.until } : { exemptionNotTrusted: exemption.until };
}

/** One notice, and never a stop. */
export function exemptAnswer(warnings: readonly Warning[], exemption: string, evidence: Evidence): LimitAnswer {
  const told = { ...evidence, exemption };
  return warnings.some((warning) => warning.stage === 'notice') ? leave('exempt', told) : { verb: 'warn', verdict: 'act', reason: 'exempt', evidence: told };
}

/** The answer of one step. Null: what is due was given in an earlier pass, and the next step is not due yet. */
export function stageAnswer(due: ReturnType<typeof dueStage>, kind: 'idle' | 'runtime', { mayStop, evidence }: { readonly mayStop: boolean; readonly evidence: Evidence }): LimitAnswer {
  if (due === null) return leave('within-limit', evidence);
  if (due === 'warned') return { verb: 'warn', verdict: 'act', reason: `${kind}-warning`, evidence };
  if (due === 'final') return { verb: 'warn', verdict: 'act', reason: `${kind}-final-warning`, evidence };
  return mayStop ? { verb: 'stop', verdict: 'act', reason: `${kind}-limit`, evidence } : leave('awaits-stop', evidence);
}
