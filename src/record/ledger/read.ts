import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { openCopy, openReadOnly } from './database.ts';
import { asLedgerError, isDamage, LedgerError } from './errors.ts';

/** `ledger` null and `unreadable` null: there is none. */
interface Found<T> {
  readonly ledger: T | null;
  readonly unreadable: string | null;
}

/** Opens a ledger that exists, for reading. Never throws but for a ledger of a newer gpuctl, and for bugs. */
export function openExisting<T>(file: string, ledgerOn: (db: DatabaseSync) => T): Found<T> {
  const blocked = whyNotAccessible(file);
  if (blocked !== null) return blocked;
  try {
    const db = openAnyhow(file);
    if (db === null) return unreadable('it is of an older version; the next pass brings it up to date');
    return { ledger: ledgerOn(db), unreadable: null };
  } catch (error) {
    const known = asLedgerError(error, file);
    if (!(known instanceof LedgerError) || known.code === 'ledger-too-new') throw known;
    return unreadable(isDamage(error) ? `${known.message}; the next pass sets it aside` : known.message);
  }
}

function unreadable(why: string): Found<never> {
  return { ledger: null, unreadable: why };
}

function whyNotAccessible(file: string): Found<never> | null {
  try {
    accessSync(file, constants.R_OK);
    return null;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const code = 'code' in error ? error.code : null;
    return code === 'ENOENT' || code === 'ENOTDIR' ? { ledger: null, unreadable: null } : unreadable(error.message);
  }
}

/**
 * To read a WAL database, SQLite makes a -wal and a -shm beside it, and a reader shall change nothing (nor can it on a
 * read-only file system). So a ledger that nobody has open, and that has no -wal, is read as a copy.
 */
function openAnyhow(file: string): DatabaseSync | null {
  const bytes = copyAtRest(file);
  return bytes === null ? openReadOnly(file) : openCopy(bytes, file);
}

/** Null: it is in use, or became so while it was read. */
function copyAtRest(file: string): Buffer | null {
  const before = stampOf(file);
  if (before === null) return null;
  const bytes = readFileSync(file);
  return bytes.length > 0 && stampOf(file) === before ? bytes : null;
}

/** Changes with every change of the file; null: it has a -wal. */
function stampOf(file: string): string | null {
  if (existsSync(`${file}-wal`)) return null;
  const { ino, size, mtimeNs } = statSync(file, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}
