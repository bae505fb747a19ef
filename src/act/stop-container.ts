import { isLive } from '../model/container.ts';
import type { ContainerTarget } from '../model/decision.ts';
import { REASONS } from '../model/reason.ts';
import type { ActResult } from '../passes/ports.ts';
import { answerOf, mayHaveActed } from './command-reply.ts';
import type { ContainerActParts } from './container-actor.ts';

/**
 * Stops the run that was decided on, with its grace before SIGKILL, and looks whether it stopped. A container that is
 * gone or has stopped by itself needs nothing any more; one that has started again since is another run, and is left.
 */
export async function stopContainer(parts: ContainerActParts, target: ContainerTarget, graceS: number): Promise<ActResult> {
  const unfit = await whyNotStop(parts, target);
  if (unfit !== null) return unfit;
  const reply = await parts.engine.stop(target.containerId, graceS);
  const ended = await whyNotStop(parts, target);
  // The last look counts, whatever the engine answered to the stop.
  if (ended !== null && ended.reason !== 'container-unknown') return mayHaveActed(reply) ? { result: 'done', reason: null, detail: `it has stopped (grace ${graceS} s)${answerOf(reply)}`, ...sinceOf(ended) } : ended;
  if (!reply.ok) return { result: 'failed', reason: null, detail: `the engine: ${reply.why}` };
  return { result: 'failed', reason: null, detail: ended === null ? 'the engine says that it stopped, but it runs' : ended.detail };
}

/** Null: that very run goes on. */
async function whyNotStop({ look }: ContainerActParts, { containerId, startedAt }: ContainerTarget): Promise<ActResult | null> {
  const now = await look(containerId);
  if (now.state === 'gone') return { result: 'already-gone', reason: 'gone', detail: REASONS.gone };
  if (now.state === 'unknown') return { result: 'refused', reason: 'container-unknown', detail: now.why };
  const { state, startedAt: runsSince } = now.container;
  if (state === 'unknown') return { result: 'refused', reason: 'container-unknown', detail: 'the engine does not say whether it runs' };
  if (!isLive(state)) return { result: 'already-gone', reason: 'already-stopped', detail: REASONS['already-stopped'] };
  return startedAt !== null && runsSince === startedAt ? null : { result: 'refused', reason: 'restarted', detail: REASONS.restarted };
}

function sinceOf({ reason }: ActResult): Pick<ActResult, 'since'> {
  if (reason === 'gone') return { since: 'removed' };
  return reason === 'restarted' ? { since: 'started' } : {};
}
