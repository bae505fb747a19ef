import type { MemoryLearning } from '../../model/health.ts';
import { known } from '../../model/reading.ts';
import { isoTime } from '../../model/time.ts';
import { type HealthFacts, thresholdOf } from './facts.ts';
import { found, judged, learning, notNow, ok, type Verdict } from './verdict.ts';

const ID = 'gpu.ghost_memory';
/** Ghost memory lasts: so many looks in a row, over so long. */
const LASTING_SAMPLES = 3;
const LASTING_MS = 10 * 60_000;
/** What an idle board needs is believed after so many looks at it, over so long. */
const LEARNED_SAMPLES = 5;
const LEARNED_MS = 30 * 60_000;

/** Memory above the learned baseline with nobody on the device, look after look. */
export function ghostMemory(facts: HealthFacts): Verdict {
  const { gpu, memory, baselineMiB, nobody, now } = facts;
  if (gpu.processes.state === 'unknown') return { state: 'unknown', why: gpu.processes.why };
  if (nobody === null) return { state: 'unknown', why: 'it is not known who claims the device' };
  return judged(gpu.usedMiB, (usedMiB) => {
    if (!nobody) return notNow('somebody is on the device');
    if (memory === null || baselineMiB === null) return learning;
    if (!isOver(facts, usedMiB)) return ok;
    if (memory.overSince === null || memory.overSamples + 1 < LASTING_SAMPLES || now - memory.overSince < LASTING_MS) return notNow('memory above the baseline has not lasted long enough');
    return found(`${usedMiB - baselineMiB} MiB more than the idle board needs are in use, and nobody is on the device since ${isoTime(memory.overSince)}`, {
      usedMiB, baselineMiB, samples: memory.overSamples + 1, since: isoTime(memory.overSince),
    });
  });
}

function isOver({ baselineMiB, rules }: HealthFacts, usedMiB: number): boolean {
  return baselineMiB !== null && usedMiB - baselineMiB > thresholdOf(ID, rules);
}

/** What one more look teaches about the idle board. */
export interface Learned {
  /** Null: nothing was learned yet. */
  readonly memory: MemoryLearning | null;
  /** Null: not enough was seen. */
  readonly baselineMiB: number | null;
}

/**
 * The baseline is the lowest use that two looks in a row agree on, of a board that nobody is on or claims, that is in
 * order, and that uses no more than what is tolerated anyhow. So what leaks is not learned for long, and what was learned
 * can only ever explain memory: it makes a device less dirty than none would, never more.
 */
export function learnMemory(facts: HealthFacts, toleranceMiB: number): Learned {
  const memory = withSample(facts, toleranceMiB);
  if (memory === null) return { memory, baselineMiB: null };
  const enough = memory.samples >= LEARNED_SAMPLES && memory.lastAt - memory.firstAt >= LEARNED_MS;
  const baselineMiB = enough ? Math.min(memory.lowestMiB, facts.baselineMiB ?? memory.lowestMiB) : facts.baselineMiB;
  return { memory: withOver(facts, memory), baselineMiB };
}

function withSample(facts: HealthFacts, toleranceMiB: number): MemoryLearning | null {
  const { gpu, memory, driver, now } = facts;
  const usedMiB = known(gpu.usedMiB);
  if (usedMiB === null || usedMiB > toleranceMiB || !isIdle(facts)) return memory;
  const first = { gpuUuid: gpu.uuid, driver, lowestMiB: usedMiB, lastMiB: usedMiB, samples: 1, firstAt: now, lastAt: now, overSince: null, overSamples: 0 };
  // A clock that was set back: what was seen before says nothing about how long ago it was.
  if (memory === null || now < memory.lastAt) return first;
  const agreed = Math.max(usedMiB, memory.lastMiB);
  return { ...memory, lowestMiB: memory.samples === 1 ? agreed : Math.min(memory.lowestMiB, agreed), lastMiB: usedMiB, samples: memory.samples + 1, lastAt: now };
}

/** Under MIG the driver's own use depends on the layout. */
function isIdle({ gpu, nobody, unclaimed }: HealthFacts): boolean {
  const recovery = known(gpu.recovery);
  return nobody === true && unclaimed && gpu.faults.length === 0 && known(gpu.migCurrent) !== true && (recovery === null || recovery === 'none');
}

function withOver(facts: HealthFacts, memory: MemoryLearning): MemoryLearning {
  const usedMiB = known(facts.gpu.usedMiB);
  const over = facts.nobody === true && usedMiB !== null && isOver(facts, usedMiB);
  if (!over) return { ...memory, overSince: null, overSamples: 0 };
  const since = memory.overSince === null || memory.overSince > facts.now ? facts.now : memory.overSince;
  return { ...memory, overSince: since, overSamples: since === facts.now ? 1 : memory.overSamples + 1 };
}
