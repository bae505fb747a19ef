import type { Assessment } from '../decide/assess.ts';
import { type InspectedContainer, isLive } from '../model/container.ts';
import type { Decision } from '../model/decision.ts';
import { seen } from '../model/observation.ts';
import type { Pass } from './pass.ts';
import type { ActResult } from './ports.ts';

/** What a pass found out about a container by acting on it. */
export interface Ended {
  readonly state: 'stopped' | 'gone';
  /** When that was told: not before it was so. */
  readonly at: number;
  /** The run that was decided on. */
  readonly startedAt: number | null;
}

/** Remembers what the answer to an act says of its container; most answers say nothing of that kind. */
export function rememberEnd({ ended, parts }: Pass, { verb, target }: Decision, result: ActResult): void {
  const state = target.kind === 'container' ? endOf(verb, result) : null;
  if (target.kind === 'container' && state !== null) ended.set(target.containerId, { state, at: parts.clock.now(), startedAt: target.startedAt });
}

function endOf(verb: Decision['verb'], { result, reason, since }: ActResult): Ended['state'] | null {
  if (result !== 'done' && result !== 'already-gone') return null;
  if (since === 'started') return null;
  if (since === 'removed' || reason === 'gone' || (verb === 'remove' && result === 'done')) return 'gone';
  return verb === 'stop' && (result === 'done' || reason === 'already-stopped') ? 'stopped' : null;
}

/** Containers as the last look saw them and the acts since have left them. Those that were not inspected are not among them. */
export function containersAfter({ ended }: Pick<Pass, 'ended'>, { snapshot }: Assessment): readonly InspectedContainer[] {
  return (seen(snapshot.engine)?.containers ?? []).flatMap((container) => {
    if (!container.inspected) return [];
    const end = ended.get(container.id);
    // What a later look saw is newer than the answer, but for the run itself, which that look may have met while it ended.
    if (end === undefined || (snapshot.takenAt > end.at && container.startedAt !== end.startedAt)) return [container];
    if (end.state === 'gone') return [];
    return [isLive(container.state) ? { ...container, state: 'exited', pid: null, finishedAt: end.at } : container];
  });
}
