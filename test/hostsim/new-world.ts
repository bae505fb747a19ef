import { DEFAULT_POWER_LIMIT_W } from './smi-xml.ts';
import type { World, WorldGpu, WorldMig } from './world.ts';

/** The driver that hosts have unless a test says otherwise. */
export const DEFAULT_DRIVER = '550.163.01';

/** The drivers whose shapes are covered, oldest first. */
export const DRIVERS = ['470.256.02', '535.274.02', '550.163.01', '570.148.08', '590.48.01'] as const;

/** A clean GPU; `index` also gives its UUID, bus id and minor number. */
export function newGpu(index: number, given: Partial<WorldGpu> = {}): WorldGpu {
  const hex = index.toString(16).padStart(2, '0');
  return {
    uuid: `GPU-000000${hex}-aaaa-4bbb-8ccc-0123456789ab`,
    index,
    minor: index,
    busId: `00000000:${(0x10 + index).toString(16).toUpperCase()}:00.0`,
    name: 'NVIDIA A100-SXM4-80GB', architecture: 'Ampere', totalMiB: 81920, usedMiB: 4,
    mig: null, processes: [], holders: [], display: 'none', persistence: true, computeMode: 'Default',
    powerLimitW: DEFAULT_POWER_LIMIT_W, recovery: 'None', repairPending: false, remapFailed: false,
    stickyMiB: 0, utilization: 0, temperatureC: 33,
    ...given,
  };
}

/** One MIG device of a GPU that has `1g.10gb` slices. */
export function newMig(gpuIndex: number, n: number, given: Partial<WorldMig> = {}): WorldMig {
  const uuid = `MIG-${gpuIndex.toString(16).padStart(4, '0')}${n.toString(16).padStart(4, '0')}-1111-5222-8333-0123456789ab`;
  return { uuid, profile: '1g.10gb', gi: 7 + n, ci: 0, totalMiB: 9728, usedMiB: 12, ...given };
}

/** A world of clean GPUs: as many as said, or those described. */
export function newWorld(driver: string, gpus: number | readonly Partial<WorldGpu>[]): World {
  const given = typeof gpus === 'number' ? Array.from({ length: gpus }, () => ({})) : gpus;
  return { driver, gpus: given.map((some, index) => newGpu(index, some)), faults: [], resets: [] };
}
