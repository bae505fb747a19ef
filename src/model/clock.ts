/** The host's clocks at one instant. */
export interface ClockReading {
  readonly bootId: string;
  /** Since boot, milliseconds, time asleep included. */
  readonly uptimeMs: number;
  /** Wall time, milliseconds since 1970 UTC. */
  readonly at: number;
}

/**
 * A span of one boot in which the wall clock and the boot clock went together. Its length is what the boot clock says,
 * its place what the wall clock said when it began; a jump of the wall clock, or a boot, begins a new one.
 */
export interface ClockEra {
  /** Counts from 1, in the order in which they were seen. */
  readonly number: number;
  readonly bootId: string;
  readonly fromAt: number;
  readonly fromUptimeMs: number;
  /** Of its first reading; between `fromUptimeMs` and then the wall clock jumped, or gpuctl did not look. */
  readonly seenUptimeMs: number;
  /** Of the latest reading. */
  readonly untilUptimeMs: number;
  /** How far the wall clock had moved when it began; null: it began with a boot, or with gpuctl's first pass. */
  readonly jumpMs: number | null;
}
