import { appendFileSync } from 'node:fs';

const counts = new Map<string, number>();

/** Counts what was really tried, for a run that has to prove how much that was. */
export function tried(what: string, n = 1): void {
  counts.set(what, (counts.get(what) ?? 0) + n);
}

/** What was counted since the last time, appended to the file that PROPERTY_COUNTS names: one JSON object a test file. */
export function writeCounts(): void {
  const file = process.env['PROPERTY_COUNTS'];
  if (file !== undefined && counts.size > 0) appendFileSync(file, `${JSON.stringify(Object.fromEntries(counts))}\n`);
  counts.clear();
}
