import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { observed, type Gap, type Observed } from '../../model/observation.ts';
import type { NodeHolder } from '../../model/process.ts';
import { readProcess } from './process.ts';
import { attempt, readText } from './read.ts';

/** Any folder, for the path is the one inside the holder's mount namespace. */
const NODE = /\/nvidia\d+(?: \(deleted\))?$/;
/** The driver's character devices: Documentation/admin-guide/devices.txt, "195 char Nvidia graphics devices". */
const NVIDIA_MAJOR = 195;
/** About twelve seconds' worth, and far more than a host has; a process may open a million of them to hold a pass up. */
const MAX_FILES = 2_000_000;
/** A sandbox may keep init's files even from root. Init computes nothing; where it keeps a node for a service, the driver refuses the reset. */
const INIT = 1;

/**
 * Every process among `pids` that has a GPU's device node open, one entry a process and node. Nothing is opened: a
 * path's name picks the candidates, the kernel's device number decides. Processes whose descriptors this user may not
 * see are one gap together, and so are those that are left when `maxFiles` descriptors were looked at. A node that is only
 * mapped, its descriptor closed, is not seen.
 */
export function observeHolders(pids: readonly number[], root = '/proc', maxFiles = MAX_FILES): Observed<readonly NodeHolder[]> {
  const holders: NodeHolder[] = [];
  const missing: Gap[] = [];
  const budget = { left: maxFiles };
  let [denied, unseen] = [0, 0];
  for (const pid of pids) {
    const minors = budget.left > 0 ? readMinors(pid, root, budget) : 'unseen';
    if (minors === 'unseen') unseen += 1;
    else if (minors === 'denied') denied += pid === INIT ? 0 : 1;
    else if (minors.size > 0) describe(pid, minors, root, { holders, missing });
  }
  if (unseen > 0) missing.push({ kind: 'files', subject: 'holders', why: `more than ${maxFiles} files are open on this host: those of ${unseen} processes were not looked at` });
  if (denied > 0) missing.push({ subject: 'holders', why: `the open files of ${denied} processes are not readable as this user` });
  else if (!readText(`${root}/1/stat`).ok) missing.push({ subject: 'holders', why: '/proc hides the processes of other users' });
  return observed(holders, missing);
}

/** Minor numbers of the nodes that a process has open. A process that ended has none. */
function readMinors(pid: number, root: string, budget: { left: number }): ReadonlySet<number> | 'denied' | 'unseen' {
  const minors = new Set<number>();
  const folder = `${root}/${pid}/fd`;
  const files = attempt(() => readdirSync(folder));
  if (!files.ok) return files.gone ? minors : 'denied';
  budget.left -= files.value.length;
  if (budget.left < 0) return 'unseen';
  for (const file of files.value) {
    const path = `${folder}/${file}`;
    const target = attempt(() => readlinkSync(path));
    if (!target.ok && !target.gone) return 'denied';
    if (!target.ok || !NODE.test(target.value)) continue;
    const minor = attempt(() => readMinor(path));
    if (!minor.ok && !minor.gone) return 'denied';
    if (minor.ok && minor.value !== null) minors.add(minor.value);
  }
  return minors;
}

/** Null: not a device of the NVIDIA driver. The split of `st_rdev` is glibc's gnu_dev_minor. */
function readMinor(path: string): number | null {
  const info = statSync(path);
  if (!info.isCharacterDevice()) return null;
  const major = (Math.floor(info.rdev / 2 ** 8) & 0xfff) | (Math.floor(info.rdev / 2 ** 32) & ~0xfff);
  const minor = (info.rdev & 0xff) | (Math.floor(info.rdev / 2 ** 12) & ~0xff);
  return major === NVIDIA_MAJOR ? minor : null;
}

function describe(pid: number, minors: ReadonlySet<number>, root: string, into: { holders: NodeHolder[]; missing: Gap[] }): void {
  const found = readProcess(pid, root);
  if (found.state === 'absent') return;
  if (found.state === 'unreadable') {
    into.missing.push({ subject: `pid ${pid}`, why: `it has a GPU's device node open: ${found.why}` });
    return;
  }
  const { startTicks, command, uid, cgroups } = found;
  for (const minorNumber of minors) into.holders.push({ minorNumber, pid, startTicks, command, uid, cgroups });
}
