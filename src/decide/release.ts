import { type Container, type EngineView, type InspectedContainer, isLive } from '../model/container.ts';
import type { AllocationTarget, Decision, Evidence, Verdict } from '../model/decision.ts';
import type { Allocation, History } from '../model/history.ts';
import { seen } from '../model/observation.ts';
import type { ReasonCode } from '../model/reason.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { restedMs } from './clock.ts';

/** What the configuration says of one container. */
export interface HoldRules {
  /** Null: never. */
  readonly gpuHoldAfterStopMs: number | null;
  /** A container that never started keeps its device at least so long; null: for ever. */
  readonly createdTimeoutMs: number | null;
  readonly protected: boolean;
}

export interface ReleaseFacts {
  readonly snapshot: Snapshot;
  readonly history: History;
  readonly rulesOf: (container: InspectedContainer) => HoldRules;
  readonly now: number;
  readonly round: number;
}

interface Answer {
  readonly verdict: Verdict;
  readonly reason: ReasonCode;
  readonly evidence?: Evidence;
}

/** Exactly one decision for every open allocation. */
export function decideRelease(facts: ReleaseFacts): readonly Decision<AllocationTarget>[] {
  const containers = new Map((seen(facts.snapshot.engine)?.containers ?? []).map((each) => [each.id, each]));
  return facts.history.allocations
    .filter((allocation) => allocation.releasedAt === null)
    .map((allocation) => {
      const { verdict, reason, evidence = {} } = answerFor(allocation, containers.get(allocation.containerId), facts);
      return { round: facts.round, verb: 'release', target: targetOf(allocation), verdict, reason, evidence: { owner: allocation.owner, ...evidence } };
    });
}

function targetOf(allocation: Allocation): AllocationTarget {
  const { containerId, containerName, startedAt, gpuUuid, migUuid } = allocation;
  return { kind: 'allocation', containerId, containerName, startedAt, gpuUuid, migUuid };
}

function answerFor(allocation: Allocation, container: Container | undefined, facts: ReleaseFacts): Answer {
  const { engine } = facts.snapshot;
  if (engine.state === 'failed') return { verdict: 'refuse', reason: 'containers-unknown', evidence: { why: engine.why } };
  if (container === undefined) return missingAnswer(allocation, engine.value);
  return presentAnswer(container, allocation, facts);
}

/** Gone is what the list lacks, unless the engine, asked for a process's sake, says otherwise of that very id. */
function missingAnswer({ containerId }: Allocation, { answers }: EngineView): Answer {
  const contradicted = answers.some((each) => each.containerId === containerId && each.answer !== 'not-found');
  return contradicted ? { verdict: 'refuse', reason: 'containers-unknown', evidence: { why: 'the list lacks it, the engine does not say that it is gone' } } : { verdict: 'act', reason: 'gone' };
}

function presentAnswer(container: Container, allocation: Allocation, facts: ReleaseFacts): Answer {
  if (!container.inspected) return { verdict: 'refuse', reason: 'container-unknown', evidence: { why: container.why } };
  if (isLive(container.state)) return { verdict: 'leave', reason: 'still-running' };
  if (container.startedAt !== allocation.startedAt) return { verdict: 'leave', reason: 'identity-changed' };
  const rules = facts.rulesOf(container);
  return rules.protected ? { verdict: 'leave', reason: 'protected' } : stoppedAnswer(container, rules, facts);
}

/**
 * A stopped container keeps its device for its hold, counted from its end, but never from before gpuctl's first pass. One
 * that was created and never started keeps it until it would be removed as a leftover, if that is later.
 */
function stoppedAnswer(container: InspectedContainer, rules: HoldRules, { history, now }: ReleaseFacts): Answer {
  const neverStarted = container.state === 'created';
  const holdMs = neverStarted ? longer(rules.gpuHoldAfterStopMs, rules.createdTimeoutMs) : rules.gpuHoldAfterStopMs;
  if (holdMs === null) return { verdict: 'leave', reason: 'hold-never' };
  if (holdMs === 0) return { verdict: 'act', reason: 'no-hold' };
  if (history.firstPassAt === null) return { verdict: 'leave', reason: 'first-pass' };
  const stoppedForMs = restedMs(container, history, now);
  if (stoppedForMs === null) return { verdict: 'leave', reason: 'age-unknown', evidence: { holdMs } };
  const evidence = { stoppedForMs, holdMs };
  return stoppedForMs > holdMs ? { verdict: 'act', reason: 'hold-expired', evidence } : { verdict: 'leave', reason: 'within-hold', evidence };
}

/** The longer of two durations, where null is for ever. */
export function longer(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : Math.max(a, b);
}
