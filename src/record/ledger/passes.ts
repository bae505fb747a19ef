import type { Ledger } from '../../passes/ports.ts';
import { pruningLimits } from './limits.ts';
import { BOARDS_WITH_MEMORY } from './memory-boards.ts';
import { pruningResets } from './resets.ts';
import type { Store } from './store.ts';

const DAY_MS = 24 * 3_600_000;
/** A year of history and a month to ask about it. */
const KEEP_HISTORY_MS = 400 * DAY_MS;
/** A pass that ended well and did nothing, and a warning that was given, are of no more use than a sample: there are hundreds a day. */
const KEEP_BACKGROUND_MS = 30 * DAY_MS;
/** Only what became that old within this time is looked for: what a host that was off for longer leaves goes with the history. */
const BACKGROUND_MS = 7 * DAY_MS;
/** Nothing of a container that vanished this long ago is still alive on a host that is looked after every hour. */
const KEEP_GONE_CONTAINER_MS = 90 * DAY_MS;
/** Nor are these many of any use: whoever makes and removes containers all day must not fill the memory of a pass, which reads all of them. */
const KEEP_GONE_CONTAINERS = 20_000;
/** For the same reason, the newest of these: 400 days of more than a hundred containers a day. Counted from the newest of all. */
const KEEP_ALLOCATIONS = 50_000;
const KEEP_ACTS = 100_000;

/** The ledger's part about passes; the end of a pass forgets what is old. `keepSamplesMs`: how long memory samples live. */
export function passesIn(store: Store, keepSamplesMs: number): Pick<Ledger, 'beginPass' | 'endPass'> & Required<Pick<Ledger, 'untoldPasses' | 'markPassesTold'>> {
  const begin = store.prepare('INSERT INTO passes (id, job, started_at) VALUES (?, ?, ?)');
  const end = store.prepare('UPDATE passes SET ended_at = ?, exit = ? WHERE id = ?');
  const previous = store.prepare('SELECT started_at AS at FROM passes WHERE id <> ? ORDER BY rowid DESC LIMIT 1');
  const untold = store.prepare('SELECT id, job, started_at AS startedAt, exit FROM passes WHERE told = 0 AND id <> ? ORDER BY +rowid');
  const mark = store.prepare('UPDATE passes SET told = 1 WHERE id = ?');
  const forget = pruning(store, keepSamplesMs);
  return {
    beginPass: (pass) => store.write(() => { begin.run(pass.id, pass.job, pass.startedAt); }),
    endPass: (id, endedAt, exit) => store.write(() => {
      end.run(endedAt, exit, id);
      // Ages are taken from the earlier of two passes: one pass under a clock that jumped ahead forgets nothing.
      const before = previous.get(id)?.['at'];
      if (before !== undefined) forget(Math.min(endedAt, Number(before)));
    }),
    untoldPasses: (passId) => store.read(() => untold.all(passId).map((row) => (
      { id: String(row['id']), job: String(row['job']), startedAt: Number(row['startedAt']), exit: row['exit'] === null ? null : Number(row['exit']) }))),
    markPassesTold: (ids) => { if (ids.length > 0) store.write(() => { for (const id of ids) mark.run(id); }); },
  };
}

function pruning(store: Store, keepSamplesMs: number): (now: number) => void {
  const passes = store.prepare('DELETE FROM passes WHERE started_at < ?');
  const resets = store.prepare('DELETE FROM resets WHERE at < ? AND at < (SELECT max(last.at) FROM resets AS last WHERE last.gpu_uuid = resets.gpu_uuid)');
  const memory = store.prepare(`DELETE FROM memory WHERE gpu_uuid IN (${BOARDS_WITH_MEMORY} SELECT uuid FROM boards) AND at < ?`);
  const containers = store.prepare('DELETE FROM containers WHERE present = 0 AND last_seen_at < ?');
  const crowd = store.prepare('DELETE FROM containers WHERE id IN (SELECT id FROM containers WHERE present = 0 ORDER BY last_seen_at DESC, id LIMIT -1 OFFSET ?)');
  const allocations = store.prepare(`
    DELETE FROM allocations WHERE superseded_at < :before
      OR (released_at < :before AND NOT EXISTS (SELECT 1 FROM containers WHERE id = container_id AND present = 1))`);
  const crowds = pruningCrowds(store);
  const background = pruningBackground(store);
  const limits = pruningLimits(store, keepSamplesMs);
  const runs = pruningResets(store, KEEP_HISTORY_MS);
  return (now) => {
    background(now - KEEP_BACKGROUND_MS);
    passes.run(now - KEEP_HISTORY_MS);
    resets.run(now - KEEP_HISTORY_MS);
    memory.run(now - keepSamplesMs);
    containers.run(now - KEEP_GONE_CONTAINER_MS);
    crowd.run(KEEP_GONE_CONTAINERS);
    allocations.run({ before: now - KEEP_HISTORY_MS });
    crowds();
    limits(now);
    runs(now);
  };
}

/** Acts first: a pass that did nothing but warn is background then. */
function pruningBackground(store: Store): (until: number) => void {
  const warnings = store.prepare("DELETE FROM acts WHERE verb = 'warn' AND result = 'done' AND pass_id IN (SELECT id FROM passes WHERE started_at BETWEEN :from AND :until)");
  const passes = store.prepare('DELETE FROM passes WHERE started_at BETWEEN :from AND :until AND told = 1 AND exit IN (0, 1) AND NOT EXISTS (SELECT 1 FROM acts WHERE pass_id = id)');
  return (until) => {
    const bounds = { from: until - BACKGROUND_MS, until };
    warnings.run(bounds);
    passes.run(bounds);
  };
}

/** What still counts stays, however old: an allocation that is not over, an act that nobody was told of. */
function pruningCrowds(store: Store): () => void {
  const allocations = store.prepare(`
    DELETE FROM allocations WHERE number <= (SELECT max(number) FROM allocations) - ?
      AND (superseded_at IS NOT NULL OR (released_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM containers WHERE id = container_id AND present = 1)))`);
  const acts = store.prepare('DELETE FROM acts WHERE number <= (SELECT max(number) FROM acts) - ? AND (ended_at IS NOT NULL OR reported_by IS NOT NULL)');
  return () => {
    allocations.run(KEEP_ALLOCATIONS);
    acts.run(KEEP_ACTS);
  };
}
