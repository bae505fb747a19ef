import type { Condition } from './condition.ts';
import type { NumericReading } from './health.ts';
import type { Observed } from './observation.ts';

/** What a pass leaves for a collector of numbers. No names of owners, containers or processes: they are private, and without bound. */
export interface MetricsView {
  readonly sources: readonly { readonly source: string; readonly state: Observed<unknown>['state'] }[];
  /** Every GPU that was seen, and those that only the ledger knows. */
  readonly devices: readonly DeviceMetrics[];
  /** Open ones; null: not known. */
  readonly conditions: readonly Condition[] | null;
}

/** The numbers of one GPU. */
export interface DeviceMetrics {
  readonly uuid: string;
  /** Null: unknown, or not seen. */
  readonly index: number | null;
  readonly busId: string | null;
  /** Product name; null: not seen. */
  readonly name: string | null;
  /** Those that the driver gave. */
  readonly readings: readonly NumericReading[];
  /** Processes that the driver lists on it, those that only draw included; null: not known. */
  readonly processes: number | null;
  /** Open allocations, those of its MIG devices included. */
  readonly allocations: number;
  readonly quarantined: boolean;
  readonly resetWanted: boolean;
  /** Resets tried in the last 24 hours. */
  readonly resetsInDay: number;
  /** Milliseconds since 1970 UTC; null: the ledger knows of none. */
  readonly lastResetAt: number | null;
}

/** The last pass of one job that came to its end. */
export interface LastPass {
  readonly job: string;
  readonly endedAt: number;
  readonly exit: number;
  /** Milliseconds; null: the clock was changed meanwhile. */
  readonly durationMs: number | null;
}
