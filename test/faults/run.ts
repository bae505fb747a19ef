import type { JobName } from '../../src/model/schedule.ts';
import type { GpuctlOptions } from '../hostsim/gpuctl-call.ts';
import { sandboxes } from '../hostsim/sandbox.ts';
import { type Expected, problemsOf, type Run } from './check.ts';
import { type Ground, openStage, type Stage } from './stage.ts';

/** One fault at one call out of the process. */
export interface FaultCase {
  readonly callOut: string;
  readonly fault: string;
  /** One of the quick form. */
  readonly quick?: boolean;
  readonly expected?: Expected;
  /** Brings the fault about; what it returns takes it away. */
  readonly arrange: (stage: Stage) => Arranged | Promise<Arranged>;
}

export interface Arranged {
  readonly undo?: () => void | Promise<void>;
  /** How the disturbed pass is to be called. */
  readonly options?: GpuctlOptions;
}

/** A case and all that was not as it must be. */
export interface Verdict {
  readonly name: string;
  readonly problems: readonly string[];
  readonly ms: number;
}

/** One pass of a job, `release-stale` where nothing else is said. */
export async function pass(stage: Stage, options: GpuctlOptions = {}, job: JobName = 'release-stale'): Promise<Run> {
  const began = performance.now();
  return { ...await stage.host.gpuctl([job], { timeoutMs: 90_000, withoutEvents: true, ...options }), ms: performance.now() - began };
}

/** One pass with the fault and one without it. */
export async function runFault(ground: Ground, { callOut, fault, arrange, expected = {} }: FaultCase): Promise<Verdict> {
  return judged(`${callOut}: ${fault}`, ground, async (stage) => {
    const { undo, options } = await arrange(stage);
    const disturbed = await pass(stage, options);
    await undo?.();
    return problemsOf({ stage, disturbed, next: await pass(stage), expected });
  });
}

/** What `problemsIn` finds on a stage of its own. */
export async function judged(name: string, ground: Ground, problemsIn: (stage: Stage) => Promise<readonly string[]>): Promise<Verdict> {
  const began = performance.now();
  const stage = await openStage(ground);
  try {
    const problems = await problemsIn(stage).catch((error: unknown) => [error instanceof Error ? (error.stack ?? error.message) : String(error)]);
    if (problems.length > 0) await sandboxes.wentWrong(name, stage.host.dir);
    return { name, problems, ms: performance.now() - began };
  } finally {
    await stage.dispose();
  }
}

/** All of them, so many at a time; each verdict is told as it comes. */
export async function runAll(tasks: readonly (() => Promise<Verdict>)[], atOnce: number, tell: (verdict: Verdict) => void = () => undefined): Promise<readonly Verdict[]> {
  const verdicts: Verdict[] = [];
  const left = tasks.values();
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (const task of left) {
      const verdict = await task();
      tell(verdict);
      verdicts.push(verdict);
    }
  }));
  return verdicts;
}
