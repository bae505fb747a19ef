import type { RecoveryAction } from '../model/device.ts';
import { known, type Reading } from '../model/reading.ts';
import type { XidAction, XidEntry } from './xid-catalogue.ts';

/** Where the catalogue sends its reader to another document or reading. */
const BY_CODE: Readonly<Record<number, string>> = {
  45: 'nothing after a program that was ended; where the host has NVSwitches and it comes by itself again and again, restart nvidia-fabricmanager',
  48: 'look at the board\'s ECC counters and remapped rows: the findings about them say what is called for',
  151: 'reboot the virtual machine',
  154: 'read gpu_recovery_action in nvidia-smi -q and do what it says',
  159: 'if it comes again, have the board and its link to the processor checked',
};

const NVLINK = 'see nvidia-smi nvlink --errorcounters; reset the GPUs at both ends of the link once they are idle; if it comes again, have the link checked';

const BY_ACTION: Readonly<Record<XidAction, string>> = {
  reset: 'gpuctl resets it at the next moment when nothing refers to it',
  reboot: 'drain the host and reboot it; if it comes again, have the board and its slot checked',
  follow: NVLINK,
  restart: 'restart the program that met it, and look for the fault there',
  none: 'nothing',
  check: 'check the power cables of the board',
  update: 'update the virtual GPU software of host and guest to versions that belong together',
};

/** What an admin does about an Xid. The driver's own recovery action, where it has one, counts for more than the catalogue. `recovery` null: nvidia-smi does not show the GPU. */
export function remedyOf(code: number, entry: XidEntry | null, recovery: Reading<RecoveryAction> | null): string {
  if (entry === null) return 'look the code up in NVIDIA\'s Xid catalogue';
  const asked = recovery === null ? null : known(recovery);
  const concernsBoard = entry.action === 'reset' || entry.action === 'reboot';
  if (concernsBoard && asked === 'none') return 'nothing now; if it comes again, have the board checked';
  if (concernsBoard && asked !== null) return 'do what the driver\'s recovery action says; see the finding about it';
  if (entry.action === 'reset') {
    if (recovery === null) return 'reset it once nvidia-smi shows it again; otherwise reboot the host';
    if (recovery.kind === 'error') return 'see the finding about what the driver reports';
  }
  return BY_CODE[code] ?? BY_ACTION[entry.action];
}
