import type { Actor } from '../passes/ports.ts';
import { seen } from '../model/observation.ts';
import { endProcesses, type EndingParts } from './end-processes.ts';
import { resetGpu, type ResetParts } from './reset-gpu.ts';

/** The acting side of a pass. It is never built for a dry run. */
export function createActor(parts: EndingParts & ResetParts): Actor {
  return {
    endProcesses: (targets, checks) => endProcesses(parts, targets, checks),
    resetGpu: async (target, before, journal) => {
      const gpu = seen(before.driver)?.gpus.find((each) => each.uuid === target.uuid && each.pciBusId === target.pciBusId);
      if (gpu === undefined) return { result: 'refused', reason: 'no-longer-wanted', detail: 'the device was not in the last observation' };
      return resetGpu(parts, target, gpu, journal);
    },
  };
}
