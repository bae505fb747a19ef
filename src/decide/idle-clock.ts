import type { ActivitySample, IdleClock } from '../model/activity.ts';
import { known, type Reading } from '../model/reading.ts';
import type { IdleThresholds } from './limit-rules.ts';

/** Passes without the sampler are 15 minutes apart; cron may start one a little late. More is a gap. */
const GAP_MS = 15 * 60_000 + 60_000;
/** Over less, a single wake-up looks like work. */
const SETTLED_MS = 5000;
/** What the network threshold is written for. */
const NETWORK_MS = 5 * 60_000;

/** A sample whose run is known. */
export type RunSample = ActivitySample & { readonly startedAt: number };

type Verdict = 'active' | 'idle' | 'unknown' | 'undecided';

/**
 * The clock after one more sample. Only an interval whose both ends are of one run and boot, and not too far apart, is
 * credited; a gap, or time that goes back, stops the clock. Growth across a gap counts in full, as if it had happened at
 * once: what an average would hide must not be taken for idleness. Counters that shrank begin a fresh clock.
 */
export function foldSample(clock: IdleClock | null, sample: RunSample, thresholds: IdleThresholds): IdleClock {
  if (clock === null || clock.startedAt !== sample.startedAt || clock.last.bootId !== sample.bootId || shrank(clock.last, sample)) return freshClock(sample);
  const elapsedMs = sample.at - clock.last.at;
  const continuous = elapsedMs > 0 && elapsedMs <= GAP_MS;
  const next: IdleClock = { ...clock, last: carried(clock.last, sample), samples: clock.samples + 1, activeAt: Math.min(clock.activeAt, sample.at) };
  switch (judge({ before: clock.last, sample, thresholds, elapsedMs, continuous })) {
    case 'active': return { ...next, consecutiveIdle: 0, idleMs: 0, activeAt: sample.at };
    case 'unknown': return { ...next, consecutiveIdle: 0 };
    case 'undecided': return clock;
    case 'idle': return continuous ? { ...next, consecutiveIdle: clock.consecutiveIdle + 1, idleMs: clock.idleMs + elapsedMs } : { ...next, consecutiveIdle: 0 };
  }
}

function freshClock(sample: RunSample): IdleClock {
  return { containerId: sample.containerId, startedAt: sample.startedAt, last: sample, samples: 1, consecutiveIdle: 0, idleMs: 0, activeAt: sample.at };
}

interface Interval {
  readonly before: ActivitySample;
  readonly sample: ActivitySample;
  readonly thresholds: IdleThresholds;
  readonly elapsedMs: number;
  readonly continuous: boolean;
}

/** One signal below, at or over its threshold; *missing*: this host has none. */
type Signal = 'below' | 'over' | 'unknown' | 'missing';

function judge({ before, sample, thresholds, elapsedMs, continuous }: Interval): Verdict {
  if (elapsedMs === 0) return 'undecided';
  const over = (spanMs: number): readonly Signal[] => [
    level(sample.gpuPercent, thresholds.gpuPercent),
    growth(before.cpuNs, sample.cpuNs, (thresholds.cpuPercent / 100) * spanMs * 1e6),
    growth(before.networkBytes, sample.networkBytes, (thresholds.networkBytes * spanMs) / NETWORK_MS),
  ];
  const signals = over(continuous ? Math.max(elapsedMs, SETTLED_MS) : GAP_MS);
  if (signals.includes('over')) return 'active';
  if (signals.includes('unknown') || signals.every((signal) => signal === 'missing')) return 'unknown';
  // Too short to tell a wake-up from work: the growth is judged together with what follows.
  return continuous && elapsedMs < SETTLED_MS && over(elapsedMs).includes('over') ? 'undecided' : 'idle';
}

function level(reading: Reading<number>, threshold: number): Signal {
  if (reading.kind === 'error') return 'unknown';
  const value = known(reading);
  return value === null ? 'missing' : value >= threshold ? 'over' : 'below';
}

/** A signal that has a value at one end only cannot be compared. */
function growth(before: Reading<number>, now: Reading<number>, allowed: number): Signal {
  const [from, to] = [known(before), known(now)];
  if (from !== null && to !== null) return to - from >= allowed ? 'over' : 'below';
  const absent = from === null && to === null && before.kind !== 'error' && now.kind !== 'error';
  return absent ? 'missing' : 'unknown';
}

function shrank(before: ActivitySample, sample: ActivitySample): boolean {
  const less = (from: Reading<number>, to: Reading<number>): boolean => (known(to) ?? Infinity) < (known(from) ?? 0);
  return less(before.cpuNs, sample.cpuNs) || less(before.networkBytes, sample.networkBytes);
}

/** A counter that could not be read keeps its last value, so that the growth meanwhile is not lost. */
function carried(before: ActivitySample, sample: ActivitySample): ActivitySample {
  const kept = (from: Reading<number>, to: Reading<number>): Reading<number> => (to.kind === 'error' && from.kind === 'value' ? from : to);
  return { ...sample, cpuNs: kept(before.cpuNs, sample.cpuNs), networkBytes: kept(before.networkBytes, sample.networkBytes) };
}
