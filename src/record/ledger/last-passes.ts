import type { LastPass } from '../../model/metrics.ts';
import type { Store } from './store.ts';

/** Reads the last pass of each job that came to its end. */
export function lastPassesIn(store: Store): () => readonly LastPass[] {
  const last = store.prepare(`
    SELECT job, ended_at AS endedAt, exit, ended_at - started_at AS durationMs FROM passes
    WHERE rowid IN (SELECT max(rowid) FROM passes WHERE ended_at IS NOT NULL GROUP BY job) ORDER BY job`);
  return () => store.read(() => last.all().map((row) => {
    const durationMs = Number(row['durationMs']);
    return { job: String(row['job']), endedAt: Number(row['endedAt']), exit: Number(row['exit']), durationMs: durationMs < 0 ? null : durationMs };
  }));
}
