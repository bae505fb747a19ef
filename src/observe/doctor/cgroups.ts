import { readFileSync } from 'node:fs';
import type { CgroupLayout } from '../../model/host-facts.ts';

/** Reads the layout from the mount table; what cannot be read is not known. */
export function observeCgroups(): CgroupLayout {
  const types = new Set(mountTable().split('\n').map((line) => line.split(' ')[2]));
  if (types.has('cgroup')) return types.has('cgroup2') ? 'hybrid' : 'v1';
  return types.has('cgroup2') ? 'v2' : null;
}

function mountTable(): string {
  try {
    return readFileSync('/proc/self/mounts', 'utf8');
  } catch {
    return '';
  }
}
