import { readlinkSync } from 'node:fs';
import type { HostProcess, PresentProcess } from '../../model/process.ts';
import { parseCgroups, parseStat, parseStatus } from './parse.ts';
import { attempt, readText } from './read.ts';

/** Inode of the initial pid namespace, fixed by the kernel: PROC_PID_INIT_INO, include/linux/proc_ns.h. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]';
const ATTEMPTS = 3;

/**
 * One process. All fields are of the same process: the start time is read before and after the rest, and where it
 * differs everything is read again. *Absent* needs both /proc and `kill(pid, 0)` to say so, since /proc may hide
 * processes. A thread's id is not a process: it is unreadable. `root` is where /proc is mounted.
 */
export function readProcess(pid: number, root = '/proc'): HostProcess {
  for (let tries = 0; tries < ATTEMPTS; tries += 1) {
    const reading = readOnce(pid, root);
    if (reading !== 'changed') return reading;
  }
  return { state: 'unreadable', pid, why: `it changed each of the ${ATTEMPTS} times that it was read` };
}

function readOnce(pid: number, root: string): HostProcess | 'changed' {
  const before = readText(`${root}/${pid}/stat`);
  if (!before.ok) return before.gone ? observeAbsence(pid) : { state: 'unreadable', pid, why: `stat: ${before.why}` };
  const status = readText(`${root}/${pid}/status`);
  const cgroup = readText(`${root}/${pid}/cgroup`);
  const pidNamespace = readPidNamespace(pid, root);
  const after = readText(`${root}/${pid}/stat`);
  if (!after.ok) return 'changed';
  const [first, last] = [parseStat(before.value), parseStat(after.value)];
  if (first === null || last === null) return { state: 'unreadable', pid, why: 'stat is malformed' };
  if (first.startTicks !== last.startTicks) return 'changed';
  const facts = status.ok ? parseStatus(status.value) : null;
  if (facts !== null && facts.processId !== pid) return { state: 'unreadable', pid, why: `it is a thread of process ${facts.processId}` };
  return { state: 'present', pid, ...last, uid: facts?.uid ?? null, cgroups: cgroup.ok ? parseCgroups(cgroup.value) : null, pidNamespace };
}

/** Which pid namespace a process (`self`: gpuctl) lives in, as far as it can be told. */
export function readPidNamespace(pid: number | 'self', root: string): PresentProcess['pidNamespace'] {
  const link = attempt(() => readlinkSync(`${root}/${pid}/ns/pid`));
  if (!link.ok) return 'unknown';
  return link.value === INITIAL_PID_NAMESPACE ? 'host' : 'other';
}

function observeAbsence(pid: number): HostProcess {
  if (!Number.isInteger(pid) || pid < 1) return { state: 'unreadable', pid, why: 'it is not a process id' };
  const signal = attempt(() => process.kill(pid, 0));
  if (!signal.ok && signal.why === 'ESRCH') return { state: 'absent', pid };
  return { state: 'unreadable', pid, why: 'it exists, but /proc hides it' };
}
