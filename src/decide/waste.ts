import type { DeviceUse } from '../model/activity.ts';
import type { Finding } from '../model/finding.ts';
import type { Allocation } from '../model/history.ts';

/** Source of the figures: the predecessor's report of waste. */
const WINDOW_MS = 30 * 60_000;
const FEWEST_SAMPLES = 3;
const LOW_PERCENT = 5;
const MOST_LOW_PERCENT = 80;
/** Three samples of one minute say nothing about half an hour. */
const SHORTEST_SPAN_MS = 20 * 60_000;

export interface WasteFacts {
  readonly uses: readonly DeviceUse[];
  readonly allocations: readonly Allocation[];
  readonly now: number;
}

/** How far back the uses must reach. */
export function wasteSince(now: number): number {
  return now - WINDOW_MS;
}

/** Devices that somebody has held for the whole window while hardly anything ran on them: one finding a holder. */
export function decideWaste({ uses, allocations, now }: WasteFacts): readonly Finding[] {
  const byDevice = Map.groupBy(uses.filter(({ at }) => at <= now && now - at <= WINDOW_MS), (use) => use.gpuUuid);
  const held = allocations.filter((each) => each.releasedAt === null && now - each.observedAt >= WINDOW_MS);
  return held.flatMap((allocation) => {
    const share = lowShare(byDevice.get(allocation.gpuUuid) ?? []);
    return share === null || share <= MOST_LOW_PERCENT ? [] : [findingOf(allocation, share, now)];
  });
}

/** Per cent of samples below the threshold; null: too few, or too close together. */
function lowShare(uses: readonly DeviceUse[]): number | null {
  const times = uses.map(({ at }) => at);
  if (uses.length < FEWEST_SAMPLES || Math.max(...times) - Math.min(...times) < SHORTEST_SPAN_MS) return null;
  return (uses.filter((use) => use.utilizationPercent < LOW_PERCENT).length / uses.length) * 100;
}

function findingOf({ containerId, containerName, owner, gpuUuid, migUuid, observedAt }: Allocation, share: number, now: number): Finding {
  const hours = Math.floor((now - observedAt) / 360_000) / 10;
  return {
    id: 'gpu.waste', severity: 'info',
    subject: { gpu: gpuUuid, container: containerId, ...(migUuid === null ? {} : { mig: migUuid }), ...(owner === null ? {} : { owner }) },
    message: `container ${containerName} of ${owner ?? 'an unknown owner'} has held it for ${hours} h; ${Math.round(share)} % of the samples of the last 30 minutes were below ${LOW_PERCENT} %`,
    remedy: 'ask its owner; the idle limit stops what is idle altogether',
  };
}
