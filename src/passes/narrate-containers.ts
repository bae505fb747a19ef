import type { ContainerTarget, Decision, Outcome } from '../model/decision.ts';
import type { EventAction, GpuctlEvent } from '../model/event.ts';
import { type ReasonCode, REASONS } from '../model/reason.ts';

/** What a decision that was carried out is told as; every other reason keeps the container. */
const ACTIONS: Readonly<Partial<Record<ReasonCode, EventAction>>> = {
  'idle-warning': 'container.idle.warned',
  'idle-final-warning': 'container.idle.final',
  'idle-limit': 'container.idle.stopped',
  'runtime-warning': 'container.runtime.warned',
  'runtime-final-warning': 'container.runtime.final',
  'runtime-limit': 'container.runtime.stopped',
  'created-leftover': 'container.removed',
  'stopped-leftover': 'container.removed',
};

/** The events of a decision about a container: what was done to it, or why it was kept though it is past a limit. */
export function containerEvents(decision: Decision, outcome: Outcome | null): readonly GpuctlEvent[] {
  const { target } = decision;
  if (target.kind !== 'container') return [];
  if (outcome !== null) return [outcomeEvent(target, decision, outcome)];
  const kept = decision.verdict !== 'act' && decision.evidence['pastLimit'] === true;
  return kept ? [keptEvent(target, decision, decision.reason, REASONS[decision.reason])] : [];
}

type About = Required<Pick<GpuctlEvent, 'container'>> & Pick<GpuctlEvent, 'user'>;

function aboutOf({ containerId, containerName, owner }: ContainerTarget): About {
  return { container: { id: containerId, name: containerName }, ...(owner === null ? {} : { user: owner }) };
}

function keptEvent(target: ContainerTarget, { verb, evidence }: Decision, reason: string, why: string): GpuctlEvent {
  return { ...aboutOf(target), action: 'container.kept', message: `container ${target.containerName} was kept (${verb}): ${why}`, reason, facts: { verb, evidence } };
}

function outcomeEvent(target: ContainerTarget, decision: Decision, { result, reason, detail }: Outcome): GpuctlEvent {
  const action = ACTIONS[decision.reason];
  // The one notice of an exempt owner; and what the last check found to be no longer due, or not certain.
  if (action === undefined || result === 'refused' || result === 'already-gone') return keptEvent(target, decision, reason ?? decision.reason, detail);
  const failed = result === 'failed';
  return {
    ...aboutOf(target), action, reason: reason ?? decision.reason,
    message: `container ${target.containerName}: ${failed ? `${decision.verb} failed: ` : ''}${detail}`,
    outcome: failed ? 'failure' : 'success',
    facts: { evidence: decision.evidence },
    ...(failed ? { level: 'error' as const, alert: true } : {}),
  };
}
