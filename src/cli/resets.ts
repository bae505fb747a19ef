import type { Run } from '../act/restore.ts';
import { createResetHelper } from '../act/services.ts';
import type { Config } from '../config/types.ts';
import type { ResetParts } from '../passes/ports.ts';
import type { OpenLedger } from '../record/ledger/open.ts';

/** What a pass that resets has besides; what stops and starts services is built only for a pass that acts, which gives how programs are run. */
export function resetPartsOf({ nvidiaSmi }: Config, ledger: OpenLedger, run: Run | null): ResetParts {
  return { ledger: ledger.resets, helper: run === null ? null : createResetHelper({ nvidiaSmi, run }) };
}
