import type { Claim } from '../model/claim.ts';
import { isLive } from '../model/container.ts';
import type { Gpu } from '../model/device.ts';
import { known } from '../model/reading.ts';

/** Two or more live containers that claim one device that is meant for one. */
export interface Conflict {
  readonly gpuUuid: string;
  readonly migUuid: string | null;
  readonly containers: readonly { readonly id: string; readonly name: string }[];
}

/** Conflicts on MIG devices, and on GPUs that are not divided. Containers of the infrastructure see every device by trade and are left out by the caller. */
export function decideConflicts(gpus: readonly Gpu[], claims: readonly Claim[]): readonly Conflict[] {
  const live = claims.filter((claim) => isLive(claim.containerState) && claim.source !== 'uninspected');
  return gpus.flatMap((gpu) => {
    const mine = live.filter((claim) => claim.gpuUuid === gpu.uuid);
    if (known(gpu.migCurrent) !== true) return conflictOn(gpu.uuid, null, mine);
    return gpu.migDevices.flatMap((mig) => (mig.uuid === null ? [] : conflictOn(gpu.uuid, mig.uuid, mine.filter((claim) => claim.migUuid === mig.uuid))));
  });
}

function conflictOn(gpuUuid: string, migUuid: string | null, claims: readonly Claim[]): readonly Conflict[] {
  const containers = [...new Map(claims.map((claim) => [claim.containerId, claim.containerName]))].map(([id, name]) => ({ id, name }));
  return containers.length < 2 ? [] : [{ gpuUuid, migUuid, containers }];
}
