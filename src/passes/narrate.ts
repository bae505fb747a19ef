import type { Blocker, Decision, Outcome } from '../model/decision.ts';
import type { GpuctlEvent } from '../model/event.ts';
import type { Observed } from '../model/observation.ts';
import { REASONS } from '../model/reason.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { blockersIn } from '../decide/reset.ts';
import { containerEvents } from './narrate-containers.ts';

/** One event for every source that did not tell everything. */
export function observationEvents(snapshot: Snapshot): readonly GpuctlEvent[] {
  const sources: readonly (readonly [string, Observed<unknown>])[] = [['nvidia-smi', snapshot.driver], ['engine', snapshot.engine], ['processes', snapshot.processes]];
  return [...sources.flatMap(([source, observed]) => sourceEvent(source, observed)), ...kernelLogEvents(snapshot.kernelLog)];
}

/** The kernel log is no source that an act needs: where it may not be read, nobody is to be woken. */
function kernelLogEvents(log: Snapshot['kernelLog']): readonly GpuctlEvent[] {
  if (log === undefined) return [];
  const events = sourceEvent('kernel log', log);
  return log.state === 'failed' && (log.code === 'not-permitted' || log.code === 'not-installed') ? events.map((event) => ({ ...event, level: 'info', alert: false })) : events;
}

function sourceEvent(source: string, observed: Observed<unknown>): readonly GpuctlEvent[] {
  if (observed.state === 'complete') return [];
  if (observed.state === 'failed') return [{ action: 'observe.failed', message: `${source}: ${observed.why}`, reason: observed.code, outcome: 'failure', facts: { source } }];
  return [{ action: 'observe.partial', message: `${source}: ${observed.missing.length} missing`, facts: { source, missing: observed.missing } }];
}

/** The events that tell one decision and, where it was tried, its outcome. Most decisions to leave something alone are not told. */
export function decisionEvents(decision: Decision, outcome: Outcome | null): readonly GpuctlEvent[] {
  switch (decision.target.kind) {
    case 'process': return processEvents(decision, outcome);
    case 'gpu': return resetEvents(decision, outcome);
    case 'allocation': return releaseEvents(decision, outcome);
    case 'container': return containerEvents(decision, outcome);
  }
}

const STRAY_REASONS = new Set(['foreign-shim-alive', 'foreign-engine-changed', 'foreign-pid-namespace', 'foreign-podman', 'host-stray', 'mps-client']);

function processEvents(decision: Decision, outcome: Outcome | null): readonly GpuctlEvent[] {
  const { target, reason } = decision;
  if (target.kind !== 'process') return [];
  const [uuid] = target.gpuUuids;
  const about: Pick<GpuctlEvent, 'process' | 'gpu' | 'container' | 'reason'> = {
    process: { pid: target.pid, name: target.name },
    reason,
    ...(uuid === undefined ? {} : { gpu: { uuid } }),
    ...(target.containerId === null ? {} : { container: { id: target.containerId, name: null } }),
  };
  if (STRAY_REASONS.has(reason)) return [{ ...about, action: 'gpu.stray.reported', message: `process ${target.pid} was left alone: ${REASONS[reason]}`, alert: reason === 'mps-client' }];
  if (decision.verdict !== 'act' && reason !== 'over-budget') return [];
  const found: GpuctlEvent = { ...about, action: 'gpu.orphan.found', message: `process ${target.pid} is an orphan: ${REASONS[reason]}`, facts: { gpus: target.gpuUuids, evidence: decision.evidence } };
  return outcome === null ? [found] : [found, endingEvent(target.pid, about, outcome)];
}

function endingEvent(pid: number, about: Pick<GpuctlEvent, 'process' | 'gpu' | 'container' | 'reason'>, outcome: Outcome): GpuctlEvent {
  const ended = outcome.result === 'done' || outcome.result === 'already-gone';
  return {
    ...about,
    action: ended ? 'gpu.orphan.ended' : 'gpu.orphan.survived',
    message: `process ${pid}: ${outcome.detail}`,
    outcome: ended ? 'success' : 'failure',
    reason: outcome.reason ?? about.reason ?? '',
    facts: { result: outcome.result },
  };
}

function releaseEvents(decision: Decision, outcome: Outcome | null): readonly GpuctlEvent[] {
  const { target, reason } = decision;
  if (target.kind !== 'allocation' || outcome === null || outcome.result !== 'done') return [];
  const owner = decision.evidence['owner'];
  return [{
    action: 'gpu.allocation.released',
    message: `${target.migUuid ?? target.gpuUuid} released from container ${target.containerName}: ${REASONS[reason]}`,
    outcome: 'success', reason,
    container: { id: target.containerId, name: target.containerName },
    gpu: { uuid: target.gpuUuid, mig: target.migUuid },
    ...(typeof owner === 'string' ? { user: owner } : {}),
  }];
}

function resetEvents(decision: Decision, outcome: Outcome | null): readonly GpuctlEvent[] {
  const { target, reason } = decision;
  if (target.kind !== 'gpu') return [];
  const gpu = { uuid: target.uuid, index: target.index, busId: target.pciBusId };
  if (outcome !== null && outcome.result !== 'refused') return [resetOutcome(gpu, reason, outcome)];
  if (decision.verdict !== 'refuse' && outcome?.result !== 'refused') return [];
  const blockers = blockersIn(decision);
  const alert = blockers.some((blocker) => blocker.kind === 'mig-enabled' || blocker.kind === 'container-claim' || blocker.kind === 'quarantine');
  return [{ action: 'gpu.reset.withheld', message: `a reset of GPU ${target.index ?? target.uuid} is called for, but: ${outcome?.detail ?? whyWithheld(decision, blockers)}`, alert, reason: withheldReason(reason, blockers), gpu, facts: { blockers, want: decision.evidence['want'] } }];
}

function whyWithheld(decision: Decision, blockers: readonly Blocker[]): string {
  const hard = blockers.filter((blocker) => blocker.hard).map((blocker) => blocker.what);
  return hard.length === 0 ? REASONS[decision.reason] : hard.join('; ');
}

/** `mig` and `shared` are what an admin filters for. */
function withheldReason(reason: string, blockers: readonly Blocker[]): string {
  if (blockers.some((blocker) => blocker.kind === 'mig-enabled')) return 'mig';
  return blockers.some((blocker) => blocker.kind === 'container-claim') ? 'shared' : reason;
}

function resetOutcome(gpu: NonNullable<GpuctlEvent['gpu']>, reason: string, outcome: Outcome): GpuctlEvent {
  const done = outcome.result === 'done';
  const lost = done && outcome.detail.includes('lost');
  return {
    action: done ? 'gpu.reset.done' : 'gpu.reset.failed',
    message: `reset of GPU ${gpu.index ?? gpu.uuid}: ${outcome.detail}`,
    outcome: done ? 'success' : 'failure',
    reason, gpu,
    ...(lost ? { level: 'warn' as const, alert: true } : {}),
  };
}
