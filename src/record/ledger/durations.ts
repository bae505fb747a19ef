import { asLedgerError, LedgerError } from './errors.ts';
import { openExisting } from './read.ts';
import type { Store } from './store.ts';

/** The latest runs tell how long the next one is likely to take. */
const LATEST = 200;

/** What the ledger measured, or why it is not known. */
export interface Durations {
  /** Milliseconds of the latest passes of each job, newest first; a job that never ran is missing. */
  readonly byJob: ReadonlyMap<string, readonly number[]>;
  /** Null: they are what was measured (a ledger that does not exist measured nothing). */
  readonly unreadable: string | null;
}

/** Reads how long passes took. Writes nothing, and throws for nothing that a ledger can be. */
export function readDurations(file: string): Durations {
  try {
    const { ledger, unreadable } = openExisting(file, (store) => store);
    return ledger === null ? { byJob: new Map(), unreadable } : { byJob: readAndClose(ledger), unreadable: null };
  } catch (error) {
    const known = asLedgerError(error, file);
    if (known instanceof LedgerError) return { byJob: new Map(), unreadable: known.message };
    throw known;
  }
}

function readAndClose(store: Store): ReadonlyMap<string, readonly number[]> {
  try {
    return store.read(() => durationsIn(store));
  } finally {
    store.close();
  }
}

/** A pass without an end was killed, and one that ended before it began ran under a clock that jumped: neither says anything. */
function durationsIn(store: Store): ReadonlyMap<string, readonly number[]> {
  const rows = store.prepare(`
    SELECT job, ms FROM (
      SELECT job, ended_at - started_at AS ms, row_number() OVER (PARTITION BY job ORDER BY rowid DESC) AS age
      FROM passes WHERE ended_at >= started_at
    ) WHERE age <= ? ORDER BY job, age`).all(LATEST);
  const byJob = new Map<string, number[]>();
  for (const row of rows) byJob.set(String(row['job']), [...(byJob.get(String(row['job'])) ?? []), Number(row['ms'])]);
  return byJob;
}
