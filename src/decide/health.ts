import type { Gpu } from '../model/device.ts';
import type { Finding } from '../model/finding.ts';
import { known, type Reading } from '../model/reading.ts';

type Check = (gpu: Gpu) => Omit<Finding, 'subject'> | null;

/** What the readings of one board say by themselves. A reading that is absent or unsupported is neither healthy nor faulty. */
export function decideHealth(gpu: Gpu): readonly Finding[] {
  return CHECKS.flatMap((check) => {
    const finding = check(gpu);
    return finding === null ? [] : [{ ...finding, subject: { gpu: gpu.uuid } }];
  });
}

const REMEDY_RESET = 'gpuctl resets it at the next moment when nothing refers to it';

/** Sources: NVML's recovery actions and row-remapping states; NVIDIA's memory error management guide. */
const CHECKS: readonly Check[] = [
  ({ faults }) => (faults.length === 0 ? null : {
    id: 'gpu.fault', severity: 'critical', message: `the driver reports: ${faults.join(', ')}`, remedy: 'look at the kernel log; a lost GPU needs a reboot',
  }),
  ({ recovery }) => recoveryFinding(recovery),
  ({ remapFailed }) => (known(remapFailed) !== true ? null : {
    id: 'gpu.row_remap.failed', severity: 'critical', message: 'row remapping has failed: the board has no spare memory rows left', remedy: 'replace the board',
  }),
  ({ repairPending }) => (known(repairPending) !== true ? null : {
    id: 'gpu.row_remap.pending', severity: 'warning', message: 'a memory repair waits for a reset; running work is not affected', remedy: REMEDY_RESET,
  }),
  ({ migCurrent, migPending }) => pendingFinding('mig', 'MIG mode', migCurrent, migPending),
  ({ eccCurrent, eccPending }) => pendingFinding('ecc', 'ECC mode', eccCurrent, eccPending),
  ({ processes }) => (processes.state === 'known' ? null : {
    id: 'gpu.processes.unknown', severity: 'warning', message: `its process list is not known: ${processes.why}`, remedy: 'nothing is done to this device until nvidia-smi answers in full',
  }),
];

function recoveryFinding(recovery: Reading<string>): Omit<Finding, 'subject'> | null {
  const action = known(recovery);
  if (action === null || action === 'none') return null;
  const resets = action === 'reset' || action === 'drain-and-reset';
  return {
    id: `gpu.recovery.${action}`,
    severity: 'critical',
    message: action === 'other' ? 'the driver asks for a recovery action that this version does not know' : `the driver asks for the recovery action ${action}`,
    remedy: resets ? REMEDY_RESET : action === 'reboot' ? 'reboot the host' : 'follow the vendor’s instructions for this action',
  };
}

function pendingFinding(id: string, what: string, current: Reading<boolean>, pending: Reading<boolean>): Omit<Finding, 'subject'> | null {
  const [now, next] = [known(current), known(pending)];
  if (now === null || next === null || now === next) return null;
  return { id: `gpu.${id}.pending`, severity: 'warning', message: `${what} is ${now ? 'on' : 'off'} and becomes ${next ? 'on' : 'off'} at the next reset`, remedy: 'drain the GPU and reset it' };
}
