import type { ContainerState } from '../../model/container.ts';

const STATES: ReadonlySet<string> = new Set<ContainerState>(['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead']);

/** The engine's word for a state; a word that is none of the seven is *unknown*, which counts as alive. */
export function parseState(text: string): ContainerState {
  return STATES.has(text) ? (text as ContainerState) : 'unknown';
}
