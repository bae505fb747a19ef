import type { Finding } from '../model/finding.ts';
import type { History } from '../model/history.ts';
import type { InventoryEntry, KernelView } from '../model/lost.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { printable } from '../model/text.ts';
import { isoTime } from '../model/time.ts';
import { gpusAnswered, missingGpus } from './inventory.ts';

type Look = Pick<Snapshot, 'driver' | 'kernel'>;

/**
 * What is wrong with the driver as a whole, and which GPUs it has lost. Sources: NVIDIA's Xid catalogue of 2025-10-29
 * (79: fallen off the bus), and the return values in nvidia-smi's manual page (18: driver and library differ).
 */
export function lostFindings(snapshot: Look, { inventory = [] }: Pick<History, 'inventory'>): readonly Finding[] {
  return [
    ...mismatchFindings(snapshot),
    ...hungFindings(snapshot),
    ...missingGpus(inventory, snapshot.driver).map((entry) => lostFinding(entry, snapshot)),
    ...unlistedFindings(snapshot, inventory),
  ];
}

const ACCEPT = 'if it was taken out on purpose: gpuctl health-check --baseline accept';

function lostFinding({ gpuUuid, pciBusId, name, missingSince }: InventoryEntry, { driver, kernel }: Look): Finding {
  const since = missingSince === null ? 'it was there at the pass before' : `missing since ${isoTime(missingSince)}`;
  const successor = gpusAnswered(driver)?.find((gpu) => gpu.pciBusId === pciBusId);
  const said = driver.state === 'partial' ? driver.missing.find(({ subject }) => subject === pciBusId)?.why : driver.state === 'failed' ? driver.why : undefined;
  const facts = [since, successor === undefined ? onTheBus(pciBusId, kernel) : `${successor.uuid} is in its place`, ...(said === undefined ? [] : [printable(said, 200)])];
  return {
    id: 'gpu.lost', severity: 'critical', subject: { gpu: gpuUuid },
    message: `GPU ${gpuUuid} (${printable(name, 60)}) at ${pciBusId} is missing from nvidia-smi's answer: ${facts.join('; ')}`,
    remedy: `look at the kernel log (Xid 79: it fell off the bus); a reboot or a power cycle of the host brings a sound board back; ${ACCEPT}`,
  };
}

function onTheBus(busId: string, kernel: KernelView | undefined): string {
  if (kernel === undefined || kernel.pciGpus === null) return 'whether it is still on the PCI bus is not known';
  return kernel.pciGpus.some(({ pciBusId }) => pciBusId === busId) ? 'it is still on the PCI bus' : 'it is not on the PCI bus either';
}

/** On the bus, in no answer and in no inventory. Without a whole answer of nvidia-smi there is nothing to compare with. */
function unlistedFindings({ driver, kernel }: Look, inventory: readonly InventoryEntry[]): readonly Finding[] {
  const gpus = gpusAnswered(driver);
  if (gpus === null || kernel === undefined || kernel.pciGpus === null) return [];
  const known = new Set([...gpus, ...inventory].map(({ pciBusId }) => pciBusId));
  return kernel.pciGpus.filter(({ pciBusId }) => !known.has(pciBusId)).map(({ pciBusId, driver: bound }): Finding => ({
    id: 'gpu.unlisted',
    // One that the driver has taken and then does not show is lost; one that it never took may be too old for it.
    severity: bound === 'nvidia' ? 'critical' : 'warning', subject: {},
    message: `an NVIDIA GPU is on the PCI bus at ${pciBusId}, but nvidia-smi does not show it; its kernel driver is ${bound === null ? 'none' : printable(bound, 40)}`,
    remedy: 'look at the kernel log for NVRM lines of that bus id: a board that does not start, or that this driver does not support',
  }));
}

const MISMATCH_REMEDY = 'reboot the host, or end all that uses the GPUs, unload the nvidia modules and load them anew; nothing else helps';

/** The driver was upgraded while its old module is still loaded. A reset would change nothing. */
function mismatchFindings({ driver, kernel }: Look): readonly Finding[] {
  const loaded = kernel?.moduleVersion ?? null;
  const told = driver.state === 'failed' ? null : driver.value.driverVersion;
  const differs = driver.state === 'failed' ? driver.code === 'version-mismatch' : loaded !== null && told !== null && /^[\d.]+$/.test(told) && loaded !== told;
  if (!differs) return [];
  const module = loaded === null ? 'the kernel module that is loaded' : `the kernel module that is loaded (${loaded})`;
  return [{
    id: 'driver.mismatch', severity: 'critical', subject: {},
    message: told === null ? `${module} and the driver's library are of different versions: no GPU can be used by a new process` : `${module} is not the version that nvidia-smi tells (${told})`,
    remedy: MISMATCH_REMEDY,
  }];
}

function hungFindings({ driver, kernel }: Look): readonly Finding[] {
  if (driver.state !== 'failed' || driver.code !== 'hung') return [];
  const blocked = (kernel?.blocked ?? []).map(({ pid, command }) => `${printable(command, 20)} (pid ${pid})`);
  const who = blocked.length === 0 ? 'no process named nvidia… is in uninterruptible sleep now' : `in uninterruptible sleep: ${blocked.slice(0, 8).join(', ')}${blocked.length > 8 ? ` and ${blocked.length - 8} more` : ''}`;
  return [{
    id: 'driver.hung', severity: 'critical', subject: {},
    message: `the driver hangs: ${driver.why}; ${who}`,
    remedy: 'look at the kernel log for Xid lines; drain the host and reboot it. gpuctl asks nvidia-smi nothing until it answers a probe or the host has rebooted',
  }];
}
