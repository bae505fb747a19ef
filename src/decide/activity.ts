import type { ActivitySample, ContainerCounters, DeviceUse } from '../model/activity.ts';
import type { InspectedContainer } from '../model/container.ts';
import type { Gpu } from '../model/device.ts';
import { seen } from '../model/observation.ts';
import { known, misread, read, type Reading, unsupported } from '../model/reading.ts';
import type { Assessment } from './assess.ts';
import { type ProcessUses, type ShareFacts, shareOf } from './device-sharing.ts';

export interface SampleFacts {
  readonly container: InspectedContainer;
  readonly counters: ContainerCounters;
  readonly assessment: Assessment;
  readonly uses: ProcessUses;
  readonly at: number;
}

/** The sample of one container from its counters and what the driver said. Null: the boot is not known, so nothing can follow from it. */
export function decideSample({ container, counters, assessment, uses, at }: SampleFacts): ActivitySample | null {
  const { bootId } = assessment.look;
  return bootId === null ? null : { ...counters, at, bootId, gpuPercent: gpuUse(container, assessment, uses) };
}

/**
 * The highest use of the devices on which the container has a process. 0: no device that it claims lists one of its
 * processes. A list that is not known, or that shows a process of nobody knows whom, is an error: it might be this one's.
 */
function gpuUse(container: InspectedContainer, assessment: Assessment, uses: ProcessUses): Reading<number> {
  const { snapshot, gpus, claims } = assessment;
  if (snapshot.driver.state === 'failed') return misread(`nvidia-smi: ${snapshot.driver.why}`);
  const mine = new Set(claims.claims.filter((claim) => claim.containerId === container.id).map((claim) => claim.gpuUuid));
  const unseen = snapshot.driver.state === 'partial' && (container.privileged || claims.unresolved.some((claim) => claim.containerId === container.id));
  if (unseen) return misread('a device that it may be on was not seen');
  return highest(gpus.filter((gpu) => container.privileged || mine.has(gpu.uuid)).map((gpu) => useOn(gpu, container.id, { ownership: assessment.ownership, uses })));
}

/** Null: the container is not on this device. */
function useOn(gpu: Gpu, containerId: string, { ownership, uses }: Pick<ShareFacts, 'ownership' | 'uses'>): Reading<number> | null {
  if (gpu.processes.state === 'unknown') return misread(`its process list is not known: ${gpu.processes.why}`);
  const owners = gpu.processes.processes.map((row) => ownership.get(row.pid));
  if (owners.some((owner) => owner?.kind === 'container' && owner.containerId === containerId)) return shareOf({ gpu, containerId, ownership, uses });
  return owners.some((owner) => owner === undefined || owner.kind === 'unknown') ? misread('a process on it belongs to nobody knows whom') : null;
}

/** An error hides what is highest; a device without such a reading (MIG) leaves it to the others. */
function highest(uses: readonly (Reading<number> | null)[]): Reading<number> {
  const present = uses.filter((use) => use !== null);
  const error = present.find((use) => use.kind === 'error');
  if (error !== undefined) return error;
  const values = present.flatMap((use) => known(use) ?? []);
  if (values.length > 0) return read(Math.max(...values));
  return present.length === 0 ? read(0) : unsupported;
}

/** The use of every device that tells it, for findings of waste. */
export function decideDeviceUse({ gpus }: Pick<Assessment, 'gpus'>, at: number): readonly DeviceUse[] {
  return gpus.flatMap((gpu) => {
    const utilizationPercent = known(gpu.utilizationPercent);
    return utilizationPercent === null ? [] : [{ gpuUuid: gpu.uuid, at, utilizationPercent }];
  });
}

/** Live containers whose activity is followed: those that claim a device, but for the infrastructure. */
export function followedIn({ snapshot }: Assessment, claiming: ReadonlySet<string>, isInfrastructure: (container: InspectedContainer) => boolean): readonly InspectedContainer[] {
  return (seen(snapshot.engine)?.containers ?? []).filter((each): each is InspectedContainer => each.inspected && isRunning(each) && claiming.has(each.id) && !isInfrastructure(each));
}

/** Does it have processes of its own, frozen or not? */
export function isRunning({ state }: Pick<InspectedContainer, 'state'>): boolean {
  return state === 'running' || state === 'paused';
}
