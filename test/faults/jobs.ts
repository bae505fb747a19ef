import type { JobName } from '../../src/model/schedule.ts';
import type { KillJob } from './jobs/kill-job.ts';
import { readyLeftovers } from './jobs/leftovers.ts';
import { limited } from './jobs/limits.ts';
import { readyRelease } from './jobs/release.ts';

/** By the name of the job: every job of the schedule. */
export const killJobs: Readonly<Record<JobName, KillJob>> = {
  'release-stale': { expected: { nextExits: [1] }, ready: readyRelease },
  'check-idle': limited('idle', { mayStop: true }),
  'enforce-runtime': limited('runtime', { mayStop: true }),
  'cleanup-containers': { expected: { nextExits: [0, 1] }, ready: readyLeftovers },
  sample: limited('idle', { mayStop: false }),
};
