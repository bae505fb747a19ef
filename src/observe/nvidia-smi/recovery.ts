import type { RecoveryAction } from '../../model/device.ts';
import { absent, read, unsupported, type Reading } from '../../model/reading.ts';
import { readText } from './reading.ts';
import type { XmlNode } from './xml.ts';

/** Drivers 565 and later; both the manual's words and NVML's names. */
const ACTIONS: Readonly<Record<string, RecoveryAction>> = {
  'none': 'none',
  'reset': 'reset',
  'gpu reset': 'reset',
  'reboot': 'reboot',
  'node reboot': 'reboot',
  'drain p2p': 'drain-p2p',
  'drain and reset': 'drain-and-reset',
  'imex domain reset': 'imex-domain-reset',
  'bus reset': 'bus-reset',
  'gpu bus reset': 'bus-reset',
  'system reboot': 'system-reboot',
};

/** What the board asks for: `gpu_recovery_action` where it says something, else `gpu_reset_status` (535 to 565). */
export function readRecovery(gpu: XmlNode): Reading<RecoveryAction> {
  const action = readText(gpu, 'gpu_recovery_action');
  if (action.kind === 'value') return read(ACTIONS[action.value.toLowerCase()] ?? 'other');
  if (action.kind === 'error') return action;
  const status = readResetStatus(gpu);
  return status.kind === 'absent' ? action : status;
}

function readResetStatus(gpu: XmlNode): Reading<RecoveryAction> {
  const required = readText(gpu, 'gpu_reset_status', 'reset_required');
  const drain = readText(gpu, 'gpu_reset_status', 'drain_and_reset_recommended');
  if (says(required, 'Yes')) return read('reset');
  if (says(drain, 'Yes')) return read('drain-and-reset');
  const error = [required, drain].find(({ kind }) => kind === 'error');
  if (error?.kind === 'error') return error;
  if ([required, drain].some((reading) => reading.kind === 'value' && reading.value !== 'No')) return read('other');
  if (required.kind === 'value') return read('none');
  return required.kind === 'unsupported' || drain.kind !== 'absent' ? unsupported : absent;
}

function says(reading: Reading<string>, word: string): boolean {
  return reading.kind === 'value' && reading.value === word;
}
