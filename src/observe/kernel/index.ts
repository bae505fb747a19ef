import { readdirSync } from 'node:fs';
import type { BlockedProcess, KernelView } from '../../model/lost.ts';
import { parseStat } from '../proc/parse.ts';
import { attempt, readText } from '../proc/read.ts';
import { observePciGpus } from './pci.ts';

export { observePciGpus } from './pci.ts';

/** What the kernel says of GPUs: the bus and the module. `hung`: who is stuck is looked for as well, in all of /proc. */
export function observeKernel({ hung }: { readonly hung: boolean }): KernelView {
  return { pciGpus: observePciGpus(), moduleVersion: readModuleVersion(), blocked: hung ? observeBlocked() : [] };
}

/** Null: the module is not loaded, or says no version. */
export function readModuleVersion(file = '/sys/module/nvidia/version'): string | null {
  const text = readText(file);
  const version = text.ok ? text.value.trim() : '';
  return /^\d{2,4}(?:\.\d{1,4}){1,3}$/.test(version) ? version : null;
}

/** Processes named nvidia… in uninterruptible sleep. Their names prove nothing: they are shown, and nothing is done to them. */
export function observeBlocked(root = '/proc'): readonly BlockedProcess[] {
  const names = attempt(() => readdirSync(root));
  const pids = names.ok ? names.value.filter((name) => /^\d+$/.test(name)) : [];
  return pids.flatMap((pid) => {
    const text = readText(`${root}/${pid}/stat`);
    const stat = text.ok ? parseStat(text.value) : null;
    return stat !== null && stat.runState === 'D' && stat.command.startsWith('nvidia') ? [{ pid: Number(pid), command: stat.command }] : [];
  });
}
