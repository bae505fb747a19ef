import type { DatabaseSync } from 'node:sqlite';
import { LedgerError, damaged } from './errors.ts';

/** "gpuc" in ASCII: tells gpuctl's ledger from any other SQLite file. */
const APPLICATION_ID = 0x67707563;

/**
 * What each version of the ledger adds to the one before it; number n leads from version n − 1 to n. A released one is
 * never edited. Instants are milliseconds since 1970 UTC. The CHECKs hold what reading relies on, so that SQLite's
 * quick check finds damaged rows too; words that later versions may add to (verbs, results, reasons) are left open.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE host (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    first_pass_at INTEGER CHECK (abs(first_pass_at) <= 8640000000000000),
    engine_id TEXT
  ) STRICT;
  INSERT INTO host (one) VALUES (1);

  CREATE TABLE passes (
    id TEXT NOT NULL PRIMARY KEY,
    job TEXT NOT NULL,
    started_at INTEGER NOT NULL CHECK (abs(started_at) <= 8640000000000000),
    ended_at INTEGER CHECK (abs(ended_at) <= 8640000000000000),
    exit INTEGER
  ) STRICT;
  CREATE INDEX passes_by_start ON passes (started_at);

  -- An act without an end was in flight when its pass was killed; reported_by is the pass that told of it.
  CREATE TABLE acts (
    number INTEGER PRIMARY KEY AUTOINCREMENT CHECK (number BETWEEN 1 AND 9007199254740991),
    pass_id TEXT NOT NULL REFERENCES passes (id) ON DELETE CASCADE,
    verb TEXT NOT NULL,
    target TEXT NOT NULL CHECK (json_valid(target)),
    begun_at INTEGER NOT NULL CHECK (abs(begun_at) <= 8640000000000000),
    ended_at INTEGER CHECK (abs(ended_at) <= 8640000000000000),
    result TEXT,
    reason TEXT,
    detail TEXT,
    reported_by TEXT
  ) STRICT;
  CREATE INDEX acts_by_pass ON acts (pass_id);
  CREATE INDEX acts_in_flight ON acts (number) WHERE ended_at IS NULL;

  CREATE TABLE containers (
    id TEXT NOT NULL PRIMARY KEY,
    engine_id TEXT,
    name TEXT NOT NULL,
    started_at INTEGER CHECK (abs(started_at) <= 8640000000000000),
    first_started_at INTEGER CHECK (abs(first_started_at) <= 8640000000000000),
    first_seen_at INTEGER NOT NULL CHECK (abs(first_seen_at) <= 8640000000000000),
    last_seen_at INTEGER NOT NULL CHECK (abs(last_seen_at) <= 8640000000000000),
    present INTEGER NOT NULL CHECK (present IN (0, 1))
  ) STRICT, WITHOUT ROWID;

  -- Open: neither released nor superseded. Superseded: the container started again, and holds its devices anew.
  CREATE TABLE allocations (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 9007199254740991),
    container_id TEXT NOT NULL,
    container_name TEXT NOT NULL,
    started_at INTEGER CHECK (abs(started_at) <= 8640000000000000),
    gpu_uuid TEXT NOT NULL,
    mig_uuid TEXT,
    owner TEXT,
    observed_at INTEGER NOT NULL CHECK (abs(observed_at) <= 8640000000000000),
    released_at INTEGER CHECK (abs(released_at) <= 8640000000000000),
    release_reason TEXT,
    superseded_at INTEGER CHECK (abs(superseded_at) <= 8640000000000000)
  ) STRICT;
  CREATE UNIQUE INDEX allocations_current
    ON allocations (container_id, ifnull(started_at, 'never'), gpu_uuid, ifnull(mig_uuid, ''))
    WHERE superseded_at IS NULL;

  CREATE TABLE memory (
    gpu_uuid TEXT NOT NULL,
    at INTEGER NOT NULL CHECK (abs(at) <= 8640000000000000),
    used_mib REAL NOT NULL,
    unexplained_mib REAL NOT NULL,
    PRIMARY KEY (gpu_uuid, at)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE baselines (
    gpu_uuid TEXT NOT NULL PRIMARY KEY,
    used_mib REAL NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE resets (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 9007199254740991),
    gpu_uuid TEXT NOT NULL,
    at INTEGER NOT NULL CHECK (abs(at) <= 8640000000000000),
    succeeded INTEGER NOT NULL CHECK (succeeded IN (0, 1))
  ) STRICT;

  CREATE TABLE reset_wants (
    gpu_uuid TEXT NOT NULL PRIMARY KEY,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL CHECK (abs(since) <= 8640000000000000)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE quarantine (
    gpu_uuid TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL CHECK (abs(at) <= 8640000000000000)
  ) STRICT, WITHOUT ROWID;

  PRAGMA application_id = 0x67707563;
  PRAGMA user_version = 1;
  `,
  `
  -- Readings: null where the host has no such signal, -1 where it failed to be read. CPU time is in microseconds.
  CREATE TABLE idle_clocks (
    container_id TEXT NOT NULL PRIMARY KEY,
    started_at INTEGER NOT NULL CHECK (abs(started_at) <= 8640000000000000),
    boot_id TEXT NOT NULL,
    at INTEGER NOT NULL CHECK (abs(at) <= 8640000000000000),
    cpu_us INTEGER CHECK (cpu_us BETWEEN -1 AND 9007199254740991),
    network_bytes INTEGER CHECK (network_bytes BETWEEN -1 AND 9007199254740991),
    gpu_percent REAL,
    samples INTEGER NOT NULL CHECK (samples BETWEEN 1 AND 9007199254740991),
    consecutive_idle INTEGER NOT NULL CHECK (consecutive_idle BETWEEN 0 AND 9007199254740991),
    idle_ms INTEGER NOT NULL CHECK (idle_ms BETWEEN 0 AND 8640000000000000),
    active_at INTEGER NOT NULL CHECK (abs(active_at) <= 8640000000000000)
  ) STRICT, WITHOUT ROWID;

  -- A month of a hundred containers is a million samples: what they have in common is written once, and they are kept
  -- in the order in which they come.
  CREATE TABLE runs (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 9007199254740991),
    container_id TEXT NOT NULL,
    started_at INTEGER CHECK (abs(started_at) <= 8640000000000000),
    boot_id TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX runs_by_name ON runs (container_id, ifnull(started_at, 'unknown'), boot_id);
  CREATE TABLE samples (
    at INTEGER NOT NULL,
    run INTEGER NOT NULL,
    cpu_us INTEGER,
    network_bytes INTEGER,
    gpu_percent REAL,
    PRIMARY KEY (at, run)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE devices (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 9007199254740991),
    gpu_uuid TEXT NOT NULL UNIQUE
  ) STRICT;
  CREATE TABLE device_use (
    at INTEGER NOT NULL,
    device INTEGER NOT NULL,
    percent REAL NOT NULL,
    PRIMARY KEY (at, device)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE warnings (
    container_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    stage TEXT NOT NULL,
    started_at INTEGER CHECK (abs(started_at) <= 8640000000000000),
    at INTEGER NOT NULL CHECK (abs(at) <= 8640000000000000),
    PRIMARY KEY (container_id, kind, stage)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE keep_alives (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 9007199254740991),
    container_id TEXT NOT NULL,
    started_at INTEGER CHECK (abs(started_at) <= 8640000000000000),
    uid INTEGER NOT NULL CHECK (uid BETWEEN 0 AND 4294967295),
    asked_at INTEGER NOT NULL CHECK (abs(asked_at) <= 8640000000000000),
    until INTEGER NOT NULL CHECK (abs(until) <= 8640000000000000)
  ) STRICT;
  CREATE UNIQUE INDEX keep_alives_once ON keep_alives (container_id, ifnull(started_at, 'never'), uid, asked_at);

  CREATE TABLE managed (
    container_id TEXT NOT NULL PRIMARY KEY
  ) STRICT, WITHOUT ROWID;

  PRAGMA user_version = 2;
  `,
  `
  -- Which sink for admins was told of what, and when: the cool-down.
  CREATE TABLE notices (
    sink TEXT NOT NULL,
    subject TEXT NOT NULL,
    job TEXT NOT NULL,
    at INTEGER NOT NULL CHECK (abs(at) <= 8640000000000000),
    PRIMARY KEY (sink, subject)
  ) STRICT, WITHOUT ROWID;

  PRAGMA user_version = 3;
  `,
  `
  -- Alerts that not every sink for admins has taken yet; line: as in the event file.
  CREATE TABLE owed_alerts (
    subject TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL CHECK (abs(at) <= 8640000000000000),
    line TEXT NOT NULL,
    sentence TEXT NOT NULL
  ) STRICT;

  -- Health.
  -- Readings that mean something only beside an earlier one; next becomes the anchor when it is an hour old.
  CREATE TABLE health_marks (
    gpu_uuid TEXT NOT NULL,
    reading TEXT NOT NULL,
    baseline REAL NOT NULL,
    baseline_at INTEGER NOT NULL CHECK (abs(baseline_at) <= 8640000000000000),
    last REAL NOT NULL,
    last_at INTEGER NOT NULL CHECK (abs(last_at) <= 8640000000000000),
    anchor REAL NOT NULL,
    anchor_at INTEGER NOT NULL CHECK (abs(anchor_at) <= 8640000000000000),
    next REAL NOT NULL,
    next_at INTEGER NOT NULL CHECK (abs(next_at) <= 8640000000000000),
    PRIMARY KEY (gpu_uuid, reading)
  ) STRICT, WITHOUT ROWID;

  -- What the memory baseline of an idle board was learned from, and how long more than that has been in use.
  CREATE TABLE memory_learning (
    gpu_uuid TEXT NOT NULL PRIMARY KEY,
    driver TEXT,
    lowest_mib REAL NOT NULL,
    last_mib REAL NOT NULL,
    samples INTEGER NOT NULL CHECK (samples BETWEEN 1 AND 9007199254740991),
    first_at INTEGER NOT NULL CHECK (abs(first_at) <= 8640000000000000),
    last_at INTEGER NOT NULL CHECK (abs(last_at) <= 8640000000000000),
    over_since INTEGER CHECK (abs(over_since) <= 8640000000000000),
    over_samples INTEGER NOT NULL CHECK (over_samples BETWEEN 0 AND 9007199254740991)
  ) STRICT, WITHOUT ROWID;

  -- Kernel log.
  -- How far the log of one boot was read; journal: the journal's own cursor, where it was read from there.
  CREATE TABLE kernel_log (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    boot_id TEXT NOT NULL,
    sequence INTEGER CHECK (sequence BETWEEN 0 AND 9007199254740991),
    boot_usec INTEGER NOT NULL CHECK (boot_usec BETWEEN 0 AND 9007199254740991),
    journal TEXT,
    read_at INTEGER NOT NULL CHECK (abs(read_at) <= 8640000000000000)
  ) STRICT;

  -- What the driver wrote there: Xids of GPUs, SXids of switches. seen_at: the look that found it;
  -- settled_at: the reset that came after it.
  CREATE TABLE xids (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 9007199254740991),
    boot_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('xid', 'sxid')),
    code INTEGER NOT NULL CHECK (code BETWEEN 0 AND 999999),
    bus_id TEXT,
    gpu_uuid TEXT,
    gpu_instance INTEGER CHECK (gpu_instance BETWEEN 0 AND 255),
    pid INTEGER CHECK (pid BETWEEN 0 AND 9999999999),
    process_name TEXT,
    detail TEXT NOT NULL,
    at INTEGER NOT NULL CHECK (abs(at) <= 8640000000000000),
    boot_usec INTEGER NOT NULL CHECK (boot_usec BETWEEN 0 AND 9007199254740991),
    sequence INTEGER CHECK (sequence BETWEEN 0 AND 9007199254740991),
    lines INTEGER NOT NULL CHECK (lines BETWEEN 1 AND 9007199254740991),
    seen_at INTEGER NOT NULL CHECK (abs(seen_at) <= 8640000000000000),
    settled_at INTEGER CHECK (abs(settled_at) <= 8640000000000000)
  ) STRICT;
  CREATE UNIQUE INDEX xids_once ON xids (boot_id, kind, code, ifnull(bus_id, ''), ifnull(gpu_uuid, ''), ifnull(gpu_instance, -1), ifnull(pid, -1), boot_usec);

  -- Conditions.
  CREATE TABLE conditions (
    number INTEGER PRIMARY KEY AUTOINCREMENT CHECK (number BETWEEN 1 AND 9007199254740991),
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('warning', 'critical')),
    message TEXT NOT NULL,
    remedy TEXT NOT NULL,
    seen_by TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL CHECK (abs(first_seen_at) <= 8640000000000000),
    last_seen_at INTEGER NOT NULL CHECK (abs(last_seen_at) <= 8640000000000000),
    cleared_at INTEGER CHECK (abs(cleared_at) <= 8640000000000000)
  ) STRICT;
  CREATE UNIQUE INDEX conditions_open ON conditions (key) WHERE cleared_at IS NULL;
  CREATE TABLE condition_changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT CHECK (number BETWEEN 1 AND 9007199254740991),
    condition INTEGER NOT NULL,
    change TEXT NOT NULL CHECK (change IN ('raised', 'changed', 'cleared')),
    before TEXT CHECK (before IN ('warning', 'critical')),
    value TEXT NOT NULL,
    at INTEGER NOT NULL CHECK (abs(at) <= 8640000000000000),
    told INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1))
  ) STRICT;
  CREATE INDEX condition_changes_untold ON condition_changes (number) WHERE told = 0;

  -- Resets as transactions.
  CREATE TABLE reset_runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT CHECK (number BETWEEN 1 AND 9007199254740991),
    pass_id TEXT NOT NULL,
    gpu_uuid TEXT NOT NULL,
    pci_bus_id TEXT NOT NULL,
    gpu_index INTEGER CHECK (gpu_index BETWEEN 0 AND 9007199254740991),
    begun_at INTEGER NOT NULL CHECK (abs(begun_at) <= 8640000000000000),
    ended_at INTEGER CHECK (abs(ended_at) <= 8640000000000000)
  ) STRICT;
  CREATE INDEX reset_runs_cut_off ON reset_runs (number) WHERE ended_at IS NULL;
  CREATE TABLE reset_steps (
    number INTEGER PRIMARY KEY AUTOINCREMENT CHECK (number BETWEEN 1 AND 9007199254740991),
    run INTEGER NOT NULL REFERENCES reset_runs (number) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    subject TEXT,
    begun_at INTEGER NOT NULL CHECK (abs(begun_at) <= 8640000000000000),
    ended_at INTEGER CHECK (abs(ended_at) <= 8640000000000000),
    result TEXT,
    detail TEXT
  ) STRICT;
  CREATE INDEX reset_steps_by_run ON reset_steps (run);
  -- What must be so again after a reset. The oldest debt of a kind is the true one: a later reset found the board without it.
  CREATE TABLE reset_debts (
    number INTEGER PRIMARY KEY AUTOINCREMENT CHECK (number BETWEEN 1 AND 9007199254740991),
    run INTEGER NOT NULL REFERENCES reset_runs (number) ON DELETE CASCADE,
    gpu_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    debt TEXT NOT NULL CHECK (json_valid(debt)),
    since INTEGER NOT NULL CHECK (abs(since) <= 8640000000000000),
    why TEXT,
    paid_at INTEGER CHECK (abs(paid_at) <= 8640000000000000),
    paid_how TEXT
  ) STRICT;
  CREATE INDEX reset_debts_by_run ON reset_debts (run);
  CREATE UNIQUE INDEX reset_debts_open ON reset_debts (gpu_uuid, key) WHERE paid_at IS NULL;
  -- By an admin who cleared the board: not counted any more, whatever the clock says.
  ALTER TABLE resets ADD COLUMN forgiven INTEGER NOT NULL DEFAULT 0 CHECK (forgiven IN (0, 1));

  -- Lost and hung.
  CREATE TABLE inventory (
    gpu_uuid TEXT NOT NULL PRIMARY KEY,
    bus_id TEXT NOT NULL,
    name TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL CHECK (abs(first_seen_at) <= 8640000000000000),
    missing_since INTEGER CHECK (abs(missing_since) <= 8640000000000000)
  ) STRICT, WITHOUT ROWID;

  -- The nvidia-smi that did not come back: none is asked while it lives.
  CREATE TABLE hung_smi (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    since INTEGER NOT NULL CHECK (abs(since) <= 8640000000000000),
    boot_id TEXT NOT NULL,
    pid INTEGER CHECK (pid BETWEEN 1 AND 4194304),
    start_ticks INTEGER CHECK (start_ticks BETWEEN 0 AND 9007199254740991)
  ) STRICT;

  -- Containers that the engine has forgotten though their shims live, and that an admin said are to be left alone.
  CREATE TABLE accepted_containers (
    id TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL CHECK (abs(at) <= 8640000000000000)
  ) STRICT, WITHOUT ROWID;

  -- Clocks, owners and the kind of the engine. An engine without an id that had containers was podman.
  CREATE TABLE clock_eras (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 9007199254740991),
    boot_id TEXT NOT NULL,
    from_at INTEGER NOT NULL CHECK (abs(from_at) <= 8640000000000000),
    from_uptime_ms INTEGER NOT NULL CHECK (from_uptime_ms BETWEEN 0 AND 8640000000000000),
    seen_uptime_ms INTEGER NOT NULL CHECK (seen_uptime_ms BETWEEN from_uptime_ms AND 8640000000000000),
    until_uptime_ms INTEGER NOT NULL CHECK (until_uptime_ms BETWEEN seen_uptime_ms AND 8640000000000000),
    jump_ms INTEGER CHECK (abs(jump_ms) <= 8640000000000000)
  ) STRICT;
  CREATE TABLE keep_refusals (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 9007199254740991),
    uid INTEGER NOT NULL CHECK (uid BETWEEN 0 AND 4294967295),
    at INTEGER NOT NULL CHECK (abs(at) <= 8640000000000000),
    why TEXT NOT NULL
  ) STRICT;
  CREATE INDEX keep_refusals_by_uid ON keep_refusals (uid);
  -- Whether its end, or that it had none, is among the events. Of those before this column nothing is to be told.
  ALTER TABLE passes ADD COLUMN told INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1));
  UPDATE passes SET told = 1;
  CREATE INDEX passes_untold ON passes (id) WHERE told = 0;
  CREATE INDEX passes_ended ON passes (job) WHERE ended_at IS NOT NULL;

  -- A year of allocations that are over must not be gone through to find those that matter.
  CREATE INDEX allocations_open ON allocations (number) WHERE released_at IS NULL AND superseded_at IS NULL;
  CREATE INDEX allocations_by_release ON allocations (released_at) WHERE released_at IS NOT NULL;
  CREATE INDEX allocations_by_superseding ON allocations (superseded_at) WHERE superseded_at IS NOT NULL;

  ALTER TABLE host ADD COLUMN engine_kind TEXT;
  UPDATE host SET engine_kind = CASE WHEN engine_id IS NOT NULL THEN 'docker' WHEN EXISTS (SELECT 1 FROM containers) THEN 'podman' END;

  PRAGMA user_version = 4;
  `,
];

/** The newest version of the ledger that this gpuctl knows. */
export const LEDGER_VERSION = MIGRATIONS.length;

/**
 * The version of a ledger; 0: an empty database. Throws LedgerError where the file is of a newer gpuctl (such a file is
 * good and must stay), or where it is not a ledger at all.
 */
export function checkVersion(db: DatabaseSync, file: string): number {
  const version = pragma(db, 'PRAGMA user_version');
  const application = pragma(db, 'PRAGMA application_id');
  if (version === 0 && application === 0 && count(db) === 0) return 0;
  if (application !== APPLICATION_ID || version < 1) throw damaged(file, 'it is not a ledger of gpuctl');
  if (version <= LEDGER_VERSION) return version;
  throw new LedgerError(`the ledger ${file} is of version ${version}; this gpuctl knows versions up to ${LEDGER_VERSION}`, {
    code: 'ledger-too-new',
    hint: 'it was written by a newer gpuctl: install that one again',
  });
}

/** Brings a ledger to LEDGER_VERSION. To be called inside a transaction: all of it happens or none. */
export function migrate(db: DatabaseSync, file: string): void {
  for (const step of MIGRATIONS.slice(checkVersion(db, file))) db.exec(step);
}

function pragma(db: DatabaseSync, sql: 'PRAGMA user_version' | 'PRAGMA application_id'): number {
  return Number(Object.values(db.prepare(sql).get() ?? {})[0]);
}

function count(db: DatabaseSync): number {
  return Number(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n']);
}
