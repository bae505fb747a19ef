import { accessSync, constants, existsSync, statSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { openReadOnly } from './database.ts';
import { asLedgerError, damaged, isDamage, LedgerError } from './errors.ts';
import { inTransaction, type Store } from './store.ts';

/** `ledger` null and `unreadable` null: there is none. */
interface Found<T> {
  readonly ledger: T | null;
  readonly unreadable: string | null;
}

/** Opens a ledger that exists, for reading. Never throws but for a ledger of a newer gpuctl, and for bugs. */
export function openExisting<T>(file: string, ledgerOn: (store: Store) => T): Found<T> {
  const blocked = whyNotAccessible(file);
  if (blocked !== null) return blocked;
  try {
    const store = storeToRead(file);
    if (store === null) return unreadable('it is of an older version; the next pass brings it up to date');
    return { ledger: ledgerOn(store), unreadable: null };
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

/** A ledger that changes is in use by then, and is read as one that is. */
const TRIES = 5;

/** `unchanged`: what was read is of one state of the ledger. */
interface Opened {
  readonly db: DatabaseSync;
  readonly unchanged: () => boolean;
}

/**
 * To read a WAL database, SQLite makes a -wal and a -shm beside it, and a reader shall change nothing (nor can it on a
 * read-only file system). So a ledger that nobody has open, and that has no -wal, is read without, and without locks.
 * Never is all of it taken into memory: after a year it is many times as large as what is read.
 */
function openAnyhow(file: string): Opened | null {
  for (let tries = 1; ; tries += 1) {
    const stamp = stampOf(file);
    const unchanged = (): boolean => stamp === null || stampOf(file) === stamp;
    try {
      const db = openReadOnly(file, stamp !== null);
      return db === null ? null : { db, unchanged };
    } catch (error) {
      if (unchanged() || tries === TRIES) throw error;
    }
  }
}

/** What was read while the ledger changed is read again, from the ledger as it is then. Null: it is of an older version. */
function storeToRead(file: string): Store | null {
  let opened = openAnyhow(file);
  if (opened === null) return null;
  let { db, unchanged } = opened;
  const openAgain = (): void => {
    opened = openAnyhow(file);
    if (opened === null) throw damaged(file, 'another one was put in its place');
    db.close();
    ({ db, unchanged } = opened);
  };
  return {
    prepare(sql) {
      let [on, statement] = [db, db.prepare(sql)];
      const current = (): StatementSync => {
        if (on !== db) [on, statement] = [db, db.prepare(sql)];
        return statement;
      };
      return new Proxy(statement, { get: (_, name) => (...parameters: unknown[]): unknown => Reflect.apply(Reflect.get(current(), name) as (...all: unknown[]) => unknown, current(), parameters) });
    },
    read(work) {
      try {
        return undisturbed(() => inTransaction(db, 'BEGIN', work), { unchanged: () => unchanged(), openAgain });
      } catch (error) {
        throw asLedgerError(error, file);
      }
    },
    write() { throw new Error('a ledger that was opened for reading was to be written'); },
    close: () => { db.close(); },
  };
}

/** Looks again where the ledger changed meanwhile; an error that came of such a change is none. */
function undisturbed<T>(look: () => T, { unchanged, openAgain }: { readonly unchanged: () => boolean; readonly openAgain: () => void }): T {
  for (let tries = 1; tries <= TRIES; tries += 1) {
    try {
      const seen = look();
      if (unchanged()) return seen;
    } catch (error) {
      if (unchanged()) throw error;
    }
    openAgain();
  }
  throw new LedgerError('the ledger changed each time it was read', { code: 'ledger-unwritable', hint: 'try again' });
}

/** Changes with every change of the file; null: it has a -wal. */
function stampOf(file: string): string | null {
  if (existsSync(`${file}-wal`)) return null;
  const { ino, size, mtimeNs } = statSync(file, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}
