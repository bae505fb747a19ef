import { accessSync, constants, statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { openReadOnly } from './database.ts';
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
 * SQLite needs the -shm beside a WAL database and cannot make it on a read-only file system. There nobody writes
 * either, so a ledger that was closed cleanly (no -wal) can be read as a file that never changes.
 */
function openAnyhow(file: string): DatabaseSync | null {
  try {
    return openReadOnly(file, file);
  } catch (error) {
    if (isDamage(error) || error instanceof LedgerError || !isOnReadOnlySystem(file) || hasWal(file)) throw error;
    return openReadOnly(new URL(`${pathToFileURL(file).href}?immutable=1`), file);
  }
}

function isOnReadOnlySystem(file: string): boolean {
  try {
    accessSync(file, constants.W_OK);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EROFS';
  }
}

function hasWal(file: string): boolean {
  return (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
}
