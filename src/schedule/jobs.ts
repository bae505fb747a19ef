import type { JobName } from '../model/schedule.ts';

/** One job of the schedule. */
export interface Job {
  readonly name: JobName;
  /** False: it ends, stops and removes nothing, but looks, remembers and warns. Beside a pass it costs one of the two a run, and nobody else. */
  readonly mutates: boolean;
  readonly summary: string;
}

/** In the order of the hour: what is free is known before anybody is stopped, what is stopped before anything is removed. */
export const JOBS: readonly Job[] = [
  { name: 'release-stale', mutates: true, summary: 'release stale GPU allocations, end orphans, verify what was released' },
  { name: 'check-idle', mutates: true, summary: 'warn about and stop idle containers' },
  { name: 'enforce-runtime', mutates: true, summary: 'warn about and stop containers past their runtime limit' },
  { name: 'cleanup-containers', mutates: true, summary: 'remove leftover containers' },
  { name: 'sample', mutates: false, summary: 'record the activity of containers and devices' },
];

/** What a pass may take as a whole; it ends by itself then. */
export const PASS_DEADLINE_MS = 10 * 60_000;
/** No scheduled pass acts on a host that has been up for less: engine, driver and containers are still starting. */
export const SETTLING_MS = 5 * 60_000;
