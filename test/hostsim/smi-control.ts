import { faultOf, isInUse, listedProcesses } from './smi-device.ts';
import { resetRefusal, type Answer } from './smi-texts.ts';
import { DEFAULT_POWER_LIMIT_W } from './smi-xml.ts';
import type { ResetRefusal, World, WorldGpu } from './world.ts';

/** `nvidia-smi -r`: without `-i` it means every GPU, as the real one does. Changes the world. */
export function applyReset(world: World, gpus: readonly WorldGpu[], call: { args: readonly string[]; now: number; isRoot: boolean }): Answer {
  for (const gpu of gpus) {
    const as = refusal(world, gpu, call.isRoot);
    if (as === null) continue;
    const peers = as === 'nvlink' ? world.gpus.map(({ busId }) => busId) : [gpu.busId];
    return resetRefusal(as, { bus: gpu.busId, newPath: gpu.architecture === 'Hopper', peers });
  }
  for (const gpu of gpus) {
    resetOne(world, gpu);
    world.resets.push({ gpu: gpu.uuid, at: call.now, args: [...call.args] });
  }
  const done = gpus.map(({ busId }) => `GPU ${busId} was successfully reset.\n`).join('');
  return { text: `${done}All done.\n`, exitCode: 0 };
}

function refusal(world: World, gpu: WorldGpu, isRoot: boolean): ResetRefusal | null {
  const told = faultOf(world, 'refuse-reset', gpu);
  if (told !== undefined) return told.as;
  if (!isRoot) return 'no-permission';
  if (gpu.display === 'primary') return 'primary';
  return isInUse(gpu) ? 'in-use' : null;
}

/** What a reset takes with it: stuck memory, ghosts, MIG instances, power limit, compute mode, what asked for it. */
function resetOne(world: World, gpu: WorldGpu): void {
  const lost = faultOf(world, 'reset-loses', gpu)?.what;
  if (lost === 'gpu') {
    world.attached ??= world.gpus.length;
    world.gpus = world.gpus.filter(({ uuid }) => uuid !== gpu.uuid);
    return;
  }
  if (lost === 'uuid') gpu.uuid = `GPU-ffffffff${gpu.uuid.slice(12)}`;
  if (lost === 'persistence') gpu.persistence = false;
  gpu.computeMode = 'Default';
  gpu.powerLimitW = DEFAULT_POWER_LIMIT_W;
  if (gpu.mig !== null) gpu.mig = [];
  if (lost === 'nothing-repaired') return;
  gpu.processes = listedProcesses(gpu).filter(({ ghost }) => ghost !== true);
  gpu.stickyMiB = 0;
  gpu.recovery = 'None';
  gpu.repairPending = false;
  if (gpu.readings !== undefined) gpu.readings = Object.fromEntries(Object.entries(gpu.readings).filter(([path, text]) => !TAKEN_BACK.test(path) && text !== 'GPU requires reset'));
}

/** Volatile counters begin again, and what was pending is done. */
const TAKEN_BACK = /^ecc_errors\/volatile\/|_pending$|^retired_pages\/pending_/;

/** `nvidia-smi -pm 0|1`. Turning it off makes the persistence daemon let go of the node. */
export function applyPersistence(gpus: readonly WorldGpu[], on: boolean): Answer {
  const word = on ? 'Enabled' : 'Disabled';
  const lines = gpus.map((gpu) => {
    if (gpu.persistence === on) return `Persistence mode is already ${word} for GPU ${gpu.busId}.\n`;
    gpu.persistence = on;
    if (!on) gpu.holders = gpu.holders.filter(({ persistence }) => persistence !== true);
    return `${word} persistence mode for GPU ${gpu.busId}.\n`;
  });
  return { text: `${lines.join('')}All done.\n`, exitCode: 0 };
}

const COMPUTE_MODES = ['Default', 'Exclusive_Thread', 'Prohibited', 'Exclusive_Process'];

/** `nvidia-smi -c MODE` and `-pl WATTS`. */
export function applySetting(gpus: readonly WorldGpu[], { computeMode, powerLimitW }: { readonly computeMode?: string; readonly powerLimitW?: string }): Answer {
  const lines = gpus.flatMap((gpu) => {
    const mode = COMPUTE_MODES[Number(computeMode)];
    if (mode !== undefined) gpu.computeMode = mode;
    const before = gpu.powerLimitW;
    if (powerLimitW !== undefined) gpu.powerLimitW = Number(powerLimitW);
    return [
      ...(mode === undefined ? [] : [`Set compute mode to ${mode.toUpperCase()} for GPU ${gpu.busId}.\n`]),
      ...(powerLimitW === undefined ? [] : [`Power limit for GPU ${gpu.busId} was set to ${Number(powerLimitW).toFixed(2)} W from ${before.toFixed(2)} W.\n`]),
    ];
  });
  return { text: `${lines.join('')}All done.\n`, exitCode: 0 };
}
