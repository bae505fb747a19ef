import { join } from 'node:path';
import type { Config } from '../config/types.ts';

/** Where the ledger of a host lies. */
export function ledgerFile(config: Config): string {
  return join(config.state.dir, 'ledger.db');
}
