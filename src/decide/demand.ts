import type { InspectedContainer } from '../model/container.ts';
import type { Gpu } from '../model/device.ts';
import { known } from '../model/reading.ts';
import type { Assessment } from './assess.ts';

/**
 * Are so many of the devices allocated that idle time-outs are to be shorter? A GPU that is divided counts by its MIG
 * devices; containers of the infrastructure, which see every device by trade, do not count. Where the devices, or what
 * containers claim, are not known completely, demand is not called high: what is unknown tightens nothing.
 */
export function isDemandHigh({ snapshot, gpus, claims }: Assessment, isInfrastructure: (container: InspectedContainer) => boolean, atPercent: number): boolean {
  if (snapshot.driver.state !== 'complete' || snapshot.engine.state !== 'complete') return false;
  const infrastructure = new Set(snapshot.engine.value.containers.filter((each) => each.inspected && isInfrastructure(each)).map(({ id }) => id));
  const held = claims.claims.filter((claim) => !claim.released && claim.source !== 'uninspected' && !infrastructure.has(claim.containerId));
  const devices = gpus.flatMap(devicesOf);
  const allocated = devices.filter((device) => held.some((claim) => claim.gpuUuid === device.gpuUuid && (claim.migUuid === null || claim.migUuid === device.migUuid)));
  return devices.length > 0 && allocated.length * 100 >= devices.length * atPercent;
}

function devicesOf(gpu: Gpu): readonly { readonly gpuUuid: string; readonly migUuid: string | null }[] {
  if (known(gpu.migCurrent) !== true) return [{ gpuUuid: gpu.uuid, migUuid: null }];
  return gpu.migDevices.map((mig) => ({ gpuUuid: gpu.uuid, migUuid: mig.uuid }));
}
