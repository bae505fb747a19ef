import type { Warning } from '../../model/activity.ts';
import type { LimitsLedger } from '../../passes/ports.ts';
import { activityIn } from './activity.ts';
import type { Store } from './store.ts';

/** The ledger's part about limits. */
export function limitsIn(store: Store): LimitsLedger {
  return { ...activityIn(store), ...warningsIn(store), ...keepAlivesIn(store), ...refusalsIn(store), ...managedIn(store) };
}

function warningsIn(store: Store): Pick<LimitsLedger, 'warnings' | 'recordWarning' | 'clearWarnings'> {
  const all = store.prepare('SELECT container_id AS containerId, started_at AS startedAt, kind, stage, at FROM warnings ORDER BY container_id, kind, at, stage');
  const record = store.prepare('INSERT OR REPLACE INTO warnings (container_id, started_at, kind, stage, at) VALUES (?, ?, ?, ?, ?)');
  // An exempt owner has had the one notice, whatever the container does afterwards.
  const clear = store.prepare("DELETE FROM warnings WHERE container_id = ? AND kind = ? AND stage <> 'notice'");
  return {
    warnings: () => store.read(() => all.all().map((row) => ({ ...row }) as unknown as Warning)),
    recordWarning: ({ containerId, startedAt, kind, stage, at }) => store.write(() => { record.run(containerId, startedAt, kind, stage, at); }),
    clearWarnings: (containerId, kind) => store.write(() => { clear.run(containerId, kind); }),
  };
}

function keepAlivesIn(store: Store): Pick<LimitsLedger, 'keepAlives' | 'recordKeepAlive'> {
  const all = store.prepare('SELECT container_id AS containerId, started_at AS startedAt, uid, asked_at AS askedAt, until FROM keep_alives ORDER BY asked_at, number');
  const record = store.prepare('INSERT INTO keep_alives (container_id, started_at, uid, asked_at, until) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING');
  return {
    keepAlives: () => store.read(() => all.all().map((row) => ({ ...row }) as unknown as ReturnType<LimitsLedger['keepAlives']>[number])),
    recordKeepAlive: ({ containerId, startedAt, uid, askedAt, until }) => store.write(() => { record.run(containerId, startedAt, uid, askedAt, until); }),
  };
}

/** A user sees the latest of his refusals, and whoever asks for nonsense all day fills nothing. */
const KEEP_REFUSALS = 5;
const KEEP_REFUSALS_MS = 24 * 3_600_000;
/** Of all users together: a user may have files of tens of thousands of uids, and each that was refused gets an answer. */
const ALL_KEEP_REFUSALS = 500;

function refusalsIn(store: Store): Required<Pick<LimitsLedger, 'keepRefusals' | 'recordKeepRefusal' | 'forgetKeepRefusals'>> {
  const all = store.prepare('SELECT uid, at, why FROM keep_refusals ORDER BY number');
  const record = store.prepare('INSERT INTO keep_refusals (uid, at, why) VALUES (?, ?, ?)');
  const crowd = store.prepare('DELETE FROM keep_refusals WHERE uid = :uid AND number NOT IN (SELECT number FROM keep_refusals WHERE uid = :uid ORDER BY number DESC LIMIT :most)');
  const flood = store.prepare('DELETE FROM keep_refusals WHERE number <= (SELECT MAX(number) FROM keep_refusals) - ?');
  const prune = store.prepare('DELETE FROM keep_refusals WHERE at < :since OR at > :until');
  const forget = store.prepare('DELETE FROM keep_refusals WHERE uid = ?');
  return {
    keepRefusals: () => store.read(() => all.all().map((row) => ({ uid: Number(row['uid']), at: Number(row['at']), why: String(row['why']) }))),
    recordKeepRefusal: ({ uid, why }, at) => store.write(() => {
      record.run(uid, at, why);
      crowd.run({ uid, most: KEEP_REFUSALS });
      flood.run(ALL_KEEP_REFUSALS);
      prune.run({ since: at - KEEP_REFUSALS_MS, until: at });
    }),
    forgetKeepRefusals: (uid) => store.write(() => { forget.run(uid); }),
  };
}

function managedIn(store: Store): Pick<LimitsLedger, 'firstStarts' | 'onceManaged' | 'recordManaged'> {
  const starts = store.prepare('SELECT id, first_started_at AS at FROM containers WHERE present = 1 AND first_started_at IS NOT NULL');
  const managed = store.prepare('SELECT container_id AS id FROM managed');
  const record = store.prepare('INSERT INTO managed (container_id) VALUES (?) ON CONFLICT DO NOTHING');
  return {
    firstStarts: () => store.read(() => new Map(starts.all().map((row) => [String(row['id']), Number(row['at'])]))),
    onceManaged: () => store.read(() => new Set(managed.all().map((row) => String(row['id'])))),
    recordManaged: (containerIds) => store.write(() => { for (const id of containerIds) record.run(id); }),
  };
}

const DAY_MS = 24 * 3_600_000;
/** Of a container that is not there any more, nothing said of it matters for longer; and each pass reads all warnings. */
const KEEP_GONE = [['warnings WHERE at < ?', 30 * DAY_MS], ['keep_alives WHERE until < ?', 90 * DAY_MS]] as const;

/** Forgets what is old; part of the end of a pass. `keepSamplesMs`: how long samples live. */
export function pruningLimits(store: Store, keepSamplesMs: number): (now: number) => void {
  const samples = store.prepare('DELETE FROM samples WHERE at < ?');
  const uses = store.prepare('DELETE FROM device_use WHERE at < ?');
  // A container that was not seen since has no sample that is younger.
  const runs = store.prepare('DELETE FROM runs WHERE NOT EXISTS (SELECT 1 FROM containers WHERE id = container_id AND last_seen_at >= ?)');
  const gone = KEEP_GONE.map(([what, keepMs]) => ({ keepMs, statement: store.prepare(`DELETE FROM ${what} AND NOT EXISTS (SELECT 1 FROM containers WHERE id = container_id AND present = 1)`) }));
  const managed = store.prepare('DELETE FROM managed WHERE NOT EXISTS (SELECT 1 FROM containers WHERE id = container_id)');
  return (now) => {
    samples.run(now - keepSamplesMs);
    uses.run(now - keepSamplesMs);
    runs.run(now - keepSamplesMs);
    for (const { keepMs, statement } of gone) statement.run(now - keepMs);
    managed.run();
  };
}
