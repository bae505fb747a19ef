import type { Prospect, Step } from '../decide/outlook.ts';
import type { JobName } from '../model/schedule.ts';
import type { LimitsParts } from './ports.ts';

type NextRun = LimitsParts['nextRun'];

/** The job that does it. */
const DONE_BY: Readonly<Record<Prospect['what'], JobName>> = { 'idle-stop': 'check-idle', 'runtime-stop': 'enforce-runtime', 'gpu-release': 'release-stale', 'removal': 'cleanup-containers' };
const WARNED_BY: Readonly<Partial<Record<Prospect['what'], readonly JobName[]>>> = { 'idle-stop': ['sample', 'check-idle'], 'runtime-stop': ['enforce-runtime'] };
/** Every pass samples. */
const SAMPLED_BY: readonly JobName[] = ['sample', 'release-stale', 'check-idle', 'enforce-runtime', 'cleanup-containers'];

/** A prospect with the pass of the schedule that may do it first. */
export interface DatedProspect extends Prospect {
  readonly job: JobName;
  /** When that pass begins; null: there is no such time, or the schedule has no such pass. */
  readonly passAt: number | null;
}

/** Dates prospects by the schedule: each step needs a pass of its own, and the act one after them. Asks about each minute once. */
export function datingBy(nextRun: NextRun, now: number): (prospect: Prospect) => Promise<DatedProspect> {
  const asked = new Map<string, ReturnType<NextRun>>();
  const runAfter: NextRun = (job, after) => {
    const key = `${job} ${Math.ceil(after / 60_000)}`;
    const run = asked.get(key) ?? nextRun(job, after);
    asked.set(key, run);
    return run;
  };
  return async (prospect) => {
    const job = DONE_BY[prospect.what];
    if (prospect.at === null) return { ...prospect, job, passAt: null };
    const readyAt = await afterSteps(prospect, now, runAfter);
    return { ...prospect, job, passAt: readyAt === null ? null : await runAfter(job, Math.max(readyAt, prospect.at)) };
  };
}

/** When all steps before the act are done; null: the schedule has no pass for one of them. */
async function afterSteps({ what, steps }: Prospect, now: number, runAfter: NextRun): Promise<number | null> {
  let readyAt = now;
  for (const step of steps) {
    const at = await firstOf(jobsOf(step, what), Math.max(readyAt, step.notBefore), runAfter);
    if (at === null) return null;
    readyAt = at + 1;
  }
  return readyAt;
}

function jobsOf({ kind }: Step, what: Prospect['what']): readonly JobName[] {
  return kind === 'sample' ? SAMPLED_BY : (WARNED_BY[what] ?? []);
}

async function firstOf(jobs: readonly JobName[], after: number, runAfter: NextRun): Promise<number | null> {
  const runs = (await Promise.all(jobs.map((job) => runAfter(job, after)))).filter((at) => at !== null);
  return runs.length === 0 ? null : Math.min(...runs);
}
