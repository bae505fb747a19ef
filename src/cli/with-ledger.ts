import type { Config } from '../config/types.ts';
import { ExitCode, GpuctlError } from '../model/errors.ts';
import { openLedger, type OpenLedger } from '../record/ledger/open.ts';
import { ledgerFile } from './ledger-file.ts';

/**
 * Opens the ledger of this host for a command that is no pass, and closes it again whatever happens. Throws GpuctlError
 * (exit 3) for a ledger that cannot be read: that nothing is in it is not the same.
 */
export function withLedger<T>(config: Config, mode: 'read' | 'write', use: (ledger: OpenLedger) => T): T {
  const ledger = openLedger({ file: ledgerFile(config), now: Date.now, mode });
  try {
    if (ledger.unreadable !== null) throw new GpuctlError(`the ledger cannot be read: ${ledger.unreadable}`, { code: 'ledger-unreadable', exitCode: ExitCode.notObserved, hint: 'run as root' });
    return use(ledger);
  } finally {
    ledger.close();
  }
}
