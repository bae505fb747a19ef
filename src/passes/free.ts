import type { DeviceReport } from './report.ts';

/** UUIDs of the GPUs that nobody claims, that nobody computes on, and that are clean. What is not known to be free is not in it. */
export function freeGpus(devices: readonly DeviceReport[]): readonly string[] {
  return devices.filter(isFree).map((device) => device.uuid);
}

function isFree(device: DeviceReport): boolean {
  const held = device.claims.some((claim) => !claim.released) || device.processes === null || device.processes.length > 0;
  return !held && device.mig === null && device.verdict === 'clean';
}

/** A free MIG device. */
export interface FreeMig {
  readonly uuid: string;
  readonly profile: string | null;
}

/** A MIG device is held by a claim on it, or on the whole GPU. A process on the parent that cannot be told apart holds all of them. */
export function freeMigs(devices: readonly DeviceReport[]): readonly FreeMig[] {
  return devices.flatMap((device) => {
    if (device.verdict !== 'clean' || device.processes === null) return [];
    const claims = device.claims.filter((claim) => !claim.released);
    const strangers = device.processes.some((process) => process.owner !== 'container');
    if (strangers || claims.some((claim) => claim.mig === null)) return [];
    return (device.mig ?? []).flatMap(({ uuid, profile }) => (uuid !== null && !claims.some((claim) => claim.mig === uuid) ? [{ uuid, profile }] : []));
  });
}
