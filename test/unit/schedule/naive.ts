import type { Schedule } from '../../../src/schedule/slots.ts';

const JOBS = ['release-stale', 'check-idle', 'enforce-runtime', 'cleanup-containers'] as const;
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const MINUTE = 60_000;

/** Values that one field allows, read in the plainest way. */
function valuesOf(field: string, min: number, max: number): Set<number> {
  const values = new Set<number>();
  for (const part of field.split(',')) {
    const [range = '*', step = '1'] = part.split('/');
    const named = DAYS.indexOf(range.toLowerCase());
    const [low, high] = range === '*' ? [min, max] : named >= 0 ? [named, named] : range.split('-').map(Number);
    for (let value = low ?? min; value <= (high ?? low ?? max); value += Number(step)) values.add(value);
  }
  return values;
}

function matcher(pattern: string): (at: Date) => boolean {
  const [minute = '*', hour = '*', day = '*', month = '*', weekday = '*'] = pattern.split(' ');
  const [minutes, hours, days, months, weekdays] = [valuesOf(minute, 0, 59), valuesOf(hour, 0, 23), valuesOf(day, 1, 31), valuesOf(month, 1, 12), valuesOf(weekday, 0, 7)];
  if (weekdays.has(7)) weekdays.add(0);
  return (at) => {
    const onDay = days.has(at.getUTCDate());
    const onWeekday = weekdays.has(at.getUTCDay());
    const date = day !== '*' && weekday !== '*' ? onDay || onWeekday : onDay && onWeekday;
    return minutes.has(at.getUTCMinutes()) && hours.has(at.getUTCHours()) && months.has(at.getUTCMonth() + 1) && date;
  };
}

/** Every kind and pair with its first time, in UTC, by looking at each minute. What started before `from` counts as an earlier start. */
export function naiveCollisions(schedule: Schedule, { from, until, likelyMinutes }: { from: number; until: number; likelyMinutes: number }): readonly string[] {
  const runs = JOBS.map((job) => matcher(schedule[job]));
  const latest = new Map<number, number>();
  const found = new Map<string, number>();
  const note = (text: string, at: number): void => { if (at >= from && !found.has(text)) found.set(text, at); };
  let hour: { rank: number; at: number }[] = [];
  for (let at = from - 24 * 60 * MINUTE; at < until; at += MINUTE) {
    const date = new Date(at);
    if (date.getUTCMinutes() === 0) hour = [];
    for (const [rank, isDue] of runs.entries()) {
      if (!isDue(date)) continue;
      for (const [other, started] of latest) {
        if (started === at) note(`same-minute ${JOBS[Math.min(other, rank)]} ${JOBS[Math.max(other, rank)]}`, at);
        else if (at - started < likelyMinutes * MINUTE) note(`overlap ${JOBS[other]} ${JOBS[rank]}`, at);
      }
      if (!hour.some((each) => each.rank === rank)) {
        for (const each of hour) if (each.rank > rank) note(`order ${JOBS[rank]} ${JOBS[each.rank]}`, each.at);
        hour.push({ rank, at });
      }
      latest.set(rank, at);
    }
  }
  return [...found].map(([text, at]) => `${text} ${new Date(at).toISOString()}`);
}
