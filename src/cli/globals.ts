import type { PassReport } from '../passes/report.ts';

/** Options that every command takes. */
export interface Globals {
  readonly json?: boolean;
  readonly events?: boolean;
  readonly config?: string;
  readonly dryRun?: boolean;
  readonly overBudget?: boolean;
  /** Started by the schedule, not by hand: acts only on a host that has settled after its boot. */
  readonly scheduled?: boolean;
  readonly yes?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  /** False: `--no-color`. */
  readonly color?: boolean;
  /** A bundle that stands in for this host: nothing is asked of it, done or written. */
  readonly replay?: string;
  /** No option: where a command of several passes gathers their reports, to print one document of all. */
  readonly collect?: (report: PassReport) => void;
}
