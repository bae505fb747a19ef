import type { EngineClient, EngineReply } from '../../callout/engine.ts';
import type { EngineAnswer } from '../../model/container.ts';
import { inspectEach, saysNotFound } from './ask.ts';
import { parseInspect } from './inspect.ts';

/** The engine's word on each container by its full id, asked now, in the order of `ids`. */
export async function observeAnswers(engine: EngineClient, ids: readonly string[]): Promise<readonly EngineAnswer[]> {
  const replies = await inspectEach(engine, ids);
  return ids.map((id, at) => parseAnswer(id, replies[at]));
}

/** `not-found` only where the engine says so about this very id; whatever else is no state is `failed`. */
export function parseAnswer(containerId: string, reply: EngineReply | undefined): EngineAnswer {
  if (reply === undefined) return { containerId, answer: 'failed', name: null };
  if (!reply.ok) return { containerId, answer: saysNotFound(reply) ? 'not-found' : 'failed', name: null };
  const container = parseInspect(reply.value, { id: containerId, defaultRuntime: null });
  return container.inspected ? { containerId, answer: container.state, name: container.name } : { containerId, answer: 'failed', name: null };
}
