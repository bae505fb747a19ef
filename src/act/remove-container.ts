import { isLive } from '../model/container.ts';
import type { ContainerTarget } from '../model/decision.ts';
import { REASONS } from '../model/reason.ts';
import type { ActResult } from '../passes/ports.ts';
import { answerOf, mayHaveActed } from './command-reply.ts';
import type { ContainerActParts } from './container-actor.ts';

/**
 * Removes a container that does not run, without force and without its volumes: should it start at this very moment, the
 * engine refuses. It is looked for again afterwards, as an engine may forget to finish.
 */
export async function removeContainer(parts: ContainerActParts, target: ContainerTarget): Promise<ActResult> {
  const unfit = await whyNotRemove(parts, target);
  if (unfit !== null) return unfit;
  const reply = await parts.engine.remove(target.containerId);
  const now = await parts.look(target.containerId);
  if (now.state === 'gone') return mayHaveActed(reply) ? { result: 'done', reason: null, detail: `it is removed; its volumes are kept${answerOf(reply)}` } : { result: 'already-gone', reason: 'gone', detail: REASONS.gone };
  if (now.state === 'there' && isLive(now.container.state)) return { result: 'refused', reason: 'still-running', detail: REASONS['still-running'] };
  if (!reply.ok) return { result: 'failed', reason: null, detail: `the engine: ${reply.why}` };
  return { result: 'failed', reason: null, detail: now.state === 'unknown' ? now.why : `the engine says that it is removed, but it is ${now.container.state}` };
}

/** Null: it is at rest, and has not run since. */
async function whyNotRemove({ look }: ContainerActParts, { containerId, startedAt }: ContainerTarget): Promise<ActResult | null> {
  const now = await look(containerId);
  if (now.state === 'gone') return { result: 'already-gone', reason: 'gone', detail: REASONS.gone };
  if (now.state === 'unknown') return { result: 'refused', reason: 'container-unknown', detail: now.why };
  const { state, startedAt: lastRun } = now.container;
  if (isLive(state)) return { result: 'refused', reason: 'still-running', detail: REASONS['still-running'] };
  if (lastRun !== startedAt) return { result: 'refused', reason: 'restarted', detail: 'it has run again since it was decided on' };
  return state === 'created' || state === 'exited' ? null : { result: 'refused', reason: 'container-not-settled', detail: `it is ${state}` };
}
