import type { Ledger } from '../../passes/ports.ts';
import { pruningLimits } from './limits.ts';
import { pruningResets } from './resets.ts';
import type { Store } from './store.ts';

const DAY_MS = 24 * 3_600_000;
/** A year of history and a month to ask about it. */
const KEEP_HISTORY_MS = 400 * DAY_MS;
/** Nothing of a container that vanished this long ago is still alive on a host that is looked after every hour. */
const KEEP_GONE_CONTAINER_MS = 90 * DAY_MS;

/** The ledger's part about passes; the end of a pass forgets what is old. `keepSamplesMs`: how long memory samples live. */
export function passesIn(store: Store, keepSamplesMs: number): Pick<Ledger, 'beginPass' | 'endPass'> {
  const begin = store.prepare('INSERT INTO passes (id, job, started_at) VALUES (?, ?, ?)');
  const end = store.prepare('UPDATE passes SET ended_at = ?, exit = ? WHERE id = ?');
  const previous = store.prepare('SELECT started_at AS at FROM passes WHERE id <> ? ORDER BY rowid DESC LIMIT 1');
  const forget = pruning(store, keepSamplesMs);
  return {
    beginPass: (pass) => store.write(() => { begin.run(pass.id, pass.job, pass.startedAt); }),
    endPass: (id, endedAt, exit) => store.write(() => {
      end.run(endedAt, exit, id);
      // Ages are taken from the earlier of two passes: one pass under a clock that jumped ahead forgets nothing.
      const before = previous.get(id)?.['at'];
      if (before !== undefined) forget(Math.min(endedAt, Number(before)));
    }),
  };
}

function pruning(store: Store, keepSamplesMs: number): (now: number) => void {
  const passes = store.prepare('DELETE FROM passes WHERE started_at < ?');
  const resets = store.prepare('DELETE FROM resets WHERE at < ?');
  const memory = store.prepare('DELETE FROM memory WHERE at < ?');
  const containers = store.prepare('DELETE FROM containers WHERE present = 0 AND last_seen_at < ?');
  const allocations = store.prepare(`
    DELETE FROM allocations WHERE superseded_at < :before
      OR (released_at < :before AND NOT EXISTS (SELECT 1 FROM containers WHERE id = container_id AND present = 1))`);
  const limits = pruningLimits(store, keepSamplesMs);
  const runs = pruningResets(store, KEEP_HISTORY_MS);
  return (now) => {
    passes.run(now - KEEP_HISTORY_MS);
    resets.run(now - KEEP_HISTORY_MS);
    memory.run(now - keepSamplesMs);
    containers.run(now - KEEP_GONE_CONTAINER_MS);
    allocations.run({ before: now - KEEP_HISTORY_MS });
    limits(now);
    runs(now);
  };
}
