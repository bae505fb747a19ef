import { ExitCode, GpuctlError } from '../../model/errors.ts';

type LedgerCode = 'ledger-unwritable' | 'ledger-corrupt' | 'ledger-too-new';

/** The ledger cannot be used, so nothing may be acted on. Always exits 3. */
export class LedgerError extends GpuctlError {
  constructor(message: string, facts: { readonly code: LedgerCode; readonly hint: string; readonly cause?: unknown }) {
    super(message, { ...facts, exitCode: ExitCode.notObserved });
    this.name = 'LedgerError';
  }
}

/** Primary result codes of SQLite (https://www.sqlite.org/rescode.html, 2026-11). */
const SQLITE = { error: 1, busy: 5, readonly: 8, corrupt: 11, full: 13, cannotOpen: 14, notADatabase: 26 } as const;

const HINTS: Readonly<Record<number, string>> = {
  [SQLITE.busy]: 'another process keeps it locked; see who has the file open',
  [SQLITE.readonly]: 'its folder must be writable; passes run as root',
  [SQLITE.full]: 'free some space on its file system',
  [SQLITE.cannotOpen]: 'its folder must be writable; passes run as root',
};

/** SQLite's primary result code of an error that it threw; null: the error is not SQLite's. */
function sqliteCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null;
  return error.errcode & 0xff;
}

/**
 * Does this error, thrown while a ledger was being opened, mean that the file's content is damaged? A statement that
 * does not fit the schema counts: the schema is then not what its version number promises.
 */
export function isDamage(error: unknown): boolean {
  if (error instanceof LedgerError) return error.code === 'ledger-corrupt';
  const code = sqliteCode(error);
  return code === SQLITE.corrupt || code === SQLITE.notADatabase || code === SQLITE.error;
}

/** A damaged file; `what` is SQLite's or gpuctl's own account of the damage. */
export function damaged(file: string, what: string, cause?: unknown): LedgerError {
  return new LedgerError(`the ledger ${file} is damaged: ${what}`, {
    code: 'ledger-corrupt',
    hint: `move ${file} away, together with its -wal and -shm; the next pass begins a new one`,
    cause,
  });
}

/** The LedgerError for whatever SQLite or the file system threw; anything else is a bug and comes back as it was. */
export function asLedgerError(error: unknown, file: string): unknown {
  if (error instanceof LedgerError || !(error instanceof Error)) return error;
  const code = sqliteCode(error);
  if (code === SQLITE.corrupt || code === SQLITE.notADatabase) return damaged(file, error.message, error);
  if (code === null && !('syscall' in error)) return error;
  return new LedgerError(`the ledger ${file} cannot be used: ${error.message}`, {
    code: 'ledger-unwritable',
    hint: (code === null ? undefined : HINTS[code]) ?? 'its folder must exist and be writable for root, with space left',
    cause: error,
  });
}
