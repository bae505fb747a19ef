import type { MarkedReading } from '../../model/health.ts';
import type { Reading } from '../../model/reading.ts';
import { isoTime } from '../../model/time.ts';
import { type HealthFacts, thresholdOf } from './facts.ts';
import { found, judged, learning, notNow, ok, type Verdict } from './verdict.ts';

const HOUR_MS = 3_600_000;

interface Delta {
  /** Of the check, for its threshold. */
  readonly id: string;
  readonly reading: MarkedReading;
  readonly value: Reading<number> | undefined;
  readonly what: string;
}

/**
 * A counter of errors above its baseline: it stays a finding until the counter begins again (a reset, a driver that was
 * loaded anew) or an admin accepts it. A counter that is smaller than when it was read last has begun again.
 */
export function aboveBaseline({ marks, rules }: HealthFacts, { id, reading, value, what }: Delta): Verdict {
  return judged(value, (count) => {
    const mark = marks.get(reading);
    if (mark === undefined) return learning;
    const growth = count < mark.last ? 0 : count - mark.baseline;
    return growth > thresholdOf(id, rules) ? found(`${growth} new ${what}`, { count, baseline: mark.baseline, since: isoTime(mark.baselineAt) }) : ok;
  });
}

interface Growth extends Delta {
  /** Units of the counter to one of the threshold. */
  readonly scale: number;
  /** True: the threshold is for an hour. */
  readonly hourly: boolean;
  readonly unit: string;
}

/** A counter that grew over the last one to two hours by more than its threshold. */
export function grewBy({ marks, rules, now }: HealthFacts, { id, reading, value, what, scale, hourly, unit }: Growth): Verdict {
  return judged(value, (count) => {
    const mark = marks.get(reading);
    if (mark === undefined) return learning;
    const growth = count < mark.last ? 0 : (count - mark.anchor) / scale;
    const ageMs = now - mark.anchorAt;
    // A clock that was set back: nothing can be said of a rate.
    if (ageMs < 0) return learning;
    const allowed = thresholdOf(id, rules) * (hourly ? Math.max(1, ageMs / HOUR_MS) : 1);
    return growth > allowed ? found(`${Math.round(growth)}${unit} ${what} since ${isoTime(mark.anchorAt)}`, { count, before: mark.anchor, since: isoTime(mark.anchorAt) }) : ok;
  });
}

/** A level of the link below its baseline, while the board runs at full speed: an idle one saves power on it. */
export function belowBaseline({ marks, gpu }: HealthFacts, reading: MarkedReading, value: Reading<number> | undefined, tell: (level: number, baseline: number) => string): Verdict {
  return judged(value, (level) => judged(gpu.health?.performanceState, (state) => {
    if (state !== 'P0') return notNow(`it is in ${state}, and only P0 counts`);
    const mark = marks.get(reading);
    if (mark === undefined) return learning;
    return level < mark.baseline ? found(tell(level, mark.baseline), { level, baseline: mark.baseline, since: isoTime(mark.baselineAt) }) : ok;
  }));
}
