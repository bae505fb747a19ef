import { createResetHelper } from '../act/services.ts';
import type { Config } from '../config/types.ts';
import type { ResetParts } from '../passes/ports.ts';
import type { OpenLedger } from '../record/ledger/open.ts';

/** What a pass that resets has besides; what stops and starts services is built only for a pass that acts. */
export function resetPartsOf({ nvidiaSmi }: Config, ledger: OpenLedger, acts: boolean): ResetParts {
  return { ledger: ledger.resets, helper: acts ? createResetHelper({ nvidiaSmi }) : null };
}
