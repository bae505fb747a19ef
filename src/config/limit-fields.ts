import type * as v from 'valibot';
import { duration, durationOrNever, whole } from './fields.ts';
import type { Deep } from './types.ts';

const SECOND = 1000;
/** A pass as a whole ends after ten minutes; one stop may take at most half of that. */
const LONGEST_STOP_MS = 5 * 60 * SECOND;

/** Every limit, by its key in a file. */
export const limitFields = {
  idle_timeout: durationOrNever({ zero: false }),
  max_runtime: durationOrNever({ zero: false }),
  gpu_hold_after_stop: durationOrNever({ zero: true }),
  container_hold_after_stop: durationOrNever({ zero: true }),
  stop_grace: duration(SECOND, LONGEST_STOP_MS),
  idle_checks: whole(1, 1000),
  keep_alive_max: duration(0),
};

/** A limit's key in a file. */
export type LimitKey = keyof typeof limitFields;

/** The name of each limit inside gpuctl, with its unit. */
export const limitNames = {
  idle_timeout: 'idleTimeoutMs',
  max_runtime: 'maxRuntimeMs',
  gpu_hold_after_stop: 'gpuHoldAfterStopMs',
  container_hold_after_stop: 'containerHoldAfterStopMs',
  stop_grace: 'stopGraceMs',
  idle_checks: 'idleChecks',
  keep_alive_max: 'keepAliveMaxMs',
} as const satisfies Record<LimitKey, string>;

/** Every limit, in the order in which it is shown. */
export const limitKeys = Object.keys(limitFields) as readonly LimitKey[];

/**
 * The limits of one owner and container. Null: `never`. `gpuHoldAfterStopMs` 0 releases at once, null keeps the device;
 * `keepAliveMaxMs` 0 allows no deferral.
 */
export type Limits = Deep<{ [K in LimitKey as (typeof limitNames)[K]]: v.InferOutput<(typeof limitFields)[K]> }>;

type Written = { readonly [K in LimitKey]?: v.InferOutput<(typeof limitFields)[K]> };

/** Renames keys; what is not written stays absent. */
export function namedLimits(written: Written): Partial<Limits> {
  const present = limitKeys.filter((key) => written[key] !== undefined);
  return Object.fromEntries(present.map((key) => [limitNames[key], written[key]]));
}
