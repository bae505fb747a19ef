import { isLive } from '../../model/container.ts';
import type { Gpu } from '../../model/device.ts';
import type { HealthMark, MarkedReading, MemoryLearning } from '../../model/health.ts';
import { healthCheckOf } from '../../model/health-checks.ts';
import { seen } from '../../model/observation.ts';
import type { Assessment } from '../assess.ts';

/** What the configuration says about health. */
export interface HealthRules {
  /** Ids of findings that are not reported. What they stand for still counts in every decision. */
  readonly disabled: ReadonlySet<string>;
  /** Thresholds other than the defaults, by id. */
  readonly thresholds: Readonly<Record<string, number>>;
}

export const defaultHealthRules: HealthRules = { disabled: new Set(), thresholds: {} };

/** One device with all that its checks are judged by. */
export interface HealthFacts {
  readonly gpu: Gpu;
  readonly marks: ReadonlyMap<MarkedReading, HealthMark>;
  /** Null: nothing was learned yet, or under another driver. */
  readonly memory: MemoryLearning | null;
  /** Learned use of the idle board, MiB; null: not learned. */
  readonly baselineMiB: number | null;
  /** No process on it, and no claim of a container that lives; null: not known. */
  readonly nobody: boolean | null;
  /** No claim of any container at all, dead or alive, that was not released. */
  readonly unclaimed: boolean;
  readonly driver: string | null;
  readonly now: number;
  readonly rules: HealthRules;
}

export function healthFactsOf(gpu: Gpu, { snapshot, history, claims }: Pick<Assessment, 'snapshot' | 'history' | 'claims'>, rules: HealthRules): HealthFacts {
  const marks = (history.health?.marks ?? []).filter(({ gpuUuid }) => gpuUuid === gpu.uuid);
  const driver = seen(snapshot.driver)?.driverVersion ?? null;
  const learned = history.health?.memory.find((each) => each.gpuUuid === gpu.uuid && (each.driver === driver || driver === null)) ?? null;
  const mine = claims.claims.filter((claim) => claim.gpuUuid === gpu.uuid && !claim.released);
  const live = mine.some((claim) => claim.source === 'uninspected' || isLive(claim.containerState));
  const engineKnown = snapshot.engine.state === 'complete';
  return {
    gpu, driver, rules,
    marks: new Map(marks.map((mark) => [mark.reading, mark])),
    memory: learned,
    baselineMiB: learned === null ? null : (history.baselines.find(({ gpuUuid }) => gpuUuid === gpu.uuid)?.usedMiB ?? null),
    nobody: gpu.processes.state === 'unknown' || !engineKnown ? null : gpu.processes.processes.length === 0 && !live,
    unclaimed: engineKnown && mine.length === 0,
    now: snapshot.takenAt,
  };
}

/** The threshold of a check as it is configured; throws where it has none, which is a bug. */
export function thresholdOf(id: string, { thresholds }: HealthRules): number {
  const { threshold } = healthCheckOf(id);
  if (threshold === null) throw new Error(`${id} has no threshold`);
  return thresholds[id] ?? threshold.value;
}
