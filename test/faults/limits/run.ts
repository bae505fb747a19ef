import type { ContainerOptions } from '../../hostsim/dockerd.ts';
import type { GpuctlOptions } from '../../hostsim/gpuctl-call.ts';
import type { Run } from '../check.ts';
import type { Arranged, Verdict } from '../run.ts';
import { type Ground, linesOf } from '../stage.ts';
import { type LimitExpected, limitProblems, type Trace } from './check.ts';
import { type Kind, type LimitStage, openLimitStage } from './stage.ts';

/** One fault at one call out of a pass about limits. */
export interface LimitCase {
  readonly callOut: string;
  readonly fault: string;
  readonly kind: Kind;
  /** What is particular about the container; asked for when the case runs. */
  readonly container?: () => ContainerOptions;
  readonly expected?: LimitExpected;
  /** Brings the fault about; what it returns takes it away. */
  readonly arrange: (stage: LimitStage) => Arranged | Promise<Arranged>;
  /** Takes away what the container was given. */
  readonly after?: () => void | Promise<void>;
}

/** One pass with the fault and one without it. */
export async function runLimitFault(ground: Ground, { callOut, fault, kind, container, expected = {}, arrange, after }: LimitCase): Promise<Verdict> {
  const began = performance.now();
  const verdict = (problems: readonly string[]): Verdict => ({ name: `${callOut}: ${fault}`, problems, ms: performance.now() - began });
  let stage: LimitStage | null = null;
  try {
    stage = await openLimitStage(ground, kind, container?.());
    const { undo, options } = await arrange(stage);
    const disturbed = await traced(stage, options);
    const found = expected.between?.(stage) ?? [];
    await undo?.();
    const next = await traced(stage);
    return verdict(await limitProblems({ stage, disturbed, next, expected, found }));
  } catch (error) {
    return verdict([error instanceof Error ? (error.stack ?? error.message) : String(error)]);
  } finally {
    await stage?.dispose();
    await after?.();
  }
}

async function traced(stage: LimitStage, options: GpuctlOptions = {}): Promise<Trace> {
  const [lines, requests] = [linesOf(stage).length, stage.proxy.requests.length];
  const began = performance.now();
  const run: Run = { ...await stage.pass(options), ms: performance.now() - began };
  return { run, lines: linesOf(stage).slice(lines), writes: stage.proxy.requests.slice(requests).filter((request) => !request.startsWith('GET ')), state: await stage.state() };
}
