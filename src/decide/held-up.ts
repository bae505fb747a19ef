import type { EngineView } from '../model/container.ts';
import { type Observed, seen } from '../model/observation.ts';

/** What an admin can do about a container of which the kernel, and not the engine, leaves something unsaid; null: it is not one of those. */
export function heldUpRemedy(engine: Observed<EngineView>, containerId: string): string | null {
  const container = seen(engine)?.containers.find(({ id }) => id === containerId);
  if (container === undefined || container.inspected || container.heldUpBy === undefined) return null;
  return `not the engine but the kernel holds this up: see /proc/${container.heldUpBy}/stack, or that of the process whose read it left unanswered, and the kernel log (ps may hang as well); end that process, or restart the host if it does not end`;
}
