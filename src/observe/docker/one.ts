import type { EngineClient } from '../../callout/engine.ts';
import type { InspectedContainer } from '../../model/container.ts';
import { saysNotFound } from './ask.ts';
import { parseInspect } from './inspect.ts';

/** One container at one instant. *Unknown*: the engine did not say, or not in a form that can be read. */
export type ContainerSight =
  | { readonly state: 'gone' }
  | { readonly state: 'unknown'; readonly why: string }
  | { readonly state: 'there'; readonly container: InspectedContainer };

/** Asks for one container by its full id: the look right before an act. */
export async function observeContainer(engine: EngineClient, id: string): Promise<ContainerSight> {
  const reply = await engine.inspect(id);
  if (!reply.ok) return saysNotFound(reply) ? { state: 'gone' } : { state: 'unknown', why: reply.why };
  const container = parseInspect(reply.value, { id, defaultRuntime: null });
  return container.inspected ? { state: 'there', container } : { state: 'unknown', why: container.why };
}
