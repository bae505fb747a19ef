import type { Assessment } from '../decide/assess.ts';
import { decideDirt } from '../decide/dirt.ts';
import { currentXids } from '../decide/xid.ts';
import type { Decision } from '../model/decision.ts';
import type { PassParts } from './pass.ts';
import type { DeviceReport } from './report.ts';

type Parts = Pick<PassParts, 'policy' | 'clock'>;

/**
 * Not every job judges orphans, processes that nobody can place, and dirt, and a dry run counts as done what it plans; a
 * device that has them is *clean* in no report, unless the finding is switched off.
 */
export function judgedIn(device: DeviceReport, latest: Assessment, { decisions, parts }: { readonly decisions: readonly Decision[]; readonly parts: Parts }): DeviceReport {
  const isOff = (id: string): boolean => parts.policy.health?.disabled.has(id) === true;
  const orphans = device.processes?.some(({ owner }) => owner === 'orphan') === true && !isOff('gpu.orphan');
  if (device.verdict === 'clean' && orphans) return { ...device, verdict: 'orphans' };
  const unknown = device.processes?.some(({ owner }) => owner === 'unknown') === true && !isOff('process.unknown');
  if (device.verdict === 'clean' && unknown) return { ...device, verdict: 'unknown' };
  const decided = decisions.some(({ verb, target }) => verb === 'reset' && target.kind === 'gpu' && target.uuid === device.uuid);
  return decided || isOff('gpu.dirty') ? device : judgedByMemory(device, latest, parts);
}

/** The device as what the ledger remembers of it makes it: *dirty* rather than *clean* where that calls for a reset, *unknown* where it may yet. */
export function judgedByMemory(device: DeviceReport, { gpus, history, snapshot }: Assessment, { policy, clock }: Parts): DeviceReport {
  const gpu = gpus.find((each) => each.uuid === device.uuid);
  if (gpu === undefined || device.verdict !== 'clean') return device;
  const dirt = decideDirt({ gpu, history, ghosts: [], afterEnding: null, toleranceMiB: policy.toleranceMiB, now: clock.now(), xids: currentXids(snapshot, history) });
  switch (dirt.kind) {
    case 'dirty': return { ...device, verdict: 'dirty' };
    case 'suspect': return { ...device, verdict: 'unknown' };
    default: return device;
  }
}
