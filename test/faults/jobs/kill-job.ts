import type { GpuctlLine } from '../../hostsim/gpuctl-call.ts';
import { type Expected, inFlight, type Outcome } from '../check.ts';
import type { Stage } from '../stage.ts';

/** A job of the schedule, on a stage that gives it something to do. */
export interface KillJob {
  readonly expected?: Expected;
  ready(stage: Stage): Promise<Readied>;
}

export interface Readied {
  /** What is wrong after the pass that was killed, whatever the next one does. */
  between?(): Promise<readonly string[]>;
  problems(outcome: Outcome): Promise<readonly string[]>;
}

/** Nobody is near any limit. */
export const QUIET_LIMITS = { idle_timeout: '1h', idle_checks: 2, max_runtime: '24h', gpu_hold_after_stop: '0', container_hold_after_stop: '24h', stop_grace: '1s' };

/** What the engine says of them, in order. */
export async function statesOf({ ground: { engine } }: Stage, ids: readonly string[]): Promise<readonly string[]> {
  return Promise.all(ids.map((id) => engine.inspect(id).then(({ State }) => State.Status, () => 'gone')));
}

/** How often an act on one container was told. */
export interface Told { readonly done: readonly GpuctlLine[]; readonly inFlight: readonly Readonly<Record<string, unknown>>[] }

/** Every event of an act on one container that was done, and where it was said to have been in flight. */
export function toldOf(events: readonly GpuctlLine[], { id, action, verb }: { readonly id: string; readonly action: string; readonly verb: string }): Told {
  return {
    done: events.filter((event) => event['event.action'] === action && event['container.id'] === id && event['event.outcome'] !== 'failure'),
    inFlight: events.flatMap(inFlight).filter((act) => act['verb'] === verb && (act['target'] as { readonly container_id?: string } | undefined)?.container_id === id),
  };
}

/** Told at least as having been in flight, and as done no more than once. */
export function toldProblems(what: string, { done, inFlight: flying }: Told): readonly string[] {
  return [...(done.length + flying.length === 0 ? [`nobody was told of ${what}`] : []), ...(done.length > 1 ? [`${what} was told ${done.length} times`] : [])];
}

/** Neither the orphan nor the board is this job's business. */
export function untouched({ stage }: Outcome): readonly string[] {
  return [...(stage.orphan.isAlive() ? [] : ['the orphan is gone']), ...(stage.host.world().resets.length === 0 ? [] : ['a board was reset'])];
}
