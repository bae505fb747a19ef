import { accessSync, constants, lstatSync, readdirSync, readFileSync, readlinkSync, statSync, type Stats } from 'node:fs';
import { basename } from 'node:path';
import type { LockState } from '../../model/host-facts.ts';
import { attempt, readText } from '../proc/read.ts';
import { observePlace } from './place.ts';

const FLOCK = '/usr/bin/flock';
const FILE = '/run/gpuctl/lock';

/**
 * Looks at the lock without taking it: a pass that begins just now must not find it held by somebody who only looks. Held
 * is what the kernel's table says of this file.
 */
export function observeLock(): LockState {
  const why = whyUnusable();
  if (why !== null) return { state: 'unusable', why };
  const found = statSync(FILE, { throwIfNoEntry: false });
  return found === undefined || !isLocked(found) ? { state: 'free' } : { state: 'held', pids: holdersOf(found) };
}

function whyUnusable(): string | null {
  try {
    accessSync(FLOCK, constants.X_OK);
  } catch {
    return `${FLOCK} is missing`;
  }
  const found = lstatSync(FILE, { throwIfNoEntry: false });
  if (found !== undefined && !found.isFile()) return `${FILE} is not a plain file`;
  const place = observePlace(FILE);
  return place.state === 'unwritable' ? place.why : null;
}

/** The table names a file by the device and the number of its inode: `1: FLOCK  ADVISORY  WRITE 412 00:1a:5021 0 EOF`. */
function isLocked({ ino }: Stats): boolean {
  return readFileSync('/proc/locks', 'utf8').split('\n').some((line) => isLockOn(ino, line));
}

function isLockOn(ino: number, line: string): boolean {
  return /\bFLOCK\b/.test(line) && line.includes(`:${ino} `);
}

function holdersOf({ ino }: Stats): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
  return pids.filter((pid) => pid !== process.pid && holds(pid, `/${basename(FILE)}`, ino));
}

/**
 * By the kernel's own notes on the open files of that name, in the form of the table: to ask the files themselves could mean to
 * wait for a server that is away. Processes end while they are looked at, and those of others may not be looked into.
 */
function holds(pid: number, name: string, ino: number): boolean {
  const files = attempt(() => readdirSync(`/proc/${pid}/fd`));
  return files.ok && files.value.some((fd) => {
    const target = attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`));
    const notes = target.ok && target.value.endsWith(name) ? readText(`/proc/${pid}/fdinfo/${fd}`) : null;
    return notes?.ok === true && notes.value.split('\n').some((line) => isLockOn(ino, line));
  });
}
