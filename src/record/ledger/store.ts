import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { asLedgerError } from './errors.ts';

/** One open database, with its errors turned into LedgerErrors. Each `read` or `write` is one transaction. */
export interface Store {
  prepare(sql: string): StatementSync;
  /** All of `work` sees one state of the ledger. */
  read<T>(work: () => T): T;
  /** All of `work` is durable when this returns; where it throws, nothing was written. */
  write<T>(work: () => T): T;
  close(): void;
}

/** `writable` false: `write` is a bug of its caller and throws. */
export function storeOn(db: DatabaseSync, file: string, writable: boolean): Store {
  const translated = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw asLedgerError(error, file);
    }
  };
  return {
    prepare: (sql) => db.prepare(sql),
    read: (work) => translated(() => inTransaction(db, 'BEGIN', work)),
    write(work) {
      if (!writable) throw new Error('a ledger that was opened for reading was to be written');
      return translated(() => inTransaction(db, 'BEGIN IMMEDIATE', work));
    },
    close: () => { translated(() => { db.close(); }); },
  };
}

/** Runs `work` inside a transaction that is rolled back where it throws. */
export function inTransaction<T>(db: DatabaseSync, begin: 'BEGIN' | 'BEGIN IMMEDIATE', work: () => T): T {
  db.exec(begin);
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    rollBack(db);
    throw error;
  }
}

/** SQLite rolls back by itself after some errors; an error of the roll-back must not hide the one that caused it. */
function rollBack(db: DatabaseSync): void {
  try {
    if (db.isTransaction) db.exec('ROLLBACK');
  } catch {
    // The connection is beyond use; the error that led here says why.
  }
}
