import { readdirSync, readlinkSync, stat, type Stats } from 'node:fs';
import { observed, type Gap, type Observed } from '../../model/observation.ts';
import type { NodeHolder } from '../../model/process.ts';
import { readProcess } from './process.ts';
import { createQueue } from './queue.ts';
import { type Attempt, attempt, readText } from './read.ts';
import { otherThread } from './threads.ts';

/** Any folder, for the path is the one inside the holder's mount namespace. */
const NODE = /\/nvidia\d+(?: \(deleted\))?$/;
/** The driver's character devices: Documentation/admin-guide/devices.txt, "195 char Nvidia graphics devices". */
const NVIDIA_MAJOR = 195;
/** About twelve seconds' worth, and far more than a host has; a process may open a million of them to hold a pass up. */
const MAX_FILES = 2_000_000;
/** A sandbox may keep init's files even from root. Init computes nothing; where it keeps a node for a service, the driver refuses the reset. */
const INIT = 1;
/** A file of that name may lie on any file system, and one whose server is away does not say what it is. */
const files = createQueue({ most: 1 });

/**
 * Every process among `pids` that has a GPU's device node open, one entry a process and node. Nothing is opened: a
 * path's name picks the candidates, the kernel's device number decides. Processes whose descriptors this user may not
 * see are one gap together, and so are those that are left when `maxFiles` descriptors were looked at, and those of whom a
 * file does not say what it is. A node that is only mapped, its descriptor closed, is not seen, nor one among files that a thread
 * of a living process has for itself.
 */
export async function observeHolders(pids: readonly number[], root = '/proc', maxFiles = MAX_FILES): Promise<Observed<readonly NodeHolder[]>> {
  const holders: NodeHolder[] = [];
  const missing: Gap[] = [];
  const budget = { left: maxFiles };
  let [denied, unseen, unanswered] = [0, 0, 0];
  for (const pid of pids) {
    const candidates = budget.left > 0 ? readCandidates(pid, root, budget) : 'unseen';
    // No turn of the event loop for the thousands that have none.
    const minors = typeof candidates === 'string' ? candidates : candidates.length === 0 ? [] : await readMinors(candidates);
    if (minors === 'unseen') unseen += 1;
    else if (minors === 'unanswered') unanswered += 1;
    else if (minors === 'denied') denied += pid === INIT ? 0 : 1;
    else if (minors.length > 0) describe(pid, minors, root, { holders, missing });
  }
  if (unseen > 0) missing.push({ kind: 'files', subject: 'holders', why: `more than ${maxFiles} files are open on this host: those of ${unseen} processes were not looked at` });
  if (unanswered > 0) missing.push({ kind: 'files', subject: 'holders', why: `of ${unanswered} processes, open files called nvidia… did not say what they are` });
  if (denied > 0) missing.push({ subject: 'holders', why: `the open files of ${denied} processes are not readable as this user` });
  else if (!readText(`${root}/1/stat`).ok) missing.push({ subject: 'holders', why: '/proc hides the processes of other users' });
  return observed(holders, missing);
}

/** The descriptors of a process that are called like a node. A process that ended has none. */
function readCandidates(pid: number, root: string, budget: { left: number }): readonly string[] | 'denied' | 'unseen' {
  const first = readFolder(`${root}/${pid}/fd`);
  const other = first.names.ok && first.names.value.length === 0 ? otherThread(pid, root) : null;
  const { folder, names } = other === null ? first : readFolder(`${other}/fd`);
  if (!names.ok) return names.gone ? [] : 'denied';
  budget.left -= names.value.length;
  if (budget.left < 0) return 'unseen';
  const candidates: string[] = [];
  for (const name of names.value) {
    const path = `${folder}/${name}`;
    const target = attempt(() => readlinkSync(path));
    if (!target.ok && !target.gone) return 'denied';
    if (target.ok && NODE.test(target.value)) candidates.push(path);
  }
  return candidates;
}

interface OpenFiles {
  readonly folder: string;
  readonly names: Attempt<readonly string[]>;
}

function readFolder(folder: string): OpenFiles {
  return { folder, names: attempt(() => readdirSync(folder)) };
}

/** Minor numbers of the nodes among these descriptors, each once. */
async function readMinors(paths: readonly string[]): Promise<readonly number[] | 'denied' | 'unanswered'> {
  const found = await Promise.all(paths.map((path) => files.ask<Stats>(path, (done) => { stat(path, done); })));
  if (found.some((each) => !each.ok && each.unanswered === true)) return 'unanswered';
  if (found.some((each) => !each.ok && !each.gone)) return 'denied';
  return [...new Set(found.flatMap((each) => (each.ok ? (minorOf(each.value) ?? []) : [])))];
}

/** Null: not a device of the NVIDIA driver. The split of `st_rdev` is glibc's gnu_dev_minor. */
function minorOf(info: Stats): number | null {
  if (!info.isCharacterDevice()) return null;
  const major = (Math.floor(info.rdev / 2 ** 8) & 0xfff) | (Math.floor(info.rdev / 2 ** 32) & ~0xfff);
  const minor = (info.rdev & 0xff) | (Math.floor(info.rdev / 2 ** 12) & ~0xff);
  return major === NVIDIA_MAJOR ? minor : null;
}

function describe(pid: number, minors: readonly number[], root: string, into: { holders: NodeHolder[]; missing: Gap[] }): void {
  const found = readProcess(pid, root);
  if (found.state === 'absent') return;
  if (found.state === 'unreadable') {
    into.missing.push({ subject: `pid ${pid}`, why: `it has a GPU's device node open: ${found.why}` });
    return;
  }
  const { startTicks, command, uid, cgroups } = found;
  for (const minorNumber of minors) into.holders.push({ minorNumber, pid, startTicks, command, uid, cgroups });
}
