import type { ProcessUse } from '../model/activity.ts';
import type { Gpu, GpuProcess } from '../model/device.ts';
import { failed, type Observed } from '../model/observation.ts';
import { known, misread, read, type Reading } from '../model/reading.ts';
import type { Assessment } from './assess.ts';

/**
 * What `pmon` said; `refused`: this driver or board cannot tell. Null: it was not asked, since nobody shares a device that
 * is in use.
 */
export type ProcessUses = Observed<readonly ProcessUse[]> | null;

/** Nobody tells what a process uses. */
export const usesUntold: ProcessUses = failed('refused', 'nobody tells what a process uses');

/** Is there a device in use with processes of several containers on it? Under MIG pmon has no samples, so it is not worth a call. */
export function sharesDevice({ gpus, ownership }: Pick<Assessment, 'gpus' | 'ownership'>): boolean {
  return gpus.some((gpu) => known(gpu.utilizationPercent) !== 0 && known(gpu.migCurrent) !== true && containersOn(gpu, ownership).size > 1);
}

function containersOn(gpu: Gpu, ownership: Assessment['ownership']): ReadonlySet<string> {
  return new Set(rowsOf(gpu).flatMap(({ pid }) => { const owner = ownership.get(pid); return owner?.kind === 'container' ? [owner.containerId] : []; }));
}

function rowsOf({ processes }: Gpu): readonly GpuProcess[] {
  return processes.state === 'known' ? processes.processes : [];
}

export interface ShareFacts {
  readonly gpu: Gpu;
  readonly containerId: string;
  readonly ownership: Assessment['ownership'];
  readonly uses: ProcessUses;
}

/**
 * The use of one device by one container that is known to have a process on it: the sum of its own processes where each of
 * them has a sample, and the samples tell who uses the device at all. Otherwise the use of the whole device, which is never
 * less. Who shares with nobody has all of it; an answer of pmon's that cannot be read is no answer.
 */
export function shareOf({ gpu, containerId, ownership, uses }: ShareFacts): Reading<number> {
  const whole = gpu.utilizationPercent;
  if (uses === null || containersOn(gpu, ownership).size < 2 || known(whole) === 0 || known(gpu.migCurrent) === true) return whole;
  if (uses.state === 'failed') return uses.code === 'refused' ? whole : misread(`pmon: ${uses.why}`);
  if (uses.state === 'partial') return whole;
  const samples = new Map(uses.value.filter(({ gpuIndex }) => gpuIndex === gpu.index).map(({ pid, smPercent }) => [pid, smPercent]));
  const rows = rowsOf(gpu).map(({ pid }) => ({ owner: ownership.get(pid), percent: samples.get(pid) ?? null }));
  const mine = rows.flatMap(({ owner, percent }) => (owner?.kind === 'container' && owner.containerId === containerId ? [percent] : []));
  const anybodys = rows.some(({ owner }) => owner === undefined || owner.kind === 'unknown');
  const explained = rows.some(({ percent }) => (percent ?? 0) > 0);
  return anybodys || !explained || mine.includes(null) ? whole : read(Math.min(100, mine.reduce<number>((sum, percent) => sum + (percent ?? 0), 0)));
}
