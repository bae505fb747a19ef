import { closeSync, openSync, readSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { damaged } from './errors.ts';
import { checkVersion, LEDGER_VERSION, migrate } from './migrations.ts';
import { inTransaction } from './store.ts';

/** How long to wait for another process that is just writing; longer than any transaction of gpuctl takes. */
const BUSY_MS = 5000;

/**
 * Opens a database that is sound, of this gpuctl's version and ready to be written. An empty file becomes a ledger.
 * Throws what SQLite says, or LedgerError; the database is closed then.
 */
export function openWritable(file: string): DatabaseSync {
  return closedOnError(new DatabaseSync(file, { timeout: BUSY_MS }), (db) => {
    db.exec('PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON');
    checkVersion(db, file);
    checkSound(db, file);
    // Only now: it is the first thing that changes a byte of the file.
    db.exec('PRAGMA journal_mode = WAL');
    inTransaction(db, 'BEGIN IMMEDIATE', () => { migrate(db, file); });
    checkHost(db, file);
    // On a database that it may not write, SQLite lets even BEGIN IMMEDIATE pass: only a write tells.
    db.exec('BEGIN IMMEDIATE; UPDATE host SET one = 1; ROLLBACK');
  });
}

/**
 * Opens a sound ledger of this version without changing it; null: it is of an older version, which only a pass can bring
 * up. `atRest`: nobody has it open. Nothing is made beside it then; but a change of it is not noticed either, and must be by the caller.
 */
export function openReadOnly(file: string, atRest: boolean): DatabaseSync | null {
  const url = pathToFileURL(file);
  if (atRest) url.searchParams.set('immutable', '1');
  return checked(new DatabaseSync(url, { timeout: BUSY_MS, readOnly: true }), file);
}

function checked(db: DatabaseSync, file: string): DatabaseSync | null {
  return closedOnError(db, () => {
    db.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON');
    const version = checkVersion(db, file);
    checkSound(db, file);
    if (version === LEDGER_VERSION) checkHost(db, file);
    else db.close();
  }).isOpen ? db : null;
}

/** An empty ledger that lives in memory only. */
export function openNothing(): DatabaseSync {
  return closedOnError(new DatabaseSync(':memory:'), (db) => { migrate(db, ':memory:'); });
}

/** Where SQLite's header keeps the version that a writer must know (https://www.sqlite.org/fileformat.html, 2026-11). */
const WRITE_VERSION_AT = 18;
const NEWEST_WRITE_VERSION = 2;

/**
 * Is it a damaged header that makes SQLite take the file for read-only? Not to be asked while this process has the
 * file open through SQLite: closing another descriptor of it gives SQLite's locks away.
 */
export function headerForbidsWriting(file: string): boolean {
  const fd = openSync(file, 'r');
  try {
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, WRITE_VERSION_AT);
    return byte.readUInt8() > NEWEST_WRITE_VERSION;
  } finally {
    closeSync(fd);
  }
}

function closedOnError(db: DatabaseSync, work: (db: DatabaseSync) => void): DatabaseSync {
  try {
    work(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Tables of a month of samples and of a year of what was done, from which no pass decides anything: checking them costs
 * more than all the rest of it, and the more the older the ledger is.
 */
const BULK: ReadonlySet<string> = new Set(['samples', 'device_use', 'passes', 'acts']);

/** Everything is checked where the last pass did not come to its end, which is what damage in these leads to as well; all but them otherwise. */
function checkSound(db: DatabaseSync, file: string): void {
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name").all().map((row) => String(row['name']));
  const whole = !tables.includes('passes') || !hasEnded(db) || !tables.some((name) => BULK.has(name));
  const checks = whole ? ['PRAGMA quick_check(1)'] : tables.filter((name) => !BULK.has(name)).map((name) => `PRAGMA quick_check("${name.replaceAll('"', '""')}")`);
  for (const check of checks) {
    const verdict = String(Object.values(db.prepare(check).get() ?? {})[0]);
    if (verdict !== 'ok') throw damaged(file, verdict);
  }
}

function hasEnded(db: DatabaseSync): boolean {
  const last = db.prepare('SELECT ended_at FROM passes ORDER BY rowid DESC LIMIT 1').get();
  return last !== undefined && last['ended_at'] !== null;
}

/** The one row that everything about the host hangs on. */
function checkHost(db: DatabaseSync, file: string): void {
  if (db.prepare('SELECT one FROM host').all().length !== 1) throw damaged(file, 'the row about the host is missing');
}
