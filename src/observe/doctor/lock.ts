import { accessSync, constants, lstatSync, readdirSync, readFileSync, statSync, type Stats } from 'node:fs';
import type { LockState } from '../../model/host-facts.ts';
import { observePlace } from './place.ts';

const FLOCK = '/usr/bin/flock';

/**
 * Looks at the lock without taking it: a pass that begins just now must not find it held by somebody who only looks. Held
 * is what the kernel's table says of this file.
 */
export function observeLock(file = '/run/gpuctl/lock', table = '/proc/locks'): LockState {
  const why = whyUnusable(file);
  if (why !== null) return { state: 'unusable', why };
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined || !isLocked(found, table) ? { state: 'free' } : { state: 'held', pids: openedBy(found) };
}

function whyUnusable(file: string): string | null {
  try {
    accessSync(FLOCK, constants.X_OK);
  } catch {
    return `${FLOCK} is missing`;
  }
  const found = lstatSync(file, { throwIfNoEntry: false });
  if (found !== undefined && !found.isFile()) return `${file} is not a plain file`;
  const place = observePlace(file);
  return place.state === 'unwritable' ? place.why : null;
}

/** The table names a file by the device and the number of its inode: `1: FLOCK  ADVISORY  WRITE 412 00:1a:5021 0 EOF`. */
function isLocked({ ino }: Stats, table: string): boolean {
  return readFileSync(table, 'utf8').split('\n').some((line) => /\bFLOCK\b/.test(line) && line.includes(`:${ino} `));
}

function openedBy({ dev, ino }: Stats): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
  return pids.filter((pid) => pid !== process.pid && filesOf(pid).some((stats) => stats.dev === dev && stats.ino === ino));
}

/** Processes end while they are looked at, and those of others may not be looked into. */
function filesOf(pid: number): readonly Stats[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => statSync(`/proc/${pid}/fd/${fd}`, { throwIfNoEntry: false }) ?? []);
  } catch {
    return [];
  }
}
