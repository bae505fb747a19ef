import { ExitCode } from '../../model/errors.ts';
import type { LastPass } from '../../model/metrics.ts';
import type { Store } from './store.ts';

/**
 * Reads the last pass of each job that came to its end; goes from job to job, not through all passes. One that was asked for
 * what cannot be looked after nothing, and must not pass for one that did.
 */
export function lastPassesIn(store: Store): () => readonly LastPass[] {
  const last = store.prepare(`
    WITH RECURSIVE jobs (name) AS (
      SELECT min(job) FROM passes WHERE ended_at IS NOT NULL
      UNION ALL SELECT (SELECT min(job) FROM passes WHERE ended_at IS NOT NULL AND job > name) FROM jobs WHERE name IS NOT NULL)
    SELECT job, ended_at AS endedAt, exit, ended_at - started_at AS durationMs
    FROM jobs CROSS JOIN passes ON passes.rowid = (SELECT max(rowid) FROM passes WHERE ended_at IS NOT NULL AND job = name AND exit <> ${ExitCode.usage}) ORDER BY job`);
  return () => store.read(() => last.all().map((row) => {
    const durationMs = Number(row['durationMs']);
    return { job: String(row['job']), endedAt: Number(row['endedAt']), exit: Number(row['exit']), durationMs: durationMs < 0 ? null : durationMs };
  }));
}
