import { readFileSync } from 'node:fs';
import type { CgroupLayout } from '../../model/host-facts.ts';

/** Reads the layout from the mount table; what cannot be read is not known. */
export function observeCgroups(mounts = '/proc/self/mounts'): CgroupLayout {
  const types = new Set(readOr(mounts).split('\n').map((line) => line.split(' ')[2]));
  if (types.has('cgroup')) return types.has('cgroup2') ? 'hybrid' : 'v1';
  return types.has('cgroup2') ? 'v2' : null;
}

function readOr(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
