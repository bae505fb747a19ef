import { Cron, CronPattern } from 'croner';
import type { Config } from '../config/types.ts';
import { ExitCode, GpuctlError } from '../model/errors.ts';
import type { JobName } from '../model/schedule.ts';
import { JOBS } from './jobs.ts';

export type Schedule = Config['schedule'];

/** One job and the pattern that starts it. */
export interface Slot {
  readonly job: JobName;
  /** Five fields of cron. */
  readonly pattern: string;
  readonly mutates: boolean;
}

export interface Run {
  readonly job: JobName;
  /** Milliseconds since 1970 UTC. */
  readonly at: number;
}

/** The values that each field allows. Null: any. Days of the week count from Sunday, 0. */
export interface Fields {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: readonly number[] | null;
  readonly months: readonly number[];
  readonly weekdays: readonly number[] | null;
}

/** The slots of a schedule, in the order of the hour. */
export function slotsOf(schedule: Schedule): readonly Slot[] {
  return JOBS.map(({ name, mutates }) => ({ job: name, pattern: schedule[name], mutates }));
}

/**
 * Lists and ranges of hours count as fixed times, as cron has it: in the night that skips them they run after the gap,
 * in the night that repeats them they run once.
 */
const LIKE_CRON = { mode: '5-part', fixedTimeRule: 'no-wildcard' } as const;

/** croner's view of a pattern, paused. `zone`: an IANA name; without it the host's. */
export function cronOf(pattern: string, zone?: string): Cron {
  return new Cron(pattern, { ...LIKE_CRON, paused: true, ...(zone === undefined ? {} : { timezone: zone }) });
}

/** The next run of each slot after `now`, soonest first. Whether anything is installed that starts it is another question. */
export function nextRuns(slots: readonly Slot[], now: number, zone?: string): readonly Run[] {
  return slots
    .flatMap(({ job, pattern }) => {
      const at = cronOf(pattern, zone).nextRun(new Date(now));
      return at === null ? [] : [{ job, at: at.getTime() }];
    })
    .toSorted((a, b) => a.at - b.at);
}

/** Throws GpuctlError (exit 2) for a pattern that cron, systemd and the daemon would not read alike. */
export function fieldsOf(pattern: string): Fields {
  const problem = patternProblem(pattern);
  if (problem !== null) throw new GpuctlError(`${JSON.stringify(pattern)}: ${problem}`, { code: 'schedule-ambiguous', exitCode: ExitCode.usage });
  const parsed = new CronPattern(pattern, undefined, LIKE_CRON);
  return {
    minutes: setIn(parsed.minute, 0),
    hours: setIn(parsed.hour, 0),
    days: parsed.starDOM ? null : setIn(parsed.day, 1),
    months: setIn(parsed.month, 1),
    weekdays: parsed.starDOW ? null : setIn(parsed.dayOfWeek, 0),
  };
}

/** Why the three schedulers would not read this pattern alike; null: they do. */
export function patternProblem(pattern: string): string | null {
  const [, , day = '', , weekday = ''] = pattern.split(' ');
  const stepped = [day, weekday].some((field) => field.startsWith('*/'));
  if (stepped && day !== '*' && weekday !== '*') return 'a step such as */2 in a day field counts as "any day" for cron where the other day field is set, and as a list elsewhere: write the days out';
  return null;
}

function setIn(flags: readonly number[], first: number): readonly number[] {
  return flags.flatMap((flag, index) => (flag === 0 ? [] : [index + first]));
}

/** Does the pattern run on this date at all? With both day fields set, either is enough, as cron has it. */
export function runsOn({ days, months, weekdays }: Fields, { month, day, weekday }: { readonly month: number; readonly day: number; readonly weekday: number }): boolean {
  if (!months.includes(month)) return false;
  if (days === null && weekdays === null) return true;
  return days?.includes(day) === true || weekdays?.includes(weekday) === true;
}
