import type { JobName } from '../model/schedule.ts';
import { JOBS, PASS_DEADLINE_MS } from './jobs.ts';
import { cronOf, type Fields, fieldsOf, runsOn, type Slot } from './slots.ts';
import { type OffsetOf, offsetsIn, type Transition, transitionsBetween } from './zone.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** The Gregorian calendar repeats after 400 years, to the day of the week: every date that any pattern can mean. */
const CALENDAR_DAYS = 146_097;
/** Daylight saving rules name weekdays of a month: they repeat after 28 years. */
const CLOCK_CHANGE_DAYS = 10_227;
/** What a change of the clock can move. */
const AROUND_CHANGE_MS = 4 * HOUR_MS;

/**
 * `same-minute`: both start at once. `overlap`: the second starts while the first is still likely to run. `order`: in an
 * hour that runs both, `second` starts before `first`, which belongs before it. `sampler`: `sample` starts with a pass,
 * and whichever has the lock keeps the other out.
 */
export type CollisionKind = 'same-minute' | 'overlap' | 'order' | 'sampler';

export interface Collision {
  readonly kind: CollisionKind;
  readonly first: JobName;
  readonly second: JobName;
  /** Local time of the start that collides, as if it were UTC: its first occurrence. */
  readonly localMs: number;
  /** How far apart the two starts are. */
  readonly apartMs: number;
}

export interface CollisionQuestion {
  readonly slots: readonly Slot[];
  /** How long a job is likely to run. */
  readonly likelyMs: (job: JobName) => number;
  /** Where "first" counts from: milliseconds since 1970 UTC. */
  readonly now: number;
  /** An IANA name; without it the zone of the host. */
  readonly zone?: string;
}

interface Start {
  readonly slot: Slot;
  /** For distances: an instant on one time line. */
  readonly at: number;
  readonly localMs: number;
}

/** Every pair of jobs that collides in any way, with the first time that it does, soonest first. Empty: proof that none ever does. */
export function findCollisions(question: CollisionQuestion): readonly Collision[] {
  const offsetOf = offsetsIn(question.zone);
  const calendar = onCalendar(question, offsetOf);
  const changes = onClockChanges(question, offsetOf);
  return firstOfEach([...calendar, ...changes].toSorted((a, b) => a.localMs - b.localMs));
}

function firstOfEach(sorted: readonly Collision[]): readonly Collision[] {
  const seen = new Map<string, Collision>();
  for (const each of sorted) if (!seen.has(keyOf(each))) seen.set(keyOf(each), each);
  return [...seen.values()];
}

function keyOf({ kind, first, second }: Collision): string {
  return `${kind} ${first} ${second}`;
}

/**
 * On days of 24 hours. What happens on a day follows from the jobs that run on it and on the day before, so each such
 * pair of sets is tried once, on its first date.
 */
function onCalendar({ slots, likelyMs, now }: CollisionQuestion, offsetOf: OffsetOf): readonly Collision[] {
  const fields = slots.map((slot) => ({ slot, fields: fieldsOf(slot.pattern) }));
  const localNow = now + offsetOf(now);
  const today = Math.floor(localNow / DAY_MS);
  const tried = new Set<number>();
  const found: Collision[] = [];
  const date = new Date(0);
  let yesterday = activeOn(fields, today - 1, date);
  for (let day = today; day <= today + CALENDAR_DAYS; day++) {
    const active = activeOn(fields, day, date);
    const key = yesterday << fields.length | active;
    if (!tried.has(key)) {
      // What is left of today may lack what the whole day shows: the pair is tried again on its next date.
      if (day > today) tried.add(key);
      const starts = [...startsOn(fields, yesterday, day - 1), ...startsOn(fields, active, day)].toSorted((a, b) => a.at - b.at);
      const since = Math.max(day * DAY_MS, localNow);
      found.push(...collisionsIn(starts, likelyMs).filter(({ localMs }) => localMs >= since));
    }
    yesterday = active;
  }
  return found;
}

interface SlotFields {
  readonly slot: Slot;
  readonly fields: Fields;
}

/** The slots that run on a day, a bit each. `date` is scratch: 400 years of days are not worth an object each. */
function activeOn(all: readonly SlotFields[], dayNumber: number, date: Date): number {
  date.setTime(dayNumber * DAY_MS);
  const on = { month: date.getUTCMonth() + 1, day: date.getUTCDate(), weekday: date.getUTCDay() };
  return all.reduce((bits, { fields }, index) => (runsOn(fields, on) ? bits | 1 << index : bits), 0);
}

function startsOn(all: readonly SlotFields[], active: number, dayNumber: number): readonly Start[] {
  return all.filter((_, index) => (active & 1 << index) !== 0).flatMap(({ slot, fields: { hours, minutes } }) => hours.flatMap((hour) => minutes.map((minute) => {
    const localMs = dayNumber * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS;
    return { slot, at: localMs, localMs };
  })));
}

/** Around each change of the clock, with croner: hours are skipped or repeated, and fixed times move. */
function onClockChanges({ slots, likelyMs, now, zone }: CollisionQuestion, offsetOf: OffsetOf): readonly Collision[] {
  const fields = slots.map((slot) => ({ slot, fields: fieldsOf(slot.pattern) }));
  const tried = new Set<string>();
  return transitionsBetween(offsetOf, now, now + CLOCK_CHANGE_DAYS * DAY_MS).flatMap((change) => {
    const key = kindOfChange(fields, change);
    if (tried.has(key)) return [];
    tried.add(key);
    const starts = slots.flatMap((slot) => startsAround(slot, change, { offsetOf, zone })).toSorted((a, b) => a.at - b.at);
    return collisionsIn(starts, likelyMs).filter(({ localMs }) => localMs >= now + offsetOf(now));
  });
}

/** Changes of one kind need one try: the same shift at the same hour, with the same jobs on the days around it. */
function kindOfChange(fields: readonly SlotFields[], { at, beforeMs, afterMs }: Transition): string {
  const local = at + beforeMs;
  const day = Math.floor(local / DAY_MS);
  const jobs = [day - 1, day, day + 1].map((each) => activeOn(fields, each, new Date(0)));
  return [afterMs - beforeMs, local % DAY_MS, ...jobs].join('|');
}

function startsAround(slot: Slot, { at }: Transition, { offsetOf, zone }: { readonly offsetOf: OffsetOf; readonly zone: string | undefined }): readonly Start[] {
  const cron = cronOf(slot.pattern, zone);
  const from = Math.floor((at - AROUND_CHANGE_MS) / HOUR_MS) * HOUR_MS;
  const starts: Start[] = [];
  for (let next = cron.nextRun(new Date(from - 1)); next !== null && next.getTime() < at + AROUND_CHANGE_MS; next = cron.nextRun(next)) {
    starts.push({ slot, at: next.getTime(), localMs: next.getTime() + offsetOf(next.getTime()) });
  }
  return starts;
}

const RANK = new Map(JOBS.map(({ name }, rank) => [name, rank]));

/** `starts` in order of time. */
function collisionsIn(starts: readonly Start[], likelyMs: (job: JobName) => number): readonly Collision[] {
  const found: Collision[] = [];
  const latest = new Map<JobName, Start>();
  const firsts = new Map<JobName, Start>();
  let hour = NaN;
  for (const start of starts) {
    const itsHour = Math.floor(start.localMs / HOUR_MS);
    if (itsHour !== hour) firsts.clear();
    hour = itsHour;
    for (const earlier of latest.values()) {
      const kind = clash(earlier, start, likelyMs);
      if (kind !== null) found.push(collision(kind, earlier, start));
    }
    if (start.slot.mutates && !firsts.has(start.slot.job)) {
      for (const earlier of firsts.values()) if (rankOf(earlier) > rankOf(start)) found.push({ ...collision('order', start, earlier), localMs: earlier.localMs });
      firsts.set(start.slot.job, start);
    }
    latest.set(start.slot.job, start);
  }
  return found;
}

function clash(earlier: Start, start: Start, likelyMs: (job: JobName) => number): CollisionKind | null {
  const apart = start.at - earlier.at;
  if (earlier.slot.mutates && start.slot.mutates) {
    if (apart < MINUTE_MS) return earlier.slot.job === start.slot.job ? null : 'same-minute';
    return apart < likelyMs(earlier.slot.job) ? 'overlap' : null;
  }
  return apart < MINUTE_MS && earlier.slot.mutates !== start.slot.mutates ? 'sampler' : null;
}

/** Jobs of one minute are named in the order of the hour, whichever came first out of the sorting. */
function collision(kind: CollisionKind, earlier: Start, later: Start): Collision {
  const swap = (kind === 'same-minute' || kind === 'sampler') && rankOf(earlier) > rankOf(later);
  const [first, second] = swap ? [later, earlier] : [earlier, later];
  return { kind, first: first.slot.job, second: second.slot.job, localMs: later.localMs, apartMs: Math.abs(later.at - earlier.at) };
}

function rankOf({ slot }: Start): number {
  return RANK.get(slot.job) ?? JOBS.length;
}

/** At least this share of the measured runs was shorter. */
const LIKELY = 0.95;

/** How long a job is likely to run: the 95th percentile (nearest rank) of what was measured, the pass's deadline where nothing was. */
export function likelyDuration(measuredMs: readonly number[]): number {
  const sorted = measuredMs.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * LIKELY) - 1] ?? PASS_DEADLINE_MS;
}
