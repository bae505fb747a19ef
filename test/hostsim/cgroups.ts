import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Sandbox } from './sandbox.ts';

/** Mount points of every cgroup hierarchy of this machine, v1 and v2. */
export function cgroupRoots(): readonly string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .map(([, mount = '']) => mount);
}

/** Puts a process into this path of every hierarchy, making what is missing; the sandbox removes what was made. */
export function putInCgroup(sandbox: Sandbox, pid: number, path: string): void {
  for (const root of cgroupRoots()) {
    const group = join(root, path);
    makeGroup(sandbox, root, group);
    writeFileSync(join(group, 'cgroup.procs'), String(pid));
  }
}

function makeGroup(sandbox: Sandbox, root: string, group: string): void {
  if (group === root || existsSync(group)) return;
  makeGroup(sandbox, root, dirname(group));
  mkdirSync(group, { recursive: true });
  sandbox.trackCgroup(group);
  // A new cpuset of v1 has no processor, and takes no process until it has one.
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const own = join(group, file);
    if (existsSync(own) && readFileSync(own, 'utf8').trim() === '') writeFileSync(own, readFileSync(join(dirname(group), file)));
  }
}
