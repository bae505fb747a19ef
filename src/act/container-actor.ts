import type { ContainerCommands } from '../callout/engine.ts';
import type { ContainerActor } from '../passes/ports.ts';
import type { ContainerLook } from './look-again.ts';
import { removeContainer } from './remove-container.ts';
import { stopContainer } from './stop-container.ts';

/** What stopping and removing are made of. */
export interface ContainerActParts {
  readonly engine: ContainerCommands;
  /** The container as it is this instant, asked for by its full id. */
  readonly look: (containerId: string) => Promise<ContainerLook>;
}

/** The acting side of a pass about limits. It is never built for a dry run. */
export function createContainerActor(parts: ContainerActParts): ContainerActor {
  return {
    stopContainer: (target, graceS) => stopContainer(parts, target, graceS),
    removeContainer: (target) => removeContainer(parts, target),
  };
}
