import type { ExitFault, NvmlError, ResetRefusal } from './world.ts';

/** What a call prints on stdout and exits with. */
export interface Answer { readonly text: string; readonly exitCode: number }

/**
 * nvidia-smi's own words, from runs of the unmodified binaries 535.274.02 and 555.58.02 with each NVML error injected
 * beneath them (2026-11). `handle`: after "Unable to determine the device handle for …: ", to the end of the output.
 */
export const NVML: Record<NvmlError, { readonly handle: string; readonly value: string; readonly exitCode: number }> = {
  'lost': { handle: 'GPU is lost.  Reboot the system to recover this GPU\n\n\n', value: 'GPU is lost', exitCode: 15 },
  'reset-required': { handle: 'A GPU reset must occur before this GPU can be used again.\n\n.\n', value: 'GPU requires reset', exitCode: 255 },
  'unknown': { handle: 'Unknown Error\n', value: 'Unknown Error', exitCode: 255 },
  'no-permission': { handle: 'Insufficient Permissions\n', value: 'Insufficient Permissions', exitCode: 4 },
  'not-found': { handle: 'Not Found\n', value: 'Not Found', exitCode: 6 },
  'power': {
    handle: 'Unable to communicate with GPU because it is insufficiently powered.\nThis may be because not all required external power cables are\nattached, or the attached cables are not seated properly.\n\n\n',
    value: 'Unknown Error',
    exitCode: 8,
  },
  'irq': {
    handle: 'The NVIDIA kernel module detected an issue with GPU interrupts.Consult the "Common Problems" Chapter of the NVIDIA Driver README for\ndetails and steps that can be taken to resolve this issue.\n',
    value: 'Unknown Error',
    exitCode: 11,
  },
};

const INIT = 'Failed to initialize NVML: ';

/** The whole output of a call that fails before it sees a device; 8, 11 and 15 name a device and are built elsewhere. */
export function initFailure(code: Exclude<ExitFault, 8 | 11 | 15>, driver: string): string {
  const texts: Record<typeof code, string> = {
    2: 'Field "bogus" is not a valid field to query.\n\n',
    3: `${INIT}Not Supported\n`,
    4: `${INIT}Insufficient Permissions\n`,
    6: 'No devices were found\n',
    9: "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n\n",
    12: "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA Display Driver is properly installed and present in your system.\nPlease also try adding directory that contains libnvidia-ml.so to your system PATH.\n",
    17: `${INIT}GPU access blocked by the operating system\n`,
    18: `${INIT}Driver/library version mismatch\nNVML library version: ${driver.split('.').slice(1).join('.')}\n`,
    19: `${INIT}In use by another client\n`,
    255: `${INIT}Unknown Error\n`,
  };
  return texts[code];
}

const BUSY =
  '\n1 device is currently being used by one or more other processes (e.g., Fabric Manager, CUDA application, graphics application such as an X server, or a monitoring application such as another instance of nvidia-smi). Please first kill all processes using this device and all compute applications running in the system.\n';
const UNSTABLE = '\n1 device did not complete reset successfully, and may be in an unstable state. Please reboot your system.\n';

const couldNot = (buses: readonly string[], why: string): string =>
  `The following GPUs could not be reset:\n${buses.map((bus) => `  GPU ${bus}: ${why}\n`).join('')}`;

/**
 * A refused reset. `newPath`: Hopper and later. `peers`: the boards of the same NVLink set, this one included. The
 * exit codes of `primary` and `nvlink` are not on record anywhere; 255 is what the other refusals of that path give.
 */
export function resetRefusal(as: ResetRefusal, on: { bus: string; newPath: boolean; peers: readonly string[] }): Answer {
  const { bus, newPath, peers } = on;
  if (as === 'unavailable') return { text: 'GPU reset unavailable: In use by another client\n', exitCode: 19 };
  if (as === 'primary') return { text: `GPU Reset couldn't run because GPU ${bus} is the primary GPU.\n`, exitCode: 255 };
  if (as === 'nvlink') return { text: couldNot(peers, 'Not Supported'), exitCode: 255 };
  const newTexts: Record<typeof as, string> = {
    'in-use': couldNot([bus], 'In use by another client') + BUSY,
    'not-supported': couldNot([bus], 'Not Supported'),
    'no-permission': couldNot([bus], 'Insufficient Permissions'),
    'lost': couldNot([bus], 'GPU is lost'),
    'unknown': couldNot([bus], 'Unknown Error'),
  };
  const oldTexts: Record<typeof as, Answer> = {
    'in-use': { text: `GPU ${bus} is currently in use by another process.\n${BUSY}`, exitCode: 19 },
    'not-supported': { text: `Resetting GPU ${bus} is not supported.\n`, exitCode: 3 },
    'no-permission': { text: `Unable to reset GPU ${bus}: Insufficient Permissions\n`, exitCode: 4 },
    'lost': { text: `Error occurred during reset of GPU ${bus}: GPU is lost\n${UNSTABLE}`, exitCode: 15 },
    'unknown': { text: `Error occurred during reset of GPU ${bus}: Unknown Error\n${UNSTABLE}`, exitCode: 255 },
  };
  return newPath ? { text: newTexts[as], exitCode: 255 } : oldTexts[as];
}
