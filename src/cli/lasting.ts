import type { Config } from '../config/types.ts';
import type { PassOptions, PassParts } from '../passes/pass.ts';
import type { OpenLedger } from '../record/ledger/open.ts';
import { createMetricsFile } from '../record/metrics/file.ts';
import { version } from './version.ts';

export interface LastingSetting {
  readonly config: Config;
  readonly options: PassOptions;
  readonly ledger: OpenLedger;
  readonly remind: NonNullable<PassParts['remind']>;
}

/** What a pass has to do with what lasts beyond it: conditions, and where it records, admins and the metrics. */
export function lastingParts({ config, options, ledger, remind }: LastingSetting): Pick<PassParts, 'conditions' | 'remind' | 'metrics'> {
  // A ledger that cannot be read tells nothing of conditions, which is not the same as none.
  const conditions = ledger.unreadable === null ? { conditions: ledger.conditions } : {};
  if (!options.records) return conditions;
  return { ...conditions, remind, metrics: createMetricsFile({ file: config.metrics.textfile, version, lastPasses: () => ledger.lastPasses() }) };
}
