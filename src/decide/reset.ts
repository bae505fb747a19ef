import type { Blocker, Decision, Evidence, GpuTarget } from '../model/decision.ts';
import type { ReasonCode } from '../model/reason.ts';
import { type BlockerFacts, blockersOf } from './blockers.ts';
import type { Dirt } from './dirt.ts';

export interface ResetFacts extends BlockerFacts {
  readonly dirt: Dirt;
  readonly policy: 'when-dirty' | 'after-orphans' | 'never';
  /** An orphan on this device was ended in this pass. */
  readonly orphanEnded: boolean;
  /** An admin asks for it: a clean device will do, and `policy`, which is about resets unasked, does not count. */
  readonly byHand?: boolean;
  readonly round: number;
}

/** One decision for one device: reset it, or why not, with every blocker. */
export function decideReset(facts: ResetFacts): Decision<GpuTarget> {
  const { gpu, dirt, round } = facts;
  const target: GpuTarget = { kind: 'gpu', uuid: gpu.uuid, pciBusId: gpu.pciBusId, index: gpu.index };
  const base = { round, verb: 'reset', target } as const;
  if (facts.byHand === true) return judged(facts, base, dirt.kind === 'dirty' ? dirt : { reason: 'asked-by-hand', evidence: {} });
  if (dirt.kind === 'clean') return { ...base, verdict: 'leave', reason: 'clean', evidence: {} };
  if (dirt.kind === 'unknown') return { ...base, verdict: 'leave', reason: gpu.processes.state === 'known' ? 'memory-unknown' : 'process-list-unknown', evidence: { why: dirt.why } };
  if (dirt.kind === 'suspect') return { ...base, verdict: 'leave', reason: dirt.reason, evidence: { unexplainedMiB: dirt.unexplainedMiB } };
  return judged(facts, base, dirt);
}

function judged(facts: ResetFacts, base: Pick<Decision<GpuTarget>, 'round' | 'verb' | 'target'>, want: { readonly reason: ReasonCode; readonly evidence: Evidence }): Decision<GpuTarget> {
  const blockers = blockersOf(facts);
  const evidence = { want: want.reason, ...want.evidence, blockers };
  if (blockers.some((blocker) => blocker.hard)) return { ...base, verdict: 'refuse', reason: 'blocked', evidence };
  const forbidden = facts.byHand === true ? null : policyAgainst(facts);
  return forbidden === null ? { ...base, verdict: 'act', reason: want.reason, evidence } : { ...base, verdict: 'refuse', reason: forbidden, evidence };
}

function policyAgainst({ policy, orphanEnded }: ResetFacts): ReasonCode | null {
  if (policy === 'never') return 'policy-never';
  return policy === 'after-orphans' && !orphanEnded ? 'policy-after-orphans' : null;
}

/** The blockers that a reset decision carries; empty where it carries none. */
export function blockersIn(decision: Decision): readonly Blocker[] {
  const { blockers } = decision.evidence;
  return Array.isArray(blockers) ? (blockers as readonly Blocker[]) : [];
}

/** The units that stand between a device and its reset and that the reset may stop, each once. */
export function unitsToPause(decision: Decision): readonly string[] {
  return [...new Set(blockersIn(decision).flatMap(({ unit }) => (unit === undefined ? [] : [unit])))];
}
