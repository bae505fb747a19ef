import { type Fields, fieldsOf } from './slots.ts';

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/**
 * The OnCalendar expressions of a timer that elapses when the cron pattern does. Two, where both day fields are set: cron
 * runs on either, and a timer with two expressions does, too. Throws GpuctlError (exit 2) for a pattern that the two
 * would not read alike.
 */
export function renderCalendar(pattern: string): readonly string[] {
  const fields = fieldsOf(pattern);
  const { days, weekdays } = fields;
  if (days === null || weekdays === null) return [expression(fields)];
  return [expression({ ...fields, weekdays: null }), expression({ ...fields, days: null })];
}

function expression({ minutes, hours, days, months, weekdays }: Fields): string {
  const names = weekdays === null ? '' : `${weekdays.map((each) => WEEKDAYS[each]).join(',')} `;
  const date = `*-${numbers(months, 1, 12)}-${days === null ? '*' : numbers(days, 1, 31)}`;
  return `${names}${date} ${numbers(hours, 0, 23)}:${numbers(minutes, 0, 59)}:00`;
}

/** `*`, `05`, `02/5` or a list, of numbers in ascending order. */
function numbers(values: readonly number[], min: number, max: number): string {
  if (values.length === max - min + 1) return '*';
  const [first = min, second = min] = values;
  const step = second - first;
  const steps = values.length > 2 && first + step * values.length > max && values.every((value, index) => value === first + step * index);
  return steps ? `${padded(first)}/${step}` : values.map(padded).join(',');
}

function padded(value: number): string {
  return String(value).padStart(2, '0');
}
